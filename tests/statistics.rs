//! What the statistics and the monitor say, on a clock that the test turns.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{
    Gate, Job, Kind, LONG, Rig, Tally, assert_at_rest, builder, config, drain, for_both_kinds,
};
use lanepool::{
    Clock, ManualClock, Outcome, PerformanceMonitor, ProcessingTask, TaskContext, TaskPriority,
    WorkerHealthStatus, WorkerPoolConfigBuilder,
};

const SECOND: Duration = Duration::from_secs(1);
const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    waits_are_recorded_by_lane,
    runs_are_recorded_by_lane,
    utilisation_is_service_time_over_lifetime,
    a_busy_pool_is_used,
    dispatch_overhead_is_of_tasks_that_met_an_idle_worker,
    the_usage_ratio_is_the_share_of_busy_workers,
    each_worker_says_how_it_is,
    a_sample_is_timed_and_all_are_counted,
    a_monitor_is_told_of_every_task,
    a_monitor_times_every_task,
    idle_time_while_tasks_wait_is_a_share,
);

fn timed(kind: Kind, config: WorkerPoolConfigBuilder) -> (Rig, Clock, ManualClock) {
    let (clock, hands) = Clock::manual();
    let rig = Rig::build(kind, builder(config).clock(clock.clone())).unwrap();
    (rig, clock, hands)
}

/// Whether a duration is what a histogram may say of this one: at most a sixteenth more.
fn close_to(said: Duration, exact: Duration) -> bool {
    said >= exact && said <= exact + exact / 16
}

fn waits_are_recorded_by_lane(kind: Kind) {
    let (rig, _, hands) = timed(kind, config(1));
    let gate = rig.hold_all();
    let low: Vec<_> = (0..10)
        .map(|id| rig.submit(id, TaskPriority::Low))
        .collect();
    hands.advance(3 * SECOND);
    let high = rig.submit(10, TaskPriority::High);
    hands.advance(2 * SECOND);
    gate.open();
    low.into_iter()
        .chain([high])
        .for_each(|ticket| assert!(ticket.wait().is_ok()));
    let statistics = drain(&rig.pool);
    let wait = |lane: usize| &statistics.lanes[lane].wait;
    assert_eq!(
        (wait(0).count(), wait(1).count(), wait(2).count()),
        (10, 0, 1)
    );
    assert_eq!((wait(0).max(), wait(0).mean()), (5 * SECOND, 5 * SECOND));
    for said in [wait(0).p50(), wait(0).p90(), wait(0).p99(), wait(0).p999()] {
        assert!(close_to(said, 5 * SECOND), "{said:?}");
    }
    assert!(close_to(wait(2).quantile(0.5), 2 * SECOND));
    assert_eq!(wait(2).sum(), 2 * SECOND);
    let total = statistics.total();
    assert_eq!(
        (total.wait.count(), total.wait.max()),
        (12, 5 * SECOND),
        "all lanes, the held task too"
    );
}

fn runs_are_recorded_by_lane(kind: Kind) {
    let (rig, _, hands) = timed(kind, config(1));
    let seconds_of = |id: u64| if id < 9 { 1 } else { 40 };
    for id in 0..10 {
        let hands = hands.clone();
        let job = Job::run(id, move |_| hands.advance(SECOND * seconds_of(id)));
        let task = ProcessingTask::new(job).priority(TaskPriority::High);
        rig.pool.try_submit(task).unwrap().wait().unwrap();
    }
    let statistics = drain(&rig.pool);
    let run = &statistics.lanes[2].run;
    assert_eq!(
        (run.count(), run.sum(), run.max()),
        (10, 49 * SECOND, 40 * SECOND)
    );
    assert!(close_to(run.p50(), SECOND) && close_to(run.p90(), SECOND));
    assert_eq!((run.p99(), run.p999()), (40 * SECOND, 40 * SECOND));
    assert!(statistics.lanes[1].run.is_empty());
}

fn utilisation_is_service_time_over_lifetime(kind: Kind) {
    let (rig, _, hands) = timed(kind, config(2));
    assert!(rig.pool.statistics().utilisation() == 0.0);
    hands.advance(SECOND);
    let works = hands.clone();
    let job = Job::run(1, move |_| works.advance(3 * SECOND));
    let done = rig.pool.try_submit(job).unwrap().wait().unwrap();
    let statistics = rig.pool.statistics();
    // 3 of 4 seconds on one of two workers.
    let utilisation = statistics.utilisation();
    assert!((utilisation - 3.0 / 8.0).abs() < 1e-6, "{utilisation}");
    assert_eq!(statistics.workers[done.worker].service, 3 * SECOND);
    assert_eq!(statistics.workers[1 - done.worker].service, Duration::ZERO);
    assert!(statistics.uptime >= 4 * SECOND);
    drain(&rig.pool);
    hands.advance(100 * SECOND);
    let later = rig.pool.statistics().utilisation();
    assert!(
        (later - utilisation).abs() < 1e-6,
        "workers that have ended do not age: {later}"
    );
}

fn a_busy_pool_is_used(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let work = |id: u64| {
        let spin = move |_: &TaskContext| {
            let sum =
                (0..20_000_u64).fold(id, |sum, n| std::hint::black_box(sum.wrapping_mul(31) + n));
            std::hint::black_box(sum);
        };
        Job::run(id, spin)
    };
    assert_eq!(
        rig.pool.execute_batch_blocking((0..300).map(work)).len(),
        300
    );
    let statistics = drain(&rig.pool);
    let utilisation = statistics.utilisation();
    assert!(utilisation > 0.0 && utilisation <= 1.0, "{utilisation}");
    assert!(statistics.lanes[1].run.mean() > Duration::ZERO);
    let finished: u64 = statistics
        .workers
        .iter()
        .map(|worker| worker.finished)
        .sum();
    assert_eq!(finished, 300);
}

fn dispatch_overhead_is_of_tasks_that_met_an_idle_worker(kind: Kind) {
    let (rig, _, hands) = timed(kind, config(1));
    let gate = rig.hold_all();
    let before = rig.pool.statistics().dispatch_overhead.count();
    let queued: Vec<_> = (0..50).map(|id| rig.submit(id, NORMAL)).collect();
    hands.advance(SECOND);
    gate.open();
    queued
        .into_iter()
        .for_each(|ticket| assert!(ticket.wait().is_ok()));
    let after = rig.pool.statistics().dispatch_overhead;
    assert_eq!(
        after.count(),
        before,
        "a task that waited for its turn is none"
    );
    // Sooner or later the worker is idle when one comes.
    while rig.pool.statistics().dispatch_overhead.count() == before {
        rig.submit(0, NORMAL).wait().unwrap();
    }
    assert_eq!(
        drain(&rig.pool).dispatch_overhead.max(),
        Duration::ZERO,
        "the clock stands still"
    );
}

fn the_usage_ratio_is_the_share_of_busy_workers(kind: Kind) {
    let rig = Rig::new(kind, config(4));
    assert!(rig.pool.usage_ratio() == 0.0);
    let gate = Gate::new();
    for busy in 1..=4 {
        rig.pool.try_spawn(Job::hold(0, &gate)).unwrap();
        gate.await_arrivals(busy);
        let ratio = rig.pool.usage_ratio();
        assert!((ratio - busy as f64 / 4.0).abs() < 1e-9, "{ratio}");
    }
    gate.open();
    drain(&rig.pool);
    assert!(rig.pool.usage_ratio() == 0.0);
}

fn each_worker_says_how_it_is(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let gate = Gate::new();
    let ticket = rig.pool.try_submit(Job::hold(0, &gate)).unwrap();
    gate.await_arrivals(1);
    let statuses = |status| {
        let workers = rig.pool.statistics().workers;
        workers
            .iter()
            .filter(|worker| worker.status == status)
            .count()
    };
    assert_eq!(
        (
            statuses(WorkerHealthStatus::Busy),
            statuses(WorkerHealthStatus::Idle)
        ),
        (1, 1)
    );
    gate.open();
    let busy = ticket.wait().unwrap().worker;
    assert_eq!(statuses(WorkerHealthStatus::Idle), 2);
    let workers = drain(&rig.pool).workers;
    assert_eq!((workers[busy].finished, workers[1 - busy].finished), (1, 0));
    assert_eq!(statuses(WorkerHealthStatus::Stopped), 2);
}

fn a_sample_is_timed_and_all_are_counted(kind: Kind) {
    const TASKS: u64 = 6_400;
    for (sample_every, every) in [(1, 1), (5, 8), (32, 32)] {
        let rig = Rig::new(kind, config(2).sample_every(sample_every));
        for id in 0..TASKS {
            rig.pool.spawn_blocking(Job::echo(id)).unwrap();
        }
        let statistics = drain(&rig.pool);
        assert_eq!(
            statistics.sample_every, every as u32,
            "rounded up to a power of two"
        );
        assert_eq!(statistics.lanes[1].completed, TASKS);
        let timed = statistics.lanes[1].run.count();
        assert_eq!(statistics.lanes[1].wait.count(), timed);
        // The choice depends on nothing but the tasks' numbers.
        assert!(
            timed * every >= TASKS * 9 / 10 && timed * every <= TASKS * 11 / 10,
            "{timed} in {TASKS}"
        );
    }
}

/// What a monitor is told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Enqueued(usize),
    Dequeued(usize, Duration),
    Finished(usize, Duration, Outcome),
}

#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<Vec<Told>>>);

impl Notebook {
    fn note(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }

    fn count(&self, what: &Told) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|told| *told == what)
            .count()
    }
}

impl PerformanceMonitor for Notebook {
    fn on_enqueued(&self, lane: usize) {
        self.note(Told::Enqueued(lane));
    }

    fn on_dequeued(&self, lane: usize, wait: Duration) {
        self.note(Told::Dequeued(lane, wait));
    }

    fn on_finished(&self, lane: usize, run: Duration, outcome: Outcome) {
        self.note(Told::Finished(lane, run, outcome));
    }
}

fn a_monitor_is_told_of_every_task(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let deadline = clock.now() + SECOND;
    let notebook = Notebook::default();
    let monitored = builder(config(1)).clock(clock).monitor(notebook.clone());
    let rig = Rig::build(kind, monitored).unwrap();
    let gate = rig.hold_all();
    let low = |job| ProcessingTask::new(job).priority(TaskPriority::Low);
    let works = hands.clone();
    let run = Job::run(1, move |_| works.advance(4 * SECOND));
    let answered =
        [run, Job::fail(2), Job::panic(3)].map(|job| rig.pool.try_submit(low(job)).unwrap());
    let late = rig
        .pool
        .try_submit(low(Job::echo(4)).deadline(deadline))
        .unwrap();
    drop(rig.pool.try_submit(low(Job::echo(5))).unwrap());
    let batch = rig.pool.clone();
    hands.advance(2 * SECOND);
    gate.open();
    answered
        .into_iter()
        .chain([late])
        .for_each(|ticket| drop(ticket.wait()));
    assert_eq!(
        batch
            .execute_batch_blocking((0..3).map(|id| low(Job::echo(id))))
            .len(),
        3
    );
    let second = rig.hold_all();
    let abandoned = rig.submit(6, TaskPriority::Low);
    rig.pool.shutdown_blocking(Duration::ZERO);
    drop(abandoned);
    second.open();
    drop(batch);
    let statistics = drain(&rig.pool);
    assert_eq!(notebook.count(&Told::Enqueued(0)), 9);
    assert_eq!(notebook.count(&Told::Enqueued(3)), 2);
    assert_eq!(
        notebook.count(&Told::Dequeued(0, 2 * SECOND)),
        1,
        "the first waited so long"
    );
    assert_eq!(
        notebook.count(&Told::Dequeued(0, 6 * SECOND)),
        2,
        "and these for the first as well"
    );
    assert_eq!(
        notebook.count(&Told::Finished(0, 4 * SECOND, Outcome::Completed)),
        1
    );
    let never = [
        Outcome::Failed,
        Outcome::Panicked,
        Outcome::Expired,
        Outcome::Cancelled,
        Outcome::Abandoned,
    ];
    for outcome in never {
        assert_eq!(
            notebook.count(&Told::Finished(0, Duration::ZERO, outcome)),
            1,
            "{outcome:?}"
        );
    }
    let expected = Tally {
        completed: 4,
        failed: 1,
        panicked: 1,
        expired: 1,
        cancelled: 1,
        abandoned: 1,
    };
    assert_eq!(Tally::of(&statistics.lanes[0]), expected);
}

fn a_monitor_times_every_task(kind: Kind) {
    let notebook = Notebook::default();
    let monitored = builder(config(1).sample_every(32)).monitor(notebook.clone());
    let rig = Rig::build(kind, monitored).unwrap();
    for id in 0..500 {
        rig.pool.spawn_blocking(Job::echo(id)).unwrap();
    }
    let statistics = drain(&rig.pool);
    assert_eq!(
        (statistics.sample_every, statistics.lanes[1].run.count()),
        (1, 500)
    );
    assert_eq!(notebook.count(&Told::Enqueued(1)), 500);
    assert_eq!(
        notebook.0.lock().unwrap().len(),
        1_500,
        "three calls a task"
    );
}

fn idle_time_while_tasks_wait_is_a_share(kind: Kind) {
    let rig = Rig::new(kind, config(4));
    for _ in 0..20 {
        assert!(
            rig.pool
                .execute_batch_blocking((0..200).map(Job::echo))
                .iter()
                .all(Result::is_ok)
        );
        let statistics = rig.pool.statistics();
        assert!((0.0..=1.0).contains(&statistics.idle_while_backlogged()));
        for worker in &statistics.workers {
            assert!(worker.idle <= worker.alive && worker.alive <= statistics.uptime + LONG);
        }
    }
    assert_at_rest(&drain(&rig.pool));
}
