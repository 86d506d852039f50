//! From an ELF file to what the VM runs, and to the names it goes by.

use std::sync::Arc;

use openvm_circuit::arch::instructions::exe::VmExe;
use openvm_sdk::{F, prover::AppProver};
use openvm_sdk_config::{SdkVmCpuBuilder, TranspilerConfig};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2CpuEngine;
use openvm_transpiler::{FromElf, elf::Elf, openvm_platform::memory::MEM_SIZE};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    vm,
};

/// Of all segments of one ELF. The loader makes a map entry of every word before it looks at it.
const MAX_LOADED_BYTES: u64 = 16 << 20;

const LOAD: u32 = 1;
const HEADER_BYTES: usize = 32;

pub type App = AppProver<BabyBearPoseidon2CpuEngine, SdkVmCpuBuilder>;

/// What the VM runs. The transpiler puts the deferral circuit's commitment into the memory image, so
/// this too depends on the VM.
pub fn load(elf: &[u8]) -> Result<Arc<VmExe<F>>> {
    let loaded = loaded_bytes(elf).ok_or_else(|| bad("it has no segment table"))?;
    if loaded > MAX_LOADED_BYTES {
        return Err(bad(&format!(
            "segments of {loaded} bytes, more than {MAX_LOADED_BYTES}"
        )));
    }
    let elf = Elf::decode(elf, MEM_SIZE as u32).map_err(|error| bad(&format!("{error:#}")))?;
    let exe = VmExe::from_elf(elf, vm::definition()?.vm_config().transpiler())
        .map_err(|error| bad(&error.to_string()))?;
    Ok(Arc::new(exe))
}

/// The commitment to the program, its initial memory and its entry point; 32 bytes.
pub fn commitment(exe: Arc<VmExe<F>>) -> Result<[u8; 32]> {
    let app = App::new(SdkVmCpuBuilder, &vm::app_key()?.app_vm_pk, exe)
        .map_err(|error| bad(&error.to_string()))?;
    Ok(vm::digest_bytes(&app.app_exe_commit()))
}

/// `SHA-256(executable commitment || VM commitment)`: a program is trusted only under both.
pub fn image_id(executable: &[u8; 32], vm: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(executable)
        .chain_update(vm)
        .finalize()
        .into()
}

/// The sum over a 32-bit ELF's segment table; the loader takes no more than 256 of them.
fn loaded_bytes(elf: &[u8]) -> Option<u64> {
    let table = elf.get(word(elf, 28)? as usize..)?;
    let count = usize::from(u16::from_le_bytes(*elf.get(44..)?.first_chunk()?));
    let segments = table.chunks_exact(HEADER_BYTES).take(count);
    let loaded = segments.filter(|segment| word(segment, 0) == Some(LOAD));
    Some(
        loaded
            .filter_map(|segment| word(segment, 20))
            .map(u64::from)
            .sum(),
    )
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn bad(what: &str) -> Error {
    Error::BadElf(format!("not a program for OpenVM: {what}"))
}
