//! A service whose requests say what it shall do.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lanepool::{
    BuildError, PoolBuilder, ProcessingTask, Service, SubmitError, TaskContext, TaskPriority,
    Ticket, WorkerPool, WorkerPoolConfigBuilder,
};

use super::{EXPECTED, Gate, Kind, builder};

/// A request: its number, and what the service does with it.
#[derive(Debug)]
pub struct Job {
    pub id: u64,
    pub act: Act,
}

/// What the service does.
pub enum Act {
    /// Answers.
    Echo,
    /// Fails with [`Failure`].
    Fail,
    /// Panics with a message that begins with the number.
    Panic,
    /// Lets others run, then answers.
    Yield,
    /// Waits at a gate, then answers.
    Hold(Gate),
    /// Waits at the gate of the worker that runs it, the last one for all beyond, then answers.
    HoldBy(Vec<Gate>),
    /// Waits at a gate, then panics.
    HoldThenPanic(Gate),
    /// Runs a closure, then answers.
    Run(Box<dyn FnOnce(&TaskContext) + Send>),
}

impl fmt::Debug for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Act::Echo => "Echo",
            Act::Fail => "Fail",
            Act::Panic => "Panic",
            Act::Yield => "Yield",
            Act::Hold(_) => "Hold",
            Act::HoldBy(_) => "HoldBy",
            Act::HoldThenPanic(_) => "HoldThenPanic",
            Act::Run(_) => "Run",
        })
    }
}

impl Job {
    pub fn new(id: u64, act: Act) -> Self {
        Self { id, act }
    }

    pub fn echo(id: u64) -> Self {
        Self::new(id, Act::Echo)
    }

    pub fn fail(id: u64) -> Self {
        Self::new(id, Act::Fail)
    }

    pub fn panic(id: u64) -> Self {
        Self::new(id, Act::Panic)
    }

    pub fn hold(id: u64, gate: &Gate) -> Self {
        Self::new(id, Act::Hold(gate.clone()))
    }

    pub fn run(id: u64, run: impl FnOnce(&TaskContext) + Send + 'static) -> Self {
        Self::new(id, Act::Run(Box::new(run)))
    }
}

/// The answer: who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub id: u64,
    pub worker: usize,
    /// The number of the worker's state: states are numbered in the order in which they are made.
    pub state: u64,
    /// How many requests that state had seen before.
    pub seen: u64,
}

/// The error of [`Act::Fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u64);

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "number {} fails", self.0)
    }
}

impl std::error::Error for Failure {}

/// What is made with each state, given the worker and the state's number; dropped with the state.
type Extra = Box<dyn Fn(usize, u64) -> Box<dyn Any + Send> + Send + Sync>;

/// The service.
pub struct Script {
    started: Arc<Mutex<Vec<u64>>>,
    states: AtomicU64,
    extra: Extra,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            started: Arc::default(),
            states: AtomicU64::new(0),
            extra: Box::new(|_, _| Box::new(())),
        }
    }
}

/// A worker's state.
pub struct Memory {
    worker: usize,
    number: u64,
    seen: u64,
    _extra: Box<dyn Any + Send>,
}

impl Script {
    fn start(&self, memory: &mut Memory, id: u64) -> Done {
        self.started.lock().unwrap().push(id);
        let done = Done {
            id,
            worker: memory.worker,
            state: memory.number,
            seen: memory.seen,
        };
        memory.seen += 1;
        done
    }

    fn make_state(&self, worker: usize) -> Memory {
        let number = self.states.fetch_add(1, Ordering::SeqCst);
        Memory {
            worker,
            number,
            seen: 0,
            _extra: (self.extra)(worker, number),
        }
    }
}

impl Service<Job> for Script {
    type Response = Done;
    type Error = Failure;
    type State = Memory;

    fn state(&self, worker: usize) -> Memory {
        self.make_state(worker)
    }

    fn call(&self, memory: &mut Memory, job: Job, context: &TaskContext) -> Result<Done, Failure> {
        let done = self.start(memory, job.id);
        match job.act {
            Act::Echo => {}
            Act::Fail => return Err(Failure(job.id)),
            Act::Panic => panic!("{} {EXPECTED}", job.id),
            Act::Yield => std::thread::yield_now(),
            Act::Hold(gate) => gate.pass(),
            Act::HoldBy(gates) => gates[done.worker.min(gates.len() - 1)].pass(),
            Act::HoldThenPanic(gate) => {
                gate.pass();
                panic!("{} {EXPECTED}", job.id);
            }
            Act::Run(run) => run(context),
        }
        Ok(done)
    }
}

#[cfg(feature = "tokio")]
impl lanepool::AsyncService<Job> for Script {
    type Response = Done;
    type Error = Failure;
    type State = Memory;

    fn state(&self, worker: usize) -> Memory {
        self.make_state(worker)
    }

    async fn call(
        &self,
        memory: &mut Memory,
        job: Job,
        context: &TaskContext,
    ) -> Result<Done, Failure> {
        let done = self.start(memory, job.id);
        match job.act {
            Act::Echo => {}
            Act::Fail => return Err(Failure(job.id)),
            Act::Panic => panic!("{} {EXPECTED}", job.id),
            Act::Yield => tokio::task::yield_now().await,
            Act::Hold(gate) => gate.pass_async().await,
            Act::HoldBy(gates) => {
                gates[done.worker.min(gates.len() - 1)].pass_async().await;
            }
            Act::HoldThenPanic(gate) => {
                gate.pass_async().await;
                panic!("{} {EXPECTED}", job.id);
            }
            Act::Run(run) => run(context),
        }
        Ok(done)
    }
}

/// A pool that runs the [`Script`].
pub struct Rig {
    pub pool: WorkerPool<Job, Done, Failure>,
    started: Arc<Mutex<Vec<u64>>>,
}

impl Rig {
    /// A pool of this kind and configuration.
    pub fn new(kind: Kind, config: WorkerPoolConfigBuilder) -> Self {
        Self::build(kind, builder(config)).expect("the pool can be built")
    }

    /// A pool of this kind from a builder.
    pub fn build(kind: Kind, builder: PoolBuilder) -> Result<Self, BuildError> {
        Self::with_extra(kind, builder, |_, _| Box::new(()))
    }

    /// As [`Rig::build`]; `extra` is called whenever a state is made, and what it returns is dropped
    /// with the state.
    pub fn with_extra(
        kind: Kind,
        builder: PoolBuilder,
        extra: impl Fn(usize, u64) -> Box<dyn Any + Send> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let script = Script {
            extra: Box::new(extra),
            ..Script::default()
        };
        let started = Arc::clone(&script.started);
        let pool = match kind {
            Kind::Threads => builder.build(script)?,
            #[cfg(feature = "tokio")]
            Kind::Tasks => builder
                .runtime(super::runtime().handle().clone())
                .build_async(script)?,
        };
        Ok(Self { pool, started })
    }

    /// The numbers of the requests that were started, in that order.
    pub fn started(&self) -> Vec<u64> {
        self.started.lock().unwrap().clone()
    }

    /// Occupies every worker. They go on when the gate is opened.
    pub fn hold_all(&self) -> Gate {
        let gate = Gate::new();
        let workers = self.pool.workers();
        for _ in 0..workers {
            let task =
                ProcessingTask::new(Job::hold(HOLDING, &gate)).priority(TaskPriority::Critical);
            self.pool.spawn_blocking(task).expect("the pool is open");
        }
        gate.await_arrivals(workers);
        gate
    }

    /// Submits an echo of this number with this priority. There must be room.
    pub fn submit(&self, id: u64, priority: TaskPriority) -> Ticket<Done, Failure> {
        let task = ProcessingTask::new(Job::echo(id)).priority(priority);
        self.pool.try_submit(task).expect("there is room")
    }
}

/// The number of the requests that [`Rig::hold_all`] submits.
pub const HOLDING: u64 = u64::MAX;

/// The number of the request that a refusal hands back.
pub fn handed_back(refused: SubmitError<Job>) -> u64 {
    refused.into_request().id
}
