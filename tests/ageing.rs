//! A task that has waited for the age of the configuration counts as one lane higher, and so on; at every other
//! pull at most, so that the bounds of the others no more than double.

mod common;

use std::time::Duration;

use common::{Gate, Job, Kind, Rig, builder, config, drain, for_both_kinds, lanes};
use lanepool::{
    Clock, ManualClock, OverflowPolicy, ProcessingTask, SchedulingStrategy, TaskPriority,
    WorkerPoolConfigBuilder,
};

/// The age that counts as one lane.
const AGE: Duration = Duration::from_millis(800);
/// Longer than the age may be noticed late: an eighth of it, and the time between two pulls of a worker.
const NOTICED: Duration = Duration::from_millis(150);
/// The time between two pulls of a stepped worker.
const STEP: Duration = Duration::from_millis(10);

const CRITICAL: usize = 3;

for_both_kinds!(
    a_task_climbs_one_lane_with_every_age,
    without_ageing_only_the_turns_count,
    an_aged_lane_has_every_other_pull_at_most,
    a_task_of_a_key_ages_as_the_others_do,
    tasks_age_where_they_were_placed,
    an_aged_task_of_a_paused_lane_stays,
);

/// One worker that starts a task when the test lets it, on a clock that the test turns.
struct Stepped {
    rig: Rig,
    hands: ManualClock,
    /// The gate of the task that runs.
    at: Gate,
}

impl Stepped {
    fn new(kind: Kind, config: WorkerPoolConfigBuilder) -> Self {
        let (clock, hands) = Clock::manual();
        // So few pulls go to lower lanes by their turns that none of these tests meets one.
        let lanes = lanes(256, OverflowPolicy::Wait)
            .into_iter()
            .zip([1, 1, 1, 1_000]);
        let config = config.lanes(lanes.map(|(lane, weight)| lane.weight(weight)));
        let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
        let at = Gate::new();
        let first = ProcessingTask::new(Job::hold(FIRST, &at)).lane(CRITICAL);
        rig.pool.try_spawn(first).unwrap();
        at.await_arrivals(1);
        Self { rig, hands, at }
    }

    /// Has a task wait that only tells that it was started.
    fn wait(&self, id: u64, lane: usize) {
        self.rig
            .pool
            .try_spawn(ProcessingTask::new(Job::echo(id)).lane(lane))
            .unwrap();
    }

    /// Advances the clock step by step; at each step the worker makes a pull in which there is a fresh
    /// critical task, which holds it up again. Stops after the time, or when another task was started.
    fn pull_for(&mut self, time: Duration) {
        let before = self.others().len();
        let mut left = time;
        while left > Duration::ZERO && self.others().len() == before {
            self.hands.advance(STEP);
            left = left.saturating_sub(STEP);
            self.step();
        }
    }

    /// Lets the worker pull until it is at the next critical task.
    fn step(&mut self) {
        let next = Gate::new();
        let task = ProcessingTask::new(Job::hold(FIRST, &next)).lane(CRITICAL);
        self.rig.pool.try_spawn(task).unwrap();
        std::mem::replace(&mut self.at, next.clone()).open();
        next.await_arrivals(1);
    }

    /// What was started beside the tasks that hold the worker up, in that order.
    fn others(&self) -> Vec<u64> {
        let mut started = self.rig.started();
        started.retain(|id| *id != FIRST);
        started
    }

    fn end(self) {
        self.at.open();
        drain(&self.rig.pool);
    }
}

/// The number of the tasks that hold the worker up.
const FIRST: u64 = 1_000_000;

fn aged() -> WorkerPoolConfigBuilder {
    config(1).ageing(AGE)
}

fn a_task_climbs_one_lane_with_every_age(kind: Kind) {
    for lane in 0..CRITICAL {
        let mut stepped = Stepped::new(kind, aged());
        stepped.wait(lane as u64, lane);
        let ages = (CRITICAL - lane) as u32;
        stepped.pull_for(ages * AGE - STEP);
        assert_eq!(
            stepped.others(),
            [],
            "lane {lane}: it has {ages} lanes to climb"
        );
        stepped.pull_for(STEP + NOTICED);
        assert_eq!(stepped.others(), [lane as u64]);
        assert_eq!(stepped.rig.pool.scheduler().statistics().aged, 1);
        stepped.end();
    }
}

fn without_ageing_only_the_turns_count(kind: Kind) {
    let mut stepped = Stepped::new(kind, config(1));
    stepped.wait(0, 0);
    stepped.pull_for(6 * AGE);
    assert_eq!(stepped.others(), []);
    assert_eq!(stepped.rig.pool.scheduler().statistics().aged, 0);
    stepped.end();
}

fn an_aged_lane_has_every_other_pull_at_most(kind: Kind) {
    let mut stepped = Stepped::new(kind, aged());
    (0..20).for_each(|id| stepped.wait(id, 0));
    // The worker marks the lane, and then nothing happens for long.
    stepped.step();
    stepped.hands.advance(4 * AGE);
    let fresh = |id| ProcessingTask::new(Job::echo(id)).lane(CRITICAL);
    (100..120).for_each(|id| stepped.rig.pool.try_spawn(fresh(id)).unwrap());
    let pool = stepped.rig.pool.clone();
    stepped.at.open();
    drain(&pool);
    let started = stepped.others();
    for pair in started[..40].chunks(2) {
        let aged = pair.iter().filter(|id| **id < 100).count();
        assert_eq!(aged, 1, "{started:?}");
    }
    let statistics = pool.scheduler().statistics();
    assert!((19..=20).contains(&statistics.aged), "{}", statistics.aged);
}

fn a_task_of_a_key_ages_as_the_others_do(kind: Kind) {
    for stealing in [true, false] {
        let config = aged()
            .scheduling_strategy(SchedulingStrategy::HashBased)
            .enable_task_stealing(stealing);
        let mut stepped = Stepped::new(kind, config);
        let keyed = ProcessingTask::new(Job::echo(1)).lane(1).key(7);
        stepped.rig.pool.try_spawn(keyed).unwrap();
        stepped.pull_for(2 * AGE - STEP);
        assert_eq!(stepped.others(), []);
        stepped.pull_for(STEP + NOTICED);
        assert_eq!(stepped.others(), [1]);
        stepped.end();
    }
}

fn tasks_age_where_they_were_placed(kind: Kind) {
    for strategy in [
        SchedulingStrategy::RoundRobin,
        SchedulingStrategy::LeastLoaded,
        SchedulingStrategy::Random,
    ] {
        for stealing in [true, false] {
            let config = aged()
                .scheduling_strategy(strategy)
                .enable_task_stealing(stealing);
            let mut stepped = Stepped::new(kind, config);
            stepped.wait(2, 2);
            stepped.pull_for(AGE - STEP);
            assert_eq!(stepped.others(), []);
            stepped.pull_for(STEP + NOTICED);
            assert_eq!(stepped.others(), [2], "{strategy:?}");
            stepped.end();
        }
    }
}

fn an_aged_task_of_a_paused_lane_stays(kind: Kind) {
    let mut stepped = Stepped::new(kind, aged());
    stepped.rig.pool.scheduler().pause(TaskPriority::High);
    stepped.wait(2, 2);
    stepped.wait(1, 1);
    stepped.pull_for(2 * AGE + NOTICED);
    assert_eq!(stepped.others(), [1]);
    stepped.rig.pool.scheduler().resume(TaskPriority::High);
    stepped.pull_for(AGE + NOTICED);
    assert_eq!(stepped.others(), [1, 2]);
    stepped.end();
}
