//! Bytes that decode to a receipt are the encoding of that receipt.
#![no_main]

#[allow(dead_code)]
#[path = "../../risc0/src/receipt.rs"]
mod receipt;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(found) = receipt::decode(data) {
        assert_eq!(receipt::encode(&found).as_deref(), Ok(data));
    }
});
