//! A task past its deadline is never started: not at admission, not in its lane.

mod common;

use std::pin::pin;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::script::handed_back;
use common::{Job, Kind, Rig, block_on, builder, config, drain, for_both_kinds, lanes, poll_once};
use lanepool::{
    Clock, ExecuteError, ManualClock, OverflowPolicy, ProcessingError, ProcessingTask, SubmitError,
    TaskContext, TaskPriority, WorkerPoolConfigBuilder,
};

const SECOND: Duration = Duration::from_secs(1);
const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    a_task_that_expired_before_admission_is_refused_with_its_request,
    a_task_that_expires_in_its_lane_is_answered_and_never_started,
    the_moment_of_the_deadline_is_too_late,
    a_task_that_is_running_is_not_stopped_by_its_deadline,
    a_deadline_passes_while_the_submitter_waits_for_room,
    the_service_knows_the_deadline,
    the_default_timeout_counts_from_submission,
    an_own_deadline_goes_before_the_default,
    a_timeout_too_long_for_the_clock_is_none,
    expired_tasks_do_not_hold_up_those_behind_them,
);

fn timed(kind: Kind, config: WorkerPoolConfigBuilder) -> (Rig, Clock, ManualClock) {
    let (clock, hands) = Clock::manual();
    let rig = Rig::build(kind, builder(config).clock(clock.clone())).unwrap();
    (rig, clock, hands)
}

fn a_task_that_expired_before_admission_is_refused_with_its_request(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1));
    let (pool, deadline) = (&rig.pool, clock.now() + SECOND);
    hands.advance(2 * SECOND);
    let task = |id| ProcessingTask::new(Job::echo(id)).deadline(deadline);
    let context = TaskContext::new().with_deadline(deadline);
    let mut refused = vec![
        pool.try_submit(task(1)).map(drop),
        block_on(pool.submit(task(2))).map(drop),
        pool.submit_blocking(task(3)).map(drop),
        pool.try_spawn(task(4)),
        block_on(pool.spawn(task(5))),
        pool.spawn_blocking(task(6)),
        pool.stream(1).try_submit(task(7)),
    ];
    let mut executed = vec![
        block_on(pool.execute(Job::echo(8), NORMAL, context)),
        pool.execute_blocking(Job::echo(9), NORMAL, context),
        pool.execute_timeout(Job::echo(10), NORMAL, context, SECOND),
    ];
    executed.extend(block_on(pool.execute_batch([task(11)])));
    executed.extend(pool.execute_batch_blocking([task(12)]));
    refused.extend(executed.into_iter().map(|answer| match answer {
        Err(ExecuteError::Refused(refused)) => Err(refused),
        other => panic!("{other:?}"),
    }));
    for (id, refused) in (1..).zip(refused) {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SubmitError::Expired(_)), "{refused}");
        assert_eq!(handed_back(refused), id);
    }
    let counts = &drain(pool).lanes[1];
    assert_eq!(
        (counts.submitted, counts.refused, counts.expired),
        (12, 12, 0)
    );
    assert_eq!(rig.started(), []);
}

fn a_task_that_expires_in_its_lane_is_answered_and_never_started(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(2));
    let gate = rig.hold_all();
    let task = |id, seconds| {
        let deadline = clock.now() + SECOND * seconds;
        ProcessingTask::new(Job::echo(id)).deadline(deadline)
    };
    let late: Vec<_> = (0..5)
        .map(|id| rig.pool.try_submit(task(id, 1)).unwrap())
        .collect();
    rig.pool.try_spawn(task(5, 1)).unwrap();
    let awaited = rig.pool.submit(task(6, 1));
    let in_time = rig.pool.try_submit(task(7, 3)).unwrap();
    let awaited = block_on(awaited).unwrap();
    hands.advance(2 * SECOND);
    gate.open();
    for ticket in late {
        assert_eq!(ticket.wait(), Err(ProcessingError::Expired));
    }
    assert_eq!(block_on(awaited), Err(ProcessingError::Expired));
    assert_eq!(in_time.wait().unwrap().id, 7);
    assert_eq!(drain(&rig.pool).lanes[1].expired, 7);
    assert!(
        rig.started().iter().all(|id| *id >= 7),
        "{:?}",
        rig.started()
    );
}

fn the_moment_of_the_deadline_is_too_late(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1));
    let gate = rig.hold_all();
    let task = |after| ProcessingTask::new(Job::echo(0)).deadline(clock.now() + after);
    let at = rig.pool.try_submit(task(SECOND)).unwrap();
    let after = rig
        .pool
        .try_submit(task(SECOND + Duration::from_nanos(1)))
        .unwrap();
    let now = rig.pool.try_submit(task(Duration::ZERO));
    assert!(matches!(now, Err(SubmitError::Expired(_))));
    hands.advance(SECOND);
    gate.open();
    assert_eq!(at.wait(), Err(ProcessingError::Expired));
    assert!(after.wait().is_ok());
    drain(&rig.pool);
}

fn a_task_that_is_running_is_not_stopped_by_its_deadline(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1));
    let gate = common::Gate::new();
    let task = ProcessingTask::new(Job::hold(1, &gate)).deadline(clock.now() + SECOND);
    let ticket = rig.pool.try_submit(task).unwrap();
    gate.await_arrivals(1);
    hands.advance(2 * SECOND);
    gate.open();
    assert_eq!(ticket.wait().unwrap().id, 1);
    drain(&rig.pool);
}

fn a_deadline_passes_while_the_submitter_waits_for_room(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1).lanes(lanes(2, OverflowPolicy::Wait)));
    let gate = rig.hold_all();
    while rig.pool.try_spawn(Job::echo(0)).is_ok() {}
    let task = ProcessingTask::new(Job::echo(1)).deadline(clock.now() + SECOND);
    let mut waiting = pin!(rig.pool.submit(task));
    assert!(poll_once(waiting.as_mut()).is_pending());
    hands.advance(2 * SECOND);
    gate.open();
    // Refused at the gate or expired in the lane; never run.
    match block_on(waiting) {
        Ok(ticket) => assert_eq!(ticket.wait(), Err(ProcessingError::Expired)),
        Err(refused) => assert!(matches!(refused, SubmitError::Expired(Job { id: 1, .. }))),
    }
    drain(&rig.pool);
    assert!(!rig.started().contains(&1));
}

fn the_service_knows_the_deadline(kind: Kind) {
    let (rig, clock, _hands) = timed(kind, config(1));
    let deadline = clock.now() + SECOND;
    for given in [None, Some(deadline)] {
        let (tell, told) = mpsc::channel();
        let job = Job::run(0, move |context| tell.send(context.deadline()).unwrap());
        let task = ProcessingTask::new(job);
        let task = match given {
            Some(deadline) => task.deadline(deadline),
            None => task,
        };
        rig.pool.try_submit(task).unwrap().wait().unwrap();
        assert_eq!(told.recv().unwrap(), given);
    }
    drain(&rig.pool);
}

fn the_default_timeout_counts_from_submission(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1).default_timeout(10 * SECOND));
    hands.advance(100 * SECOND);
    let (tell, told) = mpsc::channel();
    let job = Job::run(0, move |context| tell.send(context.deadline()).unwrap());
    rig.pool.try_submit(job).unwrap().wait().unwrap();
    assert_eq!(told.recv().unwrap(), Some(clock.now() + 10 * SECOND));
    let gate = rig.hold_all();
    let early = rig.submit(1, NORMAL);
    hands.advance(6 * SECOND);
    let later = rig.submit(2, NORMAL);
    hands.advance(6 * SECOND);
    gate.open();
    assert_eq!(early.wait(), Err(ProcessingError::Expired));
    assert_eq!(later.wait().unwrap().id, 2);
    drain(&rig.pool);
}

fn an_own_deadline_goes_before_the_default(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1).default_timeout(SECOND));
    let gate = rig.hold_all();
    let task = ProcessingTask::new(Job::echo(1)).deadline(clock.now() + 10 * SECOND);
    let own = rig.pool.try_submit(task).unwrap();
    hands.advance(2 * SECOND);
    gate.open();
    assert_eq!(own.wait().unwrap().id, 1);
    drain(&rig.pool);
}

fn a_timeout_too_long_for_the_clock_is_none(kind: Kind) {
    assert_eq!(
        TaskContext::new().with_timeout(Duration::MAX).deadline(),
        None
    );
    let before = Instant::now();
    let deadline = TaskContext::new().with_timeout(SECOND).deadline().unwrap();
    assert!(deadline >= before + SECOND && deadline <= Instant::now() + SECOND);
    let rig = Rig::new(kind, config(1).default_timeout(Duration::MAX));
    assert!(rig.submit(1, NORMAL).wait().is_ok());
    let context = TaskContext::new();
    let patient = rig
        .pool
        .execute_timeout(Job::echo(2), NORMAL, context, Duration::MAX);
    assert_eq!(patient.unwrap().id, 2);
    drain(&rig.pool);
}

fn expired_tasks_do_not_hold_up_those_behind_them(kind: Kind) {
    let (rig, clock, hands) = timed(kind, config(1).max_run_length(16));
    let gate = rig.hold_all();
    let deadline = clock.now() + SECOND;
    let tickets: Vec<_> = (0..600)
        .map(|id| {
            let task = ProcessingTask::new(Job::echo(id));
            let task = if id % 3 == 0 {
                task
            } else {
                task.deadline(deadline)
            };
            rig.pool.try_submit(task).unwrap()
        })
        .collect();
    hands.advance(2 * SECOND);
    gate.open();
    for (id, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait().is_ok(), id % 3 == 0, "{id}");
    }
    let counts = &drain(&rig.pool).lanes[1];
    assert_eq!((counts.completed, counts.expired), (200, 400));
}
