//! A pool whose worker is held at a gate while tasks are queued, so that what is counted is a busy pool.
//!
//! The pool has one worker. A round goes like this: the worker stands at a gate inside a task; the submitter
//! queues 512 tasks and a task for the gate behind them; the gate opens, and the worker runs until it stands
//! there again, while the submitter sleeps. So nobody spins, nobody looks for work in vain, and no wake is
//! counted: what is left is what a task costs on a busy pool. The gate itself costs one task in 513 and two
//! barriers, which count too.

use std::{ops::Range, time::Duration};

use lanepool::{Clock, PoolBuilder, ProcessingTask, TaskPriority, WorkerPoolConfig};

use crate::{
    Result,
    work::{Adder, Gate, Ledger, Pool, Request, sum_below},
};

/// Tasks of a round.
pub const BURST: u64 = 512;

/// A pool of one worker with a gate.
#[derive(Debug)]
pub struct Bed<Q> {
    /// The pool.
    pub pool: Pool<Q>,
    /// Where tasks for the gate are queued.
    pub gate_lane: TaskPriority,
    /// The gate of its service.
    pub gate: Gate,
    /// The ledger of its service.
    pub ledger: Ledger,
}

/// A pool of this configuration, and a clock that stands still.
pub fn stopped_clock(config: WorkerPoolConfig) -> PoolBuilder {
    let (clock, hands) = Clock::manual();
    // Away from zero, so that no time can be mistaken for one that was not taken.
    hands.advance(Duration::from_secs(1));
    PoolBuilder::new().config(config).clock(clock)
}

impl<Q: Request> Bed<Q> {
    /// Builds the pool, of one worker, with the adding service.
    ///
    /// # Errors
    ///
    /// The pool cannot be built.
    pub fn new(builder: PoolBuilder) -> Result<Self> {
        let gate = Gate::new();
        let (adder, ledger) = Adder::gated(&gate);
        let pool = builder.build(adder)?;
        Ok(Self {
            pool,
            gate_lane: TaskPriority::Normal,
            gate,
            ledger,
        })
    }

    /// Has the numbers below `count` added by tasks that nobody waits for, and checks that they were.
    ///
    /// # Errors
    ///
    /// A task was refused, or the books do not balance.
    pub fn fire_and_forget(self, count: u64, priority: impl Fn(u64) -> TaskPriority) -> Result<()> {
        let rounds = self.rounds(count, |pool, numbers| {
            for number in numbers {
                let task = ProcessingTask::new(Q::add(number)).priority(priority(number));
                pool.try_spawn(task).map_err(|error| error.to_string())?;
            }
            Ok(())
        })?;
        self.close(count, rounds)
    }

    /// Submits the numbers below `count`, a burst at a time, and returns how often the worker was sent to the
    /// gate. Whatever was queued in the gate's lane is done when this returns.
    ///
    /// # Errors
    ///
    /// A task was refused.
    pub fn rounds(
        &self,
        count: u64,
        mut submit: impl FnMut(&Pool<Q>, Range<u64>) -> Result<()>,
    ) -> Result<u64> {
        let send_to_gate = || {
            let task = ProcessingTask::new(Q::gate()).priority(self.gate_lane);
            self.pool.try_spawn(task).map_err(|error| error.to_string())
        };
        send_to_gate()?;
        self.gate.await_worker();
        let mut gates = 1;
        let mut next = 0;
        while next < count {
            let end = count.min(next + BURST);
            submit(&self.pool, next..end)?;
            next = end;
            send_to_gate()?;
            gates += 1;
            self.gate.open();
            self.gate.await_worker();
        }
        self.gate.open();
        Ok(gates)
    }

    /// Shuts the pool down, and checks that it ran the numbers below `count` and went to the gate so often.
    ///
    /// # Errors
    ///
    /// It did not.
    pub fn close(self, count: u64, gates: u64) -> Result<()> {
        self.ledger
            .close(self.pool, count + gates, sum_below(count))?;
        Ok(())
    }
}
