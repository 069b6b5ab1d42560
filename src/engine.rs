//! What submitters and workers share: the lanes, the idle workers, the replies, the counts.
//!
//! The engine knows neither the service nor who owns the pool. It is where a task is accepted
//! ([`Engine::submit`]) and where a pool is brought to its end ([`Engine::close`], then
//! [`Engine::abandon_queued`] and [`Engine::abandon_running`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::admission::Turn;
use crate::clock::Clock;
use crate::config::WorkerPoolConfig;
use crate::events::{Events, PoolEvent};
use crate::idle::pace::Luck;
use crate::idle::{Attention, Roster, Sleeper};
use crate::lane::{Claim, LaneSet, Make, Refusal};
use crate::panics;
use crate::reply::Slab;
use crate::stats::{
    Front, LaneStatistics, Watch, WorkerBlock, WorkerHealthStatus, WorkerPoolStatistics,
    WorkerStatistics,
};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};
use crate::task::{Answer, Offer, Outcome, Papers, Task, TaskContext, TaskPriority};

/// Spreads positions, so that a periodic load is sampled evenly: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) struct Engine<Q, R, E> {
    pub(crate) lanes: LaneSet<Task<Q, R, E>, Papers>,
    pub(crate) roster: Roster,
    pub(crate) slab: Slab<Answer<R, E>>,
    pub(crate) blocks: Box<[Arc<WorkerBlock>]>,
    pub(crate) front: Front,
    pub(crate) clock: Clock,
    pub(crate) watch: Option<Watch>,
    pub(crate) events: Events,
    /// Whether the close has been announced.
    close_said: Mutex<bool>,
    /// Whether blocked callers of this pool do well to spin.
    pub(crate) luck: Luck,
    /// Whether async ones do.
    pub(crate) async_luck: Luck,
    /// Whether submitters do well to yield while a lane is full.
    pub(crate) room_luck: Luck,
    pub(crate) config: WorkerPoolConfig,
    /// A task is timed if its spread position has none of these bits.
    sample_mask: u64,
    /// The lane of each priority.
    priority_lanes: [usize; TaskPriority::ALL.len()],
    /// Workers that have not ended. Each takes itself off once; the last one closes the pool.
    alive: AtomicUsize,
}

impl<Q, R, E> fmt::Debug for Engine<Q, R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("lanes", &self.lanes.len())
            .field("workers", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

/// A task that no worker started, taken back from its lane.
pub(crate) struct TakenBack<Q> {
    pub(crate) lane: usize,
    pub(crate) request: Q,
    pub(crate) context: TaskContext,
}

/// An offer to the engine that stamps it.
struct Offered<'a, Q, R, E> {
    engine: &'a Engine<Q, R, E>,
    offer: Offer<Q, R, E>,
}

impl<Q, R, E> Make<Task<Q, R, E>, Papers> for Offered<'_, Q, R, E> {
    #[inline(always)]
    fn make(self, claim: Claim<'_, Papers>) -> Task<Q, R, E> {
        let stamp_ns = self.engine.stamp_ns(claim.position());
        self.offer.accept(claim, stamp_ns)
    }
}

impl<Q, R, E> Engine<Q, R, E> {
    /// An engine for the workers that sleep in these beds. The configuration is valid.
    pub(crate) fn new(
        config: WorkerPoolConfig,
        clock: Clock,
        watch: Option<Watch>,
        sleepers: impl IntoIterator<Item = Sleeper>,
    ) -> Self {
        let lanes = config.lanes.len();
        let roster = Roster::new(sleepers);
        let workers = roster.workers();
        let sample_every = if watch.is_some() {
            1
        } else {
            config.sample_every
        };
        Self {
            lanes: LaneSet::new(config.lanes.iter().map(|lane| lane.capacity)),
            slab: Slab::new(workers.min(8)),
            blocks: (0..workers).map(|_| Arc::new(WorkerBlock::new())).collect(),
            roster,
            front: Front::new(lanes),
            clock,
            watch,
            events: Events::new(),
            close_said: Mutex::new(false),
            luck: Luck::new(),
            async_luck: Luck::new(),
            room_luck: Luck::new(),
            sample_mask: u64::from(sample_every.next_power_of_two() - 1) << 32,
            config,
            priority_lanes: TaskPriority::ALL.map(|priority| priority.lane(lanes)),
            alive: AtomicUsize::new(workers),
        }
    }

    /// Takes the offered task into its lane. Returns who sees to it.
    ///
    /// # Errors
    /// The lane is full or closed. The offer comes back, and is not counted as refused yet.
    #[inline(always)]
    pub(crate) fn submit(
        &self,
        offer: Offer<Q, R, E>,
    ) -> Result<Attention, (Refusal, Offer<Q, R, E>)> {
        let lane = offer.lane;
        let offered = Offered {
            engine: self,
            offer,
        };
        if let Err((refusal, offered)) = self.lanes.push_with(lane, offered) {
            return Err((refusal, offered.offer));
        }
        let attention = self.roster.notify();
        if let Some(watch) = &self.watch {
            watch.tell(|monitor| monitor.on_enqueued(lane));
        }
        Ok(attention)
    }

    /// Takes as many of the offered tasks as the lane has room for, from the end, in few claims.
    pub(crate) fn submit_n<A>(&self, lane: usize, offers: &mut SmallVec<A>)
    where
        A: smallvec::Array<Item = Offer<Q, R, E>>,
    {
        let mut pushed = usize::MAX;
        while pushed > 0 && !offers.is_empty() {
            let count = offers.len();
            pushed = self.lanes.push_n(lane, count, |claim| {
                let offer = offers
                    .pop()
                    .expect("no more positions are claimed than offers");
                let stamp_ns = self.stamp_ns(claim.position());
                offer.accept(claim, stamp_ns)
            });
            if pushed > 0 {
                self.roster.notify();
            }
            if let Some(watch) = &self.watch {
                (0..pushed).for_each(|_| watch.tell(|monitor| monitor.on_enqueued(lane)));
            }
        }
    }

    /// The time, if the position is of the sample; else 0.
    #[inline(always)]
    fn stamp_ns(&self, position: u64) -> u64 {
        let sampled = position.wrapping_mul(GOLDEN) & self.sample_mask == 0;
        if sampled { self.clock.now_ns() } else { 0 }
    }

    /// The lane of a priority.
    #[inline(always)]
    pub(crate) fn lane_of(&self, priority: TaskPriority) -> usize {
        self.priority_lanes[priority as usize]
    }

    /// A place at the gate of a lane.
    pub(crate) fn turn(&self, lane: usize) -> Turn<'_, Task<Q, R, E>, Papers> {
        let lane = self.lanes.lane(lane);
        Turn::new(&lane.gate, &lane.ring)
    }

    /// Accepts nothing more; workers end once the lanes are empty. Whoever waits for room finds out.
    pub(crate) fn close(&self) {
        {
            // Said once, and before anybody closes: a worker that has nothing left to do ends at once, and
            // says so.
            let mut said = self.close_said.lock();
            if !std::mem::replace(&mut *said, true) {
                self.events.emit(PoolEvent::Closed);
            }
        }
        self.lanes.close();
        self.roster.wake_all();
    }

    /// Takes every task that no worker has claimed, answers its caller, and hands the request on. The
    /// lanes are closed, so that nothing comes after.
    pub(crate) fn abandon_queued(&self, mut take_back: impl FnMut(TakenBack<Q>)) {
        for lane in 0..self.lanes.len() {
            // A position that is claimed and not yet published belongs to a submitter that is about
            // to publish it.
            while self.lanes.lane(lane).ring.has_claims() {
                let Some((Task { request, promise }, papers)) = self.lanes.pop(lane) else {
                    thread::yield_now();
                    continue;
                };
                let context = papers.map_or(TaskContext::new(), |papers| papers.context);
                let wanted = promise.is_wanted();
                let outcome = if wanted {
                    Outcome::Abandoned
                } else {
                    Outcome::Cancelled
                };
                // Counted before it is answered: who has an answer finds it in the statistics.
                self.front.settle(lane, outcome);
                drop(promise);
                if let Some(watch) = &self.watch {
                    watch.tell(|monitor| monitor.on_finished(lane, Duration::ZERO, outcome));
                }
                if !wanted {
                    panics::discard(request);
                } else {
                    take_back(TakenBack {
                        lane,
                        request,
                        context,
                    });
                }
            }
        }
    }

    /// Answers everybody whose task a worker still holds, and has the workers start nothing more. The
    /// worker counts the task when it is done.
    pub(crate) fn abandon_running(&self) {
        self.lanes.give_up();
        self.slab.abandon_all();
    }

    /// Tasks in workers' hands: started, or claimed and not started yet.
    pub(crate) fn held(&self) -> u64 {
        let lanes = 0..self.lanes.len();
        let of_worker =
            |block: &Arc<WorkerBlock>| lanes.clone().map(|lane| block.held(lane)).sum::<u64>();
        self.blocks.iter().map(of_worker).sum()
    }

    /// A worker ends. The last one leaves nobody waiting.
    pub(crate) fn worker_ends(&self, worker: usize, reason: Option<String>) {
        self.blocks[worker].record_stop(self.clock.now_ns());
        // ORDERING(last-worker): AcqRel: the last to end sees what the others left behind.
        let last = self.alive.fetch_sub(1, Ordering::AcqRel) == 1;
        self.events
            .emit(PoolEvent::WorkerStopped { worker, reason });
        if last {
            self.close();
            self.abandon_queued(panics::discard);
        }
    }

    /// How many workers have not ended.
    pub(crate) fn alive(&self) -> usize {
        // ORDERING(last-worker): Acquire: what an ended worker left behind is seen.
        self.alive.load(Ordering::Acquire)
    }

    /// Workers that run a task now.
    pub(crate) fn busy(&self) -> usize {
        self.blocks
            .iter()
            .filter(|block| block.running().is_some())
            .count()
    }

    pub(crate) fn statistics(&self) -> WorkerPoolStatistics {
        let now_ns = self.clock.now_ns();
        let mut statistics = WorkerPoolStatistics {
            uptime: Duration::from_nanos(now_ns - self.clock.began_ns()),
            sample_every: (self.sample_mask >> 32) as u32 + 1,
            ..Default::default()
        };
        for block in &self.blocks {
            block.dispatch.add_to(&mut statistics.dispatch_overhead);
            statistics
                .workers
                .push(self.worker_statistics(block, now_ns));
        }
        statistics.lanes = (0..self.lanes.len())
            .map(|lane| self.lane_statistics(lane))
            .collect();
        statistics
    }

    fn lane_statistics(&self, lane: usize) -> LaneStatistics {
        let ring = &self.lanes.lane(lane).ring;
        let mut counts = LaneStatistics {
            refused: self.front.refused(lane),
            ..Default::default()
        };
        for outcome in Outcome::ALL {
            let by_workers: u64 = self
                .blocks
                .iter()
                .map(|block| block.outcome(lane, outcome))
                .sum();
            *counts.outcome_mut(outcome) = by_workers + self.front.outcome(lane, outcome);
        }
        for block in &self.blocks {
            counts.running += block.held(lane);
            block.wait(lane).add_to(&mut counts.wait);
            block.run(lane).add_to(&mut counts.run);
        }
        counts.queued = ring.len() as u64;
        counts.submitted = ring.accepted() + counts.refused;
        counts
    }

    fn worker_statistics(&self, block: &WorkerBlock, now_ns: u64) -> WorkerStatistics {
        let (alive_ns, stopped) = block.lifetime_ns(now_ns);
        let status = match (stopped, block.running()) {
            (true, _) => WorkerHealthStatus::Stopped,
            (false, Some(_)) => WorkerHealthStatus::Busy,
            (false, None) => WorkerHealthStatus::Idle,
        };
        let mut finished = 0;
        let mut service = Duration::ZERO;
        for lane in 0..self.lanes.len() {
            let started: u64 = [Outcome::Completed, Outcome::Failed, Outcome::Panicked]
                .map(|outcome| block.outcome(lane, outcome))
                .iter()
                .sum();
            let all = Outcome::ALL.map(|outcome| block.outcome(lane, outcome));
            finished += all.iter().sum::<u64>();
            let mut run = crate::HistogramSnapshot::default();
            block.run(lane).add_to(&mut run);
            service += Duration::from_secs_f64(run.mean().as_secs_f64() * started as f64);
        }
        let sample_every = (self.sample_mask >> 32) + 1;
        WorkerStatistics {
            status,
            finished,
            panics: block.panics(),
            alive: Duration::from_nanos(alive_ns),
            idle: Duration::from_nanos(block.idle_ns()),
            idle_while_backlogged: Duration::from_nanos(
                block.idle_backlogged_ns().saturating_mul(sample_every),
            ),
            service,
        }
    }
}
