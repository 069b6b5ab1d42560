//! How long workers linger that have learnt what batches cost: no longer than a batch costs however small it is.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::batches::await_lingering;
use common::clerk::{Ask, Office, Told, Trouble, Wish};
use common::{Gate, Kind, drain, for_both_kinds};
use lanepool::{BatchProcessorConfig, CloseReason, ProcessingTask, TaskPriority, Ticket};

for_both_kinds!(
    who_has_learnt_nothing_lingers_for_the_whole_time,
    nobody_lingers_for_batches_that_cost_little,
    who_wants_full_batches_from_an_idle_pool_waits_for_them,
);

/// The clock stands still, so a batch that lingers does so until a test turns it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What each request of a batch costs by that clock.
const EACH: Duration = Duration::from_micros(1);

fn adaptive() -> BatchProcessorConfig {
    BatchProcessorConfig::new()
        .batch_size(9)
        .batch_timeout(TIMEOUT)
        .max_batch_wait(10 * TIMEOUT)
}

/// One of the two workers runs an urgent request until the gate opens, so that the other is not alone.
fn hold_one(office: &Office) -> (Gate, Ticket<Told, Trouble>) {
    let gate = Gate::new();
    let ask = Ask {
        id: 0,
        wish: Wish::Hold(gate.clone()),
    };
    let ticket = office.ask(ProcessingTask::new(ask).priority(TaskPriority::Critical));
    gate.await_arrivals(1);
    (gate, ticket)
}

/// Has batches of 1 to 3 run until it is known what they cost: little, and the most of it for being a batch.
/// What costs nothing at all comes best in batches of one, which are full at once.
fn learn(office: &Office) {
    let knows = || {
        let processor = office.pool.batch_processor().expect("it runs batches");
        processor.statistics().curve.is_some()
    };
    let scheduler = office.pool.scheduler();
    for round in 0.. {
        if knows() {
            return;
        }
        // Urgent ones do not linger, and there is no second worker to share them with.
        scheduler.pause(TaskPriority::Critical);
        let tickets: Vec<_> = (0..round % 3 + 1)
            .map(|id| {
                let cost = if id == 0 { 11 * EACH } else { EACH };
                let hands = office.hands.clone();
                let wish = Wish::Run(Arc::new(move || hands.advance(cost)));
                office.ask(ProcessingTask::new(Ask { id, wish }).priority(TaskPriority::Critical))
            })
            .collect();
        scheduler.resume(TaskPriority::Critical);
        for ticket in tickets {
            ticket.wait().expect("it is answered");
        }
    }
}

fn who_has_learnt_nothing_lingers_for_the_whole_time(kind: Kind) {
    let office = Office::new(kind, 2, adaptive());
    let (gate, held) = hold_one(&office);
    let tickets = office.echo_all(1);
    await_lingering(&office.pool, 1);
    office.hands.advance(TIMEOUT);
    tickets
        .into_iter()
        .for_each(|ticket| drop(ticket.wait().unwrap()));
    gate.open();
    held.wait().unwrap();
    drain(&office.pool);
}

fn nobody_lingers_for_batches_that_cost_little(kind: Kind) {
    let office = Office::new(kind, 2, adaptive());
    let (gate, held) = hold_one(&office);
    learn(&office);
    let closed = || {
        let statistics = office.pool.batch_processor().unwrap().statistics();
        statistics.closed(CloseReason::Timeout)
    };
    let before = closed();
    for ticket in office.echo_all(1) {
        ticket.wait().unwrap();
    }
    assert_eq!(closed(), before + 1, "by a time that has passed at once");
    gate.open();
    held.wait().unwrap();
    drain(&office.pool);
}

fn who_wants_full_batches_from_an_idle_pool_waits_for_them(kind: Kind) {
    let office = Office::new(kind, 1, adaptive().close_when_idle(false));
    learn(&office);
    let first = office.echo_all(1);
    await_lingering(&office.pool, 1);
    office.hands.advance(TIMEOUT / 2);
    let second = office.echo_all(1);
    let batches: Vec<u64> = first
        .into_iter()
        .chain(second)
        .map(|ticket| {
            while !ticket.is_done() {
                office.hands.advance(TIMEOUT / 2);
                std::thread::yield_now();
            }
            ticket.wait().unwrap().batch
        })
        .collect();
    assert_eq!(batches[0], batches[1], "the second one joined the first");
    drain(&office.pool);
}
