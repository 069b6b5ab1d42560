//! A burst comes to a pool of eight sleeping workers: how soon do all of them run?
//!
//! A burst is eight tasks, each of which holds its worker until all eight have begun. What is timed is
//! from before the first submission until a task begins, for the first, second, fourth and eighth to do so.
//!
//! How many wakes come one after the other cannot be seen from outside a pool. So the same is done with
//! plain threads, where it is known: in a *chain* each thread wakes the next (eight in a row), in a *tree* each
//! wakes two (four in a row), and *one by one* the submitter wakes all eight. With fewer than eight CPUs no way
//! of waking has all of them run at the same moment: then what differs is the CPU time before the last one
//! has begun.

use std::{
    convert::Infallible,
    sync::{
        Arc, Barrier, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use lanepool::{ProcessingTask, TaskContext, WorkerPool, WorkerPoolConfig, service_fn};
use lanepool_bench::{Bound, Report, Result, figure::amount, samples};

const WORKERS: usize = 8;
/// Which to begin are shown.
const SHOWN: [usize; 4] = [1, 2, 4, 8];
/// Long enough for every worker to have fallen asleep.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(report: &mut Report) {
    let bursts = report.choose(1_000, 150);
    let mut rows = Vec::new();
    let pool: fn(usize) -> Result<Vec<Begun>> = pool;
    for (name, run) in [
        ("lanepool", pool),
        ("threads, a chain: eight wakes in a row", |bursts| {
            threads(Wakes::Chain, bursts)
        }),
        ("threads, a tree: four wakes in a row", |bursts| {
            threads(Wakes::Tree, bursts)
        }),
        ("threads, one by one by the submitter", |bursts| {
            threads(Wakes::Submitter, bursts)
        }),
    ] {
        eprintln!("wake-ramp: {name}, {bursts} bursts");
        match run(bursts) {
            Ok(begun) => rows.push((name, medians(&begun))),
            Err(error) => report.fail(&format!("wake ramp, {name}"), &error),
        }
    }
    if report.is_json() {
        for (name, medians) in &rows {
            for (place, median) in SHOWN.iter().zip(medians) {
                let figure = format!("wake ramp, {name}: until {place} of {WORKERS} run, p50");
                report.record(figure, *median, "µs", Bound::None);
            }
        }
    }
    let heads = SHOWN.map(|place| format!("until {place} of {WORKERS} run, p50, µs"));
    let heads: Vec<String> = std::iter::once("who wakes".to_owned())
        .chain(heads)
        .collect();
    let text = |(name, medians): &(&str, [f64; 4])| {
        let cells = medians.iter().map(|median| amount(*median));
        std::iter::once((*name).to_owned()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(text).collect();
    let about = format!("a burst of {WORKERS} tasks to {WORKERS} sleeping workers, {bursts} times");
    report.table("wake-ramp", &about, &heads, &rows);
}

/// When each of the eight began, in microseconds from the start of the burst, sorted.
type Begun = [f64; WORKERS];

fn medians(bursts: &[Begun]) -> [f64; 4] {
    SHOWN.map(|place| {
        let mut times: Vec<f64> = bursts.iter().map(|begun| begun[place - 1]).collect();
        samples::median(&mut times)
    })
}

/// Where the eight meet.
struct Meeting {
    begun: Mutex<Vec<Instant>>,
    all: Barrier,
}

impl Meeting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Mutex::new(Vec::with_capacity(WORKERS)),
            all: Barrier::new(WORKERS),
        })
    }

    /// One has begun.
    fn begin(&self) {
        let now = Instant::now();
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(now);
    }

    /// It stays until all have.
    fn stay(&self) {
        self.all.wait();
    }

    /// When they began, once all have.
    fn collect(&self, from: Instant) -> Result<Begun> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let times = begun
            .drain(..)
            .map(|at| (at - from).as_nanos() as f64 / 1000.0);
        let mut times: Vec<f64> = times.collect();
        times.sort_unstable_by(f64::total_cmp);
        let count = times.len();
        Begun::try_from(times).map_err(|_| format!("{count} of {WORKERS} began").into())
    }
}

fn pool(bursts: usize) -> Result<Vec<Begun>> {
    let meeting = Meeting::new();
    let service = {
        let meeting = Arc::clone(&meeting);
        move |(): (), _: &TaskContext| {
            meeting.begin();
            meeting.stay();
            Ok::<(), Infallible>(())
        }
    };
    let config = WorkerPoolConfig::builder().workers(WORKERS).build()?;
    let pool = WorkerPool::with_config(service_fn(service), config)?;
    let mut all = Vec::with_capacity(bursts);
    for _ in 0..bursts {
        // The pause is the workload: the workers are to sleep.
        thread::sleep(PAUSE);
        let from = Instant::now();
        let mut tickets = Vec::with_capacity(WORKERS);
        for _ in 0..WORKERS {
            let ticket = pool.try_submit(ProcessingTask::new(()));
            tickets.push(ticket.map_err(|error| error.to_string())?);
        }
        for ticket in tickets {
            ticket.wait().map_err(|error| error.to_string())?;
        }
        all.push(meeting.collect(from)?);
    }
    let report = pool.shutdown_blocking(PATIENCE);
    report.statistics.conserved()?;
    let completed = report.statistics.total().completed;
    if completed != (bursts * WORKERS) as u64 {
        return Err(format!("{completed} tasks were completed").into());
    }
    Ok(all)
}

/// Who wakes whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakes {
    Chain,
    Tree,
    Submitter,
}

impl Wakes {
    /// Whom this one wakes when it has begun.
    fn by(self, thread: usize) -> std::ops::Range<usize> {
        let (first, count) = match self {
            Self::Chain => (thread + 1, 1),
            Self::Tree => (2 * thread + 1, 2),
            Self::Submitter => (WORKERS, 0),
        };
        first.min(WORKERS)..(first + count).min(WORKERS)
    }
}

/// One of the plain threads, and whether it was woken.
struct Bed {
    thread: Thread,
    woken: Arc<AtomicBool>,
}

impl Bed {
    fn wake(&self) {
        // Release, and Acquire by the sleeper: the burst has begun.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

fn threads(wakes: Wakes, bursts: usize) -> Result<Vec<Begun>> {
    let meeting = Meeting::new();
    let (done, all_done) = mpsc::channel();
    let mut joins: Vec<JoinHandle<()>> = Vec::new();
    let mut beds: Vec<Bed> = Vec::new();
    // From the last to the first, so that each knows whom it wakes.
    for number in (0..WORKERS).rev() {
        let woken = Arc::new(AtomicBool::new(false));
        let wakes: Vec<Bed> = wakes
            .by(number)
            .map(|other| {
                let bed = &beds[WORKERS - 1 - other];
                Bed {
                    thread: bed.thread.clone(),
                    woken: Arc::clone(&bed.woken),
                }
            })
            .collect();
        let (meeting, flag, done) = (Arc::clone(&meeting), Arc::clone(&woken), done.clone());
        let join = thread::spawn(move || {
            for _ in 0..bursts {
                while !flag.swap(false, Ordering::Acquire) {
                    thread::park();
                }
                // As a worker of a pool does: first wake others, then begin.
                wakes.iter().for_each(Bed::wake);
                meeting.begin();
                meeting.stay();
                // The receiver is gone only where a check has failed already and said so.
                let _ = done.send(());
            }
        });
        beds.push(Bed {
            thread: join.thread().clone(),
            woken,
        });
        joins.push(join);
    }
    beds.reverse();
    let mut all = Vec::with_capacity(bursts);
    for _ in 0..bursts {
        // The pause is the workload: the threads are to sleep.
        thread::sleep(PAUSE);
        let from = Instant::now();
        let woken = if wakes == Wakes::Submitter {
            WORKERS
        } else {
            1
        };
        beds[..woken].iter().for_each(Bed::wake);
        for _ in 0..WORKERS {
            all_done.recv_timeout(PATIENCE)?;
        }
        all.push(meeting.collect(from)?);
    }
    for join in joins {
        join.join().map_err(|_| "a thread panicked")?;
    }
    Ok(all)
}
