//! The ways in: hands tasks to the model and to the pool, and compares what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use lanepool::{ExecuteError, ProcessingTask, SubmitError, TaskContext, Ticket};

use super::calls::{Call, Feed, Held};
use super::driver::{Driver, Pool};
use super::input::{Address, TaskSpec};
use super::machine::Machine;
use super::model::{Arrivals, Caller, Verdict};
use super::world::{Id, Request, Value};

/// What is seen of the pool from outside: how long the workers' queues are, and how much it has accepted, as
/// far as that says something that the model does not know.
pub(crate) struct Sight {
    depths: Vec<u64>,
    accepted: Option<u64>,
}

impl<M: Machine> Driver<M> {
    /// Looks at the pool.
    pub(crate) fn look(&self) -> Sight {
        let places = self.pool.as_ref().filter(|_| self.model.is_elsewhere());
        let accepts = places.filter(|_| self.model.places_singles());
        let depths = |pool: &Pool| {
            let workers = pool.load_balancer().metrics();
            workers.iter().map(|worker| worker.queue_depth).collect()
        };
        Sight {
            depths: places.map(depths).unwrap_or_default(),
            accepted: accepts.map(|pool| pool.scheduler().statistics().scheduled),
        }
    }

    /// Where something has arrived since.
    pub(crate) fn arrivals(&self, before: &Sight, together: bool) -> Arrivals {
        Arrivals::seen(&before.depths, &self.look().depths, together)
    }

    /// Whether a call that does not say so itself was accepted.
    pub(crate) fn has_accepted(&self, expected: Verdict, before: &Sight) -> bool {
        match expected {
            Verdict::AsPlaced => self.look().accepted > before.accepted,
            expected => expected == Verdict::Enters,
        }
    }

    /// A task was handed to the pool, which accepted it or did not. Returns what became of it, as far as the
    /// model leaves that open.
    pub(crate) fn came_in(
        &mut self,
        id: Id,
        expected: Verdict,
        before: &Sight,
        accepted: bool,
    ) -> Verdict {
        let verdict = match expected {
            Verdict::AsPlaced => self.model.placed(id, true, accepted),
            expected => expected,
        };
        self.has_come(id, verdict, before, accepted);
        verdict
    }

    /// As [`Driver::came_in`], for a call that does not wait for room.
    pub(crate) fn tried(
        &mut self,
        id: Id,
        expected: Verdict,
        before: &Sight,
        accepted: bool,
    ) -> Verdict {
        let verdict = match expected {
            Verdict::AsPlaced => self.model.placed(id, false, accepted),
            expected => expected,
        };
        self.has_come(id, verdict, before, accepted);
        verdict
    }

    fn has_come(&mut self, id: Id, verdict: Verdict, before: &Sight, accepted: bool) {
        if verdict == Verdict::Enters && accepted {
            let mut arrivals = self.arrivals(before, false);
            self.model.accept(id, &mut arrivals);
            arrivals.finish();
        }
    }

    /// A task in the model and for the pool.
    pub(crate) fn make(
        &mut self,
        spec: &TaskSpec,
        caller: Caller,
    ) -> (Id, ProcessingTask<Request>) {
        let id = self.model.make(spec, caller);
        let request = Request {
            id,
            message_id: spec.numbered.then_some(id as u64 + 1),
            gated: spec.gated,
            end: spec.end,
            world: Arc::clone(&self.world),
        };
        let task = ProcessingTask::new(request).context(self.context(id, spec));
        let task = match spec.address {
            Address::Priority(_) => task.priority(spec.address.priority()),
            Address::Lane(_) => task.lane(spec.address.lane(self.model.lanes())),
        };
        (id, task)
    }

    pub(crate) fn context(&self, id: Id, spec: &TaskSpec) -> TaskContext {
        let mut context = TaskContext::new();
        if spec.numbered {
            context = context
                .with_message_id(id as u64 + 1)
                .with_connection_id(spec.connection);
        }
        if let Some(key) = spec.given {
            context = context.with_key(key);
        }
        if let Some(deadline) = self.model.deadline(id) {
            context = context.with_deadline(self.epoch + Duration::from_secs(deadline));
        }
        context
    }

    pub(crate) fn try_submit(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Waits);
        let (sight, expected) = (self.look(), self.model.submit(id, false));
        let submitted = self.pool().try_submit(task);
        let verdict = self.tried(id, expected, &sight, submitted.is_ok());
        self.hold_ticket(id, verdict, submitted);
    }

    pub(crate) fn submit_blocking(&mut self, spec: &TaskSpec) {
        if self.model.would_wait(spec) {
            return;
        }
        let (id, task) = self.make(spec, Caller::Waits);
        let (sight, expected) = (self.look(), self.model.submit(id, true));
        let submitted = self.pool().submit_blocking(task);
        let verdict = self.tried(id, expected, &sight, submitted.is_ok());
        self.hold_ticket(id, verdict, submitted);
    }

    pub(crate) fn hold_ticket(
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

    pub(crate) fn try_spawn(
        &mut self,
        spec: &TaskSpec,
        spawn: fn(&Pool, ProcessingTask<Request>) -> Result<(), SubmitError<Request>>,
    ) {
        let (id, task) = self.make(spec, Caller::Nobody);
        let (sight, expected) = (self.look(), self.model.submit(id, false));
        let spawned = spawn(self.pool(), task);
        let verdict = self.tried(id, expected, &sight, spawned.is_ok());
        match spawned {
            Ok(()) => assert_eq!(verdict, Verdict::Enters, "task {id} was accepted"),
            Err(refused) => check_refusal(id, verdict, refused),
        }
    }

    /// The caller has no time: a task that is accepted is cancelled, unless a thread is as quick.
    pub(crate) fn execute_timeout(&mut self, spec: &TaskSpec) {
        let spec = TaskSpec {
            address: Address::Priority(spec.address.priority() as usize),
            ..spec.clone()
        };
        if M::CONCURRENT && !self.model.all_busy() {
            return;
        }
        let (id, task) = self.make(&spec, Caller::Waits);
        let context = self.context(id, &spec);
        let (sight, expected) = (self.look(), self.model.submit(id, false));
        let priority = spec.address.priority();
        let executed =
            self.pool()
                .execute_timeout(task.into_request(), priority, context, Duration::ZERO);
        let accepted = !matches!(executed, Err(ExecuteError::Refused(_)));
        let verdict = self.tried(id, expected, &sight, accepted);
        match executed {
            Err(ExecuteError::Refused(refused)) => check_refusal(id, verdict, refused),
            Err(ExecuteError::TimedOut) => {
                assert_eq!(verdict, Verdict::Enters, "task {id} was accepted");
                self.model.leave(id);
            }
            other => panic!("task {id} was answered in no time: {other:?}"),
        }
    }

    pub(crate) fn begin_submit(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Waits);
        let pool = self.pool().clone();
        let future = Box::pin(async move { pool.submit(task).await });
        self.begin(Call::Submit(id, future));
    }

    pub(crate) fn begin_spawn(&mut self, spec: &TaskSpec) {
        let (id, task) = self.make(spec, Caller::Nobody);
        let pool = self.pool().clone();
        let future = Box::pin(async move { pool.spawn(task).await });
        self.begin(Call::Spawn(id, future));
    }

    pub(crate) fn begin_execute(&mut self, spec: &TaskSpec) {
        let spec = TaskSpec {
            address: Address::Priority(spec.address.priority() as usize),
            ..spec.clone()
        };
        let (id, task) = self.make(&spec, Caller::Waits);
        let context = self.context(id, &spec);
        let pool = self.pool().clone();
        let future = Box::pin(async move {
            let priority = spec.address.priority();
            pool.execute(task.into_request(), priority, context).await
        });
        self.begin(Call::Execute(id, future));
    }

    /// Threads that are free would take tasks while the batch is handed over, and the model could not
    /// tell how many.
    pub(crate) fn begin_batch(&mut self, specs: &[TaskSpec]) {
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
        let specs = self.model.fit_batch(specs);
        let (ids, tasks): (Vec<_>, Vec<_>) = specs
            .iter()
            .map(|spec| self.make(spec, Caller::Waits))
            .unzip();
        let pool = self.pool().clone();
        let future = Box::pin(async move { pool.execute_batch(tasks).await });
        self.begin(Call::Batch(Feed::new(ids), future));
    }

    pub(crate) fn begin(&mut self, call: Call) {
        let held = Held::new(call);
        self.poll(held);
    }
}

/// The pool refuses for the model's reason, and hands the same request back.
pub(crate) fn check_refusal(id: Id, verdict: Verdict, refused: SubmitError<Request>) {
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
