//! Whether the contenders do what they are measured for.
//!
//! A harness runs it with `visit_all(&mut check::Check::default())`. For every contender it runs tasks, sees
//! that urgent ones overtake where that is promised, answers requests of blocking and of async clients, and
//! panics with the contender's name if something is wrong.

use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use super::Visitor;
use crate::contender::{Calls, Contender, Kind, Priority, Serve, Shape, Task, Tasks};

const TASKS: u64 = 10_000;
const CALLS: u64 = 1_000;
/// Threads that submit or call at the same time.
const THREADS: u64 = 4;
/// Async clients on one thread.
const CLIENTS: u64 = 16;
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
    let pool = C::calls(SHAPE, Triple);
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

/// Clients on one thread, as many as make a bound of a few places felt.
fn async_calls<C: Contender>() {
    let pool = Arc::new(C::calls(
        Shape {
            capacity: 4,
            ..SHAPE
        },
        Triple,
    ));
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
