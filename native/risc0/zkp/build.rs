//! Writes the root of this crate: the library's own, whose modules stay in the files in which cargo
//! keeps them. `hal::cpu` is ours. The library's is `hal::library` here, and does what there are no
//! vectors for. The prover gives memory back earlier.

use std::env;

use library_source::{module, own, Library};

/// The library's buffers on the CPU, and what ours needs of them besides.
const BUFFERS: (&str, &str) = (
    "impl<T: Clone> Buffer<T> for CpuBuffer<T> {\n",
    "impl<T> CpuBuffer<T> {
    /// A buffer of these numbers.
    pub(crate) fn of(name: &'static str, numbers: Vec<T>) -> Self {
        let region = Region(0, numbers.len());
        let buf = Arc::new(RwLock::new(TrackedVec::new(numbers)));
        Self { name, buf, region }
    }

    /// Give the memory back. Whoever reads or writes the buffer afterwards panics.
    pub(crate) fn give_back(&self) {
        *self.buf.write() = TrackedVec::new(Vec::new());
    }

    /// Take the numbers of another buffer, whose memory is then this one's.
    pub(crate) fn take(&self, other: &Self) {
        assert!(self.is_whole() && other.is_whole() && self.region.1 == other.region.1);
        std::mem::swap(&mut *self.buf.write(), &mut *other.buf.write());
        other.give_back();
    }

    fn is_whole(&self) -> bool {
        self.region.1 == self.buf.read().0.len()
    }
}

impl<T: Clone> Buffer<T> for CpuBuffer<T> {
",
);

/// Where the prover has mixed the coefficients of all columns into a few polynomials, nobody reads
/// them any more; and nobody reads these polynomials once they are added up. The library keeps all of
/// them until the proof is made.
const PROVER: [(&str, &str); 5] = [
    (
        "            for (id, pg) in self.groups.iter().enumerate() {
                let pg = pg.as_ref().unwrap();

                let group_size = self.taps.group_size(id);
",
        "            for (id, pg) in self.groups.iter_mut().enumerate() {
                let pg = pg.as_mut().unwrap();

                let group_size = self.taps.group_size(id);
",
    ),
    (
        "                cur_mix *= mix.pow(group_size);\n",
        "                cur_mix *= mix.pow(group_size);
                pg.coeffs = self.hal.alloc_elem(\"nothing\", 1);
",
    ),
    (
        "        let check_group = PolyGroup::new(",
        "        let mut check_group = PolyGroup::new(",
    ),
    (
        "                &which_buf,
                H::CHECK_SIZE,
                self.cycles,
            );
",
        "                &which_buf,
                H::CHECK_SIZE,
                self.cycles,
            );
            check_group.coeffs = self.hal.alloc_elem(\"nothing\", 1);
",
    ),
    (
        "            self.hal.eltwise_sum_extelem(&final_poly_coeffs, &combos);\n",
        "            self.hal.eltwise_sum_extelem(&final_poly_coeffs, &combos);
            drop(combos);
",
    ),
];

/// rustc knows the macro `digest!` by its path in the crate where a file has it, but not where
/// `include!` has.
const DIGEST: [(&str, &str); 1] = [("pub use crate::digest;\n", "")];

fn main() {
    let library = Library::find("risc0-zkp");

    let buffers = library.write("buffers.rs", &library.changed("hal/cpu.rs", &[BUFFERS]));
    let hal = library.modules("hal", |name| {
        let both = || module("library", &buffers) + &module("cpu", &own("src/cpu.rs"));
        (name == "cpu").then(both)
    });
    let prover = library.write("prover.rs", &library.changed("prove/prover.rs", &PROVER));
    let prove = library.modules("prove", |name| {
        (name == "prover").then(|| module(name, &prover))
    });
    let digest = library.changed("core/digest.rs", &DIGEST) + "pub use digest;\n";
    let digest = library.write("digest.rs", &digest);
    let core = library.modules("core", |name| {
        (name == "digest").then(|| module(name, &digest))
    });

    let changed = [("hal", hal), ("prove", prove), ("core", core)];
    let changed = changed.map(|(name, text)| (name, library.write(&format!("{name}.rs"), &text)));
    let root = library.root(|name| {
        let (_, file) = changed.iter().find(|(changed, _)| *changed == name)?;
        Some(module(name, file))
    });
    library.write("library.rs", &root);

    if env::var("CARGO_FEATURE_PROVE").is_ok()
        && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos" || os == "ios")
    {
        let kernels = env::var("DEP_RISC0_SYS_METAL_KERNELS_ZKP").expect("risc0-sys sets it");
        println!("cargo:rustc-env=ZKP_METAL_PATH={kernels}");
    }
}
