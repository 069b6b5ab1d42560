//! Every task that is submitted is refused or has exactly one outcome, and the statistics say so.

mod common;

use std::time::Duration;

use common::{Gate, Job, Kind, Rig, Tally, assert_at_rest, block_on, builder, config, drain};
use common::{for_both_kinds, lanes};
use lanepool::{Clock, OverflowPolicy, ProcessingTask, SubmitError, TaskContext, TaskPriority};

for_both_kinds!(
    each_outcome_is_counted_once_in_its_lane,
    every_way_in_is_counted,
    the_law_holds_while_tasks_wait_and_run,
    every_answer_is_in_the_statistics_before_the_caller_has_it,
    every_caller_of_many_threads_has_one_answer,
    no_worker_sleeps_while_a_task_waits,
    a_task_that_comes_while_others_run_goes_to_an_idle_worker,
);

fn each_outcome_is_counted_once_in_its_lane(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let deadline = clock.now() + Duration::from_secs(1);
    let config = config(1).lanes(lanes(8, OverflowPolicy::Wait));
    let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
    let gate = rig.hold_all();
    let mut tickets = Vec::new();
    for (lane, priority) in TaskPriority::ALL.into_iter().enumerate() {
        let task = |job| ProcessingTask::new(job).priority(priority);
        // A different number of each in each lane, so that a mix-up of lanes shows.
        for id in 0..=lane as u64 {
            tickets.push(rig.pool.try_submit(task(Job::echo(id))).unwrap());
        }
        tickets.push(rig.pool.try_submit(task(Job::fail(0))).unwrap());
        tickets.push(rig.pool.try_submit(task(Job::panic(0))).unwrap());
        tickets.push(
            rig.pool
                .try_submit(task(Job::echo(0)).deadline(deadline))
                .unwrap(),
        );
        drop(rig.pool.try_submit(task(Job::echo(0))).unwrap());
        while rig.pool.try_spawn(task(Job::echo(0))).is_ok() {}
    }
    hands.advance(Duration::from_secs(2));
    gate.open();
    let mut told = Tally::default();
    for ticket in tickets {
        told.note(&ticket.wait());
    }
    let statistics = drain(&rig.pool);
    for (lane, counts) in statistics.lanes.iter().enumerate() {
        let held = u64::from(lane == 3);
        let expected = Tally {
            completed: 4 + held,
            failed: 1,
            panicked: 1,
            expired: 1,
            cancelled: 1,
            abandoned: 0,
        };
        assert_eq!(Tally::of(counts), expected, "lane {lane}");
        assert_eq!(
            (counts.submitted, counts.refused),
            (9 + held, 1),
            "lane {lane}"
        );
        assert_eq!(counts.finished(), 8 + held);
        assert_eq!(counts.accounted(), counts.submitted);
    }
    let told_of = 1 + 2 + 3 + 4;
    assert_eq!(
        (told.completed, told.failed, told.panicked),
        (told_of, 4, 4)
    );
    assert_eq!((told.expired, told.cancelled, told.abandoned), (4, 0, 0));
}

fn every_way_in_is_counted(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let (pool, context) = (&rig.pool, TaskContext::new());
    let low = TaskPriority::Low;
    let task = |id| ProcessingTask::new(Job::echo(id)).priority(low);
    assert_eq!(
        block_on(pool.execute(Job::echo(1), low, context))
            .unwrap()
            .id,
        1
    );
    assert_eq!(
        pool.execute_blocking(Job::echo(2), low, context)
            .unwrap()
            .id,
        2
    );
    let patient = pool.execute_timeout(Job::echo(3), low, context, common::LONG);
    assert_eq!(patient.unwrap().id, 3);
    assert_eq!(pool.try_submit(task(4)).unwrap().wait().unwrap().id, 4);
    assert_eq!(
        block_on(async { pool.submit(task(5)).await.unwrap().await })
            .unwrap()
            .id,
        5
    );
    assert_eq!(pool.submit_blocking(task(6)).unwrap().wait().unwrap().id, 6);
    pool.try_spawn(task(7)).unwrap();
    block_on(pool.spawn(task(8))).unwrap();
    pool.spawn_blocking(task(9)).unwrap();
    assert_eq!(block_on(pool.execute_batch([task(10), task(11)])).len(), 2);
    assert_eq!(pool.execute_batch_blocking([task(12), task(13)]).len(), 2);
    let mut stream = pool.stream(3);
    stream.try_submit(task(14)).unwrap();
    stream.submit_blocking(task(15)).unwrap();
    block_on(stream.submit(task(16))).unwrap();
    while stream.next_blocking().is_some() {}
    let statistics = drain(pool);
    assert_eq!(statistics.lanes[0].completed, 16);
    assert_eq!(
        statistics.total().submitted,
        16,
        "and nothing in another lane"
    );
    let mut started = rig.started();
    started.sort_unstable();
    assert_eq!(started, (1..=16).collect::<Vec<_>>(), "each exactly once");
}

fn the_law_holds_while_tasks_wait_and_run(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = rig.hold_all();
    let tickets: Vec<_> = (0..5).map(|id| rig.submit(id, TaskPriority::Low)).collect();
    let statistics = rig.pool.statistics();
    assert_eq!(statistics.conserved(), Ok(()));
    assert_eq!(
        (statistics.lanes[0].queued, statistics.lanes[0].running),
        (5, 0)
    );
    assert_eq!(
        (statistics.lanes[3].queued, statistics.lanes[3].running),
        (0, 2)
    );
    drop(tickets);
    assert_eq!(
        rig.pool.statistics().lanes[0].queued,
        5,
        "cancelled tasks lie where they lay"
    );
    gate.open();
    let statistics = drain(&rig.pool);
    assert_eq!(statistics.lanes[0].cancelled, 5);
    assert_eq!(statistics.lanes[3].completed, 2);
}

fn every_answer_is_in_the_statistics_before_the_caller_has_it(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    for id in 1..=2_000 {
        let answer =
            rig.pool
                .execute_blocking(Job::echo(id), TaskPriority::Normal, TaskContext::new());
        assert_eq!(answer.unwrap().id, id);
        assert_eq!(rig.pool.statistics().lanes[1].completed, id);
        assert_eq!(
            rig.pool.statistics().conserved(),
            Ok(()),
            "one caller, so at rest"
        );
    }
    drain(&rig.pool);
}

fn every_caller_of_many_threads_has_one_answer(kind: Kind) {
    const CALLERS: u64 = 4;
    const EACH: u64 = 3_000;
    let rig = Rig::new(kind, config(3).lanes(lanes(16, OverflowPolicy::Wait)));
    let tallies: Vec<(Tally, u64)> = std::thread::scope(|scope| {
        let call = |caller: u64| {
            let rig = &rig;
            move || {
                let mut told = (Tally::default(), 0);
                for n in 0..EACH {
                    let id = caller * EACH + n;
                    let job = match n % 16 {
                        0 => Job::fail(id),
                        1 => Job::panic(id),
                        _ => Job::echo(id),
                    };
                    let task = ProcessingTask::new(job).lane((n % 4) as usize);
                    match if n % 3 == 0 {
                        rig.pool.try_submit(task)
                    } else {
                        rig.pool.submit_blocking(task)
                    } {
                        Ok(ticket) => {
                            let answer = ticket.wait();
                            if let Ok(done) = &answer {
                                assert_eq!(done.id, id, "nobody gets another's answer");
                            }
                            told.0.note(&answer);
                        }
                        Err(SubmitError::Full(job)) => {
                            assert_eq!(job.id, id);
                            told.1 += 1;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                told
            }
        };
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| scope.spawn(call(caller)))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    let total = drain(&rig.pool).total();
    let sum = |part: fn(&(Tally, u64)) -> u64| tallies.iter().map(part).sum::<u64>();
    assert_eq!(total.submitted, CALLERS * EACH);
    assert_eq!(total.completed, sum(|told| told.0.completed));
    assert_eq!(total.failed, sum(|told| told.0.failed));
    assert_eq!(total.panicked, sum(|told| told.0.panicked));
    assert_eq!(total.refused, sum(|told| told.1));
    assert_eq!(total.finished() + total.refused, CALLERS * EACH);
}

/// As many tasks as workers wait for each other: they all get through only if no worker sleeps while
/// one of them lies in a lane.
fn no_worker_sleeps_while_a_task_waits(kind: Kind) {
    for workers in [1, 2, 3, 8] {
        let rig = Rig::new(kind, config(workers).max_run_length(16));
        for round in 0..400 {
            let meeting = Gate::meeting(workers);
            let task = |lane| ProcessingTask::new(Job::hold(0, &meeting)).lane(lane);
            if round % 2 == 0 {
                // All in one claim of one lane, so with one notice for all.
                let tasks = (0..workers).map(|_| task(round % 4));
                let all = rig.pool.execute_batch_blocking(tasks);
                assert!(all.iter().all(Result::is_ok));
            } else {
                let submit = |n| rig.pool.try_submit(task((round + n) % 4)).unwrap();
                let tickets: Vec<_> = (0..workers).map(submit).collect();
                assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
            }
        }
        assert_eq!(drain(&rig.pool).total().completed, 400 * workers as u64);
    }
}

fn a_task_that_comes_while_others_run_goes_to_an_idle_worker(kind: Kind) {
    let rig = Rig::new(kind, config(4));
    let gate = Gate::new();
    let held: Vec<_> = (0..3)
        .map(|id| rig.pool.try_submit(Job::hold(id, &gate)).unwrap())
        .collect();
    gate.await_arrivals(3);
    let mut workers = Vec::new();
    for id in 0..500 {
        let done = rig.submit(id, TaskPriority::Low).wait().unwrap();
        workers.push(done.worker);
    }
    workers.dedup();
    assert_eq!(workers.len(), 1, "the one that is free");
    assert_eq!(gate.arrived(), 3);
    gate.open();
    for ticket in held {
        assert_ne!(ticket.wait().unwrap().worker, workers[0]);
    }
    assert_at_rest(&drain(&rig.pool));
}
