//! `guest-pack USER_ELF OUTPUT`: joins a guest's ELF with the RISC Zero kernel, writes the program
//! binary to OUTPUT and its image id to standard output.
//!
//! The same steps as `risc0-build` takes, without a prover or a toolchain manager.

use std::{env, fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use risc0_binfmt::ProgramBinary;
use risc0_zkos_v1compat::V1COMPAT_ELF;

fn run() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [elf, output] = args.as_slice() else {
        bail!("usage: guest-pack USER_ELF OUTPUT");
    };
    let user_elf = fs::read(elf).with_context(|| format!("cannot read {elf}"))?;
    let binary = ProgramBinary::new(&user_elf, V1COMPAT_ELF).encode();
    let image_id = risc0_binfmt::compute_image_id(&binary)
        .with_context(|| format!("{elf} is not a guest program"))?;
    fs::write(output, &binary).with_context(|| format!("cannot write {output}"))?;
    println!("{image_id}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-pack: {error:#}");
            ExitCode::FAILURE
        }
    }
}
