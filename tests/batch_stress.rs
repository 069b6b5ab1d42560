//! Batches under everything at once: many submitters, every end of a request and of a batch, and hands that change the
//! scheduling meanwhile. Nobody gets another's answer, and what callers were told is what the statistics count.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::clerk::{Ask, Told, Trap, Trouble, Wish, serve};
use common::{Kind, LONG, Tally, assert_at_rest, block_on, builder, config, for_both_kinds, lanes};
use lanepool::{
    BatchProcessorConfig, ExecuteError, LoadBalancingStrategy, OverflowPolicy, ProcessingError,
    ProcessingTask, SchedulingStrategy, SubmitError, TaskPriority, Ticket, WorkerPool,
    WorkerPoolConfigBuilder,
};

for_both_kinds!(
    natural_batches_add_up,
    lingering_batches_add_up,
    batches_by_key_add_up,
    batches_of_workers_that_do_not_steal_add_up,
    a_shutdown_in_the_middle_adds_up,
    the_loss_of_all_workers_in_the_middle_adds_up,
);

type Pool = WorkerPool<Ask, Told, Trouble>;

const SUBMITTERS: u64 = 4;
const OPERATIONS: u64 = 600;
/// The most requests of a batch.
const MOST: usize = 7;
/// The kinds of wishes: a request's number says which one is its.
const WISHES: u64 = 64;

/// George Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

fn wish(id: u64) -> Wish {
    match id % WISHES {
        0 => Wish::PanicAll,
        1 => Wish::FailAll(Trap::Nothing),
        2 => Wish::Answers(MOST + 1),
        3..10 => Wish::Fail,
        10..15 => Wish::Panic,
        _ => Wish::Echo,
    }
}

/// Whether this answer can be that of the request.
fn is_own(id: u64, answer: &Result<Told, ProcessingError<Trouble>>) -> bool {
    match answer {
        Ok(told) => {
            let is_mine = told.id == id && told.context.message_id() == Some(id);
            is_mine && !matches!(id % WISHES, 0..15)
        }
        Err(ProcessingError::Failed(trouble)) => match trouble.id % WISHES {
            3..10 => trouble.id == id,
            // The whole batch's.
            kind => kind == 1,
        },
        Err(ProcessingError::Unanswered { asked, answered }) => asked != answered,
        Err(_) => true,
    }
}

/// What one submitter did and was told.
#[derive(Default)]
struct Ledger {
    accepted: u64,
    refused: u64,
    told: Tally,
    /// Accepted, and nobody asked what became of it.
    unwatched: u64,
}

impl Ledger {
    fn answered(&mut self, id: u64, answer: Result<Told, ProcessingError<Trouble>>) {
        assert!(is_own(id, &answer), "{id} was told {answer:?}");
        match answer {
            Err(ProcessingError::Unanswered { .. }) => self.told.failed += 1,
            answer => self.told.note(&answer),
        }
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.unwatched += other.unwatched;
        let (sum, more) = (&mut self.told, &other.told);
        sum.completed += more.completed;
        sum.failed += more.failed;
        sum.panicked += more.panicked;
        sum.expired += more.expired;
        sum.cancelled += more.cancelled;
        sum.abandoned += more.abandoned;
    }
}

struct Submitter<'a> {
    pool: &'a Pool,
    chance: Chance,
    ledger: Ledger,
    next: u64,
    open: Vec<(u64, Ticket<Told, Trouble>)>,
}

impl Submitter<'_> {
    fn task(&mut self) -> (u64, ProcessingTask<Ask>) {
        let id = self.next;
        self.next += 1;
        let task = ProcessingTask::new(Ask { id, wish: wish(id) })
            .priority(self.chance.one_of(&TaskPriority::ALL))
            .message_id(id);
        let task = match self.chance.below(3) {
            0 => task,
            _ => task.key(self.chance.below(9)),
        };
        let task = match self.chance.below(8) {
            0 => task.deadline(Instant::now() + Duration::from_micros(self.chance.below(500))),
            1 => task.deadline(Instant::now() + LONG),
            _ => task,
        };
        (id, task)
    }

    fn operate(&mut self) {
        if self.chance.below(20) == 0 {
            self.hand_over_a_list();
            return;
        }
        let (id, task) = self.task();
        let submitted = match self.chance.below(4) {
            0 => self.pool.try_submit(task),
            1 => self.pool.submit_blocking(task),
            2 => block_on(self.pool.submit(task)),
            _ => {
                self.spawned(self.pool.try_spawn(task));
                return;
            }
        };
        match submitted {
            Ok(ticket) => {
                self.ledger.accepted += 1;
                self.open.push((id, ticket));
            }
            Err(_) => self.ledger.refused += 1,
        }
        self.settle();
    }

    fn spawned(&mut self, spawned: Result<(), SubmitError<Ask>>) {
        match spawned {
            Ok(()) => {
                self.ledger.accepted += 1;
                self.ledger.unwatched += 1;
            }
            Err(_) => self.ledger.refused += 1,
        }
    }

    /// Does one of several things with one of the open tickets.
    fn settle(&mut self) {
        let most = self.chance.below(12) as usize;
        if self.open.len() <= most {
            return;
        }
        let which = self.chance.below(self.open.len() as u64) as usize;
        let (id, ticket) = self.open.swap_remove(which);
        match self.chance.below(6) {
            0 => drop(ticket),
            1 => ticket.detach(),
            2 => return self.ledger.answered(id, block_on(ticket)),
            _ => return self.ledger.answered(id, ticket.wait()),
        }
        self.ledger.unwatched += 1;
    }

    fn hand_over_a_list(&mut self) {
        let many = self.chance.below(40);
        let (ids, tasks): (Vec<_>, Vec<_>) = (0..many).map(|_| self.task()).unzip();
        let results = match self.chance.below(2) {
            0 => self.pool.execute_batch_blocking(tasks),
            _ => block_on(self.pool.execute_batch(tasks)),
        };
        assert_eq!(results.len(), ids.len());
        for (id, result) in ids.into_iter().zip(results) {
            let answer = match result {
                Ok(told) => Ok(told),
                Err(ExecuteError::Processing(error)) => Err(error),
                Err(_) => {
                    self.ledger.refused += 1;
                    continue;
                }
            };
            self.ledger.accepted += 1;
            self.ledger.answered(id, answer);
        }
    }

    fn finish(mut self) -> Ledger {
        for (id, ticket) in std::mem::take(&mut self.open) {
            self.ledger.answered(id, ticket.wait());
        }
        self.ledger
    }
}

/// Changes the scheduling until it is told to stop.
fn meddle(pool: &Pool, stop: &AtomicBool) {
    let mut chance = Chance(0x5EED);
    while !stop.load(Ordering::SeqCst) {
        match chance.below(4) {
            0 => {
                let strategy = chance.one_of(&SchedulingStrategy::ALL);
                pool.scheduler().set_strategy(strategy);
            }
            1 => {
                let strategy = chance.one_of(&LoadBalancingStrategy::ALL);
                pool.load_balancer().set_strategy(strategy);
            }
            2 => pool.scheduler().pause(chance.one_of(&TaskPriority::ALL)),
            _ => {
                let _ = pool.statistics().conserved();
                let _ = pool
                    .batch_processor()
                    .expect("it runs batches")
                    .statistics();
            }
        }
        std::thread::yield_now();
        resume(pool);
    }
}

/// Stops the meddler, also when an assertion fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn resume(pool: &Pool) {
    TaskPriority::ALL
        .into_iter()
        .for_each(|priority| pool.scheduler().resume(priority));
}

/// What happens while the submitters are at work.
type Interruption<'a> = &'a (dyn Fn(&Pool) + Sync);

/// Has submitters do what chance says, and holds what they were told against the statistics.
fn rage(kind: Kind, config: WorkerPoolConfigBuilder, states: u64, meanwhile: Interruption<'_>) {
    let builder = builder(config);
    #[cfg(feature = "tokio")]
    let builder = builder.runtime(common::runtime().handle().clone());
    let pool = serve(kind, builder, states).unwrap();
    let stop = AtomicBool::new(false);
    let ledger = std::thread::scope(|scope| {
        let meddler = scope.spawn(|| meddle(&pool, &stop));
        let stops = Stops(&stop);
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|number| {
                let mut submitter = Submitter {
                    pool: &pool,
                    chance: Chance(number + 1),
                    ledger: Ledger::default(),
                    next: number * 1_000_000,
                    open: Vec::new(),
                };
                scope.spawn(move || {
                    (0..OPERATIONS).for_each(|_| submitter.operate());
                    submitter.finish()
                })
            })
            .collect();
        meanwhile(&pool);
        let mut sum = Ledger::default();
        for submitter in submitters {
            sum.add(&submitter.join().unwrap());
        }
        drop(stops);
        meddler.join().unwrap();
        sum
    });
    resume(&pool);
    let report = pool.shutdown_blocking(LONG);
    assert!(report.running.is_empty() && report.returned.is_empty());
    assert_at_rest(&report.statistics);
    assert_added_up(&pool, &ledger);
}

fn assert_added_up(pool: &Pool, ledger: &Ledger) {
    let total = pool.statistics().total();
    assert_eq!(total.refused, ledger.refused);
    assert_eq!(total.finished(), ledger.accepted);
    let (told, counted) = (ledger.told, Tally::of(&total));
    let pairs = [
        (told.completed, counted.completed),
        (told.failed, counted.failed),
        (told.panicked, counted.panicked),
        (told.expired, counted.expired),
        (told.cancelled, counted.cancelled),
        (told.abandoned, counted.abandoned),
    ];
    for (told, counted) in pairs {
        let most = told + ledger.unwatched;
        assert!(
            (told..=most).contains(&counted),
            "{counted}, not {told}..={most}: {pairs:?}"
        );
    }
    assert_eq!(pool.scheduler().statistics().live_keys, 0);
    let batches = pool.batch_processor().unwrap().statistics();
    assert_eq!(batches.lingering, 0);
    let ran = counted.completed + counted.failed + counted.panicked;
    assert!((ran..=ran + counted.abandoned).contains(&batches.requests));
}

fn small(workers: usize, batching: BatchProcessorConfig) -> WorkerPoolConfigBuilder {
    config(workers)
        .batching(batching.batch_size(MOST))
        .lanes(lanes(16, OverflowPolicy::Wait))
        .lane(TaskPriority::High, |lane| {
            lane.overflow(OverflowPolicy::Reject)
        })
}

fn natural() -> BatchProcessorConfig {
    BatchProcessorConfig::new().batch_timeout(Duration::ZERO)
}

fn lingering() -> BatchProcessorConfig {
    BatchProcessorConfig::new()
        .batch_timeout(Duration::from_micros(200))
        .max_batch_wait(Duration::from_micros(500))
        .close_when_idle(false)
}

fn natural_batches_add_up(kind: Kind) {
    rage(kind, small(3, natural()), u64::MAX, &|_| {});
}

fn lingering_batches_add_up(kind: Kind) {
    rage(kind, small(3, lingering()), u64::MAX, &|_| {});
    rage(
        kind,
        small(2, lingering().close_when_idle(true)),
        u64::MAX,
        &|_| {},
    );
}

fn batches_by_key_add_up(kind: Kind) {
    for batching in [natural(), lingering(), BatchProcessorConfig::new()] {
        rage(kind, small(3, batching.keyed(true)), u64::MAX, &|_| {});
    }
}

fn batches_of_workers_that_do_not_steal_add_up(kind: Kind) {
    for keyed in [false, true] {
        let config = small(3, lingering().keyed(keyed))
            .scheduling_strategy(SchedulingStrategy::LeastLoaded)
            .enable_task_stealing(false)
            .reserve(TaskPriority::High, 1);
        rage(kind, config, u64::MAX, &|_| {});
    }
}

fn a_shutdown_in_the_middle_adds_up(kind: Kind) {
    for keyed in [false, true] {
        for limit in [Duration::ZERO, LONG] {
            rage(
                kind,
                small(3, lingering().keyed(keyed)),
                u64::MAX,
                &|pool| {
                    while pool.statistics().total().completed < 300 {
                        std::thread::yield_now();
                    }
                    pool.shutdown_blocking(limit);
                },
            );
        }
    }
}

/// Each batch that panics costs one worker.
fn the_loss_of_all_workers_in_the_middle_adds_up(kind: Kind) {
    for keyed in [false, true] {
        rage(kind, small(3, lingering().keyed(keyed)), 3 + 4, &|_| {});
    }
}
