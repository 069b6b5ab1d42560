//! A higher lane goes first, every lane has its share within the stated bound, and a lane keeps its order.

mod common;

use common::script::HOLDING;
use common::{Job, Kind, Rig, block_on, builder, config, drain, for_both_kinds, lanes};
use lanepool::{Clock, LaneConfig, OverflowPolicy, ProcessingTask, TaskPriority};

/// Identifies a task by its lane and its place in it.
const LANE: u64 = 1_000_000;

for_both_kinds!(
    the_top_lane_answers_first,
    the_starvation_bound_holds_in_a_saturated_pool,
    every_lane_gets_its_share_of_a_saturated_pool,
    a_lane_keeps_its_order,
    a_batch_keeps_its_order_within_a_lane,
    a_priority_goes_to_the_nearest_lane,
    an_unknown_lane_is_refused,
);

/// The lanes of the tasks that were started, in order.
fn order(rig: &Rig) -> Vec<usize> {
    let started = rig.started().into_iter().filter(|id| *id != HOLDING);
    started.map(|id| (id / LANE) as usize).collect()
}

/// A single worker that ran so many tasks of each lane, all of which were waiting when it began.
fn run_backlog(kind: Kind, config: lanepool::WorkerPoolConfigBuilder, each: u64) -> Rig {
    // Standing still, so that every task seems to cost nothing and runs get as long as they may.
    let (clock, _hands) = Clock::manual();
    let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
    let gate = rig.hold_all();
    for n in 0..each {
        for lane in 0..rig.pool.config().lanes.len() {
            let job = Job::echo(lane as u64 * LANE + n);
            rig.pool
                .try_spawn(ProcessingTask::new(job).lane(lane))
                .unwrap();
        }
    }
    gate.open();
    drain(&rig.pool);
    rig
}

fn the_top_lane_answers_first(kind: Kind) {
    let rig = run_backlog(kind, config(1), 3);
    let first = order(&rig);
    assert_eq!(first[0], 3, "{first:?}");
    let top_done = first.iter().rposition(|lane| *lane == 3).unwrap();
    let low_began = first.iter().position(|lane| *lane == 0).unwrap();
    assert!(
        top_done < low_began,
        "with so few, no lower lane falls due: {first:?}"
    );
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let low: Vec<_> = (0..100)
        .map(|id| rig.submit(id, TaskPriority::Low))
        .collect();
    let critical = rig.submit(LANE, TaskPriority::Critical);
    gate.open();
    critical.wait().unwrap();
    low.into_iter()
        .for_each(|ticket| assert!(ticket.wait().is_ok()));
    let overtaken = order(&rig).iter().position(|lane| *lane == 1).unwrap();
    let bound = rig.pool.starvation_bound(TaskPriority::Critical);
    assert!(
        (overtaken as u64) < bound,
        "{overtaken} low tasks went before the critical one"
    );
}

/// The longest that the head of a lane waited, in tasks started, over the whole backlog.
fn longest_wait(order: &[usize], lane: usize) -> u64 {
    let mut since = 0;
    let mut longest = 0;
    for (at, served) in order.iter().enumerate() {
        if *served == lane {
            longest = longest.max(at + 1 - since);
            since = at + 1;
        }
    }
    longest as u64
}

fn the_starvation_bound_holds_in_a_saturated_pool(kind: Kind) {
    for run_length in [1, 16] {
        let rig = run_backlog(kind, config(1).max_run_length(run_length), 1_000);
        let order = order(&rig);
        assert_eq!(order.len(), 4_000);
        for (lane, priority) in TaskPriority::ALL.into_iter().enumerate() {
            let (waited, bound) = (
                longest_wait(&order, lane),
                rig.pool.starvation_bound(priority),
            );
            assert!(
                waited <= bound,
                "lane {lane} waited {waited} pulls, the bound is {bound}"
            );
        }
        let passed_over = longest_wait(&order, 0);
        assert!(
            passed_over > 4,
            "the lowest lane waits while there are others: {passed_over}"
        );
    }
}

fn every_lane_gets_its_share_of_a_saturated_pool(kind: Kind) {
    let weights = [1, 1, 2];
    let three = weights.map(|weight| LaneConfig::new().weight(weight).capacity(1_024));
    let rig = run_backlog(kind, config(1).lanes(three), 1_000);
    let order = order(&rig);
    // Until the first lane runs dry all of them are full.
    let saturated = (0..order.len())
        .find(|at| (0..3).any(|lane| order[..*at].iter().filter(|l| **l == lane).count() == 1_000))
        .unwrap();
    for (lane, weight) in weights.into_iter().enumerate() {
        let served = order[..saturated]
            .iter()
            .filter(|served| **served == lane)
            .count();
        // The share is w / S of the pulls; less one turn that may be under way.
        assert!(
            (served + 2) * 4 >= saturated * weight as usize,
            "lane {lane}: {served} of {saturated}"
        );
    }
}

fn a_lane_keeps_its_order(kind: Kind) {
    for run_length in [1, 16] {
        let rig = run_backlog(kind, config(1).max_run_length(run_length), 1_000);
        for lane in 0..4 {
            let own = rig.started().into_iter().filter(|id| id / LANE == lane);
            assert!(own.eq((0..1_000).map(|n| lane * LANE + n)), "lane {lane}");
        }
    }
}

fn a_batch_keeps_its_order_within_a_lane(kind: Kind) {
    let config = config(1).lanes(lanes(32, OverflowPolicy::Wait));
    let rig = Rig::new(kind, config);
    // Stretches of one lane, of every length up to more than fits.
    let lane = |n: u64| n.isqrt() % 2;
    let tasks = |from: u64| {
        (from..from + 1_600).map(|n| ProcessingTask::new(Job::echo(n)).lane(lane(n) as usize))
    };
    block_on(rig.pool.execute_batch(tasks(0)));
    rig.pool.execute_batch_blocking(tasks(1_600));
    drain(&rig.pool);
    for of in 0..2 {
        let own = rig.started().into_iter().filter(|id| lane(*id) == of);
        assert!(own.eq((0..3_200).filter(|n| lane(*n) == of)), "lane {of}");
    }
}

fn a_priority_goes_to_the_nearest_lane(kind: Kind) {
    for (lanes, nearest) in [
        (1, [0, 0, 0, 0]),
        (2, [0, 0, 1, 1]),
        (4, [0, 1, 2, 3]),
        (8, [0, 2, 5, 7]),
    ] {
        let config = config(1).lanes(vec![LaneConfig::new(); lanes]);
        let rig = Rig::new(kind, config);
        for (priority, lane) in TaskPriority::ALL.into_iter().zip(nearest) {
            assert_eq!(priority.lane(lanes), lane);
            let before = rig.pool.statistics().lanes[lane].submitted;
            rig.submit(0, priority).wait().unwrap();
            assert_eq!(
                rig.pool.statistics().lanes[lane].submitted,
                before + 1,
                "{priority:?} of {lanes}"
            );
        }
        drain(&rig.pool);
    }
}

fn an_unknown_lane_is_refused(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(vec![LaneConfig::new(); 3]));
    for lane in [3, 4, 1_000, usize::MAX] {
        let refused = rig
            .pool
            .try_spawn(ProcessingTask::new(Job::echo(7)).lane(lane))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("there is no lane {lane}: the pool has lanes 0 to 2")
        );
        assert_eq!(common::script::handed_back(refused), 7);
    }
    assert_eq!(
        drain(&rig.pool).total().submitted,
        0,
        "there is no lane to count them in"
    );
}
