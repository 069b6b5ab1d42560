//! Shutdown stops admission, runs what was accepted within its limit, then answers everybody and says what
//! did not finish.

mod common;

use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use common::script::{HOLDING, handed_back};
use common::{
    Act, Gate, Job, Kind, LONG, Rig, assert_at_rest, block_on, builder, config, drain,
    for_both_kinds, lanes, poll_once,
};
use lanepool::{
    Clock, ExecuteError, OverflowPolicy, PoolEvent, ProcessingError, ProcessingTask, SubmitError,
    TaskContext, TaskPriority, WorkerHealthStatus,
};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    everything_that_was_accepted_is_run,
    requests_that_were_not_started_come_back_with_lane_and_context,
    a_stuck_task_is_named_and_its_caller_answered,
    a_report_names_the_task_that_is_stuck_and_no_earlier_one,
    nothing_that_did_not_finish_is_left_out_of_the_report,
    a_task_that_nobody_wants_does_not_come_back,
    every_way_in_is_refused_afterwards,
    submitters_that_wait_for_room_are_refused,
    many_shutdowns_at_once_agree,
    a_second_shutdown_waits_for_the_rest,
    a_shutdown_from_inside_a_service_does_not_wait_for_itself,
    a_dropped_shutdown_goes_on,
    an_idle_pool_ends_at_once,
);

fn everything_that_was_accepted_is_run(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = rig.hold_all();
    let tickets: Vec<_> = (0..300)
        .map(|id| rig.submit(id, TaskPriority::ALL[id as usize % 4]))
        .collect();
    let mut shutdown = pin!(rig.pool.shutdown(LONG));
    assert!(
        poll_once(shutdown.as_mut()).is_pending(),
        "its workers are held"
    );
    assert!(matches!(
        rig.pool.try_spawn(Job::echo(0)),
        Err(SubmitError::Closed(_))
    ));
    gate.open();
    let report = block_on(shutdown);
    assert!(report.drained && report.returned.is_empty() && report.running.is_empty());
    assert_at_rest(&report.statistics);
    assert_eq!(report.statistics.total().completed, 302);
    for worker in &report.statistics.workers {
        assert_eq!(worker.status, WorkerHealthStatus::Stopped);
    }
    for (id, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait().unwrap().id, id as u64);
    }
}

fn requests_that_were_not_started_come_back_with_lane_and_context(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut tickets = Vec::new();
    for id in 0..20 {
        let context = TaskContext::new().with_message_id(id).with_tenant(7);
        let task = ProcessingTask::new(Job::echo(id))
            .context(context)
            .lane(id as usize % 4);
        match id % 2 {
            0 => tickets.push(rig.pool.try_submit(task).unwrap()),
            _ => rig.pool.try_spawn(task).unwrap(),
        }
    }
    let report = rig.pool.shutdown_blocking(Duration::ZERO);
    assert!(!report.drained);
    let order: Vec<_> = report
        .returned
        .iter()
        .map(|back| (back.lane, back.request.id))
        .collect();
    let expected: Vec<_> = (0..4)
        .flat_map(|lane| (0..5).map(move |n| (lane, n * 4 + lane as u64)))
        .collect();
    assert_eq!(order, expected, "lane by lane, oldest first");
    for back in &report.returned {
        assert_eq!(back.context.message_id(), Some(back.request.id));
        assert_eq!(back.context.tenant(), Some(7));
    }
    for ticket in tickets {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    assert_eq!(report.statistics.total().abandoned, 20);
    assert_eq!(report.statistics.conserved(), Ok(()));
    gate.open();
    drain(&rig.pool);
    assert_eq!(rig.started(), [HOLDING], "nothing that came back is run");
}

fn a_stuck_task_is_named_and_its_caller_answered(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = Gate::new();
    let stuck = |id, lane, act: fn(Gate) -> Act| {
        let task = ProcessingTask::new(Job::new(id, act(gate.clone())));
        task.lane(lane).connection_id(10 + id).message_id(20 + id)
    };
    let first = rig.pool.try_submit(stuck(1, 2, Act::Hold)).unwrap();
    let second = rig.pool.submit(stuck(2, 0, Act::HoldThenPanic));
    let second = block_on(second).unwrap();
    gate.await_arrivals(2);
    let mut report = rig.pool.shutdown_blocking(Duration::ZERO);
    assert!(!report.drained && report.returned.is_empty());
    report.running.sort_by_key(|running| running.lane);
    assert_eq!(report.running.len(), 2);
    assert_ne!(report.running[0].worker, report.running[1].worker);
    for (running, (lane, id)) in report.running.iter().zip([(0, 2), (2, 1)]) {
        assert_eq!((running.lane, running.worker < 2), (lane, true));
        assert_eq!(running.context.connection_id(), Some(10 + id));
        assert_eq!(running.context.message_id(), Some(20 + id));
    }
    assert_eq!(first.wait(), Err(ProcessingError::Abandoned));
    assert_eq!(block_on(second), Err(ProcessingError::Abandoned));
    assert_eq!(report.statistics.total().running, 2);
    assert_eq!(report.statistics.conserved(), Ok(()));
    gate.open();
    let total = drain(&rig.pool).total();
    assert_eq!(total.abandoned, 2, "as their callers were told");
    assert_eq!((total.completed, total.panicked), (0, 0));
}

fn a_report_names_the_task_that_is_stuck_and_no_earlier_one(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let earlier = ProcessingTask::new(Job::echo(1))
        .connection_id(11)
        .message_id(12);
    rig.pool.try_submit(earlier).unwrap().wait().unwrap();
    let gate = rig.hold_all();
    let report = rig.pool.shutdown_blocking(Duration::ZERO);
    assert_eq!(report.running.len(), 1);
    assert_eq!(
        report.running[0].context.connection_id(),
        None,
        "it gave none"
    );
    assert_eq!(report.running[0].context.message_id(), None);
    gate.open();
    drain(&rig.pool);
}

/// Tasks that a worker has claimed and not started are neither in a lane nor running.
fn nothing_that_did_not_finish_is_left_out_of_the_report(kind: Kind) {
    // A clock that stands still makes every task seem cheap, so that the worker claims many at once.
    let (clock, _hands) = Clock::manual();
    let config = config(1).max_run_length(16);
    let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
    let first = rig.hold_all();
    let second = Gate::new();
    for id in 0..400 {
        rig.pool.try_spawn(Job::echo(id)).unwrap();
    }
    for id in 400..500 {
        rig.pool.try_spawn(Job::hold(id, &second)).unwrap();
    }
    first.open();
    second.await_arrivals(1);
    let report = rig.pool.shutdown_blocking(Duration::ZERO);
    let finished = report.statistics.total().completed;
    let named = (report.returned.len() + report.running.len()) as u64 + report.claimed;
    assert_eq!(finished + named, 501, "{finished} finished, {named} named");
    second.open();
    let total = drain(&rig.pool).total();
    // The one that was running is finished, and nothing is started after the report.
    assert_eq!(
        (total.completed, total.abandoned),
        (finished + 1, 500 - finished)
    );
    assert_eq!(rig.started().len() as u64, finished + 1);
}

fn a_task_that_nobody_wants_does_not_come_back(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    drop(rig.submit(1, NORMAL));
    rig.submit(2, NORMAL).detach();
    let report = rig.pool.shutdown_blocking(Duration::ZERO);
    let returned: Vec<_> = report.returned.iter().map(|back| back.request.id).collect();
    assert_eq!(returned, [2]);
    let counts = &report.statistics.lanes[1];
    assert_eq!((counts.cancelled, counts.abandoned), (1, 1));
    gate.open();
    drain(&rig.pool);
}

fn every_way_in_is_refused_afterwards(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let (pool, context) = (&rig.pool, TaskContext::new());
    drain(pool);
    let mut refused = vec![
        pool.try_submit(Job::echo(1)).map(drop),
        block_on(pool.submit(Job::echo(2))).map(drop),
        pool.submit_blocking(Job::echo(3)).map(drop),
        pool.try_spawn(Job::echo(4)),
        block_on(pool.spawn(Job::echo(5))),
        pool.spawn_blocking(Job::echo(6)),
        pool.stream(1).try_submit(Job::echo(7)),
    ];
    let mut executed = vec![
        block_on(pool.execute(Job::echo(8), NORMAL, context)),
        pool.execute_blocking(Job::echo(9), NORMAL, context),
        pool.execute_timeout(Job::echo(10), NORMAL, context, LONG),
    ];
    executed.extend(block_on(pool.execute_batch([Job::echo(11), Job::echo(12)])));
    executed.extend(pool.execute_batch_blocking([Job::echo(13), Job::echo(14)]));
    refused.extend(executed.into_iter().map(|answer| match answer {
        Err(ExecuteError::Refused(refused)) => Err(refused),
        other => panic!("{other:?}"),
    }));
    for (id, refused) in (1..).zip(refused) {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SubmitError::Closed(_)), "{refused}");
        assert_eq!(handed_back(refused), id);
    }
    let statistics = pool.statistics();
    assert_at_rest(&statistics);
    assert_eq!(statistics.lanes[1].refused, 14);
}

fn submitters_that_wait_for_room_are_refused(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(lanes(2, OverflowPolicy::Wait)));
    let gate = rig.hold_all();
    while rig.pool.try_spawn(Job::echo(0)).is_ok() {}
    let pool = &rig.pool;
    // More of them than there are tasks in the lane.
    let mut submits: Vec<_> = (10..20)
        .map(|id| Box::pin(pool.submit(Job::echo(id))))
        .collect();
    let mut batch = pin!(pool.execute_batch([Job::echo(20), Job::echo(21)]));
    for submit in &mut submits {
        assert!(poll_once(submit.as_mut()).is_pending());
    }
    assert!(poll_once(batch.as_mut()).is_pending());
    std::thread::scope(|scope| {
        let spawn = |id| move || pool.spawn_blocking(Job::echo(id)).map_err(handed_back);
        let blocked: Vec<_> = (0..4).map(|id| scope.spawn(spawn(id))).collect();
        let report = pool.shutdown_blocking(Duration::ZERO);
        assert_eq!(report.returned.len(), 2);
        for (id, blocked) in (0..).zip(blocked) {
            assert_eq!(blocked.join().unwrap(), Err(id));
        }
    });
    for (id, submit) in (10..).zip(submits) {
        match block_on(submit) {
            Err(SubmitError::Closed(job)) => assert_eq!(job.id, id),
            other => panic!("{other:?}"),
        }
    }
    for (id, answer) in (20..).zip(block_on(batch)) {
        match answer {
            Err(ExecuteError::Refused(SubmitError::Closed(job))) => assert_eq!(job.id, id),
            other => panic!("{other:?}"),
        }
    }
    gate.open();
    drain(pool);
    assert!(rig.started().iter().all(|id| *id == HOLDING));
}

fn many_shutdowns_at_once_agree(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let events = rig.pool.events();
    let gate = rig.hold_all();
    (0..50).for_each(|id| rig.submit(id, NORMAL).detach());
    let reports = std::thread::scope(|scope| {
        let shutdowns: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| rig.pool.shutdown_blocking(LONG)))
            .collect();
        gate.open();
        let join = |shutdown: std::thread::ScopedJoinHandle<'_, _>| shutdown.join().unwrap();
        shutdowns.into_iter().map(join).collect::<Vec<_>>()
    });
    for report in reports {
        assert!(report.drained && report.returned.is_empty());
        assert_eq!(report.statistics.lanes[1].completed, 50);
    }
    let closed =
        std::iter::from_fn(|| events.try_recv()).filter(|event| *event == PoolEvent::Closed);
    assert_eq!(closed.count(), 1, "told once");
}

fn a_second_shutdown_waits_for_the_rest(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    rig.submit(1, NORMAL).detach();
    let first = rig.pool.shutdown_blocking(Duration::ZERO);
    assert_eq!(
        (first.drained, first.returned.len(), first.running.len()),
        (false, 1, 1)
    );
    let again = rig.pool.shutdown_blocking(Duration::ZERO);
    assert_eq!(
        (again.drained, again.returned.len(), again.running.len()),
        (false, 0, 1)
    );
    gate.open();
    let last = rig.pool.shutdown_blocking(LONG);
    assert_eq!((last.drained, last.running.len()), (true, 0));
    assert_at_rest(&last.statistics);
    assert_at_rest(&rig.pool.shutdown_blocking(Duration::ZERO).statistics);
}

fn a_shutdown_from_inside_a_service_does_not_wait_for_itself(kind: Kind) {
    let limits = match kind {
        // Without a limit in sight it would wait for ever if it waited for itself.
        Kind::Threads => [Duration::ZERO, Duration::MAX].as_slice(),
        #[cfg(feature = "tokio")]
        Kind::Tasks => &[Duration::ZERO],
    };
    for limit in limits.iter().copied() {
        let rig = Rig::new(kind, config(1));
        let (tell, told) = mpsc::channel();
        let pool = rig.pool.clone();
        let job = Job::run(1, move |_| {
            tell.send(pool.shutdown_blocking(limit)).unwrap()
        });
        let task = ProcessingTask::new(job)
            .priority(TaskPriority::High)
            .message_id(5);
        rig.pool.try_spawn(task).unwrap();
        let report = told.recv().unwrap();
        assert!(!report.drained);
        assert_eq!(
            (report.running.len(), report.running[0].lane),
            (1, 2),
            "its own task"
        );
        assert_eq!(report.running[0].context.message_id(), Some(5));
        drain(&rig.pool);
    }
}

fn a_dropped_shutdown_goes_on(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let ticket = rig.submit(1, NORMAL);
    {
        let mut shutdown = pin!(rig.pool.shutdown(Duration::ZERO));
        let _: bool = poll_once(shutdown.as_mut()).is_pending();
    }
    assert!(matches!(
        rig.pool.try_spawn(Job::echo(2)),
        Err(SubmitError::Closed(_))
    ));
    assert_eq!(
        ticket.wait(),
        Err(ProcessingError::Abandoned),
        "though nobody awaits the report"
    );
    gate.open();
    drain(&rig.pool);
    drop(rig.pool.shutdown(LONG));
}

fn an_idle_pool_ends_at_once(kind: Kind) {
    for workers in [1, 4] {
        for _ in 0..50 {
            let rig = Rig::new(kind, config(workers));
            let report = rig.pool.shutdown_blocking(LONG);
            assert!(report.drained);
            assert_eq!(report.statistics.total().submitted, 0);
        }
    }
}
