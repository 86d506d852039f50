//! Bytes that decode to a receipt are the encoding of that receipt, or the longer one of earlier
//! versions, which wrote the same part several times.
#![no_main]

#[allow(dead_code)]
#[path = "../../risc0/src/receipt.rs"]
mod receipt;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(found) = receipt::decode(data) {
        let encoded = receipt::encode(&found).expect("what was read can be written");
        assert!(encoded == data || encoded.len() < data.len());
        let again = receipt::decode(&encoded).expect("what was written can be read");
        assert_eq!(receipt::encode(&again), Ok(encoded));
    }
});
