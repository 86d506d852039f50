//! From the root of a batch to a proof that a contract verifies, in steps that leave files.
//!
//! ```text
//! root-key ─▶ root-proof ─▶ circuit-key ─▶ snark ─▶ evm-proof
//! ```
//!
//! docs/l1.md says how it is used, and what each step takes.

mod circuit_key;
mod evm;
mod files;
mod root;
mod srs;

// The extension's own modules, so that both read the same VM and the same receipts. Some of their
// functions are for the extension alone.
#[allow(dead_code)]
#[path = "../../openvm/src/key_file.rs"]
mod key_file;
#[allow(dead_code)]
#[path = "../../openvm/src/keys.rs"]
mod keys;
#[allow(dead_code)]
#[path = "../../openvm/src/layout.rs"]
mod layout;
#[allow(dead_code)]
#[path = "../../openvm/src/parameters.rs"]
mod parameters;
#[allow(dead_code)]
#[path = "../../openvm/src/pipeline.rs"]
mod pipeline;
#[allow(dead_code)]
#[path = "../../openvm/src/program.rs"]
mod program;
#[allow(dead_code)]
#[path = "../../openvm/src/receipt.rs"]
mod receipt;
#[allow(dead_code)]
#[path = "../../openvm/src/vm.rs"]
mod vm;
#[allow(dead_code)]
#[path = "../../openvm/src/zkvm.rs"]
mod zkvm;

use std::{path::Path, process::ExitCode, time::Instant};

use eyre::{Result, bail};

use crate::files::Folder;

const USAGE: &str = "\
usage: openvm-snark STEP FOLDER [ARGUMENT...]
  unsafe-test-srs FOLDER K   make a reference string whose secret is public, for tests alone
  root-key FOLDER VM         VM is guests/openvm/vm.bin
  root-proof FOLDER VM ROOT  ROOT is the root.receipt of a batch
  circuit-key FOLDER VM
  snark FOLDER VM
  evm-proof FOLDER
FOLDER/srs has the reference strings kzg_bn254_K.srs. Every step leaves files in FOLDER.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let begun = Instant::now();
    match step(&arguments) {
        Ok(()) => {
            eprintln!(
                "{}: {:.0} s, peak {} MB",
                arguments[0],
                begun.elapsed().as_secs_f64(),
                files::peak_megabytes()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("openvm-snark: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn step(arguments: &[&str]) -> Result<()> {
    let [name, folder, rest @ ..] = arguments else {
        bail!("{USAGE}");
    };
    let folder = Folder::new(Path::new(folder))?;
    match (*name, rest) {
        ("unsafe-test-srs", [k]) => srs::make_unsafe_for_tests(&folder, k.parse()?),
        ("root-key", [vm]) => root::make_key(&folder, Path::new(vm)),
        ("root-proof", [vm, receipt]) => root::prove(&folder, Path::new(vm), Path::new(receipt)),
        ("circuit-key", [vm]) => circuit_key::make(&folder, Path::new(vm)),
        ("snark", [vm]) => circuit_key::prove(&folder, Path::new(vm)),
        ("evm-proof", []) => evm::prove(&folder),
        _ => bail!("{USAGE}"),
    }
}
