// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the registry asks of a contract that verifies proofs.
/// @notice It is the interface of RISC Zero's verifiers and of their router.
interface IProofVerifier {
    /// @notice Returns if the proof holds, and reverts if it does not.
    /// @param seal The proof. Its first four bytes select the verifier where a router is asked.
    /// @param imageId The program whose run is proved.
    /// @param journalDigest The SHA-256 of the journal that the run committed.
    function verify(bytes calldata seal, bytes32 imageId, bytes32 journalDigest) external view;
}

/// @title The registry of batches: which roots were posted, and which of them were verified here.
/// @notice Nobody owns it, and nothing of it can be changed. A batch has one key, the SHA-256 of
/// the 68-byte journal of its root: the aggregator's image id, the number of leaves as four
/// little-endian bytes, and the root of the tree over the leaves. The key therefore names the
/// program: whoever relies on an entry computes the key from the image id that they trust.
///
/// Commitments and verified roots are kept apart. A commitment says that somebody posted a root,
/// and nothing about a proof. Only `verifyRoot` makes a root verified.
contract BatchRegistry {
    struct Entry {
        address poster;
        uint64 blockNumber;
    }

    /// @notice The contract that verifies proofs, or zero in a registry of commitments alone.
    IProofVerifier public immutable verifier;

    /// @notice Who committed to a root, in which block. It is NOT verified.
    mapping(bytes32 key => Entry) public commitments;

    /// @notice Who had a root verified by `verifier`, in which block.
    mapping(bytes32 key => Entry) public verifiedRoots;

    /// @notice Somebody committed to a root. It is NOT verified.
    event RootCommitted(bytes32 indexed key, bytes32 indexed imageId, bytes32 root, uint32 count);

    /// @notice The verifier accepted the proof of a root.
    event RootVerified(bytes32 indexed key, bytes32 indexed imageId, bytes32 root, uint32 count);

    error AlreadyCommitted(bytes32 key);
    error AlreadyVerified(bytes32 key);
    error EmptyBatch();
    error NoVerifier();

    constructor(IProofVerifier verifier_) {
        verifier = verifier_;
    }

    /// @notice Commits to a root without a proof, once.
    function commitRoot(bytes32 imageId, uint32 count, bytes32 root) external {
        bytes32 key = keyOf(imageId, count, root);
        if (commitments[key].poster != address(0)) revert AlreadyCommitted(key);
        commitments[key] = Entry(msg.sender, uint64(block.number));
        emit RootCommitted(key, imageId, root, count);
    }

    /// @notice Has the proof of a root verified, once. It reverts with the verifier's words if the
    /// proof does not hold.
    function verifyRoot(bytes calldata seal, bytes32 imageId, uint32 count, bytes32 root) external {
        if (address(verifier) == address(0)) revert NoVerifier();
        bytes32 key = keyOf(imageId, count, root);
        if (verifiedRoots[key].poster != address(0)) revert AlreadyVerified(key);
        verifier.verify(seal, imageId, key);
        verifiedRoots[key] = Entry(msg.sender, uint64(block.number));
        emit RootVerified(key, imageId, root, count);
    }

    /// @notice The key of a batch, which is also the digest of its root's journal.
    function keyOf(bytes32 imageId, uint32 count, bytes32 root) public pure returns (bytes32) {
        if (count == 0) revert EmptyBatch();
        uint32 swapped = ((count & 0xff00ff00) >> 8) | ((count & 0x00ff00ff) << 8);
        swapped = (swapped >> 16) | (swapped << 16);
        return sha256(abi.encodePacked(imageId, swapped, root));
    }

    /// @notice Whether a leaf is under a root. Whether the root was posted is another question.
    /// @param root The root of the tree over the leaves of a batch.
    /// @param imageId The image id of the leaf's program.
    /// @param journal What the leaf's program committed.
    /// @param path The siblings from the leaf up to the root, at most 128.
    /// @param bits Bit i, from the lowest, is 1 where sibling i stands on the left.
    function included(
        bytes32 root,
        bytes32 imageId,
        bytes calldata journal,
        bytes32[] calldata path,
        uint256 bits
    ) external pure returns (bool) {
        if (path.length > 128 || bits >> path.length != 0) return false;
        bytes32 node = sha256(abi.encodePacked(bytes1(0x00), imageId, journal));
        for (uint256 i = 0; i < path.length; ++i) {
            node = (bits >> i) & 1 == 1
                ? sha256(abi.encodePacked(bytes1(0x01), path[i], node))
                : sha256(abi.encodePacked(bytes1(0x01), node, path[i]));
        }
        return node == root;
    }
}
