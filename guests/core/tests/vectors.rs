//! The batch tree and the aggregator's journal against the known answers in `vectors.json`, which
//! other implementations read too, and against the RFC's own recursion.

mod common;

use common::{Host, mth, sha256, to_bytes, to_digest, words};
use guest_core::{
    Digest,
    journal::{AggregationResult, BYTES, WORDS},
    merkle::{MAX, Tree, leaf_hasher},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    trees: Vec<Case>,
    nested: Nested,
}

#[derive(Deserialize)]
struct Leaf {
    image_id: String,
    journal: String,
}

#[derive(Deserialize)]
struct Case {
    count: usize,
    leaves: Vec<Leaf>,
    combined_hash: String,
}

#[derive(Deserialize)]
struct Group {
    leaves: Vec<Leaf>,
    verified_count: u32,
    combined_hash: String,
    journal: String,
}

#[derive(Deserialize)]
struct Nested {
    self_image_id: String,
    groups: Vec<Group>,
    leaves_after: Vec<Leaf>,
    verified_count: u32,
    combined_hash: String,
    journal: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors.json")).unwrap()
}

fn leaf_hash(image_id: &[u8], journal: &[u8]) -> Digest {
    let (whole, tail, tail_bytes) = words(journal);
    let mut hasher = leaf_hasher::<Host>(&to_digest(image_id));
    hasher.update(&whole);
    let digest = hasher.finish(tail, tail_bytes);
    assert_eq!(to_bytes(&digest), sha256(&[&[0], image_id, journal]));
    digest
}

fn hash(leaf: &Leaf) -> Digest {
    leaf_hash(
        &hex::decode(&leaf.image_id).unwrap(),
        &hex::decode(&leaf.journal).unwrap(),
    )
}

fn root(nodes: impl IntoIterator<Item = Digest>) -> Digest {
    let mut tree = Tree::new();
    for node in nodes {
        tree.push::<Host>(node).unwrap();
    }
    tree.root::<Host>().unwrap()
}

fn encode(result: &AggregationResult) -> String {
    let bytes = to_bytes(&result.encode());
    assert_eq!(bytes.len(), BYTES as usize);
    assert_eq!(AggregationResult::decode(&result.encode()), *result);
    hex::encode(bytes)
}

#[test]
fn known_trees() {
    let cases = vectors().trees;
    let counts: Vec<usize> = cases.iter().map(|case| case.count).collect();
    assert_eq!(counts, [1, 2, 3, 4, 5, 7, 8, 13]);
    for case in cases {
        assert_eq!(case.leaves.len(), case.count);
        let root = root(case.leaves.iter().map(hash));
        assert_eq!(
            hex::encode(to_bytes(&root)),
            case.combined_hash,
            "{}",
            case.count
        );
    }
}

#[test]
fn known_nested_aggregation() {
    let nested = vectors().nested;
    let self_image_id = to_digest(&hex::decode(&nested.self_image_id).unwrap());
    let mut nodes = Vec::new();
    let mut count = 0;
    for group in &nested.groups {
        let combined_hash = root(group.leaves.iter().map(hash));
        assert_eq!(hex::encode(to_bytes(&combined_hash)), group.combined_hash);
        assert_eq!(group.leaves.len(), group.verified_count as usize);
        let verified_count = group.verified_count;
        let result = AggregationResult {
            self_image_id,
            verified_count,
            combined_hash,
        };
        assert_eq!(encode(&result), group.journal);
        nodes.push(combined_hash);
        count += verified_count;
    }
    nodes.extend(nested.leaves_after.iter().map(hash));
    count += nested.leaves_after.len() as u32;
    assert_eq!(count, nested.verified_count);
    let combined_hash = root(nodes);
    assert_eq!(hex::encode(to_bytes(&combined_hash)), nested.combined_hash);
    let result = AggregationResult {
        self_image_id,
        verified_count: count,
        combined_hash,
    };
    assert_eq!(encode(&result), nested.journal);
}

#[test]
fn every_size_has_the_shape_of_the_rfc() {
    let leaves: Vec<Vec<u8>> = (0..200u32).map(|i| sha256(&[&i.to_le_bytes()])).collect();
    for count in 1..=leaves.len() {
        let streamed = root(leaves[..count].iter().map(|leaf| to_digest(leaf)));
        assert_eq!(to_bytes(&streamed), mth(&leaves[..count]), "{count}");
    }
}

#[test]
fn the_empty_tree_has_no_root() {
    assert_eq!(Tree::new().root::<Host>(), None);
}

#[test]
fn a_tree_takes_so_many_and_no_more() {
    let leaf = [7; 8];
    let mut tree = Tree::new();
    for _ in 0..MAX {
        tree.push::<Host>(leaf).unwrap();
    }
    assert_eq!(tree.push::<Host>(leaf), None);
    let expected = mth(&vec![to_bytes(&leaf); MAX as usize]);
    assert_eq!(to_bytes(&tree.root::<Host>().unwrap()), expected);
}

#[test]
fn what_the_hash_binds() {
    let batch = |leaves: &[(u8, &[u8])]| {
        root(
            leaves
                .iter()
                .map(|(image, journal)| leaf_hash(&[*image; 32], journal)),
        )
    };
    let base = batch(&[(1, b"abcd"), (1, b"efgh"), (2, b"ijkl")]);
    // A byte moved between two journals, a child dropped, two swapped, one doubled, another program.
    assert_ne!(base, batch(&[(1, b"abcde"), (1, b"fgh"), (2, b"ijkl")]));
    assert_ne!(base, batch(&[(1, b"abcd"), (1, b"efgh")]));
    assert_ne!(base, batch(&[(1, b"efgh"), (1, b"abcd"), (2, b"ijkl")]));
    assert_ne!(
        base,
        batch(&[(1, b"abcd"), (1, b"efgh"), (2, b"ijkl"), (2, b"ijkl")])
    );
    assert_ne!(base, batch(&[(1, b"abcd"), (1, b"efgh"), (1, b"ijkl")]));
}

#[test]
fn a_journal_has_17_words() {
    assert_eq!(WORDS * 4, BYTES as usize);
    let result = AggregationResult {
        self_image_id: [1; 8],
        verified_count: 0x0403_0201,
        combined_hash: [2; 8],
    };
    let bytes = to_bytes(&result.encode());
    assert_eq!(bytes[32..36], [1, 2, 3, 4]);
}
