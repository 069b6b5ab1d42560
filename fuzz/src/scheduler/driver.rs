//! Does to a pool what the scenario says, and compares everything it sees with the model.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanepool::{
    Clock, EventStream, ManualClock, ShutdownReport, TaskPriority, WorkerHealthStatus, WorkerPool,
    WorkerStatistics,
};

use super::calls::Held;
use super::input::Operation;
use super::machine::{Machine, threads};
use super::model::{Gate, Model};
use super::scheduling::Changes;
use super::shape::Shape;
use super::stream::Stream;
use super::world::{Counter, Id, Request, Value, World};

pub(crate) type Pool = WorkerPool<Request, Value, Value>;

/// How long threads may take for what they owe at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Driver<M> {
    pub(crate) machine: M,
    pub(crate) world: Arc<World>,
    pub(crate) model: Model,
    /// Until every handle is dropped.
    pub(crate) pool: Option<Pool>,
    pub(crate) events: EventStream,
    pub(crate) calls: Vec<Held>,
    pub(crate) stream: Option<Stream>,
    /// Shutdowns under way.
    pub(crate) shutdowns: Vec<Pin<Box<dyn Future<Output = ShutdownReport<Request>>>>>,
    pub(crate) epoch: Instant,
    pub(crate) monitored: bool,
    pub(crate) threads_before: usize,
    pub(crate) workers: usize,
    pub(crate) changes: Changes,
    hands: ManualClock,
    long_runs: bool,
}

impl<M: Machine> Driver<M> {
    pub(crate) fn new(shape: &Shape) -> Self {
        let threads_before = threads();
        let config = shape.config();
        let ruins = if M::CONCURRENT {
            // When the last worker of a pool of threads ends, the pool closes a moment after.
            config.worker_count - 1
        } else {
            config.worker_count
        };
        let world = World::new(ruins);
        let longest_run = if M::CONCURRENT {
            shape.longest_run()
        } else {
            1
        };
        let model = Model::new(
            &config,
            longest_run,
            M::CONCURRENT,
            shape.times_all(),
            shape.is_batched(),
        );
        let (clock, hands) = Clock::manual();
        let epoch = clock.now();
        let mut builder = Pool::builder().config(config).clock(clock);
        if shape.monitored {
            builder = builder.monitor(Counter(Arc::clone(&world)));
        }
        let (machine, pool) = M::build(builder, Arc::clone(&world), shape.is_batched());
        let mut driver = Self {
            machine,
            events: pool.events(),
            world,
            model,
            pool: Some(pool),
            calls: Vec::new(),
            stream: None,
            shutdowns: Vec::new(),
            epoch,
            changes: Changes::default(),
            hands,
            long_runs: longest_run > 1,
            monitored: shape.monitored,
            threads_before,
            workers: shape.workers,
        };
        driver.check_bounds();
        driver.after();
        driver
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.pool.as_ref().expect("the pool is not dropped yet")
    }

    /// Does one operation.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::TrySubmit(spec) => self.try_submit(spec),
            Operation::TrySpawn(spec) => self.try_spawn(spec, Pool::try_spawn),
            Operation::SubmitBlocking(spec) => self.submit_blocking(spec),
            Operation::SpawnBlocking(spec) if self.model.would_wait(spec) => {}
            Operation::SpawnBlocking(spec) => self.try_spawn(spec, Pool::spawn_blocking),
            Operation::ExecuteTimeout(spec) => self.execute_timeout(spec),
            Operation::Submit(spec) => self.begin_submit(spec),
            Operation::Spawn(spec) => self.begin_spawn(spec),
            Operation::Execute(spec) => self.begin_execute(spec),
            Operation::Batch(specs) => self.begin_batch(specs),
            Operation::StreamTrySubmit(spec) => self.stream_submit(spec, false),
            Operation::StreamSubmit(spec) => self.stream_submit(spec, true),
            Operation::StreamNext => self.stream_next(),
            Operation::StreamDrop => self.stream_drop(),
            Operation::Poll(which) => self.with_call(*which, Self::poll),
            Operation::Drop(which) => self.with_call(*which, Self::give_up),
            Operation::DropWoken => self.drop_woken(),
            Operation::Detach(which) => self.with_call(*which, Self::detach),
            Operation::WaitNoTime(which) => self.with_call(*which, Self::wait_no_time),
            Operation::Release(which, end) => {
                let gates = self.model.at_gates();
                if let Some(id) = pick(*which, &gates) {
                    self.model.release(id);
                    self.world.release(id, *end);
                }
            }
            Operation::Advance(seconds) => {
                self.model.advance(*seconds);
                self.hands.advance(Duration::from_secs(*seconds));
            }
            Operation::Run => self.run(),
            Operation::RunThrough(times) => self.run_through(*times),
            Operation::Check => self.check(),
            // Where workers move meanwhile the model cannot tell who takes what; see `storm.rs`.
            Operation::SetStrategy(_)
            | Operation::SetBalancing(_)
            | Operation::SetWeights(_)
            | Operation::Pause(_)
            | Operation::Resume(_)
                if M::CONCURRENT => {}
            Operation::SetStrategy(strategy) => self.set_strategy(*strategy),
            Operation::SetBalancing(strategy) => self.set_balancing(*strategy),
            Operation::SetWeights(weights) => self.set_weights(*weights),
            Operation::Pause(priority) => self.set_paused(*priority, true),
            Operation::Resume(priority) => self.set_paused(*priority, false),
            Operation::ShutdownNow => self.shutdown_now(),
            Operation::ShutdownBegin => self.shutdown_begin(),
            Operation::EndRuntime => self.end_runtime(),
        }
        self.after();
    }

    fn run_through(&mut self, times: u8) {
        for _ in 0..times {
            for id in self.model.at_gates() {
                let end = self.model.task(id).spec.end;
                self.model.release(id);
                self.world.release(id, end);
            }
            self.run();
            self.check_bells();
        }
    }

    /// Brings the model up to date, and looks whether everybody was woken who should be.
    fn after(&mut self) {
        if M::CONCURRENT {
            self.run();
        }
        self.read_journal();
        self.check_bells();
    }

    pub(crate) fn read_journal(&mut self) {
        while let Some(event) = self.world.next_event() {
            self.model.happened(event);
        }
    }

    /// Lets the workers go as far as they can.
    pub(crate) fn run(&mut self) {
        if M::CONCURRENT {
            self.read_journal();
            while !self.model.is_settled() {
                let moved = self.world.wait_for_event(PATIENCE);
                assert!(
                    moved,
                    "a worker does not do what it could: {:#?}",
                    self.model
                );
                self.read_journal();
            }
            self.eventually("other workers are busy than should be", || {
                self.usage_is_right()
            });
            if self.long_runs
                && let Some(pool) = &self.pool
            {
                let statistics = pool.statistics();
                for (lane, counts) in statistics.lanes.iter().enumerate() {
                    self.model.note_hand(lane, counts.queued);
                }
            }
        } else {
            loop {
                let before = self.world.events();
                self.machine.step();
                self.read_journal();
                if self.world.events() == before {
                    break;
                }
            }
            let settled = self.model.is_settled();
            assert!(
                settled,
                "a worker does not do what it could: {:#?}",
                self.model
            );
        }
        self.model.settled();
    }

    /// What must be so: at once where the workers are steps of this thread, else in a moment.
    pub(crate) fn eventually(&self, what: &str, mut is: impl FnMut() -> bool) {
        if M::CONCURRENT {
            in_a_moment(what, is);
        } else {
            assert!(is(), "{what}: {:#?}", self.model);
        }
    }

    /// Compares the statistics with the model.
    pub(crate) fn check(&mut self) {
        let mut difference = Ok(());
        self.eventually("the statistics differ", || {
            let now = self.model.compare(&self.pool().statistics());
            if !M::CONCURRENT && now.is_err() {
                panic!("the statistics differ: {now:?} {:#?}", self.model);
            }
            difference = now;
            difference.is_ok()
        });
        self.eventually("other workers are busy than should be", || {
            self.usage_is_right()
        });
        self.check_bounds();
        if !M::CONCURRENT {
            self.check_scheduling();
        }
    }

    fn check_bounds(&self) {
        for priority in TaskPriority::ALL {
            let published = self.pool().starvation_bound(priority);
            self.model
                .check_bound(self.model.lane_of(priority), published);
        }
    }

    /// A worker tells of the end of a task a moment before it counts as free.
    fn usage_is_right(&self) -> bool {
        let running = self.model.running().count() as f64;
        // The ratio is to the workers that have not ended.
        let is_there = |worker: &&WorkerStatistics| {
            use WorkerHealthStatus::{Busy, Idle};
            matches!(worker.status, Busy | Idle)
        };
        let busy = |pool: &Pool| {
            let there = pool.statistics().workers.iter().filter(is_there).count();
            pool.usage_ratio() * there as f64
        };
        let differs = |pool| (busy(pool) - running).abs() > 0.5;
        !self.pool.as_ref().is_some_and(differs)
    }

    /// At a closed gate everybody has been woken, and at one with room one of those who wait; who waits for
    /// room in the queue of a key whenever others were.
    fn check_gates(&self) {
        let mut gates: Vec<Gate> = self.calls.iter().filter_map(|held| held.at_gate).collect();
        gates.dedup();
        for gate in gates
            .into_iter()
            .filter(|gate| self.model.gate_is_open(*gate))
        {
            let at_gate = |held: &&Held| held.at_gate == Some(gate);
            let mut waiting = self.calls.iter().filter(at_gate);
            let all = self.model.is_closed() || matches!(gate, Gate::Crowd { .. });
            if all {
                self.eventually("a caller waits who was to be told", || {
                    waiting.clone().all(|held| held.bell.has_rung())
                });
            } else {
                self.eventually("a gate with room lets nobody in", || {
                    waiting.any(|held| held.bell.has_rung())
                });
            }
        }
    }

    /// Whoever has an answer, and one at each gate with room, has been woken.
    pub(crate) fn check_bells(&self) {
        for held in &self.calls {
            if held
                .awaits
                .is_some_and(|id| self.model.answer(id).is_some())
            {
                self.eventually("an answered caller sleeps", || held.bell.has_rung());
            }
        }
        self.check_gates();
        if let Some(stream) = self.stream.as_ref().filter(|stream| stream.waits) {
            let mut tasks = stream.tasks.iter();
            if tasks.any(|id| self.model.answer(*id).is_some()) {
                self.eventually("a stream with a result sleeps", || stream.bell.has_rung());
            }
        }
    }
}

/// Waits for what another thread owes at once.
pub(crate) fn in_a_moment(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// One of several by a number.
fn pick(which: u8, among: &[Id]) -> Option<Id> {
    among.get(usize::from(which) % among.len().max(1)).copied()
}
