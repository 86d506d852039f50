use risc0_zkvm::{
    Digest,
    guest::env,
    sha::{Impl, Sha256},
};
use serde::Serialize;

#[derive(Serialize)]
struct AggregationResult {
    self_image_id: [u32; 8],
    verified_count: u32,
    combined_hash: [u8; 32],
}

fn tree_hash(nodes: &[Digest]) -> Digest {
    if let [node] = nodes {
        return *node;
    }
    let split = nodes.len().next_power_of_two() / 2;
    let mut preimage = vec![1u8];
    preimage.extend_from_slice(tree_hash(&nodes[..split]).as_bytes());
    preimage.extend_from_slice(tree_hash(&nodes[split..]).as_bytes());
    *Impl::hash_bytes(&preimage)
}

fn main() {
    let self_image_id: [u32; 8] = env::read();
    let count: u32 = env::read();
    let mut verified_count = 0u32;
    let mut nodes = Vec::new();
    for _ in 0..count {
        let image_id: [u32; 8] = env::read();
        let journal: Vec<u8> = env::read();
        env::verify(image_id, &journal).unwrap();
        if image_id == self_image_id {
            // The words of an aggregate: its image id, its count, and a byte of the hash in each.
            let words: Vec<u32> = journal
                .chunks_exact(4)
                .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
                .collect();
            assert_eq!(words[..8], self_image_id);
            verified_count = verified_count.checked_add(words[8]).unwrap();
            let hash: Vec<u8> = words[9..].iter().map(|word| *word as u8).collect();
            nodes.push(Digest::try_from(hash).unwrap());
        } else {
            verified_count = verified_count.checked_add(1).unwrap();
            let mut preimage = vec![0u8];
            preimage.extend_from_slice(Digest::from(image_id).as_bytes());
            preimage.extend_from_slice(&journal);
            nodes.push(*Impl::hash_bytes(&preimage));
        }
        env::log(&format!("verified {} of {count}", nodes.len()));
    }
    let combined_hash = tree_hash(&nodes).into();
    env::commit(&AggregationResult {
        self_image_id,
        verified_count,
        combined_hash,
    });
}
