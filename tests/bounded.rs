//! Lanes never grow: a full one refuses or lets its submitters wait, as its policy says.

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::script::handed_back;
use common::{Gate, Job, Kind, Rig, block_on, config, drain, for_both_kinds, lanes, poll_once};
use lanepool::{
    ExecuteError, OverflowPolicy, ProcessingTask, SubmitError, TaskContext, TaskPriority,
};

const CAPACITY: usize = 4;
const LOW: TaskPriority = TaskPriority::Low;

for_both_kinds!(
    a_full_lane_refuses_to_try_and_hands_the_request_back,
    a_lane_that_rejects_refuses_every_way_in,
    a_lane_that_lets_wait_takes_every_submitter_in_the_end,
    a_full_lane_leaves_the_others_alone,
    a_lane_never_holds_more_than_its_capacity,
    a_submitter_that_gives_up_passes_its_notice_on,
    one_caller_in_a_hurry_has_the_request_back_in_time,
    capacities_are_rounded_up_to_a_power_of_two,
);

/// A single worker that is held, and a full lowest lane.
fn full(kind: Kind, overflow: OverflowPolicy) -> (Rig, Gate) {
    let rig = Rig::new(kind, config(1).lanes(lanes(CAPACITY, overflow)));
    let gate = rig.hold_all();
    for id in 0..CAPACITY as u64 {
        rig.pool.try_spawn(low(id)).unwrap();
    }
    (rig, gate)
}

fn low(id: u64) -> ProcessingTask<Job> {
    ProcessingTask::new(Job::echo(id)).priority(LOW)
}

fn a_full_lane_refuses_to_try_and_hands_the_request_back(kind: Kind) {
    for overflow in [OverflowPolicy::Wait, OverflowPolicy::Reject] {
        let (rig, gate) = full(kind, overflow);
        for id in 100..110 {
            let refused = rig.pool.try_submit(low(id)).unwrap_err();
            assert!(matches!(refused, SubmitError::Full(_)), "{refused}");
            assert_eq!(handed_back(refused), id);
            assert_eq!(handed_back(rig.pool.try_spawn(low(id)).unwrap_err()), id);
        }
        assert_eq!(rig.pool.statistics().lanes[0].refused, 20);
        gate.open();
        let counts = &drain(&rig.pool).lanes[0];
        assert_eq!(
            (counts.submitted, counts.completed),
            (20 + CAPACITY as u64, CAPACITY as u64)
        );
        assert!(
            rig.started().iter().all(|id| !(100..110).contains(id)),
            "refused is not run"
        );
    }
}

fn a_lane_that_rejects_refuses_every_way_in(kind: Kind) {
    let (rig, gate) = full(kind, OverflowPolicy::Reject);
    let (pool, context) = (&rig.pool, TaskContext::new());
    let refused = [
        block_on(pool.submit(low(1))).map(drop),
        pool.submit_blocking(low(2)).map(drop),
        block_on(pool.spawn(low(3))),
        pool.spawn_blocking(low(4)),
    ];
    let executed = [
        block_on(pool.execute(Job::echo(5), LOW, context)),
        pool.execute_blocking(Job::echo(6), LOW, context),
        pool.execute_timeout(Job::echo(7), LOW, context, common::LONG),
    ];
    let batches = [
        block_on(pool.execute_batch([low(8)])),
        pool.execute_batch_blocking([low(9)]),
    ];
    let executed = executed
        .into_iter()
        .chain(batches.into_iter().flatten())
        .map(|answer| match answer {
            Err(ExecuteError::Refused(refused)) => Err(refused),
            other => panic!("{other:?}"),
        });
    let refused = refused.into_iter().chain(executed);
    let ids: Vec<_> = refused
        .map(|answer| match answer {
            Err(SubmitError::Full(job)) => job.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, (1..=9).collect::<Vec<_>>());
    gate.open();
    assert_eq!(drain(pool).lanes[0].refused, 9);
}

fn a_lane_that_lets_wait_takes_every_submitter_in_the_end(kind: Kind) {
    let (rig, gate) = full(kind, OverflowPolicy::Wait);
    let pool = &rig.pool;
    let mut submit = pin!(pool.submit(low(100)));
    let mut execute = pin!(pool.execute(Job::echo(101), LOW, TaskContext::new()));
    assert!(poll_once(submit.as_mut()).is_pending(), "there is no room");
    assert!(poll_once(execute.as_mut()).is_pending());
    assert_eq!(
        pool.statistics().lanes[0].submitted,
        CAPACITY as u64,
        "not accepted yet"
    );
    std::thread::scope(|scope| {
        let blocked: Vec<_> = (200..206)
            .map(|id| {
                scope.spawn(move || match id % 3 {
                    0 => pool.submit_blocking(low(id)).unwrap().wait().unwrap().id,
                    1 => {
                        pool.execute_blocking(Job::echo(id), LOW, TaskContext::new())
                            .unwrap()
                            .id
                    }
                    _ => {
                        pool.spawn_blocking(low(id)).unwrap();
                        id
                    }
                })
            })
            .collect();
        gate.open();
        assert_eq!(
            block_on(async { submit.await.unwrap().await.unwrap() }).id,
            100
        );
        assert_eq!(block_on(execute).unwrap().id, 101);
        for (blocked, id) in blocked.into_iter().zip(200..) {
            assert_eq!(blocked.join().unwrap(), id);
        }
    });
    let counts = &drain(pool).lanes[0];
    assert_eq!((counts.completed, counts.refused), (CAPACITY as u64 + 8, 0));
}

fn a_full_lane_leaves_the_others_alone(kind: Kind) {
    let (rig, gate) = full(kind, OverflowPolicy::Reject);
    let ticket = rig.submit(100, TaskPriority::Normal);
    gate.open();
    assert_eq!(ticket.wait().unwrap().id, 100);
    drain(&rig.pool);
}

fn a_lane_never_holds_more_than_its_capacity(kind: Kind) {
    const WORKERS: usize = 2;
    let rig = Rig::new(
        kind,
        config(WORKERS).lanes(lanes(CAPACITY, OverflowPolicy::Wait)),
    );
    let accepted = AtomicUsize::new(0);
    let submit = || {
        for id in 0..1_500 {
            rig.pool.spawn_blocking(low(id)).unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..3).map(|_| scope.spawn(submit)).collect();
        while submitters.iter().any(|submitter| !submitter.is_finished()) {
            let before = accepted.load(Ordering::SeqCst);
            // Read later, so that it can only be too large.
            let started = rig.started().len();
            let waiting = before.saturating_sub(started);
            assert!(
                waiting <= CAPACITY + WORKERS,
                "{waiting} in the lane and the workers' hands"
            );
        }
    });
    assert_eq!(drain(&rig.pool).lanes[0].completed, 4_500);
}

fn a_submitter_that_gives_up_passes_its_notice_on(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(lanes(2, OverflowPolicy::Wait)));
    let (first, second) = (rig.hold_all(), Gate::new());
    let hold = ProcessingTask::new(Job::hold(1, &second)).priority(LOW);
    rig.pool.try_spawn(hold).unwrap();
    rig.pool.try_spawn(low(2)).unwrap();
    let mut given_up = Box::pin(rig.pool.submit(low(3)));
    let mut patient = pin!(rig.pool.submit(low(4)));
    assert!(poll_once(given_up.as_mut()).is_pending());
    assert!(poll_once(patient.as_mut()).is_pending());
    first.open();
    // The worker has taken one of the two, so there is room, and the first in the queue was told.
    second.await_arrivals(1);
    assert!(
        poll_once(patient.as_mut()).is_pending(),
        "it is the other's turn"
    );
    drop(given_up);
    let Poll::Ready(Ok(ticket)) = poll_once(patient.as_mut()) else {
        panic!("there is room, and nobody else to use it");
    };
    second.open();
    assert_eq!(ticket.wait().unwrap().id, 4);
    drain(&rig.pool);
    assert!(!rig.started().contains(&3), "it had not been accepted");
}

fn one_caller_in_a_hurry_has_the_request_back_in_time(kind: Kind) {
    let (rig, gate) = full(kind, OverflowPolicy::Wait);
    let hurry = Duration::from_millis(1);
    let full = rig
        .pool
        .execute_timeout(Job::echo(100), LOW, TaskContext::new(), hurry);
    assert!(
        matches!(
            full,
            Err(ExecuteError::Refused(SubmitError::Full(Job {
                id: 100,
                ..
            })))
        ),
        "{full:?}"
    );
    let above = TaskPriority::High;
    let unanswered = rig
        .pool
        .execute_timeout(Job::echo(101), above, TaskContext::new(), hurry);
    assert_eq!(
        unanswered.map_err(|error| error.to_string()).unwrap_err(),
        "no answer came within the time limit"
    );
    gate.open();
    let statistics = drain(&rig.pool);
    assert_eq!(
        statistics.lanes[2].cancelled, 1,
        "what timed out in the lane is not run"
    );
    assert!(rig.started().iter().all(|id| !(100..=101).contains(id)));
}

fn capacities_are_rounded_up_to_a_power_of_two(kind: Kind) {
    for (capacity, room) in [(1, 2), (2, 2), (3, 4), (5, 8), (64, 64)] {
        let rig = Rig::new(kind, config(1).lanes(lanes(capacity, OverflowPolicy::Wait)));
        let gate = rig.hold_all();
        let accepted = (0..1_000)
            .filter(|id| rig.pool.try_spawn(low(*id)).is_ok())
            .count();
        assert_eq!(accepted, room, "capacity {capacity}");
        assert!(matches!(
            poll_once(pin!(rig.pool.spawn(low(0)))),
            Poll::Pending
        ));
        gate.open();
        drain(&rig.pool);
    }
}
