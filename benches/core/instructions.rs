//! Instructions of a task from submit to done, on submitter and worker together, counted by callgrind.
//!
//! The pool has one worker and everything else as by default. A round goes like this: the worker stands at
//! a gate inside a task; the submitter queues 512 tasks and a task for the gate behind them; the gate opens,
//! and the worker runs until it stands there again, while the submitter sleeps. So nobody spins, nobody looks
//! for work in vain, and no wake is counted: what is left is what a task costs on a busy pool. The gate
//! itself costs one task in 513 and two barriers, which count too.
//!
//! The service adds a number to the worker's state, and its few instructions count. A figure for tasks with a
//! ticket includes to wait for it when it is done; the reply's part is the difference to fire-and-forget.

use lanepool::{ProcessingTask, TaskPriority, Ticket, WorkerPool};
use lanepool_bench::{Bound, Report, Result, callgrind};

use crate::work::{
    Adder, AsyncAdder, Gate, Large, Ledger, Order, Pool, Request, one_worker, sum_below,
};

const BURST: u64 = 512;

pub(crate) fn measure(report: &mut Report) {
    let items = report.choose(512 * BURST, 96 * BURST);
    let runs = report.choose(3, 1);
    for (name, cell, bound) in [
        (
            "instructions per fire-and-forget task, submit to done, all defaults on",
            "spawn",
            Bound::AtMost(200.0),
        ),
        (
            "instructions per fire-and-forget task of 48 bytes",
            "spawn-48",
            Bound::None,
        ),
        (
            "instructions per fire-and-forget task, four lanes in turn",
            "spawn-lanes",
            Bound::None,
        ),
        (
            "instructions per fire-and-forget task, async worker",
            "spawn-async",
            Bound::None,
        ),
        (
            "instructions per task with a ticket, submit to reply taken",
            "ticket",
            Bound::None,
        ),
    ] {
        report.take(name, "instructions", bound, || {
            callgrind::instructions(cell, 4 * BURST, items, runs)
        });
    }
}

/// Fire-and-forget, one lane, a request of 16 bytes.
pub(crate) fn spawn(count: u64) -> Result<()> {
    fire_and_forget(threads::<Order>()?, count, |_| TaskPriority::Normal)
}

/// Fire-and-forget, one lane, a request of 48 bytes.
pub(crate) fn spawn_48(count: u64) -> Result<()> {
    fire_and_forget(threads::<Large>()?, count, |_| TaskPriority::Normal)
}

/// Fire-and-forget, the four lanes in turn.
pub(crate) fn spawn_lanes(count: u64) -> Result<()> {
    const LANES: [TaskPriority; 4] = [
        TaskPriority::Low,
        TaskPriority::Normal,
        TaskPriority::High,
        TaskPriority::Critical,
    ];
    fire_and_forget(threads::<Order>()?, count, |number| {
        LANES[number as usize % 4]
    })
}

/// Fire-and-forget to an async worker.
pub(crate) fn spawn_async(count: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()?;
    let gate = Gate::new();
    let (adder, ledger) = Adder::gated(&gate);
    let pool = {
        let _inside = runtime.enter();
        WorkerPool::with_config_async(AsyncAdder(adder), one_worker())?
    };
    fire_and_forget(Bed::<Order> { pool, gate, ledger }, count, |_| {
        TaskPriority::Normal
    })
}

/// Tasks whose reply is waited for once it is there.
pub(crate) fn ticket(count: u64) -> Result<()> {
    let bed = threads::<Order>()?;
    let mut tickets: Vec<Ticket<u64, _>> = Vec::with_capacity(BURST as usize);
    let mut sum = 0_u64;
    let rounds = bed.rounds(count, |pool, numbers| {
        for ticket in tickets.drain(..) {
            sum += ticket.wait()?;
        }
        for number in numbers {
            let task = ProcessingTask::new(Order::add(number));
            tickets.push(pool.try_submit(task).map_err(|error| error.to_string())?);
        }
        Ok(())
    })?;
    for ticket in tickets.drain(..) {
        sum += ticket.wait()?;
    }
    if sum != sum_below(count) {
        return Err(format!("the replies add up to {sum}, not {}", sum_below(count)).into());
    }
    bed.close(count, rounds)
}

/// A pool of one worker with a gate.
struct Bed<Q> {
    pool: Pool<Q>,
    gate: Gate,
    ledger: Ledger,
}

fn threads<Q: Request>() -> Result<Bed<Q>> {
    let gate = Gate::new();
    let (adder, ledger) = Adder::gated(&gate);
    let pool = WorkerPool::with_config(adder, one_worker())?;
    Ok(Bed { pool, gate, ledger })
}

fn fire_and_forget<Q: Request>(
    bed: Bed<Q>,
    count: u64,
    priority: impl Fn(u64) -> TaskPriority,
) -> Result<()> {
    let rounds = bed.rounds(count, |pool, numbers| {
        for number in numbers {
            let task = ProcessingTask::new(Q::add(number)).priority(priority(number));
            pool.try_spawn(task).map_err(|error| error.to_string())?;
        }
        Ok(())
    })?;
    bed.close(count, rounds)
}

impl<Q: Request> Bed<Q> {
    /// Submits the numbers below `count`, a burst at a time, and returns how often the worker was sent to the
    /// gate. All but what stands above the gate's lane is done when this returns.
    fn rounds(
        &self,
        count: u64,
        mut submit: impl FnMut(&Pool<Q>, std::ops::Range<u64>) -> Result<()>,
    ) -> Result<u64> {
        let send_to_gate = || {
            self.pool
                .try_spawn(ProcessingTask::new(Q::gate()))
                .map_err(|error| error.to_string())
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

    fn close(self, count: u64, gates: u64) -> Result<()> {
        self.ledger
            .close(self.pool, count + gates, sum_below(count))?;
        Ok(())
    }
}
