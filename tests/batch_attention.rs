//! Whoever lingers hears of what concerns it, and nothing waits for one who has gone to work.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::batches::{await_lingering, lingering};
use common::clerk::{Ask, Office, Wish, shorts};
use common::{Gate, Kind, builder, config, drain, for_both_kinds};
use lanepool::{CloseReason, ProcessingTask, SchedulingStrategy, TaskPriority};

for_both_kinds!(
    requests_of_several_lanes_are_enough_together,
    requests_of_a_resumed_lane_are_enough,
    requests_that_an_urgent_batch_leaves_behind_are_run_by_others,
    requests_that_a_batch_with_a_deadline_leaves_behind_are_run_by_others,
    requests_in_the_lanes_of_one_worker_reach_it_while_it_lingers,
);

fn task(id: u64, priority: TaskPriority) -> ProcessingTask<Ask> {
    let wish = Wish::Echo;
    ProcessingTask::new(Ask { id, wish }).priority(priority)
}

fn closed(office: &Office, reason: CloseReason) -> u64 {
    let batches = office.pool.batch_processor().unwrap().statistics();
    batches.closed(reason)
}

fn requests_of_several_lanes_are_enough_together(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    let first = office.ask(task(1, TaskPriority::Normal));
    await_lingering(&office.pool, 1);
    let others = [TaskPriority::High, TaskPriority::Low].map(|lane| office.ask(task(2, lane)));
    assert_eq!(shorts([first].into_iter().chain(others)), ["1", "2", "2"]);
    assert_eq!(closed(&office, CloseReason::Full), 1);
    drain(&office.pool);
}

fn requests_of_a_resumed_lane_are_enough(kind: Kind) {
    let office = Office::new(kind, 1, lingering(3));
    office.pool.scheduler().pause(TaskPriority::Low);
    let mut tickets = vec![office.ask(task(1, TaskPriority::Normal))];
    await_lingering(&office.pool, 1);
    tickets.extend([2, 3].map(|id| office.ask(task(id, TaskPriority::Low))));
    office.pool.scheduler().resume(TaskPriority::Low);
    assert_eq!(shorts(tickets), ["1", "2", "3"]);
    assert_eq!(closed(&office, CloseReason::Full), 1);
    drain(&office.pool);
}

/// One worker lingers, and a request waits for it that is not enough. Then one comes that takes the worker
/// away: what waited must not wait for its return while another worker sleeps.
fn left_behind(kind: Kind, take_away: impl FnOnce(&Office, Wish) -> ProcessingTask<Ask>) {
    let office = Office::new(kind, 2, lingering(9));
    // A batch of one takes a second, so one of two would be late for a deadline in 1.2 s.
    let hands = office.hands.clone();
    let wish = Wish::Run(Arc::new(move || hands.advance(Duration::from_secs(1))));
    let slow = ProcessingTask::new(Ask { id: 0, wish });
    let slow = office.ask(slow.priority(TaskPriority::Critical));
    assert_eq!(shorts([slow]), ["0"]);
    while office
        .pool
        .batch_processor()
        .unwrap()
        .statistics()
        .service_time
        .count()
        == 0
    {
        std::thread::yield_now();
    }

    let first = office.ask(task(1, TaskPriority::Low));
    await_lingering(&office.pool, 1);
    let waits = office.ask(task(2, TaskPriority::Low));
    let gate = Gate::new();
    let takes_away = office.ask(take_away(&office, Wish::Hold(gate.clone())));
    gate.await_arrivals(1);
    while !waits.is_done() {
        // The other one lingers with it, or has it in its batch already.
        office.hands.advance(Duration::from_secs(1));
        std::thread::yield_now();
    }
    gate.open();
    assert_eq!(shorts([first, waits, takes_away]), ["1", "2", "3"]);
    drain(&office.pool);
}

fn requests_that_an_urgent_batch_leaves_behind_are_run_by_others(kind: Kind) {
    left_behind(kind, |_, wish| {
        ProcessingTask::new(Ask { id: 3, wish }).priority(TaskPriority::Critical)
    });
}

fn requests_that_a_batch_with_a_deadline_leaves_behind_are_run_by_others(kind: Kind) {
    left_behind(kind, |office, wish| {
        let deadline = office.clock.now() + Duration::from_millis(1_200);
        let task = ProcessingTask::new(Ask { id: 3, wish });
        task.priority(TaskPriority::High).deadline(deadline)
    });
}

fn requests_in_the_lanes_of_one_worker_reach_it_while_it_lingers(kind: Kind) {
    let config = config(2)
        .batching(lingering(3))
        .scheduling_strategy(SchedulingStrategy::RoundRobin)
        .enable_task_stealing(false);
    let office = Office::build(kind, builder(config), u64::MAX).unwrap();
    // By turns: three for each.
    let tickets = office.echo_all(6);
    let told: Vec<_> = tickets
        .into_iter()
        .map(|ticket| ticket.wait().unwrap())
        .collect();
    assert!(told.iter().all(|told| told.size == 3), "{told:?}");
    assert_eq!(closed(&office, CloseReason::Full), 2);
    drain(&office.pool);
}
