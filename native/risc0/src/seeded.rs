//! Running a guest so that the run can be repeated: its random numbers come from a seed.
//!
//! Every guest asks for 16 random bytes when it starts, which keep its memory's digests from
//! telling what is in it. The library answers with the system's random numbers, so that the
//! segments of two runs do not fit together. Here the executor of the circuit is driven without the
//! library's own loop, whose answer to that one call cannot be replaced. All other calls are
//! answered by the library.

use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use risc0_binfmt::ByteAddr;
use risc0_circuit_rv32im::{
    MAX_INSN_CYCLES, MAX_INSN_CYCLES_LOWER_PO2,
    execute::{self, CycleLimit, Executor, Syscall, SyscallContext},
};
use risc0_zkvm::{
    Assumption, AssumptionReceipt, Assumptions, Digest, ExecutorImpl, Output,
    sha::{Impl, Sha256},
};
use runner_shared::{Error, Result, guarded};

use crate::{
    execution::{CANCELLED, Limits, Log, Run, builder, explained, guest_failed},
    program,
};

/// The largest journal, as in the library.
const MAX_JOURNAL: usize = 100 << 20;

/// The file descriptor of the journal.
const JOURNAL: u32 = 3;

/// The register with the first argument of a system call.
const A3: usize = 13;

const RANDOM: &str = "risc0_zkvm_platform::syscall::nr::SYS_RANDOM";
const VERIFY: &str = "risc0_zkvm_platform::syscall::nr::SYS_VERIFY_INTEGRITY";

/// A segment as it is encoded, which is as the library encodes its own.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Cut {
    pub index: u32,
    pub inner: execute::Segment,
    pub output: Option<Output>,
}

/// Run the guest once, with random numbers from `seed`. `sink` is called for each segment, in order
/// and on another thread. While it does not return, the executor gets no more than a few segments
/// ahead.
pub fn run_seeded(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    seed: &[u8],
    mut sink: impl FnMut(Cut) -> anyhow::Result<()> + Send,
) -> Result<Run> {
    let po2 = limits.segment_po2;
    let image = program::image(elf)?;
    let (log, journal) = (Log::default(), Journal::default());
    let mut builder = builder(stdin, assumptions, limits, &log)?;
    builder.write_fd(JOURNAL, journal.clone());
    let bad = |error| Error::BadArgument(format!("{error:#}"));
    let library = ExecutorImpl::new(builder.build().map_err(bad)?, image.clone()).map_err(bad)?;
    let calls = Calls {
        library,
        seed,
        drawn: Cell::new(0),
        answer: Cell::new(None),
        name: RefCell::default(),
        verified: Arc::default(),
    };
    let verified = Arc::clone(&calls.verified);
    let most_cycles = match limits.max_cycles {
        0 => CycleLimit::None,
        most => CycleLimit::Hard(most),
    };
    let longest = if po2 >= 15 {
        MAX_INSN_CYCLES
    } else {
        MAX_INSN_CYCLES_LOWER_PO2
    };
    let mut segment_po2s = Vec::new();
    let result = guarded(|| {
        Executor::new(image, &calls, None, Vec::new(), None)
            .run(po2 as usize, longest, most_cycles, |inner| {
                anyhow::ensure!(!limits.cancelled.load(Ordering::Relaxed), CANCELLED);
                segment_po2s.push(inner.po2);
                let ended = inner.claim.terminate_state.is_some();
                let has_output = inner.claim.output.is_some_and(|one| one != Digest::ZERO);
                let output = (ended && has_output).then(|| Output {
                    journal: journal.bytes().into(),
                    assumptions: Assumptions(
                        locked(&verified).iter().cloned().map(Into::into).collect(),
                    )
                    .into(),
                });
                let index = u32::try_from(inner.index)?;
                sink(Cut {
                    index,
                    inner,
                    output,
                })
            })
            .map_err(guest_failed)
    });
    let result = result.map_err(|error| explained(error, limits))?;
    let halted = result
        .claim
        .terminate_state
        .is_some_and(|state| u32::from(state.a0) == 0 && u32::from(state.a1) == 0);
    if !halted {
        let state = result.claim.terminate_state;
        return Err(Error::GuestFailed(format!(
            "the guest ended with {state:?}"
        )));
    }
    Ok(Run {
        journal: journal.bytes(),
        user_cycles: result.user_cycles,
        paging_cycles: result.paging_cycles,
        reserved_cycles: result.reserved_cycles,
        total_cycles: result.total_cycles,
        segment_po2s,
        segment_po2: po2,
        log: log.text(),
    })
}

/// The guest's system calls: the library's, but for random numbers.
struct Calls<'a> {
    library: ExecutorImpl<'a>,
    seed: &'a [u8],
    /// The number of blocks of random bytes that were given.
    drawn: Cell<u64>,
    /// What the last call returned, if it was not the library that answered it.
    answer: Cell<Option<(u32, u32)>>,
    /// The name of the last call. A call's name is read for each of its results.
    name: RefCell<Vec<u8>>,
    /// The claims that the guest took as verified, the last one first.
    verified: Arc<Mutex<Vec<Assumption>>>,
}

impl Calls<'_> {
    fn random(&self, into: &mut [u8]) {
        for block in into.chunks_mut(32) {
            let number = self.drawn.replace(self.drawn.get() + 1);
            let bytes = [self.seed, number.to_le_bytes().as_slice()].concat();
            block.copy_from_slice(&Impl::hash_bytes(&bytes).as_bytes()[..block.len()]);
        }
    }

    fn read_name(&self, ctx: &mut impl SyscallContext, at: u32) -> anyhow::Result<()> {
        let mut name = self.name.borrow_mut();
        name.clear();
        let mut at = ByteAddr(at);
        // The longest name of the library has some fifty bytes.
        while name.len() < 256 {
            match ctx.peek_u8(at)? {
                0 => break,
                byte => name.push(byte),
            }
            at += 1u32;
        }
        Ok(())
    }
}

impl Syscall for Calls<'_> {
    fn host_read(
        &self,
        ctx: &mut impl SyscallContext,
        fd: u32,
        buf: &mut [u8],
    ) -> anyhow::Result<u32> {
        // Descriptor 0 asks for what the last call returned. Others are addresses of call names.
        if fd == 0 {
            let Some((first, second)) = self.answer.get() else {
                return self.library.host_read(ctx, fd, buf);
            };
            let bytes = [first.to_ne_bytes(), second.to_ne_bytes()].concat();
            anyhow::ensure!(
                buf.len() == bytes.len(),
                "a call's results have eight bytes"
            );
            buf.copy_from_slice(&bytes);
            return Ok(8);
        }
        self.read_name(ctx, fd)?;
        if *self.name.borrow() == RANDOM.as_bytes() {
            self.random(buf);
            let words = u32::try_from(buf.len().div_ceil(4))?;
            self.answer.set(Some((words * 4, 0)));
            return Ok(u32::try_from(buf.len())?);
        }
        self.answer.set(None);
        let done = self.library.host_read(ctx, fd, buf)?;
        if *self.name.borrow() == VERIFY.as_bytes() {
            let at = ByteAddr(ctx.peek_register(A3)?);
            let asked = ctx.peek_region(at, 64)?;
            let digest = |bytes: &[u8]| {
                Digest::try_from(bytes).map_err(|_| anyhow::anyhow!("a digest has 32 bytes"))
            };
            let assumption = Assumption {
                claim: digest(&asked[..32])?,
                control_root: digest(&asked[32..])?,
            };
            locked(&self.verified).insert(0, assumption);
        }
        Ok(done)
    }

    fn host_write(
        &self,
        ctx: &mut impl SyscallContext,
        fd: u32,
        buf: &[u8],
    ) -> anyhow::Result<u32> {
        self.library.host_write(ctx, fd, buf)
    }
}

/// What the guest commits.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<u8>>>);

impl Journal {
    fn bytes(&self) -> Vec<u8> {
        locked(&self.0).clone()
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = locked(&self.0);
        if kept.len() + bytes.len() > MAX_JOURNAL {
            return Err(io::Error::other("the journal is too large"));
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
