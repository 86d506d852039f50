use core::{arch::global_asm, panic::PanicInfo};

use guest_core::{
    Digest,
    sha::{Block, Compress, INIT, Plain},
};
use openvm_deferral_guest::{Commit, deferred_compute, get_deferred_output};
use openvm_platform::{memory::STACK_TOP, rust_rt::terminate};
use openvm_rv32im_guest::{hint_buffer_chunked, hint_input, hint_store_u32, reveal};

use crate::{Circuit, JOURNAL, JOURNAL_WORDS};

/// Words of the input handed out at once.
const BUFFER_WORDS: usize = 48;

/// The deferral circuit that verifies proofs of this same VM.
const VERIFY_STARK: u16 = 0;

/// Executable commitment, VM commitment, and the public values: 32 bytes, each in a field element.
const OUTPUT_WORDS: usize = 8 + 8 + 32;

/// More than one aggregation's tree takes.
const MAX_PROOFS: usize = 4096;

/// The guest's input and output. There is one; the entry point makes it.
pub struct Env {
    buffer: [u32; BUFFER_WORDS],
    /// Words of the input not read yet.
    left: usize,
}

impl Env {
    /// Some of the next words of the input: at least one, at most `limit`, which must not be zero.
    #[inline(always)]
    pub fn some(&mut self, limit: usize) -> &[u32] {
        let count = limit.min(BUFFER_WORDS).min(self.left);
        if count == 0 {
            fail("the input ended too early");
        }
        self.left -= count;
        hint_buffer_chunked(self.buffer.as_mut_ptr().cast(), count);
        &self.buffer[..count]
    }

    /// The next word of the input; ends the guest where there is none.
    #[inline(always)]
    pub fn word(&mut self) -> u32 {
        if self.left == 0 {
            fail("the input ended too early");
        }
        self.left -= 1;
        stored_word()
    }

    /// Fills `words` from the input.
    #[inline(always)]
    pub fn read(&mut self, words: &mut [u32]) {
        if words.len() > self.left {
            fail("the input ended too early");
        }
        self.left -= words.len();
        hint_buffer_chunked(words.as_mut_ptr().cast(), words.len());
    }

    /// The same; the other runtime tells small reads from large ones.
    #[inline(always)]
    pub fn read_small(&mut self, words: &mut [u32]) {
        self.read(words);
    }

    /// The next eight words of the input.
    #[inline(always)]
    pub fn digest(&mut self) -> Digest {
        let mut digest = [0; 8];
        self.read(&mut digest);
        digest
    }

    /// Nothing: the zkVM would write the message to the host's standard output.
    #[inline(always)]
    pub fn log(&self, _message: &str) {}

    /// Commits the journal and ends the guest successfully.
    #[inline(always)]
    pub fn commit(&mut self, journal: &[u32]) -> ! {
        if journal.len() > JOURNAL_WORDS {
            fail("the journal is too long");
        }
        let place = JOURNAL as *mut u32;
        // SAFETY: nothing else lies between this address and the stack, which is two megabytes up.
        unsafe {
            place.write_volatile(journal.len() as u32);
            for (index, word) in journal.iter().enumerate() {
                place.add(1 + index).write_volatile(*word);
            }
        }
        let mut hasher = Plain::<Circuit>::new();
        hasher.update(journal);
        for (index, word) in hasher.finish(0, 0).into_iter().enumerate() {
            let at = index as u32 * 4;
            reveal!(at, word, 0);
        }
        terminate::<0>();
        unreachable()
    }

    /// The same: what was verified is in the proof already.
    #[inline(always)]
    pub fn commit_verified(&mut self, _verifier: &Verifier, journal: &[u32]) -> ! {
        self.commit(journal)
    }
}

/// A program and the digest of a journal it committed.
#[repr(C)]
struct Claim {
    image_id: Digest,
    journal: Digest,
}

/// What the proofs given to this guest prove.
pub struct Verifier {
    claims: &'static [Claim],
    /// Where the last claim asked for was found: they mostly come in the order they are used.
    next: usize,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Verifies every proof that the host names.
    pub fn new() -> Self {
        // SAFETY: the entry point has put that many commitments there, and the table lies after them;
        // there is one thread, and nothing else uses the memory behind the program.
        unsafe {
            let commits = core::slice::from_raw_parts(proofs_place().cast::<Commit>(), PROOFS as usize);
            let table = proofs_place().add(8 * commits.len()).cast::<Claim>();
            for (index, commit) in commits.iter().enumerate() {
                table.add(index).write(verified(commit));
            }
            Self {
                claims: core::slice::from_raw_parts(table, commits.len()),
                next: 0,
            }
        }
    }

    /// Accepts that the program `image_id` halted successfully with a journal of this digest, if one
    /// of the proofs says so; ends the guest if none does.
    pub fn verify(&mut self, image_id: &Digest, journal: &Digest) {
        let (before, after) = self.claims.split_at(self.next);
        for (claims, offset) in [(after, self.next), (before, 0)] {
            for (index, claim) in claims.iter().enumerate() {
                if claim.journal == *journal && claim.image_id == *image_id {
                    self.next = offset + index + 1;
                    return;
                }
            }
        }
        fail("no proof was given for a claim")
    }
}

/// One proof's claim. The deferral framework makes the proof of this guest's execution depend on
/// `commit` being a proof that verifies and has this output.
fn verified(commit: &Commit) -> Claim {
    let key = deferred_compute::<VERIFY_STARK>(commit);
    let mut output = [0u32; OUTPUT_WORDS];
    if key.output_len as usize != size_of_val(&output) {
        fail("a proof has other public values than a digest");
    }
    // SAFETY: bytes of an array of words.
    let bytes = unsafe {
        core::slice::from_raw_parts_mut(output.as_mut_ptr().cast::<u8>(), size_of_val(&output))
    };
    get_deferred_output::<VERIFY_STARK>(bytes, &key);

    let mut journal = [0; 8];
    for (word, values) in journal.iter_mut().zip(output[16..].chunks_exact(4)) {
        for (place, value) in values.iter().enumerate() {
            if *value > 0xff {
                fail("a public value is not a byte");
            }
            *word |= *value << (8 * place);
        }
    }
    Claim {
        image_id: image_id(&output),
        journal,
    }
}

/// SHA-256 of the 64 bytes of both commitments.
fn image_id(output: &[u32; OUTPUT_WORDS]) -> Digest {
    let mut blocks: [Block; 2] = [[0; 16]; 2];
    blocks[0].copy_from_slice(&output[..16]);
    blocks[1][0] = 0x80;
    blocks[1][15] = (64u32 * 8).swap_bytes();
    Circuit::digest(&INIT, &blocks)
}

/// Ends the guest: the execution fails and nothing can be proved.
#[cold]
#[inline(never)]
pub fn fail(_message: &'static str) -> ! {
    terminate::<1>();
    unreachable()
}

fn unreachable() -> ! {
    // Behind an instruction that ends the program.
    loop {}
}

#[panic_handler]
fn panic(_info: &PanicInfo) -> ! {
    fail("the guest panicked")
}

global_asm!(include_str!("mem.s"));

global_asm!(
    r#"
    .section .text._start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    li sp, {stack_top}
    call __guest_start
    "#,
    stack_top = const STACK_TOP,
);

unsafe extern "Rust" {
    fn __guest_main(env: &mut Env) -> !;
}

unsafe extern "C" {
    /// The end of the program, by the linker.
    static _end: u8;
}

/// How many proofs the host names.
static mut PROOFS: u32 = 0;

/// The memory behind the program: commitments, then [`Verifier`]'s table.
fn proofs_place() -> *mut u32 {
    ((&raw const _end as usize).next_multiple_of(16)) as *mut u32
}

#[inline(always)]
fn stored_word() -> u32 {
    let mut word = core::mem::MaybeUninit::<u32>::uninit();
    let place = word.as_mut_ptr();
    hint_store_u32!(place);
    // SAFETY: the instruction has written it.
    unsafe { place.read_volatile() }
}

#[unsafe(no_mangle)]
extern "C" fn __guest_start() -> ! {
    hint_input();
    let bytes = stored_word() as usize;
    let mut env = Env {
        buffer: [0; BUFFER_WORDS],
        left: bytes / 4,
    };
    let proofs = env.word() as usize;
    if proofs > MAX_PROOFS || proofs * 8 > env.left {
        fail("more proofs are named than there is input");
    }
    env.left -= proofs * 8;
    hint_buffer_chunked(proofs_place().cast(), proofs * 8);
    // SAFETY: one thread; `entry!` defines the function with this signature.
    unsafe {
        PROOFS = proofs as u32;
        __guest_main(&mut env)
    }
}

/// Makes `fn(&mut Env) -> !` the guest's entry point.
#[macro_export]
macro_rules! entry {
    ($path:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn __guest_main(env: &mut $crate::Env) -> ! {
            const MAIN: fn(&mut $crate::Env) -> ! = $path;
            MAIN(env)
        }
    };
}
