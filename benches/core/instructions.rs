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
//!
//! Under callgrind a task takes fifty times as long, and a worker that measures such times takes one task at
//! a time, as it should with long ones. So the pool is given a clock that stands still, and takes runs of
//! 16, as it does with tiny tasks outside callgrind. What is left out by that is to read the machine's clock,
//! for one task in 64 and a few runs: about three instructions a task. One figure has the machine's clock,
//! hence a claim for each task; it bounds what any task can cost.

use lanepool::{ProcessingTask, TaskPriority, Ticket};
use lanepool_bench::{
    Bound, Report, Result, callgrind,
    gated::{BURST, Bed, stopped_clock},
    work::{Adder, AsyncAdder, Gate, Large, Order, Pool, Request, one_worker, sum_below},
};

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
            "instructions per fire-and-forget task, a claim for each",
            "spawn-claims",
            Bound::None,
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
    Bed::<Order>::new(stopped_clock(one_worker()))?.fire_and_forget(count, |_| TaskPriority::Normal)
}

/// The same with the machine's clock.
pub(crate) fn spawn_claims(count: u64) -> Result<()> {
    let builder = Pool::<Order>::builder().config(one_worker());
    Bed::<Order>::new(builder)?.fire_and_forget(count, |_| TaskPriority::Normal)
}

/// Fire-and-forget, one lane, a request of 48 bytes.
pub(crate) fn spawn_48(count: u64) -> Result<()> {
    Bed::<Large>::new(stopped_clock(one_worker()))?.fire_and_forget(count, |_| TaskPriority::Normal)
}

/// Fire-and-forget, the four lanes in turn.
pub(crate) fn spawn_lanes(count: u64) -> Result<()> {
    const LANES: [TaskPriority; 4] = [
        TaskPriority::Low,
        TaskPriority::Normal,
        TaskPriority::High,
        TaskPriority::Critical,
    ];
    // The gate stands behind the lowest lane, so that next to nothing is left in the others when it is reached.
    let bed = Bed {
        gate_lane: TaskPriority::Low,
        ..Bed::<Order>::new(stopped_clock(one_worker()))?
    };
    bed.fire_and_forget(count, |number| LANES[number as usize % 4])
}

/// Fire-and-forget to an async worker.
pub(crate) fn spawn_async(count: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()?;
    let gate = Gate::new();
    let (adder, ledger) = Adder::gated(&gate);
    let pool = stopped_clock(one_worker())
        .runtime(runtime.handle().clone())
        .build_async(AsyncAdder(adder))?;
    let bed = Bed::<Order> {
        pool,
        gate_lane: TaskPriority::Normal,
        gate,
        ledger,
    };
    bed.fire_and_forget(count, |_| TaskPriority::Normal)
}

/// Tasks whose reply is waited for once it is there.
pub(crate) fn ticket(count: u64) -> Result<()> {
    let bed = Bed::<Order>::new(stopped_clock(one_worker()))?;
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
