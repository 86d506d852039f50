//! A program binary is loaded or refused, whatever its headers ask for.
#![no_main]

#[allow(dead_code)]
#[path = "../../risc0/src/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = program::image(data);
});
