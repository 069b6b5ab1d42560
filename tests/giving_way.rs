//! Requests that are late in any case give way to those that can be on time, and loose deadlines wait for tight ones, in
//! the time of a clock that the service turns.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Kind, builder, config, drain, for_both_kinds};
use lanepool::{
    Answers, Batch, BatchProcessorConfig, BatchStatistics, Clock, CloseReason, ManualClock,
    ProcessingError, ProcessingTask, TaskPriority, Ticket, WorkerPool,
};

/// What a request learns: its batch's number and size, and why it closed.
type Seen = (u64, usize, CloseReason);

/// The most requests of a batch.
const MOST: usize = 8;

/// A pool of one worker whose batches of `n` take `10 + n` milliseconds of its clock.
struct Bench {
    pool: WorkerPool<u32, Seen, ()>,
    clock: Clock,
    hands: Arc<Mutex<ManualClock>>,
}

impl Bench {
    fn new(kind: Kind, batching: BatchProcessorConfig) -> Self {
        let (clock, hands) = Clock::manual();
        let hands = Arc::new(Mutex::new(hands));
        let turn = Arc::clone(&hands);
        let service = move |batch: Batch<u32>| {
            let cost = Duration::from_millis(10 + batch.len() as u64);
            turn.lock().unwrap().advance(cost);
            let seen = (batch.id(), batch.len(), batch.close_reason());
            Ok(Answers::from_iter(batch.into_iter().map(|_| Ok(seen))))
        };
        let batching = batching.batch_size(MOST).batch_timeout(Duration::ZERO);
        let builder = builder(config(1).batching(batching)).clock(clock.clone());
        let pool = kind.serve_batches(builder, service).unwrap();
        Self { pool, clock, hands }
    }

    fn adaptive(kind: Kind) -> Self {
        let bench = Self::new(kind, BatchProcessorConfig::new());
        bench.learn(None);
        bench
    }

    /// Has batches of all sizes run, far apart, until the next one is to be as large as possible.
    fn learn(&self, key: Option<u64>) {
        for batch in 0.. {
            if batch >= 32 && self.statistics().batches().is_multiple_of(8) {
                return;
            }
            let some = vec![None; batch % MOST + 1];
            for ticket in self.submit_at_once(&some, key) {
                ticket.wait().unwrap();
            }
            self.await_rest();
            self.hands.lock().unwrap().advance(Duration::from_secs(1));
        }
    }

    /// Waits until all batches are timed.
    fn await_rest(&self) {
        let is_timed =
            |batches: &BatchStatistics| batches.service_time.count() == batches.batches();
        while !is_timed(&self.statistics()) {
            std::thread::yield_now();
        }
    }

    /// Requests that the worker finds all at once, with somewhat more than so many milliseconds to live.
    fn submit_at_once(&self, lives: &[Option<u64>], key: Option<u64>) -> Vec<Ticket<Seen, ()>> {
        let scheduler = self.pool.scheduler();
        scheduler.pause(TaskPriority::Normal);
        let now = self.clock.now();
        let submit = |life: &Option<u64>| {
            let mut task = ProcessingTask::new(0);
            if let Some(life) = life {
                // What is learnt is not exact to the nanosecond.
                let life = Duration::from_millis(*life) + Duration::from_micros(100);
                task = task.deadline(now + life);
            }
            if let Some(key) = key {
                task = task.key(key);
            }
            self.pool.try_submit(task).unwrap()
        };
        let tickets = lives.iter().map(submit).collect();
        scheduler.resume(TaskPriority::Normal);
        tickets
    }

    /// The sizes of their batches; none for those that expired.
    fn sizes(&self, lives: &[Option<u64>]) -> Vec<Option<usize>> {
        let tickets = self.submit_at_once(lives, None);
        tickets.into_iter().map(size).collect()
    }

    fn statistics(&self) -> BatchStatistics {
        self.pool.batch_processor().unwrap().statistics()
    }
}

fn size(ticket: Ticket<Seen, ()>) -> Option<usize> {
    match ticket.wait() {
        Ok((_, size, _)) => Some(size),
        Err(ProcessingError::Expired) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn who_is_late_in_any_case_gives_way(kind: Kind) {
    let bench = Bench::adaptive(kind);
    // A batch of one takes 11.
    let sizes = bench.sizes(&[Some(5), Some(1_000), None, Some(10)]);
    assert_eq!(sizes, [None, Some(2), Some(2), None]);
    let batches = bench.statistics();
    assert_eq!((batches.gave_way, batches.put_off), (2, 0));
    let before = batches.requests;
    let total = drain(&bench.pool).total();
    assert_eq!((total.expired, total.completed), (2, before));
}

fn if_all_are_late_they_are_run(kind: Kind) {
    let bench = Bench::adaptive(kind);
    assert_eq!(bench.sizes(&[Some(5), Some(9), Some(5)]), [Some(3); 3]);
    assert_eq!(bench.statistics().gave_way, 0);
    assert_eq!(drain(&bench.pool).total().expired, 0);
}

fn a_fixed_size_lets_nobody_give_way(kind: Kind) {
    let fixed = BatchProcessorConfig::new().enable_adaptive_batching(false);
    let bench = Bench::new(kind, fixed);
    bench.learn(None);
    assert_eq!(bench.sizes(&[Some(5), Some(1_000), None]), [Some(3); 3]);
    let batches = bench.statistics();
    assert_eq!((batches.gave_way, batches.put_off), (0, 0));
    drain(&bench.pool);
}

fn while_nothing_is_learnt_nobody_gives_way(kind: Kind) {
    let bench = Bench::new(kind, BatchProcessorConfig::new());
    assert_eq!(bench.sizes(&[Some(5), Some(1_000), None]), [Some(3); 3]);
    drain(&bench.pool);
}

/// Two batches wait. In the order of taking the second one would end after 36, too late for all in it.
fn tight_deadlines_go_before_loose_ones(kind: Kind) {
    let bench = Bench::adaptive(kind);
    let lives: Vec<_> = (0..2 * MOST)
        .map(|at| Some(if at < MOST { 1_000 } else { 30 }))
        .collect();
    let tickets = bench.submit_at_once(&lives, None);
    let seen: Vec<Seen> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap())
        .collect();
    let (loose, tight) = seen.split_at(MOST);
    assert!(
        loose
            .iter()
            .all(|one| one.0 == tight[0].0 + 1 && one.1 == MOST),
        "{seen:?}"
    );
    assert!(tight.iter().all(|one| *one == tight[0]), "{seen:?}");
    let batches = bench.statistics();
    assert_eq!((batches.gave_way, batches.put_off), (0, MOST as u64));
    drain(&bench.pool);
}

/// Who was put off twice goes before all others.
fn nobody_is_put_off_for_ever(kind: Kind) {
    let bench = Bench::adaptive(kind);
    let mut lives = vec![Some(10_000)];
    lives.resize(6 * MOST, Some(1_000));
    let tickets = bench.submit_at_once(&lives, None);
    let batches: Vec<u64> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap().0)
        .collect();
    let first = *batches.iter().min().unwrap();
    assert_eq!(batches[0] - first, 2, "{batches:?}");
    drain(&bench.pool);
}

/// Six take 16, four take 14, five take 15.
fn a_batch_is_cut_for_a_deadline(kind: Kind) {
    let bench = Bench::adaptive(kind);
    let mut lives = [Some(1_000); 6];
    lives[5] = Some(14);
    let tickets = bench.submit_at_once(&lives, None);
    let seen: Vec<_> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap())
        .map(|(_, size, reason)| (size, reason))
        .collect();
    assert_eq!(seen[5], (4, CloseReason::Deadline), "{seen:?}");
    assert_eq!(seen[..3], [seen[5]; 3], "{seen:?}");
    assert_eq!((seen[3].0, seen[4].0), (2, 2), "{seen:?}");
    drain(&bench.pool);
}

fn in_batches_of_a_key_the_late_give_way_as_well(kind: Kind) {
    let bench = Bench::new(kind, BatchProcessorConfig::new().keyed(true));
    bench.learn(Some(7));
    let tickets = bench.submit_at_once(&[Some(5), Some(1_000), None], Some(7));
    let sizes: Vec<_> = tickets.into_iter().map(size).collect();
    assert_eq!(sizes, [None, Some(2), Some(2)]);
    assert_eq!(bench.statistics().gave_way, 1);
    assert_eq!(drain(&bench.pool).total().expired, 1);
}

fn who_was_put_off_can_be_cancelled_and_is_drained(kind: Kind) {
    let bench = Bench::adaptive(kind);
    let lives: Vec<_> = (0..2 * MOST)
        .map(|at| Some(if at < MOST { 1_000 } else { 30 }))
        .collect();
    let mut tickets = bench.submit_at_once(&lives, None);
    drop(tickets.remove(0));
    let total = drain(&bench.pool).total();
    // Whether it was cancelled before it ran is up to chance.
    assert!(total.cancelled <= 1, "{total:?}");
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
}

for_both_kinds!(
    who_is_late_in_any_case_gives_way,
    if_all_are_late_they_are_run,
    a_fixed_size_lets_nobody_give_way,
    while_nothing_is_learnt_nobody_gives_way,
    tight_deadlines_go_before_loose_ones,
    nobody_is_put_off_for_ever,
    a_batch_is_cut_for_a_deadline,
    in_batches_of_a_key_the_late_give_way_as_well,
    who_was_put_off_can_be_cancelled_and_is_drained,
);
