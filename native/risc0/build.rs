//! Compiles RISC Zero's constraint polynomials a second time, for vectors.
//!
//! In the library's code, two thirds of a proof on a CPU go into evaluating a circuit's constraints
//! at every point of a domain, in generated C++ that evaluates one point at a time. This script takes
//! that source from cargo's copy of the circuit's `-sys` crate and turns its numbers into vectors
//! (`kernels/field.h`). The linker's `--wrap` then sends the library's calls to `src/simd.rs` and
//! `src/simd/recursion.rs`. The binary has one copy of the code for each instruction set and chooses
//! at run time.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
};

/// A circuit whose constraints are evaluated in vectors.
struct Circuit {
    name: &'static str,
    /// The crate that has its generated code, in files whose names begin with `files`.
    package: &'static str,
    files: &'static str,
    namespace: &'static str,
    /// The library's function that ours takes the place of.
    symbol: &'static str,
    /// How hard the compiler works. On one function of thousands of lines, and without a branch in
    /// it, level 3 takes minutes and finds no more than level 1.
    opt_level: u32,
}

const CIRCUITS: [Circuit; 2] = [
    Circuit {
        name: "rv32im",
        package: "risc0-circuit-rv32im-sys",
        files: "rust_poly_fp_",
        namespace: "risc0::circuit::rv32im_v2",
        symbol: "risc0_circuit_rv32im_cpu_poly_fp",
        opt_level: 3,
    },
    Circuit {
        name: "recursion",
        package: "risc0-circuit-recursion-sys",
        files: "poly_fp",
        namespace: "risc0::circuit::recursion",
        symbol: "risc0_circuit_recursion_cpu_eval_check",
        opt_level: 1,
    },
];

const INSTRUCTION_SETS: [(&str, &str); 2] = [("avx2", "-mavx2"), ("avx512", "-mavx512f")];

fn main() {
    println!("cargo:rustc-check-cfg=cfg(simd)");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=kernels/eval.cpp");
    println!("cargo:rerun-if-changed=kernels/field.h");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // Apple's linker cannot wrap, and Apple's machines have Metal. Other CPUs use the library's
    // code.
    if target("ARCH") != "x86_64" || target("OS") != "linux" {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for circuit in &CIRCUITS {
        let sources = vectorised(circuit, &out.join(circuit.name));
        for (set, flag) in INSTRUCTION_SETS {
            cc::Build::new()
                .cpp(true)
                .std("c++17")
                .debug(false)
                .opt_level(circuit.opt_level)
                .flag(flag)
                .flags(["-fno-exceptions", "-fno-rtti"])
                .flag_if_supported("-Wno-psabi")
                .warnings(false)
                .define("RUNNER_ISA", set)
                .define("RUNNER_CIRCUIT", circuit.name)
                .include("kernels")
                .file("kernels/eval.cpp")
                .files(&sources)
                .compile(&format!("runner_eval_{}_{set}", circuit.name));
        }
        println!("cargo:rustc-link-arg=-Wl,--wrap={}", circuit.symbol);
    }
    println!("cargo:rustc-cfg=simd");
}

/// The folder in which cargo keeps the sources of a package that this crate is built with.
fn sources_of(package: &str) -> PathBuf {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let metadata = cargo_metadata::MetadataCommand::new()
        .other_options(["--locked".into(), "--filter-platform".into(), target])
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata failed: {error}"));
    let found = metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == package);
    let manifest = &found
        .unwrap_or_else(|| panic!("{package} is not in Cargo.lock"))
        .manifest_path;
    manifest
        .parent()
        .expect("a file has a folder")
        .as_std_path()
        .to_owned()
}

/// Rewrite a circuit's generated files for `kernels/field.h`, and return the new ones.
fn vectorised(circuit: &Circuit, to: &Path) -> Vec<PathBuf> {
    let from = sources_of(circuit.package).join("kernels/cxx");
    fs::create_dir_all(to).expect("OUT_DIR takes folders");
    let mut written = Vec::new();
    for entry in fs::read_dir(from).expect("the package has generated code") {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| name.starts_with(circuit.files) && name.ends_with(".cpp"));
        let Some(name) = name else { continue };
        let text = fs::read_to_string(&path).expect("generated code is text");
        fs::write(to.join(name), rewrite(circuit, &text)).expect("OUT_DIR takes files");
        written.push(to.join(name));
    }
    assert!(
        !written.is_empty(),
        "{} has no {}*.cpp any more",
        circuit.package,
        circuit.files
    );
    written.sort();
    written
}

fn rewrite(circuit: &Circuit, text: &str) -> String {
    let mut lines = String::with_capacity(text.len() / 8);
    for line in text.lines() {
        // Nine tenths of the text are comments on where each line came from.
        let code = line.split("//").next().unwrap_or_default();
        lines.push_str(&with_taps(code));
        lines.push('\n');
    }
    for label in ["data", "accum", "code", "mix", "global", "out"] {
        lines = lines.replace(&format!("/*{label}=*/"), "");
    }
    let renamed = with_sums(&lines)
        .replace("#include \"fp.h\"", "#include \"field.h\"")
        .replace("#include \"fpext.h\"", "")
        .replace(circuit.namespace, "RUNNER_ISA::RUNNER_CIRCUIT")
        .replace("constexpr Fp ", "constexpr Const ")
        .replace("constexpr FpExt ", "const FpExt ")
        .replace("FpExt* poly_mix", "const Mix* poly_mix");
    // A tap that was not rewritten would read vectors where there are numbers.
    assert!(
        !renamed.contains("& mask)"),
        "{} reads its columns in a new way",
        circuit.package
    );
    assert!(
        renamed.contains("tap("),
        "{} reads no columns",
        circuit.package
    );
    renamed
}

/// A sum of terms that is not written yet: the value to add to, and the terms.
struct Sum<'a> {
    to: &'a str,
    terms: Vec<(&'a str, &'a str)>,
}

/// `FpExt b = a + x * poly_mix[1];` and `FpExt c = b + y * poly_mix[2];` become one sum of two
/// terms where nothing else uses `b`. Up to four terms become one.
///
/// The generated code names each value once and has neither loops nor branches, so a sum may be
/// written where its last value is first used.
fn with_sums(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    // Names are used again in the next function.
    for function in text.split_inclusive("\n}") {
        let mut uses = HashMap::<&str, usize>::new();
        words(function).for_each(|word| *uses.entry(word).or_default() += 1);
        let mut sums = HashMap::<&str, Sum>::new();
        let mut in_extension = HashSet::new();
        for line in function.split_inclusive('\n') {
            in_extension.extend(extension(line, &in_extension));
            let is_term = |(_, _, (x, _)): &(_, _, (&str, _))| !in_extension.contains(x);
            let Some((name, to, term)) = term(line).filter(is_term) else {
                for word in words(line) {
                    write_sum(&mut result, word, sums.remove(word));
                }
                result.push_str(line);
                continue;
            };
            // Its definition is one use.
            let open = |sum: &Sum| uses[to] == 2 && sum.terms.len() < 4;
            let mut sum = match sums.remove(to) {
                Some(sum) if open(&sum) => sum,
                full => {
                    write_sum(&mut result, to, full);
                    Sum { to, terms: vec![] }
                }
            };
            sum.terms.push(term);
            sums.insert(name, sum);
        }
        assert!(sums.is_empty(), "a sum is not used");
    }
    result
}

/// The names that a line gives to elements of the extension.
fn extension<'a>(line: &'a str, known: &HashSet<&str>) -> Vec<&'a str> {
    if line.trim_end().ends_with('{') {
        let parameters = line.split(['(', ',']).map(str::trim);
        let named = parameters.filter_map(|parameter| parameter.strip_prefix("FpExt"));
        return named.flat_map(words).collect();
    }
    let Some((left, right)) = line.split_once(" = ") else {
        // `constexpr FpExt x(0, 1, 0, 0);`
        let constant = line.trim().strip_prefix("constexpr FpExt ");
        return constant
            .and_then(|rest| words(rest).next())
            .into_iter()
            .collect();
    };
    let is_one = words(left).any(|word| word == "FpExt")
        || left.trim_start().starts_with("auto") && words(right).any(|word| known.contains(word));
    words(left).last().filter(|_| is_one).into_iter().collect()
}

fn write_sum(result: &mut String, name: &str, sum: Option<Sum>) {
    let Some(Sum { to, terms }) = sum else { return };
    let terms: String = terms
        .iter()
        .map(|(x, mix)| format!(", Fp({x}), poly_mix[{mix}]"))
        .collect();
    result.push_str(&format!("  FpExt {name} = terms({to}{terms});\n"));
}

/// The names in a line `FpExt NAME = TO + X * poly_mix[MIX];`: NAME, TO, and (X, MIX).
fn term(line: &str) -> Option<(&str, &str, (&str, &str))> {
    let (name, sum) = line.trim().strip_prefix("FpExt ")?.split_once(" = ")?;
    let (to, product) = sum.strip_suffix("];")?.split_once(" + ")?;
    let (x, mix) = product.split_once(" * poly_mix[")?;
    let simple = |name: &str| words(name).eq([name]);
    (simple(name) && simple(to) && simple(x)).then_some((name, to, (x, mix)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    parts.filter(|part| !part.is_empty())
}

/// `x[3 * steps + ((cycle - kInvRate * 1) & mask)]` becomes `tap(x, 3, kInvRate * 1, cycle,
/// steps)`.
fn with_taps(code: &str) -> String {
    let tap = || -> Option<String> {
        let (before, rest) = code.split_once(" * steps + ((cycle - ")?;
        let (back, after) = rest.split_once(") & mask)]")?;
        let (place, column) = before.rsplit_once('[')?;
        let (left, columns) = place.rsplit_once(' ')?;
        Some(format!(
            "{left} tap({columns}, {column}, {back}, cycle, steps){after}"
        ))
    };
    tap().unwrap_or_else(|| code.to_owned())
}
