//! Compiles the C++ kernels once for each instruction set. The binary has all of them, and
//! `src/lib.rs` chooses at run time.

use std::env;

const KERNELS: [&str; 3] = ["ntt", "poly", "poseidon2"];
const INSTRUCTION_SETS: [(&str, &str); 2] = [("avx2", "-mavx2"), ("avx512", "-mavx512f")];

fn main() {
    println!("cargo:rustc-check-cfg=cfg(simd)");
    println!("cargo:rerun-if-changed=build.rs");
    let sources = KERNELS.map(|name| format!("../kernels/{name}.cpp"));
    let headers = ["../kernels/field.h", "../kernels/transpose.h"];
    for file in sources.iter().map(String::as_str).chain(headers) {
        println!("cargo:rerun-if-changed={file}");
    }
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // Other CPUs use the library's code, and Apple's have no AVX-512.
    if target("ARCH") != "x86_64" || target("OS") != "linux" {
        return;
    }
    for (name, flag) in INSTRUCTION_SETS {
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .debug(false)
            .opt_level(3)
            .flag(flag)
            .flags(["-fno-exceptions", "-fno-rtti"])
            .flag_if_supported("-Wno-psabi")
            .define("RUNNER_ISA", name)
            .include("../kernels")
            .files(&sources)
            .compile(&format!("runner_vectors_{name}"));
    }
    println!("cargo:rustc-cfg=simd");
}
