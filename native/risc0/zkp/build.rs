//! Writes the root of this crate: the library's own, whose modules stay in the files in which cargo
//! keeps them. Only `hal::cpu` is ours. The library's is `hal::library` here, and does what there
//! are no vectors for.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const LIBRARY: &str = "risc0-zkp";

fn main() {
    for file in ["build.rs", "library/Cargo.toml", "library/Cargo.lock"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let source = source(&here).join("src");

    let modules_of = |folder: &str, ours: &dyn Fn(&str) -> Option<String>| {
        let folder = source.join(folder);
        let root = ["lib.rs", "mod.rs"].map(|name| folder.join(name));
        let root = root.iter().find(|file| file.exists()).expect("a root");
        with_modules(&read(root), |name| {
            ours(name).unwrap_or_else(|| module(name, &file_of(&folder, name)))
        })
    };

    let hal = modules_of("hal", &|name| {
        (name == "cpu").then(|| {
            let library = module("library", &source.join("hal/cpu.rs"));
            library + &module("cpu", &here.join("src/cpu.rs"))
        })
    });
    write(&out.join("hal.rs"), &hal);

    // rustc knows the macro `digest!` by its path in the crate where a file has it, but not where
    // `include!` has.
    let digest = read(&source.join("core/digest.rs"));
    let digest = replaced(&digest, "pub use crate::digest;\n", "") + "pub use digest;\n";
    write(&out.join("digest.rs"), &digest);
    let ours = |name: &str| (name == "digest").then(|| module(name, &out.join("digest.rs")));
    write(&out.join("core.rs"), &modules_of("core", &ours));

    let root = modules_of("", &|name| {
        let changed = ["core", "hal"].contains(&name);
        changed.then(|| module(name, &out.join(format!("{name}.rs"))))
    });
    // `include!` takes no attributes and no comments on a whole file.
    let is_inner = |line: &str| line.starts_with("#![") || line.starts_with("//!");
    let root: Vec<&str> = root.lines().filter(|line| !is_inner(line)).collect();
    write(&out.join("library.rs"), &root.join("\n"));

    if env::var("CARGO_FEATURE_PROVE").is_ok()
        && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos" || os == "ios")
    {
        let kernels = env::var("DEP_RISC0_SYS_METAL_KERNELS_ZKP").expect("risc0-sys sets it");
        println!("cargo:rustc-env=ZKP_METAL_PATH={kernels}");
    }
}

/// The folder in which cargo keeps the library's source, whose checksum it has compared.
fn source(here: &Path) -> PathBuf {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(here.join("library/Cargo.toml"))
        .other_options(["--locked".into()])
        .exec()
        .unwrap_or_else(|error| panic!("the source of {LIBRARY} cannot be had: {error}"));
    let mut found = metadata.packages.iter();
    let found = found
        .find(|package| package.name.as_str() == LIBRARY)
        .expect("library/Cargo.toml names it");
    assert_eq!(
        found.version.to_string(),
        env::var("CARGO_PKG_VERSION").expect("cargo sets it"),
        "library/Cargo.toml names another version of {LIBRARY} than this crate's"
    );
    let folder = found.manifest_path.parent().expect("a file has a folder");
    folder.as_std_path().to_owned()
}

/// The text with each line that declares a module in a file of its own replaced.
fn with_modules(text: &str, declaration: impl Fn(&str) -> String) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("pub mod ")
            .or_else(|| line.strip_prefix("mod "))
            .and_then(|rest| rest.strip_suffix(';'));
        match name {
            Some(name) if line.starts_with("pub") => result += &declaration(name),
            Some(name) => result += &declaration(name).replace("pub mod", "mod"),
            None => result += line,
        }
        result.push('\n');
    }
    result
}

fn module(name: &str, file: &Path) -> String {
    format!("#[path = {file:?}]\npub mod {name};\n")
}

fn file_of(folder: &Path, module: &str) -> PathBuf {
    let file = folder.join(format!("{module}.rs"));
    if file.exists() {
        file
    } else {
        folder.join(module).join("mod.rs")
    }
}

fn replaced(text: &str, what: &str, by: &str) -> String {
    assert_eq!(
        text.matches(what).count(),
        1,
        "{LIBRARY} has {what:?} elsewhere"
    );
    text.replace(what, by)
}

fn read(path: &Path) -> String {
    println!("cargo:rerun-if-changed={}", path.display());
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("OUT_DIR takes files");
}
