//! A real engine with the workers' real loops, for the models of what these do together.
//!
//! Only the threads' start is the models' own, because loom must know its threads; and what a
//! `WorkerPool` does by hand when it is shut down or dropped is repeated here step by step.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::Flaw;
use crate::clock::Clock;
use crate::config::{LaneConfig, WorkerPoolConfig};
use crate::engine;
use crate::error::ProcessingError;
use crate::idle::Sleeper;
use crate::idle::parker::Parker;
use crate::reply::{Promise, Ticket};
use crate::schedule::SchedulingStrategy;
use crate::schedule::shards::{Seat, Shard};
use crate::service::{Service, service_fn};
use crate::sync::thread as facade;
use crate::task::{Filed, Offer, Task, TaskContext};
use crate::worker::shift::Shift;
use crate::worker::thread as worker_thread;

pub(super) type Engine = engine::Engine<u32, u32, ()>;
pub(super) type Answer = Result<u32, ProcessingError<()>>;

/// One lane of two tasks, taken one by one.
pub(super) fn config(workers: usize) -> WorkerPoolConfig {
    WorkerPoolConfig {
        worker_count: workers,
        lanes: vec![LaneConfig::new().capacity(2)],
        max_run_length: 1,
        ..Default::default()
    }
}

/// As [`config`], where tasks are placed so.
pub(super) fn placed(
    workers: usize,
    strategy: SchedulingStrategy,
    stealing: bool,
) -> WorkerPoolConfig {
    WorkerPoolConfig {
        scheduling_strategy: strategy,
        enable_task_stealing: stealing,
        ..config(workers)
    }
}

/// An engine for workers that sleep in such beds, with a clock that stands still.
pub(super) fn engine_for(config: WorkerPoolConfig, sleeper: fn() -> Sleeper) -> Engine {
    let sleepers = (0..config.worker_count).map(|_| sleeper());
    Engine::new(config, Clock::manual().0, None, sleepers)
}

/// A place for a thread to sleep.
pub(super) fn bed() -> Sleeper {
    Sleeper::Thread(Parker::new())
}

/// An engine for workers that are threads.
pub(super) fn of_threads(config: WorkerPoolConfig) -> Arc<Engine> {
    Arc::new(engine_for(config, bed))
}

/// An offer of a request, and the ticket for its answer.
pub(super) fn offer(
    engine: &Engine,
    lane: usize,
    context: TaskContext,
    request: u32,
) -> (Offer<u32, u32, ()>, Ticket<u32, ()>) {
    let (promise, half) = Promise::pair(&engine.slab).expect("a page of slots");
    let offer = Offer {
        lane,
        context,
        request,
        promise,
    };
    (offer, Ticket::new(half))
}

/// The steps of `WorkerPool::try_submit`. `None` when the task was refused.
pub(super) fn submit_as(
    engine: &Engine,
    lane: usize,
    context: TaskContext,
    request: u32,
) -> Option<Ticket<u32, ()>> {
    let (offer, ticket) = offer(engine, lane, context, request);
    let submitted = engine.submit(offer);
    if submitted.is_err() {
        engine.front.refuse(lane);
    }
    submitted.is_ok().then_some(ticket)
}

/// Hands a request to the lowest lane.
pub(super) fn submit(engine: &Engine, request: u32) -> Option<Ticket<u32, ()>> {
    submit_as(engine, 0, TaskContext::new(), request)
}

/// A worker that answers each request by its double.
pub(super) fn spawn_worker(engine: &Arc<Engine>, worker: usize) -> JoinHandle<()> {
    spawn_worker_with(
        engine,
        worker,
        service_fn(|request: u32, _: &TaskContext| Ok(request * 2)),
    )
}

/// A worker that runs a service which does not panic.
pub(super) fn spawn_worker_with(
    engine: &Arc<Engine>,
    worker: usize,
    service: impl Service<u32, Response = u32, Error = (), State = ()>,
) -> JoinHandle<()> {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        let mut searcher = worker_thread::Searcher::new(Arc::clone(&engine));
        let mut shift = Shift::new(engine, worker, 1);
        worker_thread::serve(&service, &mut (), &mut shift, &mut searcher);
        if Flaw::NoGuard.is_built_in() {
            std::mem::forget(shift);
        }
    })
}

/// A caller that hands a request over and waits. `None` when the task was refused.
pub(super) fn spawn_caller(engine: &Arc<Engine>, request: u32) -> JoinHandle<Option<Answer>> {
    let engine = Arc::clone(engine);
    thread::spawn(move || submit(&engine, request).map(Ticket::wait))
}

/// The shards that a worker may take tasks from.
pub(super) fn shards_for(
    engine: &Engine,
    seat: Seat,
) -> impl Iterator<Item = &Shard<Task<u32, u32, ()>, Filed>> {
    let shards = &engine.shards;
    let apart = shards.apart().expect("tasks are placed");
    let may = move |shard: &usize| shards.may_steal() || shards.is_home(seat.worker, *shard, apart);
    let numbers = apart.shards.numbered().filter(move |(shard, _)| may(shard));
    numbers.map(|(_, shard)| shard)
}

/// The steps of a thread's `Searcher::find`, without the rest of a worker's loop, which multiplies the orders: how it
/// pulls, and how it looks for the last time.
pub(super) fn find<T>(
    engine: &Engine,
    seat: Seat,
    pull: impl Fn() -> Option<T>,
    stirs: impl Fn() -> bool,
) -> T {
    let mut search = engine.roster.begin_search(seat.worker);
    loop {
        if let Some(task) = pull() {
            let waiting = |lanes| engine.shards.waiting(lanes);
            engine.roster.found(search, waiting);
            return task;
        }
        engine.shards.refresh_hints(seat);
        let announced = engine.roster.announce(search);
        search = if stirs() {
            let search = engine.roster.withdraw(announced);
            facade::yield_now();
            search
        } else {
            engine.roster.sleep(announced)
        };
    }
}

pub(super) fn close(engine: &Engine) {
    if Flaw::CloseInSilence.is_built_in() {
        engine.shards.close();
    } else {
        engine.close();
    }
}

/// Returns how many requests were handed back.
pub(super) fn abandon_queued(engine: &Engine) -> usize {
    let mut returned = 0;
    engine.abandon_queued(|_| returned += 1);
    returned
}

/// Checks the conservation law at rest, and that the outcomes are the answers that callers got.
pub(super) fn assert_conserved(engine: &Engine, answers: &[Option<Answer>]) {
    let statistics = engine.statistics();
    statistics.conserved().expect("every task has one outcome");
    let total = statistics.total();
    assert_eq!((total.queued, total.running), (0, 0), "nothing is left");
    assert_eq!(engine.strands.live(), 0, "no key is left");
    let count = |is: fn(&Option<Answer>) -> bool| answers.iter().filter(|a| is(a)).count() as u64;
    let told = [
        count(|answer| matches!(answer, Some(Ok(_)))),
        count(|answer| matches!(answer, Some(Err(ProcessingError::Abandoned)))),
        count(|answer| matches!(answer, Some(Err(ProcessingError::Panicked(_))))),
        count(|answer| answer.is_none()),
    ];
    let counted = [
        total.completed,
        total.abandoned,
        total.panicked,
        total.refused,
    ];
    assert_eq!(counted, told, "what was counted is what callers were told");
}
