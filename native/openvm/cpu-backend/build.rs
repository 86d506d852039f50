//! Writes the root of this crate: the library's own, whose modules stay in the files in which cargo
//! keeps them. Only `logup_zerocheck` is changed, in the lines that `CHANGES` has.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const LIBRARY: &str = "openvm-cpu-backend";

/// What is replaced in `logup_zerocheck`, and by what. Each text must be there once.
const CHANGES: [(&str, &str); 5] = [
    // The sum of fractions is ours. What it returns is the library's.
    (
        "        fractional_sumcheck_gkr::{fractional_sumcheck, Frac},\n",
        "        fractional_sumcheck_gkr::Frac,\n",
    ),
    (
        "use crate::backend::CpuBackend;\n",
        "use crate::backend::CpuBackend;\nuse self::fractions::fractional_sumcheck;\n",
    ),
    // Interactions are evaluated as one list of steps. The library's function goes through trees,
    // and does what several expressions have in common once for each of them.
    (
        "    pub interactions: Vec<SymbolicInteraction<SC::F>>,\n",
        "    pub interactions: Vec<SymbolicInteraction<SC::F>>,\n    \
         pub steps: self::interactions::Steps<SC::F>,\n",
    ),
    (
        "                    interactions: symbolic_constraints.interactions,\n",
        "                    interactions: symbolic_constraints.interactions,\n                    \
         steps: self::interactions::Steps::new(&pk.vk.symbolic_constraints),\n",
    ),
    (
        "    pub fn eval_interactions<FF, EF>(\n",
        "    pub fn eval_interactions_as_trees<FF, EF>(\n",
    ),
];

/// The call by which the first round evaluates interactions at one point after the other. Ours
/// evaluates them at as many points at once as a vector has lanes.
const ROUND_0: (&str, &str) = (
    "                let [mut numer, denom] = sumcheck_uni_round0_batch::<",
    "                );\n",
);

fn main() {
    for file in ["build.rs", "library/Cargo.toml", "library/Cargo.lock"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let source = source(&here).join("src");

    let mut changed = read(&source.join("logup_zerocheck/mod.rs"));
    for (what, by) in CHANGES {
        changed = replaced(&changed, what, by);
    }
    let begin = changed.find(ROUND_0.0).expect("the first round is there");
    let length = changed[begin..].find(ROUND_0.1).expect("the call ends") + ROUND_0.1.len();
    let call = "                let [mut numer, denom] = self::interactions::round_0::<SC>(\n\
                    l_skip, n_lift, helper, &rm_mats, sels_cm, eq_xi, eq_3bs, &self.beta_pows,\n\
                );\n";
    changed.replace_range(begin..begin + length, call);
    for name in ["fractions", "interactions"] {
        changed += &module(name, &here.join(format!("src/{name}.rs")));
    }
    write(&out.join("logup_zerocheck.rs"), &changed);

    let root = with_modules(&read(&source.join("lib.rs")), |name| match name {
        "logup_zerocheck" => module(name, &out.join("logup_zerocheck.rs")),
        _ => module(name, &source.join(format!("{name}.rs"))),
    });
    // `include!` takes no attributes and no comments on a whole file.
    let root = root
        .split_once(")]\n")
        .map_or(root.as_str(), |(_, root)| root);
    let is_inner = |line: &str| line.starts_with("#![") || line.starts_with("//!");
    let root: Vec<&str> = root.lines().filter(|line| !is_inner(line)).collect();
    write(&out.join("library.rs"), &root.join("\n"));
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
