//! The ring by itself, on one thread, and the size of its slots.
//!
//! The items are numbers, 8 bytes, so that it is the ring that counts and not the copying of what lies in it.
//! What the loop itself needs counts too, about four instructions an item: to make the item, and to see
//! that it comes out in its turn.

use std::convert::Infallible;

use lanepool::internals::{Ring, slot_bytes};
use lanepool_bench::{Bound, Report, Result, callgrind};

const CAPACITY: usize = 1024;
const RUN: usize = 16;

pub(crate) fn measure(report: &mut Report) {
    let items = report.choose(1 << 19, 1 << 16);
    let runs = report.choose(3, 1);
    for (name, cell, target) in [
        (
            "instructions for a push and a pop, one thread",
            "ring-single",
            60.0,
        ),
        (
            "instructions for a push and a pop, per item in runs of 16",
            "ring-runs",
            35.0,
        ),
    ] {
        report.take(name, "instructions", Bound::AtMost(target), || {
            callgrind::instructions(cell, 1 << 12, items, runs)
        });
    }
    let bytes = slot_bytes::<[u8; 48], u64, Infallible>();
    report.record(
        "bytes per lane slot for a 48-byte request, context included",
        bytes as f64,
        "bytes",
        Bound::AtMost(128.0),
    );
}

/// Pushes and pops one item at a time.
pub(crate) fn single(count: u64) -> Result<()> {
    let ring = Ring::<u64>::with_capacity(CAPACITY);
    let mut seen = Seen::default();
    for number in 0..count {
        if ring.push(number).is_err() {
            return Err("an empty ring refused an item".into());
        }
        match ring.pop() {
            Some(item) => seen.note(item),
            None => return Err("the item that was pushed is not there".into()),
        }
    }
    seen.check(count)
}

/// Pushes and pops 16 items at a time.
pub(crate) fn runs(count: u64) -> Result<()> {
    let ring = Ring::<u64>::with_capacity(CAPACITY);
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

/// What came out of the ring.
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
