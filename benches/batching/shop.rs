//! A pool whose service is emulated, and the books that its statistics are checked against.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lanepool::{
    Answers, Batch, BatchProcessorConfig, BatchService, BatchStatistics, CloseReason, Service,
    TaskContext, WorkerPool, WorkerPoolConfig,
};
use lanepool_bench::{Result, work::PATIENCE};

use crate::service::{Cost, Emulated, Served, answer_to};

pub(crate) type Pool = WorkerPool<Request, u64, Infallible>;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    /// Right before the pool got it.
    pub(crate) handed_in: Instant,
}

impl Request {
    pub(crate) fn now(number: u64) -> Self {
        Self {
            number,
            handed_in: Instant::now(),
        }
    }
}

/// A pool and its books.
pub(crate) struct Shop {
    pub(crate) pool: Pool,
    books: Arc<Books>,
}

/// What the service saw.
#[derive(Debug)]
struct Books {
    served: Arc<Served>,
    // Written by workers, read while none works. Counters, so Relaxed everywhere.
    closed: [AtomicU64; CloseReason::ALL.len()],
    largest: AtomicU64,
    // Set before anything is asked, and read by workers.
    watches_holds: AtomicBool,
    holds: Mutex<Vec<Hold>>,
}

/// How late a batch reached the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// Since its oldest request was handed in.
    pub(crate) age: Duration,
    /// Since its worker had nothing else to do.
    pub(crate) worker_free: Duration,
}

impl Hold {
    /// By how much the batch is older than `limit` though a worker was free.
    pub(crate) fn beyond(&self, limit: Duration) -> Duration {
        self.age.saturating_sub(limit).min(self.worker_free)
    }
}

struct Clerk {
    emulated: Emulated,
    books: Arc<Books>,
}

impl Clerk {
    fn new(cost: Cost) -> Self {
        let served = Arc::<Served>::default();
        Self {
            emulated: Emulated::new(cost, Arc::clone(&served)),
            books: Arc::new(Books {
                served,
                closed: Default::default(),
                largest: AtomicU64::new(0),
                watches_holds: AtomicBool::new(false),
                holds: Mutex::default(),
            }),
        }
    }
}

/// A worker remembers since when it is free.
impl BatchService<Request> for Clerk {
    type Response = u64;
    type Error = Infallible;
    type State = Instant;

    fn state(&self, _worker: usize) -> Instant {
        Instant::now()
    }

    fn call_batch(
        &self,
        free_since: &mut Instant,
        batch: Batch<Request>,
    ) -> std::result::Result<Answers<u64, Infallible>, Infallible> {
        self.books.note(&batch);
        let watches_holds = self.books.watches_holds();
        if watches_holds {
            let now = Instant::now();
            let handed_in = batch.requests().iter().map(|request| request.handed_in);
            let oldest = handed_in.min().unwrap_or(now);
            self.books.lock_holds().push(Hold {
                age: now - oldest,
                worker_free: now - *free_since,
            });
        }
        self.emulated.run(batch.len());
        let answers = batch
            .into_iter()
            .map(|(request, _)| Ok(answer_to(request.number)))
            .collect();
        if watches_holds {
            *free_since = Instant::now();
        }
        Ok(answers)
    }
}

/// The same, one by one.
impl Service<Request> for Clerk {
    type Response = u64;
    type Error = Infallible;
    type State = ();

    fn state(&self, _worker: usize) {}

    fn call(
        &self,
        (): &mut (),
        request: Request,
        _context: &TaskContext,
    ) -> std::result::Result<u64, Infallible> {
        self.emulated.run(1);
        Ok(answer_to(request.number))
    }
}

impl Books {
    fn note(&self, batch: &Batch<Request>) {
        let reason = CloseReason::ALL
            .iter()
            .position(|reason| *reason == batch.close_reason());
        if let Some(count) = reason.and_then(|at| self.closed.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let requests = batch.len() as u64;
        // A look first: the pool without batches keeps no such book, and the two are compared by the microsecond.
        if requests > self.largest.load(Ordering::Relaxed) {
            self.largest.fetch_max(requests, Ordering::Relaxed);
        }
    }

    fn watches_holds(&self) -> bool {
        self.watches_holds.load(Ordering::Relaxed)
    }

    fn lock_holds(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares with what the pool says of its batches.
    fn check(&self, statistics: &BatchStatistics, most: usize) -> Result<()> {
        let largest = self.largest.load(Ordering::Relaxed);
        if largest > most as u64 {
            return Err(format!("a batch of {largest} requests, where {most} are the most").into());
        }
        let (batches, requests) = (self.served.batches(), self.served.requests());
        if (batches, requests) != (statistics.batches(), statistics.requests) {
            return Err(format!(
                "the service saw {requests} requests in {batches} batches; the statistics have {} in {}",
                statistics.requests,
                statistics.batches()
            )
            .into());
        }
        for (reason, seen) in CloseReason::ALL.into_iter().zip(&self.closed) {
            let (seen, counted) = (seen.load(Ordering::Relaxed), statistics.closed(reason));
            if seen != counted {
                return Err(format!(
                    "the service saw {seen} batches that closed for {reason:?}, the statistics have {counted}"
                )
                .into());
            }
        }
        Ok(())
    }
}

/// A pool of so many workers for batches of these rules.
pub(crate) fn config(workers: usize, batching: BatchProcessorConfig) -> WorkerPoolConfig {
    WorkerPoolConfig {
        worker_count: workers,
        batching,
        ..WorkerPoolConfig::default()
    }
}

impl Shop {
    /// A pool of batches.
    pub(crate) fn open(cost: Cost, config: WorkerPoolConfig) -> Result<Self> {
        let clerk = Clerk::new(cost);
        let books = Arc::clone(&clerk.books);
        let pool = Pool::with_batches(clerk, config)?;
        Ok(Self { pool, books })
    }

    /// A pool of single requests, each of which costs as much as a batch of one.
    pub(crate) fn open_plain(cost: Cost, config: WorkerPoolConfig) -> Result<Self> {
        let clerk = Clerk::new(cost);
        let books = Arc::clone(&clerk.books);
        let pool = Pool::with_config(clerk, config)?;
        Ok(Self { pool, books })
    }

    /// What the pool says of its batches.
    ///
    /// # Panics
    ///
    /// In a pool of single requests.
    pub(crate) fn batches(&self) -> BatchStatistics {
        let batches = self.pool.batch_processor();
        batches.expect("the pool runs batches").statistics()
    }

    /// What the service did.
    pub(crate) fn served(&self) -> &Served {
        &self.books.served
    }

    /// From now on the books say of each batch how late it was.
    pub(crate) fn watch_holds(&self) {
        self.books.watches_holds.store(true, Ordering::Relaxed);
    }

    /// How late the batches since the last call reached the service.
    pub(crate) fn take_holds(&self) -> Vec<Hold> {
        std::mem::take(&mut self.books.lock_holds())
    }

    /// Shuts the pool down and checks its books: of `accepted` requests all but `dropped`, which may have been
    /// cancelled, and `expired` were run, and the statistics say of them what the service saw.
    pub(crate) fn close(&self, accepted: u64, dropped: u64, expired: u64) -> Result<()> {
        let report = self.pool.shutdown_blocking(PATIENCE);
        if !report.drained {
            return Err(format!("the pool was not drained within {PATIENCE:?}").into());
        }
        let statistics = report.statistics;
        statistics
            .conserved()
            .map_err(|imbalance| format!("the conservation law is broken: {imbalance}"))?;
        let total = statistics.total();
        let served = self.books.served.requests();
        if total.completed != served {
            return Err(format!("{served} requests were run, not {}", total.completed).into());
        }
        let ended = total.completed + total.expired + total.cancelled;
        if ended != accepted || total.expired != expired || total.cancelled > dropped {
            return Err(format!(
                "of {accepted} requests {} were completed, {} expired where {expired} callers heard so, and \
                 {} were cancelled where {dropped} callers left",
                total.completed, total.expired, total.cancelled
            )
            .into());
        }
        match self.pool.batch_processor() {
            Some(batches) => self
                .books
                .check(&batches.statistics(), batches.config().batch_size),
            None => Ok(()),
        }
    }
}
