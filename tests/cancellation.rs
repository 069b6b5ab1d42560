//! Dropping a ticket or a future cancels: a queued task is never run, a running one is finished and its
//! result dropped.

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::{Gate, Job, Kind, Rig, block_on, builder, config, drain, for_both_kinds, poll_once};
use lanepool::{ExecuteError, ProcessingError, ProcessingTask, TaskContext, TaskPriority};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    a_ticket_dropped_in_the_lane_cancels,
    a_future_dropped_in_the_lane_cancels,
    a_ticket_dropped_after_it_was_polled_cancels,
    a_running_task_is_finished_and_its_result_dropped,
    a_detached_task_runs,
    a_ticket_dropped_after_the_answer_drops_the_answer,
    a_timed_wait_gives_the_ticket_back,
    a_dropped_batch_cancels_what_has_not_started,
    a_dropped_stream_cancels_what_has_not_started,
    a_future_that_was_never_polled_submits_nothing,
    the_request_of_a_cancelled_task_is_dropped,
    a_ticket_outlives_its_pool,
);

fn a_ticket_dropped_in_the_lane_cancels(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = rig.hold_all();
    let kept: Vec<_> = (0..100)
        .map(|id| rig.submit(id, NORMAL))
        .enumerate()
        .filter_map(|(n, ticket)| (n % 3 == 0).then_some(ticket))
        .collect();
    gate.open();
    for (ticket, id) in kept.into_iter().zip((0..).step_by(3)) {
        assert_eq!(ticket.wait().unwrap().id, id);
    }
    let counts = &drain(&rig.pool).lanes[1];
    assert_eq!((counts.completed, counts.cancelled), (34, 66));
    assert!(
        rig.started()
            .iter()
            .filter(|id| **id < 100)
            .all(|id| id % 3 == 0)
    );
}

fn a_future_dropped_in_the_lane_cancels(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    {
        let mut execute = pin!(rig.pool.execute(Job::echo(1), NORMAL, TaskContext::new()));
        assert!(poll_once(execute.as_mut()).is_pending());
        assert_eq!(rig.pool.statistics().lanes[1].queued, 1);
    }
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].cancelled, 1);
    assert!(!rig.started().contains(&1));
}

fn a_ticket_dropped_after_it_was_polled_cancels(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut ticket = rig.submit(1, NORMAL);
    assert!(poll_once(pin!(&mut ticket)).is_pending());
    assert!(
        poll_once(pin!(&mut ticket)).is_pending(),
        "a second waker replaces the first"
    );
    assert!(!ticket.is_done());
    drop(ticket);
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].cancelled, 1);
}

fn a_running_task_is_finished_and_its_result_dropped(kind: Kind) {
    let witness = Arc::new(());
    let gate = Gate::new();
    let (inside, response) = (gate.clone(), Arc::clone(&witness));
    let pool = kind.serve(builder(config(1)), move |wait: bool, _| {
        if wait {
            inside.pass();
        }
        Ok::<_, ()>(Arc::clone(&response))
    });
    let pool = pool.unwrap();
    let ticket = pool.try_submit(true).unwrap();
    gate.await_arrivals(1);
    drop(ticket);
    gate.open();
    // The only worker has finished the first before it answers the second.
    drop(pool.execute_blocking(false, NORMAL, TaskContext::new()));
    let counts = &drain(&pool).lanes[1];
    assert_eq!((counts.completed, counts.cancelled), (2, 0));
    drop(pool);
    wait_until_alone(&witness);
}

/// Waits until the service is gone, and asserts that nothing else holds the witness.
fn wait_until_alone(witness: &Arc<()>) {
    while Arc::strong_count(witness) > 1 {
        std::thread::yield_now();
    }
}

fn a_detached_task_runs(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    rig.submit(1, NORMAL).detach();
    let mut polled = rig.submit(2, NORMAL);
    assert!(poll_once(pin!(&mut polled)).is_pending());
    polled.detach();
    gate.open();
    rig.submit(3, NORMAL).wait().unwrap();
    let answered = rig.pool.submit_blocking(Job::echo(4)).unwrap();
    while !answered.is_done() {
        std::thread::yield_now();
    }
    answered.detach();
    let counts = &drain(&rig.pool).lanes[1];
    assert_eq!((counts.completed, counts.cancelled), (4, 0));
    assert!([1, 2, 3, 4].iter().all(|id| rig.started().contains(id)));
}

fn a_ticket_dropped_after_the_answer_drops_the_answer(kind: Kind) {
    let witness = Arc::new(());
    let response = Arc::clone(&witness);
    let service = move |(): (), _: &TaskContext| Ok::<_, ()>(Arc::clone(&response));
    let pool = kind.serve(builder(config(1)), service).unwrap();
    for _ in 0..100 {
        let ticket = pool.try_submit(()).unwrap();
        while !ticket.is_done() {
            std::thread::yield_now();
        }
        assert_eq!(
            Arc::strong_count(&witness),
            3,
            "the service's, and the answer"
        );
        drop(ticket);
        assert_eq!(Arc::strong_count(&witness), 2);
    }
    assert_eq!(drain(&pool).lanes[1].completed, 100);
}

fn a_timed_wait_gives_the_ticket_back(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut ticket = rig.submit(1, NORMAL);
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        ticket = ticket.wait_timeout(limit).expect_err("its worker is held");
    }
    gate.open();
    let answer = ticket
        .wait_timeout(common::LONG)
        .expect("there is time enough");
    assert_eq!(answer.unwrap().id, 1);
    assert_eq!(
        drain(&rig.pool).lanes[1].completed,
        1,
        "a timed wait does not cancel"
    );
}

fn a_dropped_batch_cancels_what_has_not_started(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    {
        let mut batch = pin!(rig.pool.execute_batch((0..40).map(Job::echo)));
        assert!(poll_once(batch.as_mut()).is_pending());
        assert_eq!(rig.pool.statistics().lanes[1].queued, 40);
    }
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].cancelled, 40);
}

fn a_dropped_stream_cancels_what_has_not_started(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut stream = rig.pool.stream(8);
    for id in 0..8 {
        stream.try_submit(Job::echo(id)).unwrap();
    }
    assert!(poll_once(pin!(stream.next())).is_pending());
    drop(stream);
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].cancelled, 8);
}

fn a_future_that_was_never_polled_submits_nothing(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    drop(rig.pool.submit(Job::echo(1)));
    drop(rig.pool.spawn(Job::echo(2)));
    drop(rig.pool.execute(Job::echo(3), NORMAL, TaskContext::new()));
    drop(rig.pool.execute_batch([Job::echo(4)]));
    assert_eq!(drain(&rig.pool).total().submitted, 0);
    assert_eq!(rig.started(), []);
}

fn the_request_of_a_cancelled_task_is_dropped(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let witness = Arc::new(());
    for id in 0..50 {
        let held = Arc::clone(&witness);
        let job = Job::run(id, move |_| drop(held));
        drop(rig.pool.try_submit(job).unwrap());
    }
    assert_eq!(Arc::strong_count(&witness), 51);
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].cancelled, 50);
    assert_eq!(Arc::strong_count(&witness), 1);
}

fn a_ticket_outlives_its_pool(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let answered = rig.submit(1, NORMAL);
    while !answered.is_done() {
        std::thread::yield_now();
    }
    let gate = rig.hold_all();
    let queued = rig.submit(2, NORMAL);
    let detached = rig.submit(3, NORMAL);
    drop(rig);
    gate.open();
    assert_eq!(answered.wait().unwrap().id, 1);
    assert_eq!(queued.wait(), Err(ProcessingError::Abandoned));
    detached.detach();
}

#[test]
fn a_caller_whose_time_is_up_cancels() {
    common::watched(|| {
        let rig = Rig::new(Kind::Threads, config(1));
        let gate = rig.hold_all();
        let wait = Duration::from_millis(1);
        let answer = rig
            .pool
            .execute_timeout(Job::echo(1), NORMAL, TaskContext::new(), wait);
        assert!(matches!(answer, Err(ExecuteError::TimedOut)));
        let task = ProcessingTask::new(Job::echo(2)).priority(NORMAL);
        let late = block_on(async {
            let ticket = rig.pool.submit(task).await.unwrap();
            tokio::time::timeout(wait, ticket).await
        });
        assert!(late.is_err());
        gate.open();
        assert_eq!(drain(&rig.pool).lanes[1].cancelled, 2);
    });
}
