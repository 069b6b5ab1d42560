//! Where a worker finds the next task of a lane, when tasks wait in more sets than the shared one.
//!
//! The lane is decided before (`lane/pick.rs`); here it is from which set. At home a worker goes around: the
//! set that gave the last task of a lane comes last. So a task at the head of a lane in one set waits while
//! each of the `s - 1` others gives one, which is the factor `s` that placement puts to the starvation
//! bound. Only when nothing is at home does it steal.

use smallvec::SmallVec;

use super::hand::Hand;
use crate::engine::Engine;
use crate::lane::LaneSet;
use crate::lane::pick::{self, LaneBits, MOST_LANES};
use crate::schedule::Key;
use crate::schedule::shards::{Apart, Seat, Shard};
use crate::schedule::strands::Taken;
use crate::stats::WorkerBlock;
use crate::task::{Filed, Task};

/// The sets of one worker.
pub(super) struct Sources {
    seat: Seat,
    /// The shards that it is at home in, its own first.
    homes: SmallVec<[usize; 4]>,
    /// The shards' epoch when `homes` was made.
    epoch: usize,
    /// For each lane the place of the set that comes first: the shared tasks, the shared runs, then
    /// the tasks and the runs of each home.
    first: [usize; MOST_LANES],
    /// The shard from which it steals first.
    victim: usize,
}

/// How a worker came by tasks.
pub(super) struct Found {
    pub(super) tasks: usize,
    /// Whether the first of them is the next of a key, whose lane may be another than that of its run.
    pub(super) is_keyed: bool,
}

impl Found {
    const NOTHING: Self = Self {
        tasks: 0,
        is_keyed: false,
    };
}

impl Sources {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            seat,
            homes: SmallVec::new(),
            epoch: 0,
            first: [0; MOST_LANES],
            victim: seat.worker + 1,
        }
    }

    /// The lanes that may hold something in a set that this worker is at home in, apart from the shared
    /// tasks.
    pub(super) fn hints<Q, R, E>(&mut self, engine: &Engine<Q, R, E>) -> LaneBits {
        let Some(apart) = engine.shards.apart() else {
            return 0;
        };
        if self.homes.is_empty() || self.epoch != apart.epoch() {
            self.find_homes(engine, apart);
        }
        let of_homes = self.homes.iter().map(|home| hints_of(&apart.shards[*home]));
        of_homes.fold(apart.runs.hint().lanes(), |all, hints| all | hints)
    }

    fn find_homes<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        apart: &Apart<Task<Q, R, E>, Filed>,
    ) {
        self.epoch = apart.epoch();
        let is_home = |shard: &usize| engine.shards.is_home(self.seat.worker, *shard, apart);
        let own = std::iter::once(self.seat.worker);
        let others = apart.shards.numbered().map(|(number, _)| number);
        let others = others.filter(|shard| *shard != self.seat.worker);
        self.homes = own.chain(others.filter(is_home)).collect();
        self.first = [0; MOST_LANES];
    }

    /// Takes up to `most` tasks of a lane from one of the sets at home, into an empty hand or to its
    /// front.
    pub(super) fn take<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        most: usize,
    ) -> Found {
        let Some(apart) = engine.shards.apart() else {
            return Found::NOTHING;
        };
        let places = 2 + 2 * self.homes.len();
        for turn in 0..places {
            let place = (self.first[lane] + turn) % places;
            let found = self.take_at(engine, apart, hand, lane, place, most);
            if found.tasks > 0 {
                self.first[lane] = (place + 1) % places;
                return found;
            }
        }
        Found::NOTHING
    }

    fn take_at<Q, R, E>(
        &self,
        engine: &Engine<Q, R, E>,
        apart: &Apart<Task<Q, R, E>, Filed>,
        hand: &mut Hand<Q, R, E>,
        lane: usize,
        place: usize,
        most: usize,
    ) -> Found {
        let bit = 1 << lane;
        let (tasks, runs, sharers) = match place / 2 {
            0 => {
                let sharers = engine.shards.crew.workers();
                (&engine.shards.shared, &apart.runs, sharers)
            }
            home => {
                let shard = &apart.shards[self.homes[home - 1]];
                (&shard.tasks, &shard.runs, 1)
            }
        };
        if place % 2 == 1 {
            if runs.hint().lanes() & bit == 0 {
                return Found::NOTHING;
            }
            return take_run(engine, self.seat, hand, runs, lane);
        }
        if tasks.hint().lanes() & bit == 0 {
            return Found::NOTHING;
        }
        Found {
            tasks: hand.take(tasks, lane, most, sharers),
            is_keyed: false,
        }
    }

    /// Takes tasks out of another worker's shard into the empty hand: of the highest of these lanes that
    /// holds any, at most half of what the lane holds there.
    pub(super) fn steal<Q, R, E>(
        &mut self,
        engine: &Engine<Q, R, E>,
        block: &WorkerBlock,
        hand: &mut Hand<Q, R, E>,
        lanes: LaneBits,
        most: usize,
    ) -> Option<(usize, Found)> {
        let apart = engine
            .shards
            .apart()
            .filter(|_| engine.shards.may_steal())?;
        let mut left = lanes
            & apart
                .shards
                .iter()
                .fold(0, |all, shard| all | hints_of(shard));
        while let Some(lane) = pick::highest(left) {
            left &= !(1 << lane);
            let shards = || apart.shards.numbered();
            let first = self.victim;
            let onwards = shards().filter(|(victim, _)| *victim >= first);
            let around = shards().filter(|(victim, _)| *victim < first);
            for (victim, shard) in onwards.chain(around) {
                if self.homes.contains(&victim) || hints_of(shard) & (1 << lane) == 0 {
                    continue;
                }
                let half = shard.tasks.lane(lane).ring.len().div_ceil(2);
                let mut found = Found {
                    tasks: hand.take(&shard.tasks, lane, most.min(half.max(1)), 1),
                    is_keyed: false,
                };
                if found.tasks == 0 {
                    found = take_run(engine, self.seat, hand, &shard.runs, lane);
                }
                if found.tasks > 0 {
                    self.victim = victim;
                    block.record_stolen(found.tasks as u64);
                    return Some((lane, found));
                }
            }
        }
        None
    }
}

fn hints_of<Q, R, E>(shard: &Shard<Task<Q, R, E>, Filed>) -> LaneBits {
    shard.tasks.hint().lanes() | shard.runs.hint().lanes()
}

/// Takes the next run of a lane, and the first task of its key into the hand.
fn take_run<Q, R, E>(
    engine: &Engine<Q, R, E>,
    seat: Seat,
    hand: &mut Hand<Q, R, E>,
    runs: &LaneSet<Key>,
    lane: usize,
) -> Found {
    while let Some((key, _)) = runs.pop(lane) {
        let open = seat.lanes & engine.shards.shared.hint().open();
        match engine.strands.take(key, |lane| open & (1 << lane) != 0) {
            Taken::Task(lane, (task, papers)) => {
                hand.lay(lane, task, papers, key);
                return Found {
                    tasks: 1,
                    is_keyed: true,
                };
            }
            // It waited here for the sake of a more urgent task behind this one, or the lane was paused just
            // now, and then it would be met here again.
            Taken::NotNow(lane) => {
                engine.announce_again(key, lane, runs);
                return Found::NOTHING;
            }
            Taken::Nothing => {}
        }
    }
    Found::NOTHING
}
