//! A key has its share of a lane and no more: its own submitters alone wait or are refused beyond it.

mod common;

use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::time::Duration;

use common::script::handed_back;
use common::{
    Gate, Job, Kind, LONG, Rig, assert_at_rest, block_on, config, drain, for_both_kinds, lanes,
    poll_once,
};
use lanepool::{OverflowPolicy, ProcessingTask, SchedulingStrategy, SubmitError};

/// The lane's capacity; a key's share is half of it.
const CAPACITY: usize = 8;
const SHARE: u64 = 4;

/// The key that has more tasks than a worker can do.
const HOT: u64 = 1;

for_both_kinds!(
    a_key_has_half_of_the_lane,
    a_lane_of_keyed_tasks_is_bounded_apart_from_the_others,
    whoever_waits_gets_in_when_the_key_moves_on,
    a_submitter_that_gives_up_leaves_no_trace,
    a_batch_of_a_crowded_key_is_fed_through,
    a_batch_is_refused_task_by_task,
    a_close_finds_everybody_in_the_crowd,
    room_for_one_key_is_found_by_those_that_wait_for_the_lane,
    a_notice_that_a_crowded_key_cannot_use_is_passed_on,
);

/// Two workers, one of them stuck at the gate with the first task of the hot key.
fn stuck(kind: Kind, overflow: OverflowPolicy) -> (Rig, Gate) {
    let config = config(2)
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .lanes(lanes(CAPACITY, overflow));
    let rig = Rig::new(kind, config);
    let gate = Gate::new();
    let first = ProcessingTask::new(Job::hold(0, &gate)).key(HOT);
    rig.pool.try_spawn(first).unwrap();
    gate.await_arrivals(1);
    (rig, gate)
}

fn keyed(key: u64, id: u64) -> ProcessingTask<Job> {
    ProcessingTask::new(Job::echo(id)).key(key)
}

/// Fills the hot key's share with 1, 2, …
fn crowd(rig: &Rig) {
    for id in 1..=SHARE {
        rig.pool.try_spawn(keyed(HOT, id)).unwrap();
    }
}

fn assert_full(refused: SubmitError<Job>, id: u64) {
    assert!(matches!(refused, SubmitError::Full(_)), "{refused:?}");
    assert_eq!(handed_back(refused), id);
}

fn ends(rig: &Rig) {
    drain(&rig.pool);
    assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
}

fn a_key_has_half_of_the_lane(kind: Kind) {
    for overflow in [OverflowPolicy::Wait, OverflowPolicy::Reject] {
        let (rig, gate) = stuck(kind, overflow);
        crowd(&rig);
        assert_full(rig.pool.try_submit(keyed(HOT, 5)).unwrap_err(), 5);
        assert_full(rig.pool.try_spawn(keyed(HOT, 6)).unwrap_err(), 6);
        // Another lane's tasks of the key wait behind these, so the share is of both together.
        let elsewhere = keyed(HOT, 7).lane(0);
        assert_full(rig.pool.try_spawn(elsewhere).unwrap_err(), 7);
        for id in 10..100 {
            let other = rig.pool.try_submit(keyed(id, id)).unwrap();
            assert_eq!(other.wait().unwrap().id, id, "others are served");
        }
        let statistics = rig.pool.statistics();
        assert_eq!(statistics.conserved(), Ok(()));
        assert_eq!(
            (statistics.total().queued, statistics.total().refused),
            (4, 3)
        );
        if overflow == OverflowPolicy::Reject {
            let refused = rig.pool.submit_blocking(keyed(HOT, 8));
            assert_full(refused.unwrap_err(), 8);
            let refused = block_on(rig.pool.submit(keyed(HOT, 9)));
            assert_full(refused.unwrap_err(), 9);
        }
        gate.open();
        ends(&rig);
        let mut started = rig.started();
        started.retain(|id| *id < 10);
        assert_eq!(started, [0, 1, 2, 3, 4]);
    }
}

fn a_lane_of_keyed_tasks_is_bounded_apart_from_the_others(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    rig.pool.try_spawn(Job::hold(0, &gate)).unwrap();
    gate.await_arrivals(2);
    for id in 0..CAPACITY as u64 {
        rig.pool.try_spawn(keyed(10 + id, id)).unwrap();
    }
    assert_full(rig.pool.try_spawn(keyed(99, 9)).unwrap_err(), 9);
    assert_full(rig.pool.try_spawn(keyed(HOT, 9)).unwrap_err(), 9);
    for id in 0..CAPACITY as u64 {
        rig.pool.try_spawn(Job::echo(id)).unwrap();
    }
    assert_full(rig.pool.try_spawn(Job::echo(9)).unwrap_err(), 9);
    let other_lane = keyed(99, 9).lane(3);
    rig.pool.try_spawn(other_lane).unwrap();
    assert_eq!(rig.pool.statistics().conserved(), Ok(()));
    assert_eq!(rig.pool.statistics().total().queued, 17);
    gate.open();
    ends(&rig);
}

fn whoever_waits_gets_in_when_the_key_moves_on(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    crowd(&rig);
    let mut waits: Vec<_> = (5..8)
        .map(|id| Box::pin(rig.pool.submit(keyed(HOT, id))))
        .collect();
    for future in &mut waits {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    let (entered, entries) = mpsc::channel();
    std::thread::scope(|scope| {
        let pool = &rig.pool;
        scope.spawn(move || {
            for id in 20..40 {
                pool.spawn_blocking(keyed(HOT, id)).unwrap();
                entered.send(id).unwrap();
            }
        });
        for id in 100..200 {
            let other = rig.pool.submit_blocking(keyed(id, id)).unwrap();
            assert!(other.wait().is_ok(), "others are served meanwhile");
        }
        assert_eq!(rig.pool.statistics().total().refused, 0);
        assert!(entries.try_recv().is_err(), "the key is stuck");
        gate.open();
        for future in waits {
            assert!(block_on(future).unwrap().wait().is_ok());
        }
        assert!(entries.iter().eq(20..40), "every one of them got in");
    });
    ends(&rig);
    let mut of_thread = rig.started();
    of_thread.retain(|id| (20..40).contains(id));
    assert!(of_thread.into_iter().eq(20..40), "in their order");
}

fn a_submitter_that_gives_up_leaves_no_trace(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    crowd(&rig);
    let mut gives_up = Box::pin(rig.pool.submit(keyed(HOT, 66)));
    assert!(poll_once(gives_up.as_mut()).is_pending());
    let mut stays = pin!(rig.pool.submit(keyed(HOT, 5)));
    assert!(poll_once(stays.as_mut()).is_pending());
    drop(gives_up);
    let in_time = rig.pool.execute_timeout(
        Job::echo(67),
        lanepool::TaskPriority::Normal,
        lanepool::TaskContext::new().with_key(HOT),
        Duration::ZERO,
    );
    assert!(
        matches!(
            in_time,
            Err(lanepool::ExecuteError::Refused(SubmitError::Full(_)))
        ),
        "{in_time:?}"
    );
    gate.open();
    assert_eq!(block_on(stays).unwrap().wait().unwrap().id, 5);
    ends(&rig);
    assert!(rig.started().iter().all(|id| *id < 66));
}

fn a_batch_of_a_crowded_key_is_fed_through(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    let tasks = (1..100).map(|id| match id % 3 {
        0 => ProcessingTask::new(Job::echo(id)),
        _ => keyed(HOT, id),
    });
    let mut batch: Pin<Box<_>> = Box::pin(rig.pool.execute_batch(tasks));
    assert!(poll_once(batch.as_mut()).is_pending());
    gate.open();
    let ids = block_on(batch).into_iter().map(|done| done.unwrap().id);
    assert!(ids.eq(1..100));
    let blocking = rig
        .pool
        .execute_batch_blocking((100..200).map(|id| keyed(HOT, id)));
    assert!(blocking.iter().all(Result::is_ok));
    ends(&rig);
    let mut of_key = rig.started();
    of_key.retain(|id| *id >= 100 || id % 3 != 0);
    assert!(of_key.is_sorted());
}

fn a_batch_is_refused_task_by_task(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Reject);
    crowd(&rig);
    let held = ProcessingTask::new(Job::hold(0, &gate));
    rig.pool.try_spawn(held).unwrap();
    gate.await_arrivals(2);
    let tasks = [(HOT, 10), (2, 11), (HOT, 12), (3, 13)].map(|(key, id)| keyed(key, id));
    let mut batch = Box::pin(rig.pool.execute_batch(tasks));
    assert!(poll_once(batch.as_mut()).is_pending());
    gate.open();
    let results = block_on(batch);
    let ids = results.iter().map(|done| done.as_ref().map(|done| done.id));
    let ids: Vec<_> = ids.map(Result::ok).collect();
    assert_eq!(ids, [None, Some(11), None, Some(13)]);
    assert_eq!(rig.pool.statistics().total().refused, 2);
    ends(&rig);
}

fn a_close_finds_everybody_in_the_crowd(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    crowd(&rig);
    let mut waits: Vec<_> = (5..8)
        .map(|id| Box::pin(rig.pool.submit(keyed(HOT, id))))
        .collect();
    for future in &mut waits {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| rig.pool.submit_blocking(keyed(HOT, 9)));
        let report = rig.pool.shutdown_blocking(Duration::ZERO);
        let returned = report.returned.iter().map(|back| back.request.id);
        assert!(returned.eq(1..=SHARE));
        let refused = blocked.join().unwrap().unwrap_err();
        assert!(matches!(refused, SubmitError::Closed(_)), "{refused:?}");
        assert_eq!(handed_back(refused), 9);
    });
    for (id, future) in (5..).zip(waits) {
        let refused = block_on(future).unwrap_err();
        assert!(matches!(refused, SubmitError::Closed(_)), "{refused:?}");
        assert_eq!(handed_back(refused), id);
    }
    gate.open();
    let after = rig.pool.shutdown_blocking(LONG);
    assert!(after.drained);
    assert_at_rest(&after.statistics);
    assert_eq!(after.statistics.total().refused, 4);
}

/// Some wait for their key and some for the lane, and all of them get in.
fn room_for_one_key_is_found_by_those_that_wait_for_the_lane(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    let other = ProcessingTask::new(Job::hold(0, &gate)).key(2);
    rig.pool.try_spawn(other).unwrap();
    gate.await_arrivals(2);
    // Two shares are the whole lane.
    for id in 1..=SHARE {
        rig.pool.try_spawn(keyed(HOT, id)).unwrap();
        rig.pool.try_spawn(keyed(2, id)).unwrap();
    }
    let mut waits: Vec<_> = [HOT, 3, 2, 4, HOT, 3]
        .into_iter()
        .map(|key| Box::pin(rig.pool.submit(keyed(key, 50 + key))))
        .collect();
    for future in &mut waits {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    gate.open();
    let waits = waits.into_iter().map(|future| {
        let ticket = block_on(future).unwrap();
        ticket.wait().unwrap().id - 50
    });
    assert!(waits.eq([HOT, 3, 2, 4, HOT, 3]));
    ends(&rig);
}

fn a_notice_that_a_crowded_key_cannot_use_is_passed_on(kind: Kind) {
    let (rig, gate) = stuck(kind, OverflowPolicy::Wait);
    let second = Gate::new();
    let other = ProcessingTask::new(Job::hold(0, &second)).key(2);
    rig.pool.try_spawn(other).unwrap();
    second.await_arrivals(1);
    for (key, tasks) in [(HOT, 3), (2, 4), (3, 1)] {
        (0..tasks).for_each(|id| rig.pool.try_spawn(keyed(key, id)).unwrap());
    }
    // The lane is full. Of the two that come first only one finds room in its key's share.
    let mut waits: Vec<_> = [HOT, HOT, 4]
        .into_iter()
        .map(|key| Box::pin(rig.pool.submit(keyed(key, 50 + key))))
        .collect();
    for future in &mut waits {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    std::thread::scope(|scope| {
        let mut waits = waits
            .into_iter()
            .map(|future| scope.spawn(|| block_on(future).unwrap()));
        let hot = [waits.next().unwrap(), waits.next().unwrap()];
        let free = waits.next().unwrap();
        second.open();
        let ticket = free.join().unwrap();
        assert_eq!(ticket.wait().unwrap().id, 54, "the hot key is still stuck");
        gate.open();
        for waiter in hot {
            assert!(waiter.join().unwrap().wait().is_ok());
        }
    });
    ends(&rig);
}
