//! What one worker counts. It alone writes its block, by plain loads and stores; anybody reads.
//!
//! All accesses are Relaxed: a counter orders nothing, and readers accept any recent value.

use super::histogram::Histogram;
use crate::lane::pick::MOST_LANES;
use crate::schedule::peak_ewma::{MeanEwma, PeakEwma};
use crate::sync::counter::{AtomicU64, Ordering, bump};
use crate::task::{Outcome, TaskContext};

/// One worker's counters.
#[derive(Debug)]
pub(crate) struct WorkerBlock {
    /// As many as a pool can have, so that the way to a counter is short; those that there are not
    /// cost a few words.
    lanes: [LaneBlock; MOST_LANES],
    current: Current,
    /// Submission to start of tasks that were submitted while this worker was idle.
    pub(crate) dispatch: Histogram,
    /// When the worker began and ended, on the pool's clock; 0 for not yet.
    started_ns: AtomicU64,
    stopped_ns: AtomicU64,
    /// How long those lived who were in this place before.
    former_ns: AtomicU64,
    /// How long it searched or slept, episodes of a spin's length left out.
    idle_ns: AtomicU64,
    /// How long it was idle though the task that it took next was waiting before: of the sample.
    idle_backlogged_ns: AtomicU64,
    panics: AtomicU64,
    /// Tasks that it took out of others' lanes, and pulls that preferred a lane for its age.
    stolen: AtomicU64,
    aged: AtomicU64,
    /// Waits that were timed, and their nanoseconds.
    waits: AtomicU64,
    waits_ns: AtomicU64,
    /// The longest of them since somebody took it; a lost update costs one record.
    worst_wait_ns: AtomicU64,
    /// From acceptance to outcome: of the sample.
    pub(crate) response: Response,
}

/// How long one worker's tasks take from acceptance to outcome.
#[derive(Debug, Default)]
pub(crate) struct Response {
    peak: PeakEwma,
    mean: MeanEwma,
}

impl Response {
    /// A task that ended at `now_ns` ran for `run_ns`, and had its outcome `response_ns` after it was
    /// accepted. What a balancer compares is the run alone: how many wait it knows by itself.
    pub(crate) fn record(&self, now_ns: u64, run_ns: u64, response_ns: u64) {
        self.peak.record(now_ns, run_ns);
        self.mean.record(response_ns);
    }

    /// How long a task runs, as a moving average that follows peaks at once; decayed if the worker has
    /// nothing to do.
    pub(crate) fn read(&self, now_ns: impl FnOnce() -> u64, idle: bool) -> u64 {
        self.peak.read(if idle { now_ns() } else { 0 }, idle)
    }

    pub(crate) fn mean_ns(&self) -> u64 {
        self.mean.read()
    }

    pub(crate) fn last_update_ns(&self) -> Option<u64> {
        self.peak.last_update_ns()
    }
}

/// Whether a place has a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It never had one.
    None,
    /// It has one.
    Now,
    /// It has none any more.
    Over,
}

#[derive(Debug)]
struct LaneBlock {
    /// Tasks that the worker has ever taken.
    claimed: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    wait: Histogram,
    run: Histogram,
}

/// Set beside the lane of a task with a context.
const NUMBERED: u64 = 1 << 63;

/// What the worker runs now, for reports. The parts may be of two successive tasks for a moment.
#[derive(Debug)]
struct Current {
    /// The lane's number plus 1, and [`NUMBERED`]; 0 while nothing runs.
    lane: AtomicU64,
    connection_id: AtomicU64,
    message_id: AtomicU64,
}

impl WorkerBlock {
    pub(crate) fn new() -> Self {
        let lane = |_| LaneBlock {
            claimed: AtomicU64::new(0),
            outcomes: Default::default(),
            wait: Histogram::new(),
            run: Histogram::new(),
        };
        Self {
            lanes: std::array::from_fn(lane),
            current: Current {
                lane: AtomicU64::new(0),
                connection_id: AtomicU64::new(0),
                message_id: AtomicU64::new(0),
            },
            dispatch: Histogram::new(),
            started_ns: AtomicU64::new(0),
            stopped_ns: AtomicU64::new(0),
            former_ns: AtomicU64::new(0),
            idle_ns: AtomicU64::new(0),
            idle_backlogged_ns: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
            aged: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waits_ns: AtomicU64::new(0),
            worst_wait_ns: AtomicU64::new(0),
            response: Response::default(),
        }
    }

    /// A lane by its number, which is below [`MOST_LANES`]: masked instead of checked.
    #[inline(always)]
    fn lane(&self, lane: usize) -> &LaneBlock {
        &self.lanes[lane % MOST_LANES]
    }

    /// The worker claimed tasks.
    #[inline]
    pub(crate) fn claim(&self, lane: usize, tasks: usize) {
        bump(&self.lane(lane).claimed, tasks as u64);
    }

    /// A task that the worker held has its outcome.
    #[inline]
    pub(crate) fn settle(&self, lane: usize, outcome: Outcome) {
        bump(&self.lane(lane).outcomes[outcome.index()], 1);
    }

    /// The caller of a task that was counted so had been told otherwise.
    #[cold]
    pub(crate) fn recount(&self, lane: usize, counted: Outcome, told: Outcome) {
        let outcomes = &self.lane(lane).outcomes;
        let counter = &outcomes[counted.index()];
        // Relaxed: see `bump`.
        counter.store(counter.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        bump(&outcomes[told.index()], 1);
    }

    /// The worker starts a task.
    #[inline]
    pub(crate) fn start_task(&self, lane: usize) {
        self.current.lane.store(lane as u64 + 1, Ordering::Relaxed);
    }

    /// The worker starts a task with a context.
    #[inline]
    pub(crate) fn start_task_of(&self, lane: usize, context: &TaskContext) {
        // All three: a report tolerates parts of two tasks.
        let (connection_id, message_id) = context.numbers();
        self.current
            .connection_id
            .store(connection_id, Ordering::Relaxed);
        self.current.message_id.store(message_id, Ordering::Relaxed);
        self.current
            .lane
            .store((lane as u64 + 1) | NUMBERED, Ordering::Relaxed);
    }

    /// The worker ended a task.
    #[inline]
    pub(crate) fn end_task(&self) {
        self.current.lane.store(0, Ordering::Relaxed);
    }

    /// The lane and the context's numbers of the task that runs now.
    pub(crate) fn running(&self) -> Option<(usize, TaskContext)> {
        let current = self.current.lane.load(Ordering::Relaxed);
        let lane = (current & !NUMBERED).checked_sub(1)?;
        let mut context = TaskContext::new();
        if current & NUMBERED != 0 {
            let connection = self.current.connection_id.load(Ordering::Relaxed);
            let message = self.current.message_id.load(Ordering::Relaxed);
            if connection != 0 {
                context = context.with_connection_id(connection);
            }
            if message != 0 {
                context = context.with_message_id(message);
            }
        }
        Some((lane as usize, context))
    }

    pub(crate) fn record_wait(&self, lane: usize, ns: u64) {
        self.lane(lane).wait.record(ns);
        bump(&self.waits, 1);
        bump(&self.waits_ns, ns);
        if ns > self.worst_wait_ns.load(Ordering::Relaxed) {
            self.worst_wait_ns.store(ns, Ordering::Relaxed);
        }
    }

    pub(crate) fn record_stolen(&self, tasks: u64) {
        bump(&self.stolen, tasks);
    }

    pub(crate) fn record_aged(&self) {
        bump(&self.aged, 1);
    }

    pub(crate) fn record_run(&self, lane: usize, ns: u64) {
        self.lane(lane).run.record(ns);
    }

    pub(crate) fn record_idle(&self, ns: u64) {
        bump(&self.idle_ns, ns);
    }

    pub(crate) fn record_idle_backlogged(&self, ns: u64) {
        bump(&self.idle_backlogged_ns, ns);
    }

    pub(crate) fn record_panic(&self) {
        bump(&self.panics, 1);
    }

    /// A worker begins in this place: the first one, or one after another.
    pub(crate) fn record_start(&self, now_ns: u64) {
        let (lived_ns, _) = self.lifetime_ns(now_ns);
        self.former_ns.store(lived_ns, Ordering::Relaxed);
        self.stopped_ns.store(0, Ordering::Relaxed);
        self.started_ns.store(now_ns, Ordering::Relaxed);
    }

    pub(crate) fn record_stop(&self, now_ns: u64) {
        self.stopped_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Tasks in the worker's hands: claimed and without an outcome yet.
    pub(crate) fn held(&self, lane: usize) -> u64 {
        let outcomes = &self.lane(lane).outcomes;
        let settled: u64 = outcomes
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        // Claims are counted first and read last, so the difference is never below what is held.
        let claimed = self.lane(lane).claimed.load(Ordering::Relaxed);
        claimed.saturating_sub(settled)
    }

    pub(crate) fn outcome(&self, lane: usize, outcome: Outcome) -> u64 {
        self.lane(lane).outcomes[outcome.index()].load(Ordering::Relaxed)
    }

    pub(crate) fn wait(&self, lane: usize) -> &Histogram {
        &self.lane(lane).wait
    }

    pub(crate) fn run(&self, lane: usize) -> &Histogram {
        &self.lane(lane).run
    }

    /// How many waits were timed, and their nanoseconds.
    pub(crate) fn waits(&self) -> (u64, u64) {
        (
            self.waits.load(Ordering::Relaxed),
            self.waits_ns.load(Ordering::Relaxed),
        )
    }

    /// The longest wait that was timed since this was last asked.
    pub(crate) fn take_worst_wait_ns(&self) -> u64 {
        self.worst_wait_ns.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn stolen(&self) -> u64 {
        self.stolen.load(Ordering::Relaxed)
    }

    pub(crate) fn aged(&self) -> u64 {
        self.aged.load(Ordering::Relaxed)
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn idle_ns(&self) -> u64 {
        self.idle_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn idle_backlogged_ns(&self) -> u64 {
        self.idle_backlogged_ns.load(Ordering::Relaxed)
    }

    /// How long workers have lived in this place at `now_ns`, and whether there is one.
    pub(crate) fn lifetime_ns(&self, now_ns: u64) -> (u64, Life) {
        let started = self.started_ns.load(Ordering::Relaxed);
        let stopped = self.stopped_ns.load(Ordering::Relaxed);
        let (end, life) = match (started, stopped) {
            (0, _) => (0, Life::None),
            (_, 0) => (now_ns, Life::Now),
            _ => (stopped, Life::Over),
        };
        let former_ns = self.former_ns.load(Ordering::Relaxed);
        (former_ns + end.saturating_sub(started), life)
    }
}
