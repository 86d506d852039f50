//! From an ELF file to the program that the VM runs, and to the commitments that name it.

use std::sync::Arc;

use openvm_circuit::arch::instructions::exe::VmExe;
use openvm_sdk::{F, prover::AppProver};
use openvm_sdk_config::{SdkVmCpuBuilder, TranspilerConfig};
use openvm_stark_sdk::config::baby_bear_poseidon2::BabyBearPoseidon2CpuEngine;
use openvm_transpiler::{FromElf, elf::Elf, openvm_platform::memory::MEM_SIZE};
use runner_shared::{Error, Result, elf::Headers};
use sha2::{Digest as _, Sha256};

use crate::vm;

/// How much the segments of one ELF may occupy in memory.
const MAX_LOADED_BYTES: u64 = 16 << 20;

/// The highest address that code may end at. The library's tables of instructions begin at address
/// zero wherever the code does, and an entry takes 48 bytes.
const MAX_CODE_ADDRESS: u32 = 16 << 20;

pub type App = AppProver<BabyBearPoseidon2CpuEngine, SdkVmCpuBuilder>;

/// Translate an ELF into the program that the VM runs. The transpiler puts the deferral circuit's
/// commitment into the memory image, so the result depends on the VM, too.
pub fn load(elf: &[u8]) -> Result<Arc<VmExe<F>>> {
    let headers = Headers::read(elf, MAX_LOADED_BYTES).map_err(|problem| bad(&problem))?;
    let code = headers.code();
    if !code.contains(&headers.entry) {
        return Err(bad(&format!(
            "its first instruction is at {:#x}, outside of its code at {code:#x?}",
            headers.entry
        )));
    }
    if code.end > MAX_CODE_ADDRESS {
        return Err(bad(&format!(
            "its code ends at {:#x}, above {MAX_CODE_ADDRESS:#x}",
            code.end
        )));
    }
    let elf = Elf::decode(elf, MEM_SIZE as u32).map_err(|error| bad(&format!("{error:#}")))?;
    let exe = VmExe::from_elf(elf, vm::definition()?.vm_config().transpiler())
        .map_err(|error| bad(&error.to_string()))?;
    Ok(Arc::new(exe))
}

/// The commitment to the program, its initial memory and its entry point.
pub fn commitment(exe: Arc<VmExe<F>>) -> Result<[u8; 32]> {
    let app = App::new(SdkVmCpuBuilder, &vm::app_key()?.app_vm_pk, exe)
        .map_err(|error| bad(&error.to_string()))?;
    Ok(vm::digest_bytes(&app.app_exe_commit()))
}

/// `SHA-256(executable commitment || VM commitment)`. It covers both, because a program can be
/// trusted only on a VM that is.
pub fn image_id(executable: &[u8; 32], vm: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(executable)
        .chain_update(vm)
        .finalize()
        .into()
}

fn bad(what: &str) -> Error {
    Error::BadElf(format!("not a program for OpenVM: {what}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/src/mutation.rs"
    ));

    fn read(name: &str) -> Vec<u8> {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/openvm");
        std::fs::read(guests.join(name)).unwrap()
    }

    #[test]
    fn a_damaged_program_is_loaded_or_refused() {
        vm::load(&read("vm.bin")).unwrap();
        let whole = read("elfs/fibonacci.elf");
        assert!(load(&whole).is_ok());
        for round in 0..300 {
            let loaded = runner_shared::guarded(|| load(&mutated(&whole, round)));
            match loaded {
                Err(Error::BadElf(_)) => (),
                Ok(exe) => assert!(exe.program.pc_base < MAX_CODE_ADDRESS, "round {round}"),
                Err(other) => panic!("round {round}: {other:?}"),
            }
        }
    }
}
