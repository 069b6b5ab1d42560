//! A pool of one worker whose service turns the pool's clock: a batch takes as long as it is to cost, to the nanosecond.
//!
//! What comes of the same arrivals is the same in every run, whatever else the machine does. It shows how batches are
//! chosen and nothing of what that costs, which on this clock is no time at all. Requests that are due while a batch runs
//! are handed in by its service, and the others while the pool is at rest.

use std::{
    collections::VecDeque,
    convert::Infallible,
    ops::AddAssign,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use lanepool::{
    Answers, Batch, Clock, ManualClock, PoolBuilder, ProcessingError, ProcessingTask, SubmitError,
    TaskPriority, Ticket, WorkerPool, WorkerPoolConfig, batch_fn,
};
use lanepool_bench::{Result, random::scatter, work::PATIENCE};

use crate::service::Cost;

type Pool = WorkerPool<Asked, (), Infallible>;

/// A pool and the world around it.
pub(crate) struct Turned {
    pool: Pool,
    world: Arc<Mutex<World>>,
}

/// What is to come, and what has become of what came.
struct World {
    clock: Clock,
    hands: ManualClock,
    cost: Cost,
    /// None until the pool is there, and when it is to end.
    pool: Option<Pool>,
    told: bool,
    due: VecDeque<Asked>,
    tickets: VecDeque<Ticket<(), Infallible>>,
    batches: u64,
    fates: Fates,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    due: Instant,
    deadline: Instant,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    pub(crate) asked: u64,
    pub(crate) expired: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
}

impl Fates {
    /// Percent of those that were not answered in time.
    pub(crate) fn missed(&self) -> f64 {
        (self.expired + self.late + self.refused) as f64 * 100.0 / self.asked.max(1) as f64
    }
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.expired += other.expired;
        self.late += other.late;
        self.refused += other.refused;
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn advance_to(&self, time: Instant) {
        self.hands
            .advance(time.saturating_duration_since(self.clock.now()));
    }

    /// Hands in everything that is due until then, each at its time, and stays there.
    fn go_on_until(&mut self, end: Instant) {
        while let Some(&asked) = self.due.front().filter(|asked| asked.due <= end) {
            self.due.pop_front();
            self.advance_to(asked.due);
            self.hand_in(asked);
        }
        self.advance_to(end);
    }

    fn hand_in(&mut self, asked: Asked) {
        self.fates.asked += 1;
        let mut task = ProcessingTask::new(asked);
        if self.told {
            task = task.deadline(asked.deadline);
        }
        let pool = self.pool.as_ref().expect("it is there while requests come");
        match pool.try_submit(task) {
            Ok(ticket) => self.tickets.push_back(ticket),
            Err(SubmitError::Full(_) | SubmitError::Expired(_)) => self.fates.refused += 1,
            Err(error) => panic!("a request was refused: {error}"),
        }
    }

    /// A batch runs. Its cost is up to 3 % more or less than it is to be.
    fn run(&mut self, batch: &Batch<Asked>) {
        self.batches += 1;
        let parts = 97 + scatter(self.batches) % 7;
        let cost = self.cost.of(batch.len()) * parts as u32 / 100;
        let end = self.clock.now() + cost;
        self.go_on_until(end);
        let late = batch
            .requests()
            .iter()
            .filter(|asked| asked.deadline <= end);
        self.fates.late += late.count() as u64;
    }
}

impl Turned {
    /// A pool that knows the deadlines of its requests, or does not.
    pub(crate) fn open(cost: Cost, config: WorkerPoolConfig, told: bool) -> Result<Self> {
        let (clock, hands) = Clock::manual();
        let world = Arc::new(Mutex::new(World {
            clock: clock.clone(),
            hands,
            cost,
            pool: None,
            told,
            due: VecDeque::new(),
            tickets: VecDeque::new(),
            batches: 0,
            fates: Fates::default(),
        }));
        let around = Arc::clone(&world);
        let service = batch_fn(move |batch: Batch<Asked>| {
            lock(&around).run(&batch);
            Ok(batch
                .into_iter()
                .map(|_| Ok(()))
                .collect::<Answers<(), Infallible>>())
        });
        let pool = PoolBuilder::new()
            .config(config)
            .clock(clock)
            .build_batches(service)?;
        lock(&world).pool = Some(pool.clone());
        Ok(Self { pool, world })
    }

    /// What becomes of requests that are due so long from now and have so long to live.
    pub(crate) fn run(
        &self,
        arrivals: impl IntoIterator<Item = (Duration, Duration)>,
    ) -> Result<Fates> {
        let mut world = lock(&self.world);
        world.fates = Fates::default();
        let now = world.clock.now();
        let asked = |(due, lifetime)| Asked {
            due: now + due,
            deadline: now + due + lifetime,
        };
        world.due = arrivals.into_iter().map(asked).collect();
        while let Some(due) = world.due.front().map(|asked| asked.due) {
            // The worker is to find all that come together.
            self.pool.scheduler().pause(TaskPriority::Normal);
            world.go_on_until(due);
            self.pool.scheduler().resume(TaskPriority::Normal);
            drop(world);
            self.await_rest()?;
            world = lock(&self.world);
        }
        Ok(world.fates)
    }

    /// Waits until all that was handed in has its outcome and the worker has nothing to do.
    fn await_rest(&self) -> Result<()> {
        loop {
            let ticket = lock(&self.world).tickets.pop_front();
            match ticket.map(Ticket::wait) {
                Some(Ok(())) => {}
                Some(Err(ProcessingError::Expired)) => lock(&self.world).fates.expired += 1,
                Some(Err(error)) => return Err(error.to_string().into()),
                None => break,
            }
        }
        // The last answer is given before the batch is timed.
        let processor = self
            .pool
            .batch_processor()
            .ok_or("a pool without batches")?;
        let since = Instant::now();
        loop {
            let batches = processor.statistics();
            if batches.service_time.count() == batches.batches() {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err("a batch does not end".into());
            }
            thread::yield_now();
        }
    }

    /// Requests a batch so far.
    pub(crate) fn mean_size(&self) -> f64 {
        let batches = self.pool.batch_processor();
        batches.map_or(0.0, |batches| batches.statistics().mean_size())
    }
}

impl Drop for Turned {
    fn drop(&mut self) {
        // The service holds the world, and the world the pool.
        let pool = lock(&self.world).pool.take();
        drop(pool);
    }
}
