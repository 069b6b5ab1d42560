//! A service of batches whose requests say what it shall do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanepool::{
    Answers, Batch, BatchProcessorConfig, BatchService, BuildError, Clock, ManualClock,
    PoolBuilder, ProcessingError, ProcessingTask, TaskContext, Ticket, WorkerPool,
};

use super::{EXPECTED, Gate, Kind, builder, config};

/// A request: its number, and what the service does with it or with the whole batch.
#[derive(Debug)]
pub struct Ask {
    pub id: u64,
    pub wish: Wish,
}

/// What the service does.
pub enum Wish {
    /// Answers.
    Echo,
    /// Answers with something whose drop panics.
    EchoMine,
    /// Fails alone.
    Fail,
    /// Panics alone, with a message that begins with the number.
    Panic,
    /// Waits at a gate with the whole batch, then answers.
    Hold(Gate),
    /// Waits at a gate with the whole batch, which then panics.
    HoldThenPanic(Gate),
    /// The whole batch panics, after half of the answers were made.
    PanicAll,
    /// The whole batch fails with such an error.
    FailAll(Trap),
    /// The batch is answered by so many answers.
    Answers(usize),
    /// The batch is answered by so many answers whose drops panic.
    Mines(usize),
    /// Calls this before the batch is answered.
    Run(Arc<dyn Fn() + Send + Sync>),
}

impl fmt::Debug for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a wish")
    }
}

/// What an error does beside being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    Nothing,
    /// Its clone panics.
    Clone,
    /// Its drop panics; that of a clone does not.
    Drop,
}

/// The answer: whose, and how it came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub id: u64,
    pub worker: usize,
    /// The number of the worker's state: states are numbered in the order in which they are made.
    pub state: u64,
    /// The number and the size of the batch.
    pub batch: u64,
    pub size: usize,
    /// The context that came with the request.
    pub context: TaskContext,
    mine: Option<Mine>,
}

/// Panics when it is dropped.
#[derive(Debug, PartialEq, Eq)]
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("a mine, {EXPECTED}");
    }
}

/// The error.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub id: u64,
    pub trap: Trap,
}

impl Clone for Trouble {
    fn clone(&self) -> Self {
        assert!(self.trap != Trap::Clone, "a clone, {EXPECTED}");
        Self {
            id: self.id,
            trap: Trap::Nothing,
        }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        let is_mine = self.trap == Trap::Drop && !std::thread::panicking();
        assert!(!is_mine, "an error, {EXPECTED}");
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is in trouble", self.id)
    }
}

/// The service.
pub struct Clerk {
    states: AtomicU64,
    /// No state is made beyond this number.
    most_states: u64,
}

/// A worker's state.
#[derive(Debug)]
pub struct Memory {
    worker: usize,
    number: u64,
}

impl Clerk {
    fn make_state(&self, worker: usize) -> Memory {
        let number = self.states.fetch_add(1, Ordering::SeqCst);
        assert!(number < self.most_states, "no more state, {EXPECTED}");
        Memory { worker, number }
    }

    fn answer(memory: &Memory, batch: Batch<Ask>) -> Result<Answers<Told, Trouble>, Trouble> {
        let (id, size) = (batch.id(), batch.len());
        let tell = |ask: &Ask, context: &TaskContext| Told {
            id: ask.id,
            worker: memory.worker,
            state: memory.number,
            batch: id,
            size,
            context: *context,
            mine: matches!(ask.wish, Wish::EchoMine | Wish::Mines(_)).then(|| Mine),
        };
        for ask in batch.requests() {
            match &ask.wish {
                Wish::PanicAll | Wish::HoldThenPanic(_) => {
                    let half = batch.requests().iter().zip(batch.contexts());
                    let half: Answers<_, Trouble> = half
                        .take(size / 2)
                        .map(|(ask, context)| Ok(tell(ask, context)))
                        .collect();
                    panic!("{} with {} answers, {EXPECTED}", ask.id, half.len());
                }
                Wish::FailAll(trap) => {
                    let (id, trap) = (ask.id, *trap);
                    return Err(Trouble { id, trap });
                }
                Wish::Answers(number) | Wish::Mines(number) => {
                    let context = batch.contexts()[0];
                    return Ok((0..*number).map(|_| Ok(tell(ask, &context))).collect());
                }
                Wish::Run(run) => run(),
                _ => {}
            }
        }
        Ok(batch.answer_each(|ask, context| match ask.wish {
            Wish::Fail => Err(Trouble {
                id: ask.id,
                trap: Trap::Nothing,
            }),
            Wish::Panic => panic!("{} {EXPECTED}", ask.id),
            _ => Ok(tell(&ask, context)),
        }))
    }
}

/// The gates that the requests of a batch wait at.
fn gates(batch: &Batch<Ask>) -> Vec<Gate> {
    let gate = |ask: &Ask| match &ask.wish {
        Wish::Hold(gate) | Wish::HoldThenPanic(gate) => Some(gate.clone()),
        _ => None,
    };
    batch.requests().iter().filter_map(gate).collect()
}

impl BatchService<Ask> for Clerk {
    type Response = Told;
    type Error = Trouble;
    type State = Memory;

    fn state(&self, worker: usize) -> Memory {
        self.make_state(worker)
    }

    fn call_batch(
        &self,
        memory: &mut Memory,
        batch: Batch<Ask>,
    ) -> Result<Answers<Told, Trouble>, Trouble> {
        gates(&batch).iter().for_each(Gate::pass);
        Self::answer(memory, batch)
    }
}

#[cfg(feature = "tokio")]
impl lanepool::AsyncBatchService<Ask> for Clerk {
    type Response = Told;
    type Error = Trouble;
    type State = Memory;

    fn state(&self, worker: usize) -> Memory {
        self.make_state(worker)
    }

    async fn call_batch(
        &self,
        memory: &mut Memory,
        batch: Batch<Ask>,
    ) -> Result<Answers<Told, Trouble>, Trouble> {
        for gate in gates(&batch) {
            gate.pass_async().await;
        }
        Self::answer(memory, batch)
    }
}

/// A pool that runs the [`Clerk`], and the clock that it reads.
pub struct Office {
    pub pool: WorkerPool<Ask, Told, Trouble>,
    pub clock: Clock,
    pub hands: ManualClock,
}

impl Office {
    /// So many workers with a clock that stands still.
    pub fn new(kind: Kind, workers: usize, batching: BatchProcessorConfig) -> Self {
        Self::build(kind, builder(config(workers).batching(batching)), u64::MAX)
            .expect("the pool can be built")
    }

    /// A pool of a builder, whose service makes so many states.
    pub fn build(kind: Kind, builder: PoolBuilder, most_states: u64) -> Result<Self, BuildError> {
        #[cfg(feature = "tokio")]
        let builder = builder.runtime(super::runtime().handle().clone());
        Self::build_here(kind, builder, most_states)
    }

    /// As [`Office::build`], on the builder's runtime.
    pub fn build_here(
        kind: Kind,
        builder: PoolBuilder,
        most_states: u64,
    ) -> Result<Self, BuildError> {
        let (clock, hands) = Clock::manual();
        let pool = serve(kind, builder.clock(clock.clone()), most_states)?;
        Ok(Self { pool, clock, hands })
    }

    /// Hands over what there must be room for.
    pub fn ask(&self, task: impl Into<ProcessingTask<Ask>>) -> Ticket<Told, Trouble> {
        self.pool.try_submit(task).expect("there is room")
    }

    /// Hands over requests that wish for this, numbered from 0 on.
    pub fn ask_all(&self, wishes: impl IntoIterator<Item = Wish>) -> Vec<Ticket<Told, Trouble>> {
        let ask = |(id, wish)| self.ask(Ask { id, wish });
        (0..).zip(wishes).map(ask).collect()
    }

    /// Hands over so many requests that wish for an answer, numbered from 0 on.
    pub fn echo_all(&self, requests: usize) -> Vec<Ticket<Told, Trouble>> {
        self.ask_all((0..requests).map(|_| Wish::Echo))
    }
}

/// A pool that runs the [`Clerk`], whose service makes so many states.
pub fn serve(
    kind: Kind,
    builder: PoolBuilder,
    most_states: u64,
) -> Result<WorkerPool<Ask, Told, Trouble>, BuildError> {
    let clerk = Clerk {
        states: AtomicU64::new(0),
        most_states,
    };
    match kind {
        Kind::Threads => builder.build_batches(clerk),
        #[cfg(feature = "tokio")]
        Kind::Tasks => builder.build_batches_async(clerk),
    }
}

/// What a caller was told, short: its answer's number, or why there is none.
pub fn short(answer: Result<Told, ProcessingError<Trouble>>) -> String {
    match answer {
        Ok(told) => told.id.to_string(),
        Err(ProcessingError::Failed(trouble)) => {
            let said = format!("fails for {}", trouble.id);
            // Its drop may panic, which would be the caller's own affair.
            std::mem::forget(trouble);
            said
        }
        Err(ProcessingError::Panicked(message)) => format!("panics: {message}"),
        Err(other) => format!("{other:?}"),
    }
}

/// What all callers were told, short.
pub fn shorts(tickets: impl IntoIterator<Item = Ticket<Told, Trouble>>) -> Vec<String> {
    let tickets = tickets.into_iter();
    tickets.map(|ticket| short(ticket.wait())).collect()
}
