//! Whether the contenders do what they are measured for.
//!
//! A harness runs it with `visit_all(&mut check::Check::default())`. For every contender it runs tasks, sees
//! that urgent ones overtake where that is promised, answers requests of blocking and of async clients, one by
//! one and in batches, and panics with the contender's name if something is wrong.

use std::{
    sync::{
        Arc, Barrier, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use futures_lite::future::{block_on, poll_once};

use super::Visitor;
use crate::contender::{Calls, Contender, Kind, Priority, Serve, ServeBatch, Shape, Task, Tasks};

const TASKS: u64 = 10_000;
const CALLS: u64 = 1_000;
/// Threads that submit or call at the same time.
const THREADS: u64 = 4;
/// Async clients on one thread.
const CLIENTS: u64 = 16;
/// The most requests of a batch.
const MOST: usize = 8;
const PRIORITIES: [Priority; 4] = [
    Priority::Low,
    Priority::Normal,
    Priority::High,
    Priority::Critical,
];
/// Few places, so that submitters meet full lanes.
const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 64,
};

/// Checks each contender that it is shown whose name contains `only`.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) only: String,
    /// How many contenders passed.
    pub(crate) passed: usize,
}

impl Visitor for Check {
    fn visit<C: Contender>(&mut self) {
        if !C::NAME.contains(&self.only) {
            return;
        }
        let began = Instant::now();
        tasks::<C>();
        if C::KIND != Kind::Plain {
            overtaking::<C>();
        }
        blocking_calls::<C>();
        async_calls::<C>();
        batches::<C>();
        full_batches::<C>();
        self.passed += 1;
        println!("{:<24} {:>8.1?}", C::NAME, began.elapsed());
    }
}

/// Adds its number to a sum.
struct Add {
    number: u64,
    sum: Arc<AtomicU64>,
}

impl Task for Add {
    fn run(self) {
        self.sum.fetch_add(self.number, Ordering::Relaxed);
    }
}

fn tasks<C: Contender>() {
    let sum = Arc::new(AtomicU64::new(0));
    let pool = C::tasks::<Add>(SHAPE);
    thread::scope(|scope| {
        for submitter in 1..=THREADS {
            let (pool, sum) = (&pool, &sum);
            scope.spawn(move || {
                for number in (submitter..=TASKS).step_by(THREADS as usize) {
                    let sum = Arc::clone(sum);
                    pool.submit(Add { number, sum }, priority(number));
                }
            });
        }
    });
    pool.finish();
    assert_eq!(
        sum.load(Ordering::Relaxed),
        TASKS * (TASKS + 1) / 2,
        "{}: the tasks' sum",
        C::NAME
    );
}

/// Holds the worker, or notes that it was run.
enum Step {
    Gate(Arc<Barrier>),
    Note(Priority, Arc<Mutex<Vec<Priority>>>),
}

impl Task for Step {
    fn run(self) {
        match self {
            Self::Gate(gate) => {
                gate.wait();
                gate.wait();
            }
            Self::Note(priority, notes) => notes
                .lock()
                .expect("nobody panics under this lock")
                .push(priority),
        }
    }
}

/// One worker is held while a task of each priority is queued, the lowest first.
fn overtaking<C: Contender>() {
    let gate = Arc::new(Barrier::new(2));
    let notes = Arc::new(Mutex::new(Vec::new()));
    let pool = C::tasks::<Step>(Shape {
        workers: 1,
        ..SHAPE
    });
    pool.submit(Step::Gate(Arc::clone(&gate)), Priority::Critical);
    gate.wait();
    for priority in PRIORITIES {
        pool.submit(Step::Note(priority, Arc::clone(&notes)), priority);
    }
    gate.wait();
    pool.finish();
    let order = notes.lock().expect("nobody panics under this lock").clone();
    let urgent_first: Vec<_> = PRIORITIES.into_iter().rev().collect();
    assert_eq!(order, urgent_first, "{}: the order of tasks", C::NAME);
}

#[derive(Clone)]
struct Triple;

impl Serve for Triple {
    fn serve(&self, request: u64) -> u64 {
        request * 3
    }
}

fn blocking_calls<C: Contender>() {
    call::<C>(C::calls(SHAPE, Triple));
}

/// Clients on threads of their own.
fn call<C: Contender>(pool: impl Calls) {
    thread::scope(|scope| {
        for client in 0..THREADS {
            let pool = &pool;
            scope.spawn(move || {
                for number in (client..CALLS).step_by(THREADS as usize) {
                    let answer = pool.call(number, priority(number));
                    assert_eq!(answer, number * 3, "{}: a blocking call", C::NAME);
                }
            });
        }
    });
    pool.finish();
}

fn async_calls<C: Contender>() {
    let shape = Shape {
        capacity: 4,
        ..SHAPE
    };
    call_async::<C>(C::calls(shape, Triple));
}

/// Clients on one thread, as many as make a bound of a few places felt.
fn call_async<C: Contender>(pool: impl Calls) {
    let pool = Arc::new(pool);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("the runtime starts");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let pool = Arc::clone(&pool);
            runtime.spawn(async move {
                for number in (client..CALLS).step_by(CLIENTS as usize) {
                    let answer = pool.call_async(number, priority(number)).await;
                    assert_eq!(answer, number * 3, "{}: an async call", C::NAME);
                }
            })
        })
        .collect();
    for client in clients {
        runtime.block_on(client).expect("no client panics");
    }
    drop(runtime);
    Arc::into_inner(pool)
        .expect("the clients have let go of the pool")
        .finish();
}

fn priority(number: u64) -> Priority {
    PRIORITIES[number as usize % PRIORITIES.len()]
}

/// Triples batches, and notes how large they were and how often each number was served.
#[derive(Clone)]
struct TripleMany(Arc<Notes>);

struct Notes {
    /// Whoever serves the first batch stands here, if there is one.
    gate: Option<Barrier>,
    sizes: Mutex<Vec<usize>>,
    served: Vec<AtomicU64>,
}

impl Serve for TripleMany {
    fn serve(&self, request: u64) -> u64 {
        self.0.served[request as usize].fetch_add(1, Ordering::Relaxed);
        request * 3
    }
}

impl ServeBatch for TripleMany {
    fn prepare(&self, requests: usize) {
        let first = {
            let mut sizes = self.0.lock_sizes();
            sizes.push(requests);
            sizes.len() == 1
        };
        if let (true, Some(gate)) = (first, &self.0.gate) {
            gate.wait();
            gate.wait();
        }
    }
}

impl Notes {
    fn new(gate: Option<Barrier>, numbers: u64) -> Arc<Self> {
        Arc::new(Self {
            gate,
            sizes: Mutex::default(),
            served: (0..numbers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn lock_sizes(&self) -> MutexGuard<'_, Vec<usize>> {
        self.sizes.lock().expect("nobody panics under this lock")
    }

    /// Checks that each number was served once, in batches of the right size, and returns how many those were.
    fn check<C: Contender>(&self) -> usize {
        for (number, served) in self.served.iter().enumerate() {
            let served = served.load(Ordering::Relaxed);
            assert_eq!(served, 1, "{}: how often {number} was served", C::NAME);
        }
        let sizes = self.lock_sizes();
        let fit = sizes.iter().all(|size| (1..=MOST).contains(size));
        assert!(fit, "{}: a batch of none or too many: {sizes:?}", C::NAME);
        let sum: usize = sizes.iter().sum();
        assert_eq!(sum, self.served.len(), "{}: the batches' sum", C::NAME);
        sizes.len()
    }
}

/// The same calls as of a pool that answers one by one.
fn batches<C: Contender>() {
    let open = |capacity| {
        let notes = Notes::new(None, CALLS);
        let shape = Shape { capacity, ..SHAPE };
        (
            C::batches(shape, MOST, TripleMany(Arc::clone(&notes))),
            notes,
        )
    };
    let (pool, notes) = open(SHAPE.capacity);
    call::<C>(pool);
    notes.check::<C>();
    let (pool, notes) = open(4);
    call_async::<C>(pool);
    notes.check::<C>();
}

/// One worker is held in a batch while so many requests come that they make several batches.
fn full_batches<C: Contender>() {
    const WAITING: u64 = 2 * MOST as u64 + 1;
    let notes = Notes::new(Some(Barrier::new(2)), 1 + WAITING);
    let shape = Shape {
        workers: 1,
        ..SHAPE
    };
    let pool = C::batches(shape, MOST, TripleMany(Arc::clone(&notes)));
    let gate = notes.gate.as_ref().expect("it was made with one");
    block_on(async {
        let mut calls: Vec<_> = (0..=WAITING)
            .map(|number| Box::pin(pool.call_async(number, Priority::Normal)))
            .collect();
        for (number, call) in calls.iter_mut().enumerate() {
            let answer = poll_once(call).await;
            assert!(answer.is_none(), "{}: an answer too early", C::NAME);
            if number == 0 {
                gate.wait();
            }
        }
        gate.wait();
        for (number, call) in calls.into_iter().enumerate() {
            let answer = call.await;
            assert_eq!(answer, number as u64 * 3, "{}: an answer", C::NAME);
        }
    });
    pool.finish();
    let batches = notes.check::<C>();
    assert_eq!(batches, 4, "{}: the number of batches", C::NAME);
}
