//! Where a guest spends its cycles: counts by instruction and call path.
//!
//! The library's own profiler (`RISC0_PPROF_OUT`) drops what runs before the first call, the last
//! instruction and half of the paging, and it shortens names. Here every user cycle is counted
//! somewhere, so that the sum is the executor's. Only addresses are kept: the caller finds the
//! names.

use std::collections::HashMap;

use risc0_zkvm::TraceEvent;

/// The address at which the kernel's part of the address space begins.
const KERNEL_START: u32 = 0xc000_0000;

const OPCODE_JAL: u32 = 0x6f;
const OPCODE_JALR: u32 = 0x67;

/// How many call paths are kept. Code that calls and never returns would produce them without end.
/// A call beyond the limit is counted where it was made.
const MAX_PATHS: usize = 1 << 20;

/// The cycles that one instruction cost when it was reached on one call path.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub user: u64,
    pub page_in: u64,
    pub page_out: u64,
}

/// The call paths of a run, as a tree, and what each instruction cost on each of them. `calls[i]`
/// is the node that a call was made from and the address of the call instruction. Every path begins
/// at node 0.
pub struct Profile {
    pub calls: Vec<(u32, u32)>,
    pub costs: Vec<(u32, u32, Cost)>,
}

/// Counts cycles from the executor's events, which come one instruction after the other.
pub struct Profiler {
    calls: Vec<(u32, u32)>,
    known: HashMap<(u32, u32), u32>,
    costs: HashMap<(u32, u32), Cost>,
    node: u32,
    /// The node from which user code called the kernel, while the kernel runs.
    below: Option<u32>,
    last: Option<Step>,
}

#[derive(Clone, Copy)]
struct Step {
    cycle: u64,
    pc: u32,
    insn: u32,
    node: u32,
}

impl Default for Profiler {
    fn default() -> Self {
        Profiler {
            calls: vec![(0, 0)],
            known: HashMap::new(),
            costs: HashMap::new(),
            node: 0,
            below: None,
            last: None,
        }
    }
}

impl Profiler {
    pub fn record(&mut self, event: &TraceEvent) {
        match *event {
            TraceEvent::InstructionStart { cycle, pc, insn } => self.start(cycle, pc, insn),
            TraceEvent::PageIn { cycles } => self.cost().page_in += cycles,
            TraceEvent::PageOut { cycles } => self.cost().page_out += cycles,
            _ => {}
        }
    }

    /// The counts. `user_cycles` is the executor's sum, which says when the last instruction ended.
    pub fn finish(mut self, user_cycles: u64) -> Profile {
        self.close(user_cycles);
        let mut costs: Vec<_> = self
            .costs
            .into_iter()
            .map(|((node, pc), cost)| (node, pc, cost))
            .collect();
        costs.sort_unstable_by_key(|&(node, pc, _)| (node, pc));
        Profile {
            calls: self.calls,
            costs,
        }
    }

    fn start(&mut self, cycle: u64, pc: u32, insn: u32) {
        self.close(cycle);
        if let Some(last) = self.last {
            self.follow(last, pc);
        }
        self.last = Some(Step {
            cycle,
            pc,
            insn,
            node: self.node,
        });
    }

    fn close(&mut self, cycle: u64) {
        if let Some(last) = self.last {
            self.cost().user += cycle - last.cycle;
        }
    }

    /// The cost of the instruction that runs now. Cycles before the first one count at address 0.
    fn cost(&mut self) -> &mut Cost {
        let at = self.last.map_or((0, 0), |last| (last.node, last.pc));
        self.costs.entry(at).or_default()
    }

    /// Update the call path after the jump from `last` to `pc`, by the calling convention (RISC-V
    /// manual, return-address stack).
    fn follow(&mut self, last: Step, pc: u32) {
        match (last.pc >= KERNEL_START, pc >= KERNEL_START) {
            (false, true) => {
                self.below = Some(self.node);
                self.call(last.pc);
            }
            // The first jump into user code is not a return to it.
            (true, false) => self.node = self.below.take().unwrap_or(0),
            _ => {
                let link = |register: u32| register == 1 || register == 5;
                let (to, from) = ((last.insn >> 7) & 31, (last.insn >> 15) & 31);
                match last.insn & 0x7f {
                    OPCODE_JAL | OPCODE_JALR if link(to) => self.call(last.pc),
                    OPCODE_JALR if link(from) => self.leave(pc),
                    _ => {}
                }
            }
        }
    }

    fn call(&mut self, site: u32) {
        if let Some(&node) = self.known.get(&(self.node, site)) {
            self.node = node;
        } else if self.calls.len() < MAX_PATHS {
            let node = self.calls.len() as u32;
            self.known.insert((self.node, site), node);
            self.calls.push((self.node, site));
            self.node = node;
        }
    }

    /// Return to the call that `pc` follows. A jump to any other place is not a return.
    fn leave(&mut self, pc: u32) {
        let mut node = self.node;
        while node != 0 {
            let (parent, site) = self.calls[node as usize];
            if site.wrapping_add(4) == pc {
                self.node = parent;
                return;
            }
            node = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: u32 = 0x0000_00ef; // jal ra
    const RETURN: u32 = 0x0000_8067; // ret
    const ADD: u32 = 0x0000_0013;
    const ECALL: u32 = 0x0000_0073;

    /// The profile of these instructions, each of which takes one cycle.
    fn run(steps: &[(u32, u32)]) -> Profile {
        let mut profiler = Profiler::default();
        for (cycle, &(pc, insn)) in (0u64..).zip(steps) {
            profiler.record(&TraceEvent::InstructionStart { cycle, pc, insn });
        }
        profiler.finish(steps.len() as u64)
    }

    fn places(profile: &Profile) -> Vec<(u32, u32, u64)> {
        profile
            .costs
            .iter()
            .map(|&(path, pc, cost)| (path, pc, cost.user))
            .collect()
    }

    #[test]
    fn calls_and_returns_make_paths() {
        let steps = [
            (0x100, CALL),
            (0x200, ADD),
            (0x204, RETURN),
            (0x104, CALL),
            (0x200, RETURN),
            (0x108, ADD),
        ];
        let profile = run(&steps);
        assert_eq!(profile.calls, [(0, 0), (0, 0x100), (0, 0x104)]);
        assert_eq!(
            places(&profile),
            [
                (0, 0x100, 1),
                (0, 0x104, 1),
                (0, 0x108, 1),
                (1, 0x200, 1),
                (1, 0x204, 1),
                (2, 0x200, 1)
            ]
        );
    }

    #[test]
    fn a_return_over_several_calls_leaves_them_all_and_one_to_nowhere_leaves_none() {
        let steps = [(0x100, CALL), (0x200, CALL), (0x300, RETURN), (0x104, ADD)];
        assert_eq!(places(&run(&steps))[1], (0, 0x104, 1));
        let steps = [(0x100, CALL), (0x200, RETURN), (0x500, ADD)];
        assert_eq!(places(&run(&steps))[2], (1, 0x500, 1));
    }

    #[test]
    fn the_kernel_is_a_call_whatever_it_does_inside() {
        let steps = [
            (0x100, CALL),
            (0x200, ECALL),
            (KERNEL_START, CALL),
            (KERNEL_START + 0x40, ADD),
            (0x204, RETURN),
            (0x104, ADD),
        ];
        let profile = run(&steps);
        assert_eq!(
            profile.calls,
            [(0, 0), (0, 0x100), (1, 0x200), (2, KERNEL_START)]
        );
        assert_eq!(places(&profile)[1], (0, 0x104, 1));
    }

    #[test]
    fn paging_belongs_to_the_instruction_that_caused_it() {
        let mut profiler = Profiler::default();
        let start = |cycle, pc| TraceEvent::InstructionStart {
            cycle,
            pc,
            insn: ADD,
        };
        profiler.record(&start(0, 0x100));
        profiler.record(&TraceEvent::PageIn { cycles: 7 });
        profiler.record(&start(3, 0x104));
        profiler.record(&TraceEvent::PageOut { cycles: 5 });
        let profile = profiler.finish(10);
        let costs: Vec<_> = profile
            .costs
            .iter()
            .map(|(_, pc, cost)| (*pc, cost.user, cost.page_in, cost.page_out))
            .collect();
        assert_eq!(costs, [(0x100, 3, 7, 0), (0x104, 7, 0, 5)]);
    }
}
