//! Does to a pool what the scenario says, and compares everything it sees with the model.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lanepool::{
    Clock, EventStream, ExecuteError, ManualClock, Outcome, PoolEvent, ProcessingError,
    ProcessingTask, ResultStream, ShutdownReport, SubmitError, TaskContext, Ticket, WorkerPool,
};

use super::calls::{Call, Executed, Feed, Held, Progress};
use super::input::{Address, Operation, Shape, TaskSpec};
use super::machine::Machine;
use super::model::{Caller, Model, Verdict};
use super::world::{Counter, Id, Request, Value, World};

pub type Pool = WorkerPool<Request, Value, Value>;

/// How long threads may take for what they owe at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Driver<M> {
    pub machine: M,
    pub world: Arc<World>,
    pub model: Model,
    pub pool: Pool,
    pub events: EventStream,
    pub calls: Vec<Held>,
    /// A result stream, its tasks, and a call that stands for who waits for it.
    stream: Option<Stream>,
    /// Shutdowns under way.
    pub shutdowns: Vec<Pin<Box<dyn Future<Output = ShutdownReport<Request>>>>>,
    epoch: Instant,
    hands: ManualClock,
    long_runs: bool,
}

struct Stream {
    stream: ResultStream<Request, Value, Value>,
    tasks: Vec<Id>,
    bell: Arc<super::calls::Bell>,
    waits: bool,
}

/// Tasks that a stream may have outstanding.
const STREAM_LIMIT: usize = 3;

impl<M: Machine> Driver<M> {
    pub fn new(shape: &Shape) -> Self {
        let config = shape.config();
        let ruins = if M::CONCURRENT {
            // When the last worker of a pool of threads ends, the pool closes a moment after.
            config.worker_count - 1
        } else {
            config.worker_count
        };
        let world = World::new(ruins);
        let longest_run = if M::CONCURRENT { shape.longest_run() } else { 1 };
        let model = Model::new(&config, longest_run, M::CONCURRENT, shape.times_all());
        let (clock, hands) = Clock::manual();
        let epoch = clock.now();
        let mut builder = Pool::builder().config(config).clock(clock);
        if shape.monitored {
            builder = builder.monitor(Counter(Arc::clone(&world)));
        }
        let (machine, pool) = M::build(builder, Arc::clone(&world));
        let mut driver = Self {
            machine,
            events: pool.events(),
            world,
            model,
            pool,
            calls: Vec::new(),
            stream: None,
            shutdowns: Vec::new(),
            epoch,
            hands,
            long_runs: longest_run > 1,
        };
        for address in (0..4).map(Address::Priority) {
            let lane = address.lane(driver.model.lanes());
            let bound = driver.pool.starvation_bound(address.priority());
            assert_eq!(bound, driver.model.bound(lane) - M::disorder(&driver.pool));
        }
        driver.after();
        driver
    }

    /// Does one operation.
    pub fn apply(&mut self, operation: &Operation) {
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
            Operation::Check => self.check(),
            Operation::ShutdownNow => self.shutdown_now(),
            Operation::ShutdownBegin => self.shutdown_begin(),
            Operation::EndRuntime => self.end_runtime(),
        }
        self.after();
    }

    /// Brings the model up to date, and looks whether everybody was woken who should be.
    fn after(&mut self) {
        if M::CONCURRENT {
            self.run();
        }
        self.read_journal();
        self.check_bells();
    }

    pub fn read_journal(&mut self) {
        while let Some(event) = self.world.next_event() {
            self.model.happened(event);
        }
    }

    /// Lets the workers go as far as they can.
    pub fn run(&mut self) {
        if M::CONCURRENT {
            self.read_journal();
            while !self.model.is_settled() {
                let moved = self.world.wait_for_event(PATIENCE);
                assert!(moved, "a worker does not do what it could: {:#?}", self.model);
                self.read_journal();
            }
            if self.long_runs {
                let statistics = self.pool.statistics();
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
            assert!(settled, "a worker does not do what it could: {:#?}", self.model);
        }
        self.model.settled();
    }

    /// What must be so: at once where the workers are steps of this thread, else in a moment.
    pub fn eventually(&self, what: &str, mut is: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            let late = !M::CONCURRENT || Instant::now() > deadline;
            assert!(!late, "{what}: {:#?}", self.model);
            std::thread::yield_now();
        }
    }

    /// Compares the statistics with the model.
    pub fn check(&mut self) {
        let mut difference = Ok(());
        self.eventually("the statistics differ", || {
            let now = self.model.compare(&self.pool.statistics());
            if !M::CONCURRENT && now.is_err() {
                panic!("the statistics differ: {now:?} {:#?}", self.model);
            }
            difference = now;
            difference.is_ok()
        });
        let usage = self.pool.usage_ratio();
        assert!((0.0..=1.0).contains(&usage));
    }

    /// Whoever has an answer, and one at each gate with room, has been woken.
    fn check_bells(&self) {
        for held in &self.calls {
            if held.awaits.is_some_and(|id| self.model.answer(id).is_some()) {
                self.eventually("an answered caller sleeps", || held.bell.has_rung());
            }
        }
        for lane in 0..self.model.lanes() {
            let mut waiting = self.calls.iter().filter(|held| held.at_gate == Some(lane));
            if self.model.is_closed() {
                self.eventually("a caller waits at a closed gate", || {
                    waiting.clone().all(|held| held.bell.has_rung())
                });
            } else if self.model.enough_room(lane) && waiting.clone().next().is_some() {
                self.eventually("a gate with room lets nobody in", || {
                    waiting.any(|held| held.bell.has_rung())
                });
            }
        }
        if let Some(stream) = self.stream.as_ref().filter(|stream| stream.waits) {
            let mut tasks = stream.tasks.iter();
            if tasks.any(|id| self.model.answer(*id).is_some()) {
                self.eventually("a stream with a result sleeps", || stream.bell.has_rung());
            }
        }
    }

    // Handing over.

    /// A task in the model and for the pool.
    fn make(&mut self, spec: &TaskSpec, caller: Caller) -> (Id, ProcessingTask<Request>) {
        let id = self.model.make(spec, caller);
        let request = Request {
            id,
            message_id: spec.numbered.then_some(id as u64),
            gated: spec.gated,
            end: spec.end,
            world: Arc::clone(&self.world),
        };
        let task = ProcessingTask::new(request).context(self.context(id, spec));
        let task = match spec.address {
            Address::Priority(_) => task.priority(spec.address.priority()),
            Address::Lane(lane) => task.lane(lane),
        };
        (id, task)
    }

    fn context(&self, id: Id, spec: &TaskSpec) -> TaskContext {
        let mut context = TaskContext::new();
        if spec.numbered {
            context = context.with_message_id(id as u64).with_connection_id(7);
        }
        if let Some(deadline) = self.model.deadline(id) {
            context = context.with_deadline(self.epoch + Duration::from_secs(deadline));
        }
        context
    }

    fn try_submit(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Waits);
        let verdict = self.model.submit(id, false);
        let submitted = self.pool.try_submit(task);
        self.hold_ticket(id, verdict, submitted);
    }

    fn submit_blocking(&mut self, spec: &TaskSpec) {
        if self.model.would_wait(spec) {
            return;
        }
        let (id, task) = self.make(spec, Caller::Waits);
        let verdict = self.model.submit(id, true);
        let submitted = self.pool.submit_blocking(task);
        self.hold_ticket(id, verdict, submitted);
    }

    fn hold_ticket(
        &mut self,
        id: Id,
        verdict: Verdict,
        submitted: Result<Ticket<Value, Value>, SubmitError<Request>>,
    ) {
        match submitted {
            Ok(ticket) => {
                assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                self.calls.push(Held::new(Call::Ticket(id, ticket)));
            }
            Err(refused) => check_refusal(id, verdict, refused),
        }
    }

    fn try_spawn(
        &mut self,
        spec: &TaskSpec,
        spawn: fn(&Pool, ProcessingTask<Request>) -> Result<(), SubmitError<Request>>,
    ) {
        let (id, task) = self.make(spec, Caller::Nobody);
        let verdict = self.model.submit(id, false);
        match spawn(&self.pool, task) {
            Ok(()) => assert_eq!(verdict, Verdict::Enters, "task {id} was accepted"),
            Err(refused) => check_refusal(id, verdict, refused),
        }
    }

    /// The caller has no time: a task that is accepted is cancelled, unless a thread is as quick.
    fn execute_timeout(&mut self, spec: &TaskSpec) {
        let spec = TaskSpec {
            address: Address::Priority(spec.address.priority() as usize),
            ..spec.clone()
        };
        if M::CONCURRENT && !self.model.all_busy() {
            return;
        }
        let id = self.model.make(&spec, Caller::Waits);
        let request = Request {
            id,
            message_id: spec.numbered.then_some(id as u64),
            gated: spec.gated,
            end: spec.end,
            world: Arc::clone(&self.world),
        };
        let context = self.context(id, &spec);
        let verdict = self.model.submit(id, false);
        let priority = spec.address.priority();
        match self.pool.execute_timeout(request, priority, context, Duration::ZERO) {
            Err(ExecuteError::Refused(refused)) => check_refusal(id, verdict, refused),
            Err(ExecuteError::TimedOut) => {
                assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                self.model.leave(id);
            }
            other => panic!("task {id} was answered in no time: {other:?}"),
        }
    }

    fn begin_submit(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Waits);
        let pool = self.pool.clone();
        let future = Box::pin(async move { pool.submit(task).await });
        self.begin(Call::Submit(id, future));
    }

    fn begin_spawn(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Nobody);
        let pool = self.pool.clone();
        let future = Box::pin(async move { pool.spawn(task).await });
        self.begin(Call::Spawn(id, future));
    }

    fn begin_execute(&mut self, spec: &TaskSpec) {
        let spec = TaskSpec {
            address: Address::Priority(spec.address.priority() as usize),
            ..spec.clone()
        };
        let (id, task) = self.make(&spec, Caller::Waits);
        let context = self.context(id, &spec);
        let pool = self.pool.clone();
        let future = Box::pin(async move {
            let priority = spec.address.priority();
            pool.execute(task.into_request(), priority, context).await
        });
        self.begin(Call::Execute(id, future));
    }

    /// Threads that are free would take tasks while the batch is handed over, and the model could not
    /// tell how many.
    fn begin_batch(&mut self, specs: &[TaskSpec]) {
        if M::CONCURRENT {
            let fits = |lane| {
                let lanes = self.model.lanes();
                let tasks = specs.iter().filter(|spec| spec.address.lane(lanes) == lane);
                tasks.count() <= self.model.room(lane)
            };
            if !self.model.all_busy() || !(0..self.model.lanes()).all(fits) {
                return;
            }
        }
        let (ids, tasks): (Vec<_>, Vec<_>) = specs
            .iter()
            .map(|spec| self.make(spec, Caller::Waits))
            .unzip();
        let pool = self.pool.clone();
        let future = Box::pin(async move { pool.execute_batch(tasks).await });
        self.begin(Call::Batch(Feed::new(ids), future));
    }

    fn begin(&mut self, call: Call) {
        let held = Held::new(call);
        self.poll(held);
    }

    // Calls that are held.

    fn with_call(&mut self, which: u8, act: fn(&mut Self, Held)) {
        if !self.calls.is_empty() {
            let index = usize::from(which) % self.calls.len();
            let held = self.calls.remove(index);
            act(self, held);
        }
    }

    /// Polls a call, and keeps it unless it is ready.
    pub fn poll(&mut self, mut held: Held) {
        let notified = held.bell.take();
        held.at_gate = None;
        held.awaits = None;
        let waker = held.waker.clone();
        let mut context = Context::from_waker(&waker);
        let keep = match &mut held.call {
            Call::Ticket(id, ticket) => {
                let id = *id;
                held.awaits = Some(id);
                match Pin::new(ticket).poll(&mut context) {
                    Poll::Pending => self.still_unanswered(id, &held),
                    Poll::Ready(answer) => self.answered(id, answer),
                }
            }
            Call::Submit(id, future) => {
                let id = *id;
                let verdict = self.approach(id, held.progress, notified);
                match future.as_mut().poll(&mut context) {
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(submitted) => {
                        self.hold_ticket(id, verdict, submitted);
                        false
                    }
                }
            }
            Call::Spawn(id, future) => {
                let id = *id;
                let verdict = self.approach(id, held.progress, notified);
                match future.as_mut().poll(&mut context) {
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(Ok(())) => {
                        assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                        false
                    }
                    Poll::Ready(Err(refused)) => {
                        check_refusal(id, verdict, refused);
                        false
                    }
                }
            }
            Call::Execute(id, future) => {
                let id = *id;
                let verdict = self.approach(id, held.progress, notified);
                held.awaits = (verdict == Verdict::Enters).then_some(id);
                match future.as_mut().poll(&mut context) {
                    Poll::Pending if verdict == Verdict::Enters => {
                        held.progress = Progress::Inside;
                        self.still_unanswered(id, &held)
                    }
                    Poll::Pending => held_up(id, verdict),
                    Poll::Ready(executed) => {
                        self.executed(id, verdict, executed);
                        false
                    }
                }
            }
            Call::Batch(feed, future) => {
                let waits_still = held.progress == Progress::Waiting && !notified;
                let at_gate = if held.progress == Progress::Inside || waits_still {
                    None
                } else {
                    feed.advance(&mut self.model)
                };
                let polled = future.as_mut().poll(&mut context);
                if waits_still || at_gate.is_some() {
                    assert!(polled.is_pending(), "a batch is ready before it is in");
                    held.progress = Progress::Waiting;
                    held.at_gate = at_gate.or_else(|| feed.lane_ahead(&self.model));
                    true
                } else {
                    held.progress = Progress::Inside;
                    match polled {
                        Poll::Pending => {
                            held.awaits = feed.first_unanswered(&self.model);
                            let id = held.awaits.expect("a batch without open tasks is ready");
                            self.still_unanswered(id, &held)
                        }
                        Poll::Ready(results) => {
                            let verdicts: VecDeque<_> = feed
                                .tasks()
                                .iter()
                                .map(|id| (*id, feed.refusal(*id).unwrap_or(Verdict::Enters)))
                                .collect();
                            assert_eq!(results.len(), verdicts.len());
                            for ((id, verdict), result) in verdicts.into_iter().zip(results) {
                                self.executed(id, verdict, result);
                            }
                            false
                        }
                    }
                }
            }
        };
        if keep {
            if let Call::Submit(id, _) | Call::Spawn(id, _) | Call::Execute(id, _) = &held.call
                && held.awaits.is_none()
            {
                held.progress = Progress::Waiting;
                held.at_gate = Some(self.model.task(*id).lane);
            }
            self.calls.push(held);
        }
    }

    /// A task that is not in its lane yet comes nearer: at once, or when it was let in.
    fn approach(&mut self, id: Id, progress: Progress, notified: bool) -> Verdict {
        match progress {
            Progress::Fresh => self.model.submit(id, true),
            Progress::Waiting if notified => self.model.enter(id, true),
            Progress::Waiting => Verdict::Waits,
            Progress::Inside => Verdict::Enters,
        }
    }

    /// A caller that finds no answer. Threads answer a moment after they tell of the end. Returns that
    /// the call is kept.
    fn still_unanswered(&self, id: Id, held: &Held) -> bool {
        if self.model.answer(id).is_some() {
            self.eventually("an answered caller waits", || {
                M::CONCURRENT && held.bell.has_rung()
            });
        }
        true
    }

    /// Compares an answer with the model. Returns that the call is not kept.
    fn answered(&mut self, id: Id, answer: Result<Value, ProcessingError<Value>>) -> bool {
        if M::CONCURRENT {
            self.run();
        }
        let outcome = match answer {
            Ok(value) => {
                assert_eq!(value.id, id, "the response of another task");
                Outcome::Completed
            }
            Err(ProcessingError::Failed(value)) => {
                assert_eq!(value.id, id, "the error of another task");
                Outcome::Failed
            }
            Err(ProcessingError::Panicked(_)) => Outcome::Panicked,
            Err(ProcessingError::Expired) => Outcome::Expired,
            Err(ProcessingError::Abandoned) => Outcome::Abandoned,
            Err(other) => panic!("task {id} ended with {other:?}"),
        };
        assert_eq!(self.model.answer(id), Some(outcome), "the answer of task {id}");
        false
    }

    fn executed(&mut self, id: Id, verdict: Verdict, executed: Executed) {
        match executed {
            Ok(value) => {
                self.answered(id, Ok(value));
            }
            Err(ExecuteError::Processing(error)) => {
                self.answered(id, Err(error));
            }
            Err(ExecuteError::Refused(refused)) => check_refusal(id, verdict, refused),
            Err(other) => panic!("task {id} ended with {other:?}"),
        }
    }

    /// Drops a call, which cancels.
    pub fn give_up(&mut self, held: Held) {
        let ids = match &held.call {
            Call::Ticket(id, _) | Call::Execute(id, _) => vec![*id],
            Call::Batch(feed, _) => feed.tasks().to_vec(),
            Call::Submit(..) | Call::Spawn(..) => Vec::new(),
        };
        drop(held);
        for id in ids {
            if self.model.is_inside(id) {
                self.model.leave(id);
            }
        }
    }

    fn detach(&mut self, held: Held) {
        match held.call {
            Call::Ticket(id, ticket) => {
                ticket.detach();
                self.model.detach(id);
            }
            _ => self.calls.push(held),
        }
    }

    fn wait_no_time(&mut self, mut held: Held) {
        match held.call {
            Call::Ticket(id, ticket) => match ticket.wait_timeout(Duration::ZERO) {
                Ok(answer) => {
                    self.answered(id, answer);
                }
                Err(ticket) => {
                    let answered = self.model.answer(id).is_some();
                    assert!(M::CONCURRENT || !answered, "a wait misses the answer");
                    // The waker of the wait has taken the place of the call's.
                    held.awaits = None;
                    held.call = Call::Ticket(id, ticket);
                    self.calls.push(held);
                }
            },
            _ => self.calls.push(held),
        }
    }
}

/// One of several by a number.
fn pick(which: u8, among: &[Id]) -> Option<Id> {
    among.get(usize::from(which) % among.len().max(1)).copied()
}

/// A call that is pending before its task is accepted. Returns that it is kept.
fn held_up(id: Id, verdict: Verdict) -> bool {
    assert_eq!(verdict, Verdict::Waits, "task {id} is made to wait");
    true
}

/// The pool refuses for the model's reason, and hands the same request back.
pub fn check_refusal(id: Id, verdict: Verdict, refused: SubmitError<Request>) {
    let found = match refused {
        SubmitError::Full(_) => Verdict::Full,
        SubmitError::Closed(_) => Verdict::Closed,
        SubmitError::Expired(_) => Verdict::Expired,
        SubmitError::NoSuchLane { .. } => Verdict::NoSuchLane,
        other => panic!("task {id} is refused: {other}"),
    };
    assert_eq!(found, verdict, "task {id} is refused");
    assert_eq!(refused.into_request().id, id, "another request came back");
}
