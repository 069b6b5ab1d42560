//! How long tasks have waited, as one worker sees it, and which lane it prefers for that.

use std::time::Duration;

use crate::engine::Engine;
use crate::lane::pick::{LaneBits, MOST_LANES};
use crate::lane::{Annex, LaneSet};
use crate::schedule::ageing::{self, Marks};

/// The marks of one lane: of the shared tasks, the shared runs, and the worker's own tasks and runs.
type Lane = [Marks; 4];

/// One worker's marks of all lanes.
pub(super) struct Ages {
    worker: usize,
    lanes: [Lane; MOST_LANES],
    /// Whether the last pull preferred a lane for its age.
    preferred: bool,
}

/// Where the head and the tail of a lane's ring are.
fn ends<T, X: Annex<T>>(set: &LaneSet<T, X>, lane: usize) -> (u64, u64) {
    let ring = &set.lane(lane).ring;
    (ring.taken(), ring.accepted())
}

/// Where the heads and the tails of a lane's rings are, as far as there are any, in the order of [`Lane`].
fn all_ends<Q, R, E>(engine: &Engine<Q, R, E>, worker: usize, lane: usize) -> [(u64, u64); 4] {
    let shared = ends(&engine.shards.shared, lane);
    let Some(apart) = engine.shards.apart() else {
        return [shared, (0, 0), (0, 0), (0, 0)];
    };
    let shard = &apart.shards[worker];
    [
        shared,
        ends(&apart.runs, lane),
        ends(&shard.tasks, lane),
        ends(&shard.runs, lane),
    ]
}

impl Ages {
    /// For tasks that count as one lane higher after this long.
    pub(super) fn new(worker: usize, after: Duration) -> Self {
        let age_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let marks = |_| std::array::from_fn(|_| Marks::new(age_ns));
        Self {
            worker,
            lanes: std::array::from_fn(marks),
            preferred: false,
        }
    }

    /// The lane whose task has waited so long that it counts as higher than those above it; at most at
    /// every other claim, so that the bounds of the others no more than double.
    #[cold]
    pub(super) fn preferred<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        lanes: LaneBits,
    ) -> Option<usize> {
        if std::mem::take(&mut self.preferred) {
            return None;
        }
        let count = engine.shards.shared.len();
        let rings = if engine.shards.apart().is_some() {
            4
        } else {
            1
        };
        let is_there = |lane: &usize| lanes & (1 << lane) != 0;
        let mut ends = [[(0, 0); 4]; MOST_LANES];
        for lane in (0..count).filter(is_there) {
            ends[lane] = all_ends(engine, self.worker, lane);
        }
        // After the rings: a mark must not be older than what it marks.
        let now_ns = engine.clock.now_ns();
        let mut steps = [0; MOST_LANES];
        for lane in (0..count).filter(is_there) {
            let of_rings = self.lanes[lane].iter_mut().zip(ends[lane]).take(rings);
            let of_rings = of_rings.map(|(marks, (head, tail))| marks.observe(head, tail, now_ns));
            steps[lane] = of_rings.max().unwrap_or(0);
        }
        let top = count - 1;
        let (lane, differs) = ageing::aged_highest(lanes, |lane| steps[lane], top)?;
        self.preferred = differs;
        differs.then_some(lane)
    }
}
