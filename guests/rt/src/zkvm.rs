use core::{arch::global_asm, mem::MaybeUninit, panic::PanicInfo};

use guest_core::{
    Digest,
    claim::{self, Claims},
    sha::{Block, Compress, Plain},
};
use risc0_zkvm_platform::{
    fileno,
    memory::STACK_TOP,
    syscall::{
        Return, Syscall, nr, sys_halt, sys_log, sys_panic, sys_rand, sys_read_words,
        sys_sha_buffer, sys_write, syscall_2_nr,
    },
};

/// Words fetched from the host at once. A call costs about as much as moving 60 words.
const BUFFER_WORDS: usize = 48;

/// The zkVM's SHA-256 circuit.
pub struct Circuit;

impl Compress for Circuit {
    #[inline(always)]
    fn compress(after: &mut Digest, state: &Digest, blocks: &[Block]) {
        // SAFETY: all are aligned and as long as they say.
        unsafe { sys_sha_buffer(after, state, blocks.as_ptr().cast(), blocks.len() as u32) }
    }

    #[inline(always)]
    fn advance(state: &mut Digest, blocks: &[Block]) {
        // SAFETY: as above; the circuit reads a state before it writes one.
        unsafe { sys_sha_buffer(state, state, blocks.as_ptr().cast(), blocks.len() as u32) }
    }

    #[inline(always)]
    fn digest(state: &Digest, blocks: &[Block]) -> Digest {
        let mut after = MaybeUninit::<Digest>::uninit();
        // SAFETY: as above. There is at least one block, so the circuit writes `after`.
        unsafe {
            sys_sha_buffer(
                after.as_mut_ptr(),
                state,
                blocks.as_ptr().cast(),
                blocks.len() as u32,
            );
            after.assume_init()
        }
    }
}

/// The guest's input and output. There is one; the entry point makes it.
pub struct Env {
    buffer: MaybeUninit<[u32; BUFFER_WORDS]>,
    next: usize,
    end: usize,
}

impl Env {
    /// Some of the next words of the input: at least one, at most `limit`, which must not be zero.
    #[inline(always)]
    pub fn some(&mut self, limit: usize) -> &[u32] {
        if self.next == self.end {
            self.fill();
        }
        let count = limit.min(self.end - self.next);
        // SAFETY: the host has written the words before `end`. One that says so without having done
        // so leaves what was there, which is input like any other it could have chosen.
        let words = unsafe {
            core::slice::from_raw_parts(self.buffer.as_ptr().cast::<u32>().add(self.next), count)
        };
        self.next += count;
        words
    }

    /// The next word of the input; ends the guest where there is none.
    #[inline(always)]
    pub fn word(&mut self) -> u32 {
        // SAFETY: at least one.
        unsafe { *self.some(1).as_ptr() }
    }

    /// Fills `words` from the input, what is not buffered directly: for large reads.
    #[inline(always)]
    pub fn read(&mut self, words: &mut [u32]) {
        let buffered = words.len().min(self.end - self.next);
        let (head, rest) = words.split_at_mut(buffered);
        self.read_small(head);
        // SAFETY: a valid pointer and its length.
        if !rest.is_empty()
            && unsafe { sys_read_words(fileno::STDIN, rest.as_mut_ptr(), rest.len()) }
                != rest.len() * 4
        {
            end_of_input();
        }
    }

    /// Fills `words` from the input through the buffer: for small reads. One copy in the program,
    /// because every page of code it runs is paid for.
    #[inline(never)]
    pub fn read_small(&mut self, mut words: &mut [u32]) {
        while !words.is_empty() {
            let found = self.some(words.len());
            // SAFETY: at most as many as asked for. Checks would bring formatting code between ours.
            unsafe {
                let (head, rest) = words.split_at_mut_unchecked(found.len());
                core::ptr::copy_nonoverlapping(found.as_ptr(), head.as_mut_ptr(), found.len());
                words = rest;
            }
        }
    }

    /// The next eight words of the input.
    #[inline(always)]
    pub fn digest(&mut self) -> Digest {
        let mut digest = [0; 8];
        self.read_small(&mut digest);
        digest
    }

    #[inline(never)]
    fn fill(&mut self) {
        // SAFETY: the buffer has that many words. The kernel does not return a count above what was
        // asked for.
        let bytes =
            unsafe { sys_read_words(fileno::STDIN, self.buffer.as_mut_ptr().cast(), BUFFER_WORDS) };
        self.next = 0;
        self.end = bytes / 4;
        if self.end == 0 {
            end_of_input();
        }
    }

    /// `env::log`.
    #[inline(always)]
    pub fn log(&self, message: &str) {
        // SAFETY: a valid pointer and its length.
        unsafe { sys_log(message.as_ptr(), message.len()) }
    }

    /// Commits the journal and ends the guest successfully.
    #[inline(always)]
    pub fn commit(&mut self, journal: &[u32]) -> ! {
        self.commit_under(&claim::NO_ASSUMPTIONS, journal)
    }

    /// Commits the journal under the assumptions made and ends the guest successfully.
    #[inline(always)]
    pub fn commit_verified(&mut self, verifier: &Verifier, journal: &[u32]) -> ! {
        self.commit_under(verifier.claims.assumptions(), journal)
    }

    #[inline(always)]
    fn commit_under(&mut self, assumptions: &Digest, journal: &[u32]) -> ! {
        // SAFETY: a valid pointer and its length.
        unsafe { sys_write(fileno::JOURNAL, journal.as_ptr().cast(), journal.len() * 4) }
        let mut hasher = Plain::<Circuit>::new();
        hasher.update(journal);
        let output = claim::output::<Circuit>(&hasher.finish(0, 0), assumptions);
        sys_halt(0, &output)
    }
}

/// What a guest has verified of other programs.
///
/// Its assumptions enter the receipt only through [`Env::commit_verified`]; a guest that verifies
/// has to end with it.
pub struct Verifier {
    claims: Claims<Circuit>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Nothing verified yet.
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            claims: Claims::new(),
        }
    }

    /// `env::verify`: whoever verifies this guest's receipt also verifies that the program
    /// `image_id` halted successfully with a journal of this digest.
    #[inline(always)]
    pub fn verify(&mut self, image_id: &Digest, journal: &Digest) {
        let request = self.claims.assume(image_id, journal);
        // SAFETY: the request is 64 aligned bytes. This is `sys_verify_integrity` without its copy.
        let Return(status, _) = unsafe {
            syscall_2_nr(
                Syscall::VerifyIntegrity.into(),
                nr::SYS_VERIFY_INTEGRITY,
                core::ptr::null_mut(),
                0,
                request.as_ptr() as u32,
                64,
            )
        };
        if status != 0 {
            fail("the host refused a claim");
        }
    }
}

#[cold]
#[inline(never)]
fn end_of_input() -> ! {
    fail("the input ended too early")
}

/// Ends the guest with a message: the execution fails and nothing can be proved.
#[cold]
#[inline(never)]
pub fn fail(message: &'static str) -> ! {
    // SAFETY: a valid pointer and its length.
    unsafe { sys_panic(message.as_ptr(), message.len()) }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // Only messages that need no formatting, which would bring its code and data into every guest.
    fail(info.message().as_str().unwrap_or("the guest panicked"))
}

global_asm!(include_str!("mem.s"));

// The stack starts where the RISC Zero tools put it, less the words that hold the entropy.
global_asm!(
    r#"
    .section .text._start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    li sp, {stack_top} - 16
    call __guest_start
    "#,
    stack_top = const STACK_TOP,
);

unsafe extern "Rust" {
    fn __guest_main(env: &mut Env) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn __guest_start() -> ! {
    // A segment's proof contains the digest of the memory after it. Sixteen random bytes keep that
    // digest from being a way to guess private input.
    // SAFETY: the four words above the initial stack pointer, which nothing else uses.
    unsafe { sys_rand((STACK_TOP - 16) as *mut u32, 4) };
    let mut env = Env {
        buffer: MaybeUninit::uninit(),
        next: 0,
        end: 0,
    };
    // SAFETY: `entry!` defines it with this signature.
    unsafe { __guest_main(&mut env) }
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
