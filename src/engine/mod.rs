//! What submitters and workers share: the lanes, the idle workers, the replies, the counts.
//!
//! The engine knows neither the service nor who owns the pool.
//!
//! 1. [`submit`] is where a task is accepted, and decides which set it goes to.
//! 2. [`forming`] is where batches of a key form.
//! 3. [`staff`] is where workers come and go while the pool runs.
//! 4. [`ending`] is where a worker ends and where a pool is brought to its end.
//! 5. [`report`] reads the statistics.

mod ending;
mod forming;
mod report;
mod staff;
mod submit;

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use ending::Lifecycle;
pub(crate) use ending::TakenBack;
pub(crate) use staff::Missing;

use crate::admission::Turn;
use crate::batch::Batching;
use crate::clock::Clock;
use crate::config::WorkerPoolConfig;
use crate::events::{Events, PoolEvent};
use crate::idle::caller::CallerLuck;
use crate::idle::pace::Luck;
use crate::idle::{Roster, Sleeper};
use crate::lane::Ring;
use crate::lane::pick::LaneBits;
use crate::reply::Slab;
use crate::schedule::balancer::Balancer;
use crate::schedule::crew::Crew;
use crate::schedule::placement::Placement;
use crate::schedule::shards::{Seat, Shards};
use crate::schedule::strands::Strands;
use crate::schedule::{LoadBalancingStrategy, SchedulingStrategy};
use crate::stats::{Front, Watch, WorkerBlock};
use crate::sync::Mutex;
use crate::sync::atomic::AtomicUsize;
use crate::sync::counter;
use crate::task::{Answer, Filed, Papers, Task, TaskPriority};

/// Spreads positions, so that a periodic load is sampled evenly: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) struct Engine<Q, R, E> {
    pub(crate) shards: Shards<Task<Q, R, E>, Filed>,
    pub(crate) strands: Strands<(Task<Q, R, E>, Papers)>,
    pub(crate) placement: Placement,
    pub(crate) balancer: Balancer,
    pub(crate) roster: Roster,
    pub(crate) slab: Slab<Answer<R, E>>,
    pub(crate) blocks: Box<[Arc<WorkerBlock>]>,
    pub(crate) front: Front,
    pub(crate) clock: Clock,
    pub(crate) watch: Option<Watch>,
    pub(crate) events: Events,
    /// Whether the pool is closed and who has ended, for those who change what depends on it.
    lifecycle: Mutex<Lifecycle>,
    /// Whether blocked callers of this pool do well to spin.
    pub(crate) luck: CallerLuck,
    /// Whether async ones do.
    pub(crate) async_luck: CallerLuck,
    /// Whether submitters do well to yield while a lane is full.
    pub(crate) room_luck: Luck,
    pub(crate) config: WorkerPoolConfig,
    /// What a pool of batches has beside.
    batching: Option<Batching>,
    /// Numbers given to batches. Padded, because a worker writes it for each batch beside fields that every
    /// submission reads.
    batch_ids: CachePadded<counter::AtomicU64>,
    /// A task is timed if its spread position has none of these bits.
    sample_mask: u64,
    /// The lane of each priority.
    priority_lanes: [usize; TaskPriority::ALL.len()],
    /// The lanes whose tasks each worker takes.
    worker_lanes: Box<[LaneBits]>,
    /// Workers that have not ended. Each takes itself off once; the last one closes the pool.
    alive: AtomicUsize,
}

impl<Q, R, E> fmt::Debug for Engine<Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("lanes", &self.shards.shared.len())
            .field("workers", &self.shards.crew.workers())
            .finish_non_exhaustive()
    }
}

impl<Q, R, E> Engine<Q, R, E> {
    /// An engine for the workers that sleep in these beds, one for each place. The configuration is valid.
    pub(crate) fn new(
        config: WorkerPoolConfig,
        clock: Clock,
        watch: Option<Watch>,
        sleepers: impl IntoIterator<Item = Sleeper>,
    ) -> Self {
        let lanes = config.lanes.len();
        let worker_lanes = config.worker_lanes();
        let crew = Crew::new(&worker_lanes, config.reserved_workers(), config.workers());
        let mut roster = Roster::with_lanes(sleepers.into_iter().zip(worker_lanes.iter().copied()));
        roster.vacate(crew.general()..crew.first_reserved());
        let (workers, places) = (crew.workers(), crew.places());
        let sample_every = if watch.is_some() {
            1
        } else {
            config.sample_every
        };
        let shards = Shards::new(
            config.lanes.iter().map(|lane| lane.capacity),
            crew,
            config.enable_task_stealing,
            config.sub_rings,
        );
        let capacities = (0..lanes).map(|lane| shards.shared.lane(lane).ring.capacity());
        let placement = Placement::new(config.scheduling_strategy, config.sub_rings);
        if !placement.plan().is_usual() {
            shards.make_apart();
        }
        Self {
            strands: Strands::new(capacities),
            placement,
            balancer: Balancer::new(
                config.load_balancing_strategy,
                &config.worker_weights,
                places,
            ),
            slab: Slab::new(workers.min(8)),
            blocks: (0..places).map(|_| Arc::new(WorkerBlock::new())).collect(),
            roster,
            front: Front::new(lanes),
            clock,
            watch,
            events: Events::new(),
            lifecycle: Mutex::new(Lifecycle::new(places, &shards.crew)),
            luck: CallerLuck::new(),
            async_luck: CallerLuck::new(),
            room_luck: Luck::new(),
            sample_mask: u64::from(sample_every.next_power_of_two() - 1) << 32,
            priority_lanes: TaskPriority::ALL.map(|priority| priority.lane(lanes)),
            worker_lanes: worker_lanes.into(),
            alive: AtomicUsize::new(workers),
            batching: None,
            batch_ids: CachePadded::new(counter::AtomicU64::new(0)),
            shards,
            config,
        }
    }

    /// The same engine for workers that run batches. Every task is timed.
    pub(crate) fn with_batching(mut self) -> Self {
        let config = self.config.batching.clone();
        self.placement.set_batched(config.keyed);
        if config.keyed {
            self.shards.make_apart();
        }
        self.sample_mask = 0;
        let lanes = self.shards.shared.len();
        self.batching = Some(Batching::new(config, lanes, &self.worker_lanes));
        self
    }

    /// What a pool of batches has.
    ///
    /// # Panics
    /// In any other pool.
    pub(crate) fn batching(&self) -> &Batching {
        self.batching.as_ref().expect("the workers run batches")
    }

    /// How many tasks a worker that is a thread claims at once, at most.
    pub(crate) fn longest_run(&self) -> usize {
        match &self.batching {
            None => self.config.max_run_length,
            // A batch takes what it needs one by one, and nothing waits in a hand while it runs.
            Some(_) => 1,
        }
    }

    pub(crate) fn batching_if_any(&self) -> Option<&Batching> {
        self.batching.as_ref()
    }

    /// A number for a batch, 1 or more.
    pub(crate) fn next_batch_id(&self) -> u64 {
        // Relaxed: only the numbers' difference matters.
        self.batch_ids.fetch_add(1, counter::Ordering::Relaxed) + 1
    }

    /// For how many workers tasks of these lanes wait, beside the one that has just found some.
    pub(crate) fn to_do(&self, lanes: LaneBits) -> usize {
        let waiting = self.shards.waiting(lanes);
        match &self.batching {
            None => waiting,
            Some(batching) if batching.config.keyed => waiting,
            // The finder's own batch comes first.
            Some(batching) => {
                let size = batching.target(None);
                waiting.saturating_sub(size - 1).div_ceil(size)
            }
        }
    }

    /// The lane of a priority.
    #[inline(always)]
    pub(crate) fn lane_of(&self, priority: TaskPriority) -> usize {
        self.priority_lanes[priority as usize]
    }

    /// Which worker this is, and the lanes whose tasks it takes.
    pub(crate) fn seat(&self, worker: usize) -> Seat {
        Seat {
            worker,
            lanes: self.worker_lanes[worker],
        }
    }

    /// How many workers take the tasks of a lane.
    pub(crate) fn eligible(&self, lane: usize) -> usize {
        self.shards.crew.takers(lane).count()
    }

    /// From how many sets each worker takes tasks by turns.
    pub(crate) fn sets_at_home(&self) -> usize {
        self.shards.sets_at_home()
    }

    /// A place at the gate of a lane.
    pub(crate) fn turn(&self, lane: usize) -> Turn<'_, Ring<Task<Q, R, E>, Filed>> {
        let lane = self.shards.shared.lane(lane);
        Turn::new(&lane.gate, &lane.ring)
    }

    /// Changes where tasks wait. Returns the epoch; a pool that is closed changes nothing.
    pub(crate) fn set_strategy(&self, to: SchedulingStrategy) -> u64 {
        let lifecycle = self.lifecycle.lock();
        if lifecycle.is_closed() {
            return self.placement.epoch();
        }
        if to != SchedulingStrategy::PriorityBased {
            // Before anybody places anything there.
            self.shards.make_apart();
            for worker in lifecycle.ended() {
                self.shards.leave(worker);
            }
        }
        let (from, epoch) = self.placement.change(to);
        drop(lifecycle);
        self.events
            .emit(PoolEvent::StrategyChanged { from, to, epoch });
        epoch
    }

    /// Changes which worker takes the tasks of a key. Returns the epoch.
    pub(crate) fn set_balancing(&self, to: LoadBalancingStrategy) -> u64 {
        let (from, epoch) = self.balancer.change(to);
        let why = "the pool was told to".to_owned();
        self.events
            .emit(PoolEvent::BalancingChanged { from, to, why });
        epoch
    }

    /// Has the workers claim nothing from a lane, or claim from it again. A pool that is closed changes
    /// nothing.
    pub(crate) fn set_paused(&self, lane: usize, paused: bool) {
        {
            let lifecycle = self.lifecycle.lock();
            let shared = &self.shards.shared;
            if lifecycle.is_closed() || !shared.set_paused(1 << lane, paused) {
                return;
            }
        }
        if paused {
            self.events.emit(PoolEvent::LanePaused { lane });
        } else {
            self.roster.wake_all();
            if let Some(batching) = &self.batching {
                batching.desk.rouse_all();
            }
            self.events.emit(PoolEvent::LaneResumed { lane });
        }
    }
}
