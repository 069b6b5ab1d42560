//! Many at once: batches keep their order, streams give results as they come.

mod common;

use std::pin::pin;
use std::time::{Duration, Instant};

use common::script::handed_back;
use common::{
    Failure, Gate, Job, Kind, Rig, block_on, config, drain, for_both_kinds, lanes, poll_once,
};
use lanepool::{ExecuteError, OverflowPolicy, ProcessingError, ProcessingTask, SubmitError};

for_both_kinds!(
    a_batch_gives_results_in_order,
    a_batch_longer_than_its_lane_is_fed_through,
    an_empty_batch_is_no_work,
    a_batch_of_many_lanes_fails_item_by_item,
    a_stream_gives_results_as_they_come,
    a_stream_has_room_for_its_limit,
    a_stream_is_told_of_the_end_of_the_pool,
);

fn a_batch_gives_results_in_order(kind: Kind) {
    let rig = Rig::new(kind, config(3));
    let job = |id| match id % 5 {
        0 => Job::fail(id),
        1 => Job::panic(id),
        2 => Job::new(id, common::Act::Yield),
        _ => Job::echo(id),
    };
    let batches = [
        rig.pool.execute_batch_blocking((0..100).map(job)),
        block_on(rig.pool.execute_batch((0..100).map(job))),
    ];
    for results in batches {
        assert_eq!(results.len(), 100);
        for (id, result) in (0..).zip(results) {
            match (id % 5, result) {
                (0, Err(ExecuteError::Processing(ProcessingError::Failed(failure)))) => {
                    assert_eq!(failure, Failure(id));
                }
                (1, Err(ExecuteError::Processing(ProcessingError::Panicked(message)))) => {
                    assert!(message.starts_with(&format!("{id} ")), "{message}");
                }
                (_, Ok(done)) => assert_eq!(done.id, id),
                (_, other) => panic!("{id}: {other:?}"),
            }
        }
    }
    drain(&rig.pool);
}

fn a_batch_longer_than_its_lane_is_fed_through(kind: Kind) {
    let rig = Rig::new(kind, config(2).lanes(lanes(4, OverflowPolicy::Wait)));
    for length in [4, 5, 16, 17, 1_000] {
        let results = rig.pool.execute_batch_blocking((0..length).map(Job::echo));
        let ids: Vec<_> = results
            .into_iter()
            .map(|result| result.unwrap().id)
            .collect();
        assert!(ids.into_iter().eq(0..length));
        let results = block_on(rig.pool.execute_batch((0..length).map(Job::echo)));
        let ids: Vec<_> = results
            .into_iter()
            .map(|result| result.unwrap().id)
            .collect();
        assert!(ids.into_iter().eq(0..length));
    }
    assert_eq!(drain(&rig.pool).total().refused, 0);
}

fn an_empty_batch_is_no_work(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    assert!(
        rig.pool
            .execute_batch_blocking(Vec::<Job>::new())
            .is_empty()
    );
    assert!(block_on(rig.pool.execute_batch(Vec::<Job>::new())).is_empty());
    assert_eq!(drain(&rig.pool).total().submitted, 0);
}

fn a_batch_of_many_lanes_fails_item_by_item(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(lanes(64, OverflowPolicy::Reject)));
    let tasks = || {
        (0..60).map(|id| {
            let task = ProcessingTask::new(Job::echo(id)).lane(id as usize % 5);
            if id % 7 == 0 {
                task.deadline(Instant::now())
            } else {
                task
            }
        })
    };
    for results in [
        rig.pool.execute_batch_blocking(tasks()),
        block_on(rig.pool.execute_batch(tasks())),
    ] {
        for (id, result) in (0..).zip(results) {
            match result {
                Ok(done) => assert_eq!((done.id, id % 5 < 4, id % 7 > 0), (id, true, true)),
                Err(ExecuteError::Refused(refused)) => {
                    match &refused {
                        SubmitError::NoSuchLane { lane, lanes, .. } => {
                            assert_eq!((*lane, *lanes), (4, 4))
                        }
                        SubmitError::Expired(_) => assert_eq!(id % 7, 0),
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(handed_back(refused), id);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let gate = rig.hold_all();
    let mut batch = pin!(
        rig.pool
            .execute_batch((0..100).map(|id| ProcessingTask::new(Job::echo(id)).lane(0)))
    );
    assert!(poll_once(batch.as_mut()).is_pending());
    gate.open();
    let results = block_on(batch);
    let refused = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(refused, 36, "what the lane had no room for");
    assert!(
        results[..64].iter().all(Result::is_ok),
        "the first come first"
    );
    drain(&rig.pool);
}

fn a_stream_gives_results_as_they_come(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = Gate::new();
    let mut stream = rig.pool.stream(8);
    let held = ProcessingTask::new(Job::hold(0, &gate)).message_id(100);
    stream.try_submit(held).unwrap();
    gate.await_arrivals(1);
    for id in 1..5 {
        stream
            .submit_blocking(ProcessingTask::new(Job::echo(id)).message_id(100 + id))
            .unwrap();
    }
    let ids: Vec<_> = (1..5)
        .map(|_| stream.next_blocking().unwrap())
        .map(|item| {
            let done = item.result.unwrap();
            assert_eq!(item.context.message_id(), Some(100 + done.id));
            done.id
        })
        .collect();
    assert_eq!(
        ids,
        [1, 2, 3, 4],
        "one worker, so in order, and before the first"
    );
    assert!(poll_once(pin!(stream.next())).is_pending());
    gate.open();
    assert_eq!(block_on(stream.next()).unwrap().result.unwrap().id, 0);
    assert!(stream.next_blocking().is_none());
    stream.try_submit(Job::fail(6)).unwrap();
    let failed = stream.next_blocking().unwrap().result;
    assert_eq!(failed, Err(ProcessingError::Failed(Failure(6))));
    drain(&rig.pool);
}

fn a_stream_has_room_for_its_limit(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    for (limit, room) in [(0, 1), (1, 1), (3, 3)] {
        let mut stream = rig.pool.stream(limit);
        for outstanding in 0..room {
            assert!(stream.has_room());
            assert_eq!(stream.outstanding(), outstanding);
            stream.try_submit(Job::echo(1)).unwrap();
        }
        assert!(!stream.has_room());
        let refused = [
            stream.try_submit(Job::echo(7)),
            stream.submit_blocking(Job::echo(7)),
            block_on(stream.submit(Job::echo(7))),
        ];
        for refused in refused {
            assert_eq!(handed_back(refused.unwrap_err()), 7);
        }
        assert!(stream.next_blocking().is_some());
        assert!(stream.has_room());
    }
    let mut stream = rig.pool.stream(4);
    let (mut next, mut sum) = (0, 0);
    loop {
        while stream.has_room() && next < 2_000 {
            stream.submit_blocking(Job::echo(next)).unwrap();
            next += 1;
        }
        let Some(item) = stream.next_blocking() else {
            break;
        };
        sum += item.result.unwrap().id;
    }
    assert_eq!(sum, 1_999_000, "each once");
    drain(&rig.pool);
}

fn a_stream_is_told_of_the_end_of_the_pool(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut stream = rig.pool.stream(3);
    for id in 0..3 {
        stream.try_submit(Job::echo(id)).unwrap();
    }
    assert_eq!(rig.pool.shutdown_blocking(Duration::ZERO).returned.len(), 3);
    for _ in 0..3 {
        let item = stream.next_blocking().unwrap();
        assert_eq!(item.result, Err(ProcessingError::Abandoned));
    }
    assert!(matches!(
        stream.try_submit(Job::echo(0)),
        Err(SubmitError::Closed(_))
    ));
    assert!(stream.next_blocking().is_none());
    gate.open();
    drain(&rig.pool);
}
