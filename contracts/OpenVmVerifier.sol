// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The contract that OpenVM's SDK generates for the proofs of one kind of VM.
interface IOpenVmHalo2Verifier {
    /// @notice Returns if the proof holds, and reverts if it does not.
    /// @param publicValues What the program revealed, 32 bytes.
    /// @param proofData The accumulator and the proof, without the values that are given beside it.
    /// @param appExeCommit The commitment to the program.
    /// @param appVmCommit The commitment to the VM.
    function verify(
        bytes calldata publicValues,
        bytes calldata proofData,
        bytes32 appExeCommit,
        bytes32 appVmCommit
    ) external view;
}

/// @title Lets a registry verify OpenVM's proofs: it has the interface of RISC Zero's verifiers.
/// @notice Nobody owns it, and nothing of it can be changed. An image id of OpenVM is the SHA-256
/// of two commitments, to the program and to the VM, so that no list of programs is needed: the
/// commitments come with the proof and must be those that the image id names.
contract OpenVmVerifier {
    /// @notice The order of the field of the commitments' elements, BabyBear.
    uint256 private constant ORDER = 0x78000001;

    /// @notice The contract that verifies the proofs.
    IOpenVmHalo2Verifier public immutable halo2;

    error NotACommitment(bytes32 commitment);
    error ProofTooShort(uint256 length);
    error WrongProgram(bytes32 imageId);

    constructor(IOpenVmHalo2Verifier halo2_) {
        halo2 = halo2_;
    }

    /// @notice Returns if the proof holds, and reverts if it does not.
    /// @param seal The commitment to the program, the one to the VM, and the proof data.
    /// @param imageId The program whose run is proved, with its VM.
    /// @param journalDigest The SHA-256 of the journal, which is what guests reveal.
    function verify(bytes calldata seal, bytes32 imageId, bytes32 journalDigest) external view {
        if (seal.length < 64) revert ProofTooShort(seal.length);
        bytes32 exe = bytes32(seal[:32]);
        bytes32 vm = bytes32(seal[32:64]);
        if (sha256(abi.encodePacked(digestOf(exe), digestOf(vm))) != imageId) {
            revert WrongProgram(imageId);
        }
        halo2.verify(abi.encodePacked(journalDigest), seal[64:], exe, vm);
    }

    /// @notice A commitment as the image id takes it: its eight field elements, each as four
    /// little-endian bytes. On chain it is one number, whose digits to the base of the field's
    /// order they are, the lowest first.
    function digestOf(bytes32 commitment) public pure returns (bytes32) {
        uint256 rest = uint256(commitment);
        uint256 digest = 0;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 digit = rest % ORDER;
            rest /= ORDER;
            digit = ((digit & 0xff00ff00) >> 8) | ((digit & 0x00ff00ff) << 8);
            digest = (digest << 32) | (digit >> 16) | ((digit & 0xffff) << 16);
        }
        if (rest != 0) revert NotACommitment(commitment);
        return bytes32(digest);
    }
}
