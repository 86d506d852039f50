//! Token transfers between accounts, whose balances are the leaves of a Merkle tree.
//!
//! ```text
//! leaf: SHA-256(0x00 || balance: u64, little-endian)    node: SHA-256(0x01 || left || right)
//! ```
//!
//! The tree is perfect: the accounts that are not there have the balance 0.

use alloc::{vec, vec::Vec};

use crate::Sha256;

/// The root hash of a state.
pub type Root = [u8; 32];

/// One transfer of an amount from an account to another, by their positions in the state.
#[derive(Clone, Copy)]
pub struct Transfer {
    pub from: u32,
    pub to: u32,
    pub amount: u64,
}

impl Transfer {
    /// How many bytes a transfer has in the input: two words and an amount, little-endian.
    pub const BYTES: usize = 16;

    fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        Transfer {
            from: word(0),
            to: word(4),
            amount: u64::from(word(8)) | u64::from(word(12)) << 32,
        }
    }
}

/// The balances of all accounts, and the tree over them.
pub struct State {
    hash: Sha256,
    balances: Vec<u64>,
    /// The node 1 is the root, and the children of node i are the nodes 2i and 2i + 1.
    nodes: Vec<Root>,
}

impl State {
    /// The state of these balances.
    pub fn new(balances: &[u64], hash: Sha256) -> Self {
        let mut balances = balances.to_vec();
        balances.resize(balances.len().max(1).next_power_of_two(), 0);
        let nodes = vec![[0; 32]; 2 * balances.len()];
        let mut state = State { hash, balances, nodes };
        for account in 0..state.balances.len() {
            state.set_leaf(account);
        }
        for node in (1..state.balances.len()).rev() {
            state.set_node(node);
        }
        state
    }

    /// The root hash.
    pub fn root(&self) -> Root {
        self.nodes[1]
    }

    /// Make one transfer, and hash the two paths to the root anew.
    ///
    /// # Panics
    ///
    /// If an account is not there, or has too little, or would have too much.
    pub fn apply(&mut self, transfer: Transfer) {
        let (from, to) = (transfer.from as usize, transfer.to as usize);
        let less = self.balances[from].checked_sub(transfer.amount);
        self.balances[from] = less.expect("an account has less than a transfer takes");
        self.update(from);
        let more = self.balances[to].checked_add(transfer.amount);
        self.balances[to] = more.expect("an account would have more than 64 bits hold");
        self.update(to);
    }

    fn update(&mut self, account: usize) {
        self.set_leaf(account);
        let mut node = (self.balances.len() + account) / 2;
        while node > 0 {
            self.set_node(node);
            node /= 2;
        }
    }

    fn set_leaf(&mut self, account: usize) {
        let mut bytes = [0; 9];
        bytes[1..].copy_from_slice(&self.balances[account].to_le_bytes());
        let leaf = self.balances.len() + account;
        self.nodes[leaf] = (self.hash)(&bytes);
    }

    fn set_node(&mut self, node: usize) {
        let mut bytes = [1; 65];
        bytes[1..33].copy_from_slice(&self.nodes[2 * node]);
        bytes[33..].copy_from_slice(&self.nodes[2 * node + 1]);
        self.nodes[node] = (self.hash)(&bytes);
    }
}

/// Make the transfers; returns the old root, the new root and the number of transfers.
///
/// # Panics
///
/// If the input is not whole, or a transfer cannot be made. Then nothing can be proved.
pub fn settle(balances: &[u8], transfers: &[u8], hash: Sha256) -> (Root, Root, u32) {
    assert!(balances.len() % 8 == 0, "a balance is not whole");
    assert!(transfers.len() % Transfer::BYTES == 0, "a transfer is not whole");
    let balances: Vec<u64> = balances
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let mut state = State::new(&balances, hash);
    let old = state.root();
    for bytes in transfers.chunks_exact(Transfer::BYTES) {
        state.apply(Transfer::read(bytes));
    }
    let count = transfers.len() / Transfer::BYTES;
    (old, state.root(), count as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    fn root(balances: &[u64]) -> Root {
        State::new(balances, sha256).root()
    }

    fn input(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn transfer(from: u32, to: u32, amount: u64) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&from.to_le_bytes());
        bytes[4..8].copy_from_slice(&to.to_le_bytes());
        bytes[8..].copy_from_slice(&amount.to_le_bytes());
        bytes
    }

    #[test]
    fn the_new_root_is_that_of_the_new_balances() {
        let made = [transfer(0, 1, 5), transfer(1, 2, 12), transfer(2, 2, 1)].concat();
        let found = settle(&input(&[7, 8, 9]), &made, sha256);
        assert_eq!(found, (root(&[7, 8, 9]), root(&[2, 1, 21]), 3));
        // An account that is not there has nothing.
        assert_eq!(root(&[2, 1, 21]), root(&[2, 1, 21, 0]));
        assert_ne!(root(&[2, 1, 21]), root(&[2, 21, 1]));
    }

    #[test]
    #[should_panic(expected = "less than a transfer takes")]
    fn nobody_spends_what_is_not_there() {
        settle(&input(&[7, 8]), &transfer(0, 1, 8), sha256);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn an_account_outside_of_the_tree_is_not_there() {
        settle(&input(&[7, 8]), &transfer(0, 2, 1), sha256);
    }
}
