//! Threads that nobody waits for: the scheduling of a pool changes while they work.
//!
//! The operations are done one after the other without a look at what the workers are at, so the model cannot
//! follow. What must be so whoever was quicker is looked at in the journal and at the end:
//!
//! - a task is refused and comes back, or it is accepted and ends once, its request is dropped once, and whoever
//!   waits gets its own answer;
//! - tasks of one key that were handed in after the pool first kept their order start in that order, and one at a
//!   time;
//! - at the end every accepted task is accounted for, nothing is queued or running, and no key is left;
//! - a drain runs everything that was accepted, unless no worker is left for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanepool::{
    Clock, ManualClock, ProcessingError, ProcessingTask, SchedulingStrategy, SubmitError,
    TaskContext, TaskPriority, Ticket,
};

use super::driver::{PATIENCE, Pool, in_a_moment};
use super::input::{Address, Ending, Key, Operation, Scenario, TaskSpec};
use super::machine::{Machine, Threads, threads};
use super::world::{Event, Id, Request, Value, World};

/// A task that the pool was given.
struct Given {
    /// What its order depends on, if the pool keeps that.
    key: Option<Key>,
    accepted: bool,
}

struct Storm {
    world: Arc<World>,
    pool: Pool,
    hands: ManualClock,
    /// The pool's time as the hands have it.
    now: Instant,
    lanes: usize,
    workers: usize,
    /// Whether some workers do not take all lanes.
    is_picky: bool,
    /// Whether tasks of a key keep their order.
    keyed: bool,
    given: Vec<Given>,
    tickets: Vec<(Id, Ticket<Value, Value>)>,
    closed: bool,
}

/// Does what the scenario says, and looks at what became of it.
pub(super) fn run(scenario: &Scenario) {
    let threads_before = threads();
    let config = scenario.shape.config_with_batches();
    let world = World::new(config.worker_count - 1);
    let (clock, hands) = Clock::manual();
    let now = clock.now();
    let builder = Pool::builder().config(config.clone()).clock(clock);
    let (_, pool) = Threads::build(builder, Arc::clone(&world), scenario.shape.is_batched());
    let mut storm = Storm {
        world,
        pool,
        hands,
        now,
        lanes: config.lanes.len(),
        workers: config.worker_count,
        is_picky: !config.reserved.is_empty(),
        keyed: config.scheduling_strategy == SchedulingStrategy::HashBased,
        given: Vec::new(),
        tickets: Vec::new(),
        closed: false,
    };
    for operation in &scenario.operations {
        storm.apply(operation);
    }
    storm.finish(scenario.ending);
    in_a_moment("a thread is left", || threads() <= threads_before);
}

impl Storm {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::TrySubmit(spec)
            | Operation::Submit(spec)
            | Operation::Execute(spec)
            | Operation::SubmitBlocking(spec)
            | Operation::StreamTrySubmit(spec)
            | Operation::StreamSubmit(spec)
            | Operation::ExecuteTimeout(spec) => {
                self.hand_over(spec, |pool, task| pool.try_submit(task).map(Some));
            }
            Operation::TrySpawn(spec) | Operation::Spawn(spec) | Operation::SpawnBlocking(spec) => {
                self.hand_over(spec, |pool, task| pool.try_spawn(task).map(|()| None));
            }
            Operation::Batch(specs) => specs.iter().for_each(|spec| {
                self.hand_over(spec, |pool, task| pool.try_spawn(task).map(|()| None));
            }),
            Operation::Drop(which) | Operation::Detach(which) => self.let_go(*which, operation),
            Operation::Release(which, end) => {
                if !self.given.is_empty() {
                    self.world
                        .release(usize::from(*which) % self.given.len(), *end);
                }
            }
            Operation::Advance(seconds) => {
                let by = Duration::from_secs(*seconds);
                self.now += by;
                self.hands.advance(by);
            }
            Operation::SetStrategy(strategy) => {
                self.pool.scheduler().set_strategy(*strategy);
                self.keyed |= *strategy == SchedulingStrategy::HashBased;
            }
            Operation::SetBalancing(strategy) => {
                self.pool.load_balancer().set_strategy(*strategy);
            }
            Operation::SetWeights([weight, _]) => {
                let weights = vec![u32::from(*weight) + 1; self.workers];
                let changed = self.pool.load_balancer().set_weights(&weights);
                changed.expect("these are weights");
            }
            Operation::Pause(priority) => self.pool.scheduler().pause(*priority),
            Operation::Resume(priority) => self.pool.scheduler().resume(*priority),
            Operation::Check => {
                self.pool.scheduler().statistics();
                self.pool.load_balancer().metrics();
            }
            Operation::ShutdownNow => self.shut_down(Duration::ZERO),
            _ => std::thread::yield_now(),
        }
    }

    fn hand_over(
        &mut self,
        spec: &TaskSpec,
        call: impl FnOnce(
            &Pool,
            ProcessingTask<Request>,
        ) -> Result<Option<Ticket<Value, Value>>, SubmitError<Request>>,
    ) {
        let id = self.given.len();
        let mut context = TaskContext::new();
        if spec.numbered {
            context = context
                .with_message_id(id as u64 + 1)
                .with_connection_id(spec.connection);
        }
        if let Some(key) = spec.given {
            context = context.with_key(key);
        }
        let request = Request {
            id,
            message_id: context.message_id(),
            gated: spec.gated,
            end: spec.end,
            world: Arc::clone(&self.world),
        };
        let mut task = ProcessingTask::new(request).context(context);
        if let Some(seconds) = spec.deadline {
            task = task.deadline(self.now + Duration::from_secs(seconds));
        }
        let task = match spec.address {
            Address::Priority(_) => task.priority(spec.address.priority()),
            Address::Lane(_) => task.lane(spec.address.lane(self.lanes)),
        };
        let handed = call(&self.pool, task);
        self.given.push(Given {
            key: spec.key().filter(|_| self.keyed),
            accepted: handed.is_ok(),
        });
        match handed {
            Ok(ticket) => {
                assert!(!self.closed, "task {id} is accepted by a closed pool");
                self.tickets.extend(ticket.map(|ticket| (id, ticket)));
            }
            Err(refused) => assert_eq!(refused.into_request().id, id, "another came back"),
        }
    }

    fn let_go(&mut self, which: u8, how: &Operation) {
        if self.tickets.is_empty() {
            return;
        }
        let (_, ticket) = self
            .tickets
            .swap_remove(usize::from(which) % self.tickets.len());
        match how {
            Operation::Detach(_) => ticket.detach(),
            _ => drop(ticket),
        }
    }

    fn shut_down(&mut self, limit: Duration) {
        self.closed = true;
        let report = self.pool.shutdown_blocking(limit);
        for task in &report.returned {
            assert!(self.given[task.request.id].accepted, "it was refused");
        }
        if limit > Duration::ZERO {
            let over = report.running.is_empty() && report.returned.is_empty();
            assert!(over, "workers do not end: {report:?}");
        }
    }

    fn finish(mut self, ending: Ending) {
        match ending {
            Ending::Now => self.shut_down(Duration::ZERO),
            Ending::Finish => TaskPriority::ALL
                .into_iter()
                .for_each(|priority| self.pool.scheduler().resume(priority)),
            _ => {}
        }
        self.world.open_gates();
        let gave_up = self.closed;
        self.shut_down(PATIENCE);
        let statistics = self.pool.statistics();
        statistics.conserved().expect("everything is accounted for");
        let total = statistics.total();
        assert_eq!((total.queued, total.running), (0, 0), "{statistics:?}");
        let accepted = self.given.iter().filter(|task| task.accepted).count() as u64;
        assert_eq!(total.finished(), accepted, "every accepted task ends once");
        let scheduling = self.pool.scheduler().statistics();
        assert_eq!(scheduling.scheduled, accepted);
        assert_eq!(scheduling.live_keys, 0, "keys without tasks are left");
        let ended = self.check_journal();
        // Callers of tasks that still ran when the pool gave up were told that they are abandoned.
        let ran = total.completed + total.failed + total.panicked;
        let told_otherwise = if gave_up { total.abandoned } else { 0 };
        let counted = ran..=ran + told_otherwise;
        assert!(
            counted.contains(&ended),
            "{ended} tasks were ended, {counted:?} counted"
        );
        let may_lack_workers = self.is_picky && total.panicked > 0;
        assert!(
            gave_up || may_lack_workers || total.abandoned == 0,
            "a drain abandons {} tasks",
            total.abandoned
        );
        self.check_answers();
        drop(self.pool);
        in_a_moment("the service is alive", || {
            Arc::strong_count(&self.world) == 1
        });
        assert_eq!(self.world.values_alive(), 0, "an answer is leaked");
    }

    /// Whoever still waits has an answer, and no other's.
    fn check_answers(&mut self) {
        for (id, ticket) in self.tickets.drain(..) {
            match ticket.wait() {
                Ok(value) | Err(ProcessingError::Failed(value)) => {
                    assert_eq!(value.id, id, "another's answer");
                }
                Err(
                    ProcessingError::Panicked(_)
                    | ProcessingError::Expired
                    | ProcessingError::Abandoned,
                ) => {}
                Err(other) => panic!("task {id} is answered: {other:?}"),
            }
        }
    }

    /// What the workers have told. Returns how many tasks the service has ended.
    fn check_journal(&self) -> u64 {
        let mut dropped = vec![0_u32; self.given.len()];
        let mut ended = 0;
        // Of each key the last that was started, and the one that runs.
        let mut last: BTreeMap<Key, Id> = BTreeMap::new();
        let mut running: BTreeMap<Key, Id> = BTreeMap::new();
        while let Some(event) = self.world.next_event() {
            match event {
                Event::Started { id, .. } => {
                    let task = &self.given[id];
                    assert!(task.accepted, "task {id} was refused, and is started");
                    assert_eq!(dropped[id], 0, "task {id} is started after its end");
                    if let Some(key) = task.key {
                        let before = last.insert(key, id);
                        assert!(
                            before < Some(id),
                            "{id} of {key:?} is started after {before:?}"
                        );
                        let other = running.insert(key, id);
                        assert_eq!(other, None, "{id} of {key:?} is started beside another");
                    }
                }
                Event::Ended { id, .. } => {
                    ended += 1;
                    if let Some(key) = self.given[id].key {
                        assert_eq!(running.remove(&key), Some(id), "{id} of {key:?} ends");
                    }
                }
                Event::RequestDropped { id, .. } => dropped[id] += 1,
            }
        }
        let once = dropped.iter().all(|times| *times == 1);
        assert!(once, "a request is leaked, or dropped twice: {dropped:?}");
        ended
    }
}
