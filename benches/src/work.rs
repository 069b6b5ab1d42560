//! A service that adds numbers, its requests, and how a pool's work is checked at its end.

use std::{
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc, Barrier,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use crate::{Result, threads, threads::Usage};
use lanepool::{AsyncService, Service, ShutdownReport, TaskContext, WorkerPool, WorkerPoolConfig};

/// Longer than any of the work here takes; only a pool that hangs needs it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A pool as the groups use it: the reply is the number in the request.
pub type Pool<Q> = WorkerPool<Q, u64, Infallible>;

/// What a request asks for.
#[derive(Debug)]
pub enum Order {
    /// Add this number, and reply with it.
    Add(u64),
    /// Stand at the gate until it opens.
    Gate,
}

/// A request of a certain size.
pub trait Request: Send + 'static {
    /// Asks to add a number.
    fn add(number: u64) -> Self;
    /// Asks to stand at the gate.
    fn gate() -> Self;
    /// What is asked for.
    fn order(self) -> Order;
}

/// A request of 16 bytes.
impl Request for Order {
    fn add(number: u64) -> Self {
        Self::Add(number)
    }

    fn gate() -> Self {
        Self::Gate
    }

    fn order(self) -> Order {
        self
    }
}

/// A request of 48 bytes.
#[derive(Debug)]
pub struct Large {
    order: Order,
    rest: [u64; 4],
}

impl Request for Large {
    fn add(number: u64) -> Self {
        Self {
            order: Order::Add(number),
            rest: [number; 4],
        }
    }

    fn gate() -> Self {
        Self {
            order: Order::Gate,
            rest: [0; 4],
        }
    }

    fn order(self) -> Order {
        // All of the request has to arrive, so all of it is looked at.
        match self.order {
            Order::Add(number) if self.rest == [number; 4] => Order::Add(number),
            Order::Add(_) => Order::Add(0),
            Order::Gate => Order::Gate,
        }
    }
}

/// Holds one worker inside a task, so that tasks can be queued behind it with nobody looking for work.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Barrier>);

impl Gate {
    /// A gate that is closed.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "two gates are never the same, and a default would hide it"
    )]
    pub fn new() -> Self {
        Self(Arc::new(Barrier::new(2)))
    }

    /// Waits until the worker stands at the gate.
    pub fn await_worker(&self) {
        self.0.wait();
    }

    /// Lets the worker go on.
    pub fn open(&self) {
        self.0.wait();
    }

    fn stand(&self) {
        self.0.wait();
        self.0.wait();
    }
}

/// A service that adds the numbers up, in the worker's own state.
#[derive(Debug)]
pub struct Adder {
    gate: Option<Gate>,
    rounds: u32,
    ledger: Sender<Account>,
}

/// What one worker did in its life.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// The numbers of its tasks, added up.
    pub sum: u64,
    /// What its thread used.
    pub usage: Usage,
}

/// A worker's state: the sum so far, handed in when the worker ends.
#[derive(Debug)]
pub struct Tally {
    sum: u64,
    ledger: Sender<Account>,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let usage = threads::current().unwrap_or_default();
        // The receiver is gone only where a check has failed already and said so.
        let _ = self.ledger.send(Account {
            sum: self.sum,
            usage,
        });
    }
}

impl Adder {
    /// A service whose tasks cost next to nothing, and the ledger that the workers write at their end.
    #[must_use]
    pub fn new() -> (Self, Ledger) {
        let (ledger, accounts) = mpsc::channel();
        (
            Self {
                gate: None,
                rounds: 0,
                ledger,
            },
            Ledger(accounts),
        )
    }

    /// With a gate for the requests that ask for it.
    #[must_use]
    pub fn gated(gate: &Gate) -> (Self, Ledger) {
        let (mut adder, ledger) = Self::new();
        adder.gate = Some(gate.clone());
        (adder, ledger)
    }

    /// With tasks of `rounds` dependent multiplications, each one to two nanoseconds.
    #[must_use]
    pub fn with_rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds;
        self
    }

    fn tally(&self) -> Tally {
        Tally {
            sum: 0,
            ledger: self.ledger.clone(),
        }
    }

    #[inline]
    fn handle(&self, tally: &mut Tally, order: Order) -> u64 {
        match order {
            Order::Add(number) => {
                let mut hash = number;
                for _ in 0..self.rounds {
                    hash = (hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                }
                black_box(hash);
                tally.sum = tally.sum.wrapping_add(number);
                number
            }
            Order::Gate => {
                if let Some(gate) = &self.gate {
                    gate.stand();
                }
                0
            }
        }
    }
}

impl<Q: Request> Service<Q> for Adder {
    type Response = u64;
    type Error = Infallible;
    type State = Tally;

    fn state(&self, _worker: usize) -> Tally {
        self.tally()
    }

    fn call(
        &self,
        tally: &mut Tally,
        request: Q,
        _context: &TaskContext,
    ) -> std::result::Result<u64, Infallible> {
        Ok(self.handle(tally, request.order()))
    }
}

/// The same for async workers: the future is ready at its first poll, and a gate blocks the runtime's thread,
/// which is what it is for.
#[derive(Debug)]
pub struct AsyncAdder(pub Adder);

impl<Q: Request> AsyncService<Q> for AsyncAdder {
    type Response = u64;
    type Error = Infallible;
    type State = Tally;

    fn state(&self, _worker: usize) -> Tally {
        self.0.tally()
    }

    async fn call(
        &self,
        tally: &mut Tally,
        request: Q,
        _context: &TaskContext,
    ) -> std::result::Result<u64, Infallible> {
        Ok(self.0.handle(tally, request.order()))
    }
}

/// Where workers account for what they did.
#[derive(Debug)]
pub struct Ledger(Receiver<Account>);

impl Ledger {
    /// Shuts the pool down, and checks that everything submitted was run and nothing was lost or doubled:
    /// `completed` tasks, whose numbers add up to `sum`.
    ///
    /// Returns what the workers used in their lives.
    ///
    /// # Errors
    ///
    /// One of these checks failed.
    pub fn close<Q: Request>(self, pool: Pool<Q>, completed: u64, sum: u64) -> Result<Usage> {
        check_report(&pool.shutdown_blocking(PATIENCE), completed)?;
        drop(pool);
        let mut total = Account::default();
        // The channel ends when the last worker's state and the service are gone.
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(account) => {
                    total.sum = total.sum.wrapping_add(account.sum);
                    total.usage = total.usage + account.usage;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err("a worker outlived its pool".into());
                }
            }
        }
        if total.sum != sum {
            return Err(format!("the workers' numbers add up to {}, not {sum}", total.sum).into());
        }
        Ok(total.usage)
    }
}

/// Checks that the shutdown was complete, that the books balance, and that `completed` tasks were run.
///
/// # Errors
///
/// One of these is not so.
pub fn check_report<Q>(report: &ShutdownReport<Q>, completed: u64) -> Result<()> {
    if !report.drained {
        return Err(format!("the pool was not drained within {PATIENCE:?}").into());
    }
    report
        .statistics
        .conserved()
        .map_err(|imbalance| format!("the conservation law is broken: {imbalance}"))?;
    let counted = report.statistics.total().completed;
    if counted != completed {
        return Err(format!("{counted} tasks were completed, not {completed}").into());
    }
    Ok(())
}

/// The default configuration with one worker.
#[must_use]
pub fn one_worker() -> WorkerPoolConfig {
    WorkerPoolConfig {
        worker_count: 1,
        ..WorkerPoolConfig::default()
    }
}

/// 0 + 1 + … + (count − 1).
#[must_use]
pub fn sum_below(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}
