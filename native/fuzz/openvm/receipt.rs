//! Bytes that decode to a receipt are the encoding of that receipt.
#![no_main]

#[path = "../../openvm/src/layout.rs"]
mod layout;
#[allow(dead_code)]
#[path = "../../openvm/src/receipt.rs"]
mod receipt;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(found) = receipt::decode(data) {
        assert_eq!(
            receipt::encode(&found.journal, &found.proof).as_deref(),
            Ok(data)
        );
    }
});
