//! Everything at once: many submitters, every way in, every end of a task, and a shutdown in the middle of
//! it. What the callers were told must be what the statistics count.

mod common;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use common::{
    Act, Done, Failure, Gate, Job, Kind, LONG, Rig, Tally, assert_at_rest, block_on, builder,
    config, for_both_kinds, lanes, poll_once,
};
use lanepool::{
    ExecuteError, Outcome, OverflowPolicy, PerformanceMonitor, ProcessingTask, SubmitError,
    TaskContext, TaskPriority, Ticket, WorkerPool,
};

const SUBMITTERS: u64 = 4;
/// Operations of each submitter before the pool is shut down.
const OPERATIONS: u64 = 6_000;

for_both_kinds!(everything_at_once_adds_up);

/// George Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What one submitter did and was told.
#[derive(Default)]
struct Ledger {
    submitted: u64,
    refused: u64,
    told: Tally,
    /// Accepted, and nobody asked what became of it.
    unwatched: u64,
    /// Given up while it was not known whether it had been accepted.
    unsure: u64,
    closed: bool,
}

impl Ledger {
    fn refuse(&mut self, refused: &SubmitError<Job>) {
        self.refused += 1;
        self.closed |= matches!(refused, SubmitError::Closed(_));
    }

    fn executed(&mut self, id: u64, result: Result<Done, ExecuteError<Job, Failure>>) {
        match result {
            Ok(done) => {
                assert_eq!(done.id, id, "nobody gets another's answer");
                self.told.completed += 1;
            }
            Err(ExecuteError::Processing(error)) => self.told.note(&Err::<Done, _>(error)),
            Err(ExecuteError::Refused(refused)) => self.refuse(&refused),
            Err(_timed_out) => self.unwatched += 1,
        }
    }

    fn spawned(&mut self, result: Result<(), SubmitError<Job>>) {
        match result {
            Ok(()) => self.unwatched += 1,
            Err(refused) => self.refuse(&refused),
        }
    }

    /// Does one of many things with a ticket.
    fn submitted(
        &mut self,
        chance: &mut Chance,
        id: u64,
        result: Result<Ticket<Done, Failure>, SubmitError<Job>>,
    ) {
        let mut ticket = match result {
            Ok(ticket) => ticket,
            Err(refused) => return self.refuse(&refused),
        };
        match chance.below(6) {
            0 => self.unwatched += 1,
            1 => {
                ticket.detach();
                self.unwatched += 1;
            }
            2 => match poll_once(Pin::new(&mut ticket)) {
                Poll::Ready(answer) => self.executed(id, answer.map_err(ExecuteError::from)),
                Poll::Pending => self.unwatched += 1,
            },
            3 => match ticket.wait_timeout(Duration::from_micros(chance.below(200))) {
                Ok(answer) => self.executed(id, answer.map_err(ExecuteError::from)),
                Err(_ticket) => self.unwatched += 1,
            },
            4 => self.executed(id, block_on(ticket).map_err(ExecuteError::from)),
            _ => self.executed(id, ticket.wait().map_err(ExecuteError::from)),
        }
    }
}

/// One submitter: its pool, its luck, and what it knows.
struct Submitter<'a> {
    pool: &'a WorkerPool<Job, Done, Failure>,
    chance: Chance,
    ledger: Ledger,
    next_id: u64,
    /// Tasks that services submitted: accepted and refused, of all submitters.
    inner: Arc<[AtomicU64; 2]>,
}

impl Submitter<'_> {
    fn job(&mut self) -> Job {
        self.next_id += 1;
        let id = self.next_id;
        match self.chance.below(40) {
            0..3 => Job::fail(id),
            3 => Job::panic(id),
            4..8 => Job::new(id, Act::Yield),
            8 => {
                let (pool, inner) = (self.pool.clone(), Arc::clone(&self.inner));
                Job::run(id, move |_| {
                    let refused = pool.try_spawn(Job::echo(0)).is_err();
                    inner[usize::from(refused)].fetch_add(1, Ordering::SeqCst);
                })
            }
            _ => Job::echo(id),
        }
    }

    fn task(&mut self) -> ProcessingTask<Job> {
        let lane = self.chance.below(4) as usize;
        let task = ProcessingTask::new(self.job()).lane(lane);
        match self.chance.below(8) {
            0 => task.timeout(Duration::from_micros(self.chance.below(300))),
            _ => task,
        }
    }

    /// One operation: one to eight tasks.
    fn step(&mut self) {
        let pool = self.pool;
        let priority = TaskPriority::ALL[self.chance.below(4) as usize];
        let context = TaskContext::new();
        self.ledger.submitted += 1;
        match self.chance.below(13) {
            0 => {
                let job = self.job();
                let answer = pool.execute_blocking(job, priority, context);
                self.ledger.executed(self.next_id, answer);
            }
            1 => {
                let job = self.job();
                let limit = Duration::from_micros(self.chance.below(300));
                let answer = pool.execute_timeout(job, priority, context, limit);
                self.ledger.executed(self.next_id, answer);
            }
            2 => {
                let job = self.job();
                let answer = block_on(pool.execute(job, priority, context));
                self.ledger.executed(self.next_id, answer);
            }
            3 => {
                let job = self.job();
                let mut execute = pin!(pool.execute(job, priority, context));
                match poll_once(execute.as_mut()) {
                    Poll::Ready(answer) => self.ledger.executed(self.next_id, answer),
                    Poll::Pending => self.ledger.unsure += 1,
                }
            }
            4 => {
                let task = self.task();
                let result = pool.try_submit(task);
                self.ledger
                    .submitted(&mut self.chance, self.next_id, result);
            }
            5 => {
                let task = self.task();
                let result = pool.submit_blocking(task);
                self.ledger
                    .submitted(&mut self.chance, self.next_id, result);
            }
            6 => {
                let task = self.task();
                let result = block_on(pool.submit(task));
                self.ledger
                    .submitted(&mut self.chance, self.next_id, result);
            }
            7 => {
                let task = self.task();
                let mut submit = pin!(pool.submit(task));
                match poll_once(submit.as_mut()) {
                    Poll::Ready(result) => {
                        self.ledger
                            .submitted(&mut self.chance, self.next_id, result);
                    }
                    // Given up at the gate of a full lane: never accepted, never refused.
                    Poll::Pending => self.ledger.submitted -= 1,
                }
            }
            8 => {
                let task = self.task();
                self.ledger.spawned(pool.try_spawn(task));
            }
            9 => {
                let task = self.task();
                self.ledger.spawned(pool.spawn_blocking(task));
            }
            10 => {
                let task = self.task();
                self.ledger.spawned(block_on(pool.spawn(task)));
            }
            11 => self.batch(),
            _ => self.stream(),
        }
    }

    fn batch(&mut self) {
        let length = self.chance.below(8) + 1;
        self.ledger.submitted += length - 1;
        let first = self.next_id + 1;
        let tasks: Vec<_> = (0..length).map(|_| self.task()).collect();
        let results = match self.chance.below(2) {
            0 => self.pool.execute_batch_blocking(tasks),
            _ => block_on(self.pool.execute_batch(tasks)),
        };
        assert_eq!(results.len(), length as usize);
        for (id, result) in (first..).zip(results) {
            self.ledger.executed(id, result);
        }
    }

    fn stream(&mut self) {
        let length = self.chance.below(4) + 1;
        self.ledger.submitted += length - 1;
        let mut stream = self.pool.stream(length as usize);
        for _ in 0..length {
            let task = self.task().message_id(self.next_id);
            if let Err(refused) = stream.submit_blocking(task) {
                self.ledger.refuse(&refused);
            }
        }
        if self.chance.below(4) == 0 {
            self.ledger.unwatched += stream.outstanding() as u64;
            return;
        }
        while let Some(item) = stream.next_blocking() {
            let id = item.context.message_id().expect("each was given one");
            self.ledger
                .executed(id, item.result.map_err(ExecuteError::from));
        }
    }
}

/// Counts how many tasks began and ended.
#[derive(Clone, Default)]
struct Counting(Arc<[AtomicU64; 2]>);

impl PerformanceMonitor for Counting {
    fn on_enqueued(&self, _: usize) {
        self.0[0].fetch_add(1, Ordering::SeqCst);
    }

    fn on_finished(&self, _: usize, _: Duration, _: Outcome) {
        self.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

fn everything_at_once_adds_up(kind: Kind) {
    for (workers, run_length, limit) in [
        (1, 16, LONG),
        (3, 16, Duration::ZERO),
        (5, 1, Duration::ZERO),
    ] {
        let watched = Counting::default();
        let config = config(workers)
            .max_run_length(run_length)
            .lanes(lanes(16, OverflowPolicy::Wait));
        let builder = builder(config).monitor(watched.clone());
        let rig = Rig::build(kind, builder).unwrap();
        let inner = Arc::<[AtomicU64; 2]>::default();
        let (warm, ended) = (Gate::meeting(SUBMITTERS as usize), AtomicBool::new(false));
        let submit = |number: u64| {
            let mut submitter = Submitter {
                pool: &rig.pool,
                chance: Chance(number * 0x9e37_79b9 + 7),
                ledger: Ledger::default(),
                next_id: number << 32,
                inner: Arc::clone(&inner),
            };
            for operation in 0.. {
                if operation == OPERATIONS {
                    // The shutdown comes while all of them are at it.
                    warm.pass();
                }
                submitter.step();
                if submitter.ledger.closed {
                    break;
                }
            }
            submitter.ledger
        };
        let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
            let submit = &submit;
            let submitters: Vec<_> = (1..=SUBMITTERS)
                .map(|n| scope.spawn(move || submit(n)))
                .collect();
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    assert_eq!(rig.pool.statistics().workers.len(), workers);
                    assert!((0.0..=1.0).contains(&rig.pool.usage_ratio()));
                    std::thread::yield_now();
                }
            });
            warm.await_arrivals(SUBMITTERS as usize);
            let report = rig.pool.shutdown_blocking(limit);
            assert!(report.drained || limit.is_zero());
            drop(report);
            let joined: Vec<_> = submitters.into_iter().map(ScopedJoinHandle::join).collect();
            ended.store(true, Ordering::SeqCst);
            joined.into_iter().map(Result::unwrap).collect()
        });
        assert!(rig.pool.shutdown_blocking(LONG).drained);
        settle(&rig, &ledgers, &inner, &watched);
    }
}

/// Holds what the submitters know against the statistics.
fn settle(rig: &Rig, ledgers: &[Ledger], inner: &[AtomicU64; 2], watched: &Counting) {
    let [inner, inner_refused] = [0, 1].map(|which: usize| inner[which].load(Ordering::SeqCst));
    let statistics = rig.pool.statistics();
    assert_at_rest(&statistics);
    let total = statistics.total();
    let sum = |part: fn(&Ledger) -> u64| ledgers.iter().map(part).sum::<u64>();
    let counted = Tally::of(&total);
    let pairs = [
        (counted.completed, sum(|ledger| ledger.told.completed)),
        (counted.failed, sum(|ledger| ledger.told.failed)),
        (counted.panicked, sum(|ledger| ledger.told.panicked)),
        (counted.expired, sum(|ledger| ledger.told.expired)),
        (counted.abandoned, sum(|ledger| ledger.told.abandoned)),
        (counted.cancelled, 0),
    ];
    assert!(
        pairs.iter().all(|(counted, told)| counted >= told),
        "{pairs:?}"
    );
    // Those who had gone were taken note of, and so were the deadlines.
    assert!(counted.cancelled > 0 && counted.expired > 0, "{pairs:?}");
    assert_eq!(
        sum(|ledger| ledger.told.cancelled),
        0,
        "who cancels is not there to be told"
    );
    let untold = pairs
        .iter()
        .map(|(counted, told)| counted - told)
        .sum::<u64>()
        - inner;
    let (unwatched, unsure) = (sum(|ledger| ledger.unwatched), sum(|ledger| ledger.unsure));
    assert!(
        (unwatched..=unwatched + unsure).contains(&untold),
        "{unwatched} {untold} {unsure}"
    );
    let accepted = total.submitted - total.refused;
    let [enqueued, finished] = [0, 1].map(|which: usize| watched.0[which].load(Ordering::SeqCst));
    assert_eq!(
        (enqueued, finished),
        (accepted, accepted),
        "each begins and ends once"
    );
    assert_eq!(total.refused, sum(|ledger| ledger.refused) + inner_refused);
    assert!(sum(|ledger| ledger.submitted) + inner >= accepted);
    assert!(sum(|ledger| ledger.submitted) >= SUBMITTERS * OPERATIONS / 2);
    let mut started = rig.started();
    started.retain(|id| *id != 0);
    let tasks = started.len();
    started.sort_unstable();
    started.dedup();
    assert_eq!(started.len(), tasks, "nothing is run twice");
}
