//! An ELF whose program headers pass the check is read by the library in bounded memory.
#![no_main]

use openvm_transpiler::{elf::Elf, openvm_platform::memory::MEM_SIZE};
use runner_shared::elf::Headers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if Headers::read(data, 1 << 20).is_ok() {
        let _ = Elf::decode(data, MEM_SIZE as u32);
    }
});
