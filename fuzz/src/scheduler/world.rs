//! What the service, its requests and its answers share with the driver: a journal of what happened,
//! and the gates at which tasks wait until the driver says how they end.
//!
//! Panics of the service are raised by `resume_unwind`, which runs no panic hook: the hook of a fuzz
//! target ends the process, so that a failed assertion counts wherever it is caught.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use lanepool::{
    Answers, AsyncBatchService, AsyncService, Batch, BatchService, Outcome, PerformanceMonitor,
    Service, TaskContext,
};

use super::input::End;

/// A task's number: its place in the model's list.
pub(crate) type Id = usize;

/// Something that happened, in the order in which it did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The service was entered.
    Started { id: Id, worker: usize },
    /// The service is about to end a task so.
    Ended { id: Id, end: End, worker: usize },
    /// By a worker, where that can be told.
    RequestDropped { id: Id, worker: Option<usize> },
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// Events that the driver has read.
    read: usize,
    decided: BTreeMap<Id, End>,
    gates: BTreeMap<Id, Waker>,
    open: bool,
    /// Workers whose next state cannot be made.
    ruined: BTreeSet<usize>,
    /// Workers that may still be ruined.
    ruins_left: usize,
    /// The number of the task that was spawned before the workers.
    before_workers: Option<u64>,
    values_alive: usize,
    seen: Seen,
}

/// What a monitor was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) enqueued: u64,
    pub(crate) dequeued: u64,
    pub(crate) finished: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct World {
    state: Mutex<State>,
    moved: Condvar,
}

impl World {
    /// A world in which so many workers may be ruined.
    pub(crate) fn new(ruins: usize) -> Arc<Self> {
        let world = Self::default();
        world.lock().ruins_left = ruins;
        Arc::new(world)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tell(&self, event: Event) {
        self.lock().events.push(event);
        self.moved.notify_all();
    }

    /// The next event that the driver has not read.
    pub(crate) fn next_event(&self) -> Option<Event> {
        let mut state = self.lock();
        let event = state.events.get(state.read).copied()?;
        state.read += 1;
        Some(event)
    }

    /// How much has happened.
    pub(crate) fn events(&self) -> usize {
        self.lock().events.len()
    }

    /// Waits until something has happened that the driver has not read. Returns whether it has.
    pub(crate) fn wait_for_event(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.events.len() == state.read {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.moved.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// Says how a task at its gate ends.
    pub(crate) fn release(&self, id: Id, end: End) {
        let waker = {
            let mut state = self.lock();
            state.decided.insert(id, end);
            state.gates.remove(&id)
        };
        self.moved.notify_all();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Lets every task end as it was planned.
    pub(crate) fn open_gates(&self) {
        let wakers = {
            let mut state = self.lock();
            state.open = true;
            std::mem::take(&mut state.gates)
        };
        self.moved.notify_all();
        wakers.into_values().for_each(Waker::wake);
    }

    /// Answers of the service that have not been dropped.
    pub(crate) fn values_alive(&self) -> usize {
        self.lock().values_alive
    }

    /// What the monitor was told.
    pub(crate) fn seen(&self) -> Seen {
        self.lock().seen
    }

    /// A worker's state, which is its number. Unwinds when the worker was ruined.
    fn make_state(&self, worker: usize) -> usize {
        if self.lock().ruined.contains(&worker) {
            resume_unwind(Box::new("no state for a ruined worker"));
        }
        worker
    }

    /// The end of a request at its gate, once it is known.
    fn end_of(&self, state: &State, request: &Request) -> Option<End> {
        let planned = (!request.gated || state.open).then_some(request.end);
        state.decided.get(&request.id).copied().or(planned)
    }

    /// Waits at a request's gate, if it has one.
    async fn pass(&self, request: &Request) -> End {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(end) = self.end_of(&state, request) {
                return Poll::Ready(end);
            }
            state.gates.insert(request.id, context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// As [`World::pass`], on a thread.
    fn wait(&self, request: &Request) -> End {
        let mut state = self.lock();
        loop {
            if let Some(end) = self.end_of(&state, request) {
                return end;
            }
            state = match self.moved.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }

    fn begin(&self, worker: usize, request: &Request, context: &TaskContext) {
        assert_eq!(context.message_id(), request.message_id);
        self.tell(Event::Started {
            id: request.id,
            worker,
        });
    }

    /// Workers are those tasks of a runtime that follow the one with this number.
    pub(crate) fn workers_follow(&self, task: u64) {
        self.lock().before_workers = Some(task);
    }

    /// The worker that runs this, if it is a task of a runtime.
    fn worker_here(&self) -> Option<usize> {
        let before = self.lock().before_workers?;
        let number = task_number(tokio::task::try_id()?);
        usize::try_from(number.checked_sub(before + 1)?).ok()
    }

    /// Ends a request on a worker.
    fn finish(self: &Arc<Self>, worker: usize, request: Request, end: End) -> Result<Value, Value> {
        let id = request.id;
        let end = {
            let mut state = self.lock();
            if end == End::Ruin && state.ruins_left > 0 {
                state.ruins_left -= 1;
                state.ruined.insert(worker);
                End::Ruin
            } else if end == End::Ruin {
                End::Panic
            } else {
                end
            }
        };
        self.tell(Event::Ended { id, end, worker });
        drop(request);
        match end {
            End::Complete => Ok(Value::new(id, self)),
            End::Fail => Err(Value::new(id, self)),
            End::Panic if id.is_multiple_of(2) => resume_unwind(Box::new(format!("panic of {id}"))),
            End::Panic => resume_unwind(Box::new(id)),
            End::Ruin => resume_unwind(Box::new("a panic that ruins the worker")),
        }
    }
}

/// A runtime's number of a task: tasks are numbered as they are spawned.
pub(crate) fn task_number(id: tokio::task::Id) -> u64 {
    let number = id.to_string().parse();
    number.expect("a task's number is written as one")
}

/// A request, whose drop is told.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) message_id: Option<u64>,
    pub(crate) gated: bool,
    pub(crate) end: End,
    pub(crate) world: Arc<World>,
}

impl Drop for Request {
    fn drop(&mut self) {
        let worker = self.world.worker_here();
        self.world.tell(Event::RequestDropped {
            id: self.id,
            worker,
        });
    }
}

/// What the service answers with, as response and as error; counted while it is alive.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) id: Id,
    world: Arc<World>,
}

impl Value {
    fn new(id: Id, world: &Arc<World>) -> Self {
        world.lock().values_alive += 1;
        Self {
            id,
            world: Arc::clone(world),
        }
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self::new(self.id, &self.world)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.world.lock().values_alive -= 1;
    }
}

/// The service: tells of its beginning, waits at the gate, tells of its end.
#[derive(Debug)]
pub(crate) struct Gated(pub(crate) Arc<World>);

impl AsyncService<Request> for Gated {
    type Response = Value;
    type Error = Value;
    type State = usize;

    fn state(&self, worker: usize) -> usize {
        self.0.make_state(worker)
    }

    async fn call(
        &self,
        worker: &mut usize,
        request: Request,
        context: &TaskContext,
    ) -> Result<Value, Value> {
        self.0.begin(*worker, &request, context);
        let end = self.0.pass(&request).await;
        self.0.finish(*worker, request, end)
    }
}

/// One request after the other; a panic is the whole batch's.
impl AsyncBatchService<Request> for Gated {
    type Response = Value;
    type Error = Value;
    type State = usize;

    fn state(&self, worker: usize) -> usize {
        self.0.make_state(worker)
    }

    async fn call_batch(
        &self,
        worker: &mut usize,
        batch: Batch<Request>,
    ) -> Result<Answers<Value, Value>, Value> {
        let mut answers = Answers::new();
        for (request, context) in batch {
            self.0.begin(*worker, &request, &context);
            let end = self.0.pass(&request).await;
            answers.push(self.0.finish(*worker, request, end));
        }
        Ok(answers)
    }
}

impl Service<Request> for Gated {
    type Response = Value;
    type Error = Value;
    type State = usize;

    fn state(&self, worker: usize) -> usize {
        self.0.make_state(worker)
    }

    fn call(
        &self,
        worker: &mut usize,
        request: Request,
        context: &TaskContext,
    ) -> Result<Value, Value> {
        self.0.begin(*worker, &request, context);
        let end = self.0.wait(&request);
        self.0.finish(*worker, request, end)
    }
}

/// One request after the other. A panic is its request's, but one that ruins the worker is the whole batch's, after
/// all of it has ended.
impl BatchService<Request> for Gated {
    type Response = Value;
    type Error = Value;
    type State = usize;

    fn state(&self, worker: usize) -> usize {
        self.0.make_state(worker)
    }

    fn call_batch(
        &self,
        worker: &mut usize,
        batch: Batch<Request>,
    ) -> Result<Answers<Value, Value>, Value> {
        let answers = batch.answer_each(|request, context| {
            self.0.begin(*worker, &request, context);
            let end = self.0.wait(&request);
            self.0.finish(*worker, request, end)
        });
        if self.0.lock().ruined.contains(worker) {
            drop(answers);
            resume_unwind(Box::new("a batch that ruins the worker"));
        }
        Ok(answers)
    }
}

/// Counts what it is told.
#[derive(Debug)]
pub(crate) struct Counter(pub(crate) Arc<World>);

impl PerformanceMonitor for Counter {
    fn on_enqueued(&self, _lane: usize) {
        self.0.lock().seen.enqueued += 1;
    }

    fn on_dequeued(&self, _lane: usize, _wait: Duration) {
        self.0.lock().seen.dequeued += 1;
    }

    fn on_finished(&self, _lane: usize, _run: Duration, _outcome: Outcome) {
        self.0.lock().seen.finished += 1;
    }
}
