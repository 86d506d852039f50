//! Makes a crate of a library's own source, with a few lines changed.
//!
//! A circuit's crate names a type of its prover's crate and cannot be given another one. So a crate
//! of the prover's name takes its place by `[patch.crates-io]`, and its build script writes its root
//! with what is here: the modules stay in the files in which cargo keeps them, except for those that
//! are changed. The build stops with a message where the source is of another version than expected,
//! or looks different where it is changed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The source of a library, of exactly the version of the crate whose build script runs.
pub struct Library {
    name: String,
    source: PathBuf,
    out: PathBuf,
}

impl Library {
    /// Find the source of the library that `library/Cargo.toml` in the crate's folder names. Cargo
    /// downloads it if need be, and has compared its checksum with `library/Cargo.lock`.
    ///
    /// Panics where there is no such source, or where it has another version than the crate.
    pub fn find(name: &str) -> Self {
        for file in ["build.rs", "library/Cargo.toml", "library/Cargo.lock"] {
            println!("cargo:rerun-if-changed={file}");
        }
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(here().join("library/Cargo.toml"))
            .other_options(["--locked".into()])
            .exec()
            .unwrap_or_else(|error| panic!("the source of {name} cannot be had: {error}"));
        let mut packages = metadata.packages.iter();
        let found = packages
            .find(|package| package.name.as_str() == name)
            .unwrap_or_else(|| panic!("library/Cargo.toml does not name {name}"));
        assert_eq!(
            found.version.to_string(),
            env::var("CARGO_PKG_VERSION").expect("cargo sets it"),
            "library/Cargo.toml names another version of {name} than this crate's"
        );
        let folder = found.manifest_path.parent().expect("a file has a folder");
        Self {
            name: name.to_owned(),
            source: folder.join("src").into(),
            out: env::var_os("OUT_DIR").expect("cargo sets OUT_DIR").into(),
        }
    }

    /// A file or a folder of the library's source.
    pub fn path(&self, name: &str) -> PathBuf {
        self.source.join(name)
    }

    /// The text of one of the library's files. The build script runs again when it changes.
    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The text with one place replaced. Panics where there is not exactly one.
    pub fn replaced(&self, text: &str, what: &str, by: &str) -> String {
        let found = text.matches(what).count();
        assert_eq!(found, 1, "{} has {what:?} {found} times", self.name);
        text.replace(what, by)
    }

    /// One of the library's files with each of these places replaced, as [`Library::replaced`] does.
    pub fn changed(&self, name: &str, changes: &[(&str, &str)]) -> String {
        changes.iter().fold(self.read(name), |text, (what, by)| {
            self.replaced(&text, what, by)
        })
    }

    /// Write a file of the crate that is made, and return its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.out.join(name);
        fs::write(&path, text).expect("OUT_DIR takes files");
        path
    }

    /// The root of one of the library's modules, whose folder is given, with its modules declared
    /// where they are. `ours` gives the declaration of those that are changed.
    pub fn modules(&self, folder: &str, ours: impl Fn(&str) -> Option<String>) -> String {
        let folder = self.source.join(folder);
        let names = ["lib.rs", "mod.rs"];
        let root = names.iter().find(|name| folder.join(name).exists());
        let root = folder.join(root.expect("a module has a root"));
        let text = self.read(root.to_str().expect("a path is text"));
        with_modules(&text, |name| {
            ours(name).unwrap_or_else(|| module(name, &file_of(&folder, name)))
        })
    }

    /// The library's root like [`Library::modules`], as `include!` takes it: without attributes and
    /// comments on the whole file.
    pub fn root(&self, ours: impl Fn(&str) -> Option<String>) -> String {
        without_inner_attributes(&self.modules("", ours))
    }
}

/// The declaration of a module that is in this file.
pub fn module(name: &str, file: &Path) -> String {
    format!("#[path = {file:?}]\npub mod {name};\n")
}

/// A file of the crate whose build script runs.
pub fn own(name: &str) -> PathBuf {
    here().join(name)
}

fn here() -> PathBuf {
    let folder = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    folder.into()
}

fn file_of(folder: &Path, module: &str) -> PathBuf {
    let file = folder.join(format!("{module}.rs"));
    if file.exists() {
        file
    } else {
        folder.join(module).join("mod.rs")
    }
}

/// The text with each line replaced that declares a module in a file of its own.
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

fn without_inner_attributes(text: &str) -> String {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if inside || line.starts_with("#![") {
            // An attribute may take several lines.
            inside = !line.ends_with(']');
        } else if !line.starts_with("//!") {
            lines.push(line);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_in_files_are_declared_elsewhere_and_others_stay() {
        let text = "mod a;\npub mod b;\nmod c {\n    mod d;\n}\n";
        let declared = with_modules(text, |name| module(name, Path::new("/x.rs")));
        assert_eq!(
            declared,
            "#[path = \"/x.rs\"]\nmod a;\n\n#[path = \"/x.rs\"]\npub mod b;\n\nmod c {\n    \
             mod d;\n}\n"
        );
    }

    #[test]
    fn an_included_file_has_no_attributes_and_comments_of_its_own() {
        let text = "//! A.\n#![a]\n#![b(\n    c,\n)]\n#[d]\nmod e; // #![f]\n";
        assert_eq!(without_inner_attributes(text), "#[d]\nmod e; // #![f]");
    }

    #[test]
    #[should_panic(expected = "some-library has \"b\" 2 times")]
    fn a_place_that_is_not_there_once_is_not_replaced() {
        let library = Library {
            name: "some-library".to_owned(),
            source: PathBuf::new(),
            out: PathBuf::new(),
        };
        library.replaced("a b b", "b", "c");
    }
}
