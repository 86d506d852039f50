//! The middle step: a circuit over BN254 that verifies the root's proof, its key, and its SNARK.
//!
//! The circuit has 27 million cells in 2^23 rows. The library keeps all that the circuit was built
//! from in memory until the key is made, though it is not needed once the cells have their places.
//! Here it is given back at that point ([`Building`]), which saves some seven gigabytes at the peak.

use std::{cell::RefCell, path::Path};

use eyre::{Result, WrapErr as _};
use halo2_base::{
    gates::{
        circuit::{
            BaseCircuitParams, BaseConfig, CircuitBuilderStage, builder::BaseCircuitBuilder,
        },
        flex_gate::MultiPhaseThreadBreakPoints,
    },
    halo2_proofs::{
        circuit::{Layouter, SimpleFloorPlanner},
        halo2curves::bn256::Fr,
        plonk::{Circuit, ConstraintSystem, Error, keygen_pk2},
    },
};
use openvm_continuations::RootSC;
use openvm_stark_backend::{
    codec::{Decode as _, Encode as _},
    proof::Proof,
};
use openvm_static_verifier::{
    Halo2ProvingMetadata, Halo2ProvingPinning, StaticVerifierCircuit, StaticVerifierProvingKey,
    StaticVerifierShape, compute_dag_onion_commit, log_heights_per_air_from_proof,
    tracegen::graph_executor::{GraphExecutorState, GraphProgram},
};
use snark_verifier_sdk::halo2::gen_snark_from_base;

use crate::{files, files::Folder, root, srs};

const KEY: &str = "circuit.key";
pub const SNARK: &str = "snark.json";

/// A circuit that is built once, and given back as soon as its cells have their places.
struct Building {
    builder: RefCell<Option<BaseCircuitBuilder<Fr>>>,
    break_points: RefCell<MultiPhaseThreadBreakPoints>,
    params: BaseCircuitParams,
}

impl Circuit<Fr> for Building {
    type Config = BaseConfig<Fr>;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = BaseCircuitParams;

    fn params(&self) -> Self::Params {
        self.params.clone()
    }

    fn without_witnesses(&self) -> Self {
        unreachable!("a key is made of the circuit itself")
    }

    fn configure_with_params(
        meta: &mut ConstraintSystem<Fr>,
        params: Self::Params,
    ) -> Self::Config {
        BaseCircuitBuilder::configure_with_params(meta, params)
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Self::Config {
        unreachable!("the circuit has parameters")
    }

    fn synthesize(&self, config: Self::Config, layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let mut builder = self.builder.take().expect("a circuit is built once");
        builder.synthesize(config, layouter)?;
        self.break_points.replace(builder.break_points());
        builder.clear();
        drop(builder);
        files::give_memory_back();
        say("the cells have their places");
        Ok(())
    }
}

fn say(what: &str) {
    eprintln!("{what}; peak so far {} MB", files::peak_megabytes());
}

/// The circuit that verifies root proofs of this shape.
fn circuit(folder: &Folder, vm_path: &Path) -> Result<(StaticVerifierCircuit, Proof<RootSC>)> {
    let vm = root::load_vm(folder, vm_path)?;
    let proof = root::proof(folder)?;
    let circuit = StaticVerifierCircuit::try_new(
        root::key(folder)?.root_pk.get_vk(),
        compute_dag_onion_commit(&vm.mvk),
        &log_heights_per_air_from_proof(&proof),
    )?;
    Ok((circuit, proof))
}

/// Make the circuit's key. Only the shape of the root's proof enters it.
pub fn make(folder: &Folder, vm_path: &Path) -> Result<()> {
    let (circuit, proof) = circuit(folder, vm_path)?;
    let shape = StaticVerifierShape::default();
    let mut builder = StaticVerifierCircuit::builder(CircuitBuilderStage::Keygen, &shape);
    circuit.populate(&mut builder, &proof);
    let params = builder.calculate_params(Some(shape.minimum_rows));
    let num_pvs = builder.assigned_instances.iter().map(Vec::len).collect();
    say(&format!("the circuit is built: {params:?}"));
    let building = Building {
        builder: RefCell::new(Some(builder)),
        break_points: RefCell::default(),
        params: params.clone(),
    };
    let srs = srs::read(folder, shape.k as u32)?;
    let pk = keygen_pk2(&srs, &building, false).wrap_err("the circuit has no key")?;
    let pinning = Halo2ProvingPinning {
        pk,
        metadata: Halo2ProvingMetadata {
            config_params: params,
            break_points: building.break_points.into_inner(),
            num_pvs,
        },
    };
    say("the key is made");
    folder.write(KEY, |file| pinning.encode(file))
}

/// Prove by the circuit that the root's proof holds.
pub fn prove(folder: &Folder, vm_path: &Path) -> Result<()> {
    let (circuit, proof) = circuit(folder, vm_path)?;
    let shape = StaticVerifierShape::default();
    let graph_program = GraphProgram::new(&circuit, shape.lookup_bits, &proof);
    files::give_memory_back();
    say("the circuit's program is made");
    let key = StaticVerifierProvingKey {
        circuit,
        pinning: Halo2ProvingPinning::decode(&mut folder.open(KEY)?).wrap_err(KEY)?,
        shape,
        graph_program,
    };
    say("the key is read");
    let mut state = GraphExecutorState::new(&key.graph_program);
    let (advice, instances) = key.generate_witness(&proof, 1, &mut state);
    let pinning = key.pinning;
    drop((state, key.graph_program, key.circuit));
    files::give_memory_back();
    say("the witness is made");
    let srs = srs::read(folder, shape.k as u32)?;
    let snark = gen_snark_from_base(&srs, &pinning.pk, advice, instances);
    folder.write_json(SNARK, &snark)
}
