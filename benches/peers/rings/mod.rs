//! W5: rings by themselves, on one thread.
//!
//! What goes through is a number of 8 bytes, so that it is the ring that counts and not the copying. The loop's
//! own instructions count too, about four an item: to make it, and to see that it comes out in its turn.
//! callgrind counts every instruction, and its counts hardly vary, so one round is enough.

mod channels;
mod queues;

use lanepool::internals;
use lanepool_bench::{
    Result, callgrind,
    compare::{Better, Case, Kind, Metric, Outline},
};

use crate::workloads::{Amount, QUIET, Setting, Values};

const CAPACITY: usize = 1024;
const RUN: usize = 16;
const WARM_UP: u64 = 1 << 12;

const METRICS: &[Metric] = &[Metric {
    name: "instructions",
    title: "instructions for a push and a pop",
    better: Better::Lower,
}];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W5",
        title: "rings",
        about: "One push and one pop of 8 bytes, one thread, instructions as callgrind counts them. In runs, \
            16 are pushed and then 16 popped.",
        metrics: METRICS,
        cases: settings()
            .into_iter()
            .map(|setting| setting.case)
            .collect::<Vec<Case>>(),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Items {
        full: 1 << 18,
        quick: 1 << 14,
    };
    [("single", "one at a time"), ("runs-16", "in runs of 16")]
        .map(|(name, title)| {
            let setting = Setting::new(name, title, amount).rounds_at_most(1);
            setting.full(QUIET).quick(QUIET)
        })
        .into()
}

/// Something that numbers are pushed into and popped from, in order, on one thread.
trait Numbers {
    fn with_capacity(capacity: usize) -> Self;

    /// Whether there was room.
    fn push(&mut self, number: u64) -> bool;

    fn pop(&mut self) -> Option<u64>;
}

/// A ring to measure.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) note: &'static str,
    single: fn(u64) -> Result<()>,
    runs: Option<fn(u64) -> Result<()>>,
}

impl Ring {
    const fn rival<N: Numbers>(name: &'static str, note: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Plain,
            note,
            single: single::<N>,
            runs: None,
        }
    }
}

pub(crate) const RINGS: &[Ring] = &[
    Ring {
        name: "lanepool",
        kind: Kind::Ours,
        note: "The ring of one lane. It can push and pop in runs.",
        single: single::<internals::Ring<u64>>,
        runs: Some(runs),
    },
    Ring::rival::<queues::Array>("crossbeam-queue", "`ArrayQueue`, MPMC."),
    Ring::rival::<queues::Concurrent>("concurrent-queue", "`ConcurrentQueue::bounded`, MPMC."),
    Ring::rival::<queues::Heapless>(
        "heapless",
        "`mpmc::Queue`; its size is fixed when it is compiled, and by its own account it is not lock-free.",
    ),
    Ring::rival::<queues::Thing>(
        "thingbuf",
        "`ThingBuf`, MPMC; items are swapped into its slots.",
    ),
    Ring::rival::<channels::Kanal>(
        "kanal",
        "A bounded channel, `try_send` and `try_recv`, MPMC.",
    ),
    Ring::rival::<channels::Crossfire>(
        "crossfire",
        "`mpmc::bounded_blocking`, `try_send` and `try_recv`.",
    ),
    Ring::rival::<channels::Crossbeam>(
        "crossbeam-channel",
        "`bounded`, `try_send` and `try_recv`, MPMC.",
    ),
    Ring::rival::<channels::Flume>("flume", "`bounded`, `try_send` and `try_recv`, MPMC."),
    Ring::rival::<channels::AsyncChannel>(
        "async-channel",
        "`bounded`, `try_send` and `try_recv`, MPMC.",
    ),
    Ring::rival::<channels::Tokio>(
        "tokio-mpsc",
        "`mpsc::channel`, `try_send` and `try_recv`; one receiver only.",
    ),
];

impl Ring {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        RINGS.iter().find(|ring| ring.name == name)
    }

    fn of(&self, case: &str) -> Option<fn(u64) -> Result<()>> {
        match case {
            "single" => Some(self.single),
            "runs-16" => self.runs,
            _ => None,
        }
    }

    pub(crate) fn has(&self, case: &str) -> bool {
        self.of(case).is_some()
    }

    /// Pushes and pops here and now. This is what callgrind counts.
    pub(crate) fn run(&self, case: &str, items: u64) -> Result<()> {
        match self.of(case) {
            Some(run) => run(items),
            None => Err(format!("{} has no case {case}", self.name).into()),
        }
    }

    /// Has callgrind count a cell in a process of its own.
    pub(crate) fn measure(cell: &str, items: u64) -> Result<Values> {
        let instructions = callgrind::instructions(cell, WARM_UP, items, 1)?;
        Ok(vec![("instructions", instructions)])
    }
}

impl Numbers for internals::Ring<u64> {
    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity(capacity)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        internals::Ring::push(self, number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        internals::Ring::pop(self)
    }
}

fn single<N: Numbers>(count: u64) -> Result<()> {
    let mut ring = N::with_capacity(CAPACITY);
    let mut seen = Seen::default();
    for number in 0..count {
        if !ring.push(number) {
            return Err("an empty ring refused an item".into());
        }
        match ring.pop() {
            Some(item) => seen.note(item),
            None => return Err("the item that was pushed is not there".into()),
        }
    }
    seen.check(count)
}

fn runs(count: u64) -> Result<()> {
    let ring = internals::Ring::<u64>::with_capacity(CAPACITY);
    let mut number = 0;
    let mut seen = Seen::default();
    for _ in 0..count / RUN as u64 {
        let entered = ring.push_n(RUN, || {
            let item = number;
            number += 1;
            item
        });
        let left = ring.pop_n(RUN, |item| seen.note(item));
        if (entered, left) != (RUN, RUN) {
            return Err(format!("{entered} of {RUN} items were pushed and {left} popped").into());
        }
    }
    seen.check(count / RUN as u64 * RUN as u64)
}

/// What came out of a ring.
#[derive(Default)]
struct Seen {
    items: u64,
    /// Bits in which any item differed from its place in the order.
    misplaced: u64,
}

impl Seen {
    #[inline(always)]
    fn note(&mut self, item: u64) {
        self.misplaced |= item ^ self.items;
        self.items += 1;
    }

    fn check(&self, count: u64) -> Result<()> {
        if self.items != count {
            return Err(format!("{} of {count} items came out", self.items).into());
        }
        if self.misplaced != 0 {
            return Err("an item came out changed, or out of its turn".into());
        }
        Ok(())
    }
}
