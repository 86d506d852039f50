//! Writes the root of this crate: the library's own, whose modules stay in the files in which cargo
//! keeps them. Only `logup_zerocheck` is changed, in the lines that `CHANGES` has.

use library_source::{module, own, Library};

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
    let library = Library::find("openvm-cpu-backend");

    let mut changed = library.changed("logup_zerocheck/mod.rs", &CHANGES);
    let begin = changed.find(ROUND_0.0).expect("the first round is there");
    let length = changed[begin..].find(ROUND_0.1).expect("the call ends") + ROUND_0.1.len();
    let call = "                let [mut numer, denom] = self::interactions::round_0::<SC>(\n\
                    l_skip, n_lift, helper, &rm_mats, sels_cm, eq_xi, eq_3bs, &self.beta_pows,\n\
                );\n";
    changed.replace_range(begin..begin + length, call);
    for name in ["fractions", "interactions"] {
        changed += &module(name, &own(&format!("src/{name}.rs")));
    }
    let changed = library.write("logup_zerocheck.rs", &changed);

    let root = library.root(|name| (name == "logup_zerocheck").then(|| module(name, &changed)));
    library.write("library.rs", &root);
}
