//! A lane stays bounded where workers have lanes of their own: a full one overflows to the shared one, and only
//! when that is full too does the lane's policy apply.

mod common;

use std::task::Poll;
use std::thread;

use common::{Gate, Job, Kind, Rig, block_on, config, drain, for_both_kinds, lanes, poll_once};
use lanepool::{OverflowPolicy, ProcessingTask, SchedulingStrategy, SubmitError, TaskPriority};

/// The strategies that place tasks with workers.
const PLACING: [SchedulingStrategy; 3] = [
    SchedulingStrategy::RoundRobin,
    SchedulingStrategy::LeastLoaded,
    SchedulingStrategy::Random,
];

for_both_kinds!(
    a_full_lane_overflows_to_the_shared_one_and_then_refuses,
    a_submitter_waits_only_when_both_lanes_are_full,
    a_batch_overflows_as_single_tasks_do,
    each_worker_holds_its_part_of_a_lane_rounded_up,
);

/// Two workers at the gate, and whatever comes next is placed by the strategy.
fn held(
    kind: Kind,
    strategy: SchedulingStrategy,
    stealing: bool,
    capacity: usize,
    overflow: OverflowPolicy,
) -> (Rig, Gate) {
    let config = config(2).enable_task_stealing(stealing);
    let rig = Rig::new(kind, config.lanes(lanes(capacity, overflow)));
    let gate = rig.hold_all();
    rig.pool.scheduler().set_strategy(strategy);
    (rig, gate)
}

fn a_full_lane_overflows_to_the_shared_one_and_then_refuses(kind: Kind) {
    const CAPACITY: usize = 8;
    for strategy in PLACING {
        for stealing in [true, false] {
            let (rig, gate) = held(kind, strategy, stealing, CAPACITY, OverflowPolicy::Reject);
            let mut refused = 0;
            // Often enough for both of two workers to be drawn.
            for id in 0..200 {
                match rig.pool.try_spawn(Job::echo(id)) {
                    Ok(()) => {}
                    Err(SubmitError::Full(job)) => refused += u64::from(job.id == id),
                    Err(other) => panic!("{other}"),
                }
            }
            let statistics = rig.pool.statistics();
            assert_eq!(statistics.conserved(), Ok(()));
            let lane = &statistics.lanes[1];
            let twice = 2 * CAPACITY as u64;
            assert_eq!((lane.queued, lane.refused, refused), (twice, 184, 184));
            let overflowed = rig.pool.scheduler().statistics().overflowed;
            assert_eq!(overflowed, CAPACITY as u64, "{strategy:?}");
            for worker in rig.pool.load_balancer().metrics() {
                assert_eq!(worker.queue_depth, CAPACITY as u64 / 2);
            }
            let other = ProcessingTask::new(Job::echo(500)).priority(TaskPriority::High);
            rig.pool.try_spawn(other).expect("other lanes have room");
            gate.open();
            assert_eq!(drain(&rig.pool).total().completed, twice + 3);
        }
    }
}

fn a_submitter_waits_only_when_both_lanes_are_full(kind: Kind) {
    for strategy in PLACING {
        let (rig, gate) = held(kind, strategy, false, 4, OverflowPolicy::Wait);
        let mut waits = Vec::new();
        let mut entered = 0;
        while waits.len() < 20 {
            let mut submit = Box::pin(rig.pool.spawn(Job::echo(7)));
            match poll_once(submit.as_mut()) {
                Poll::Ready(done) => entered += done.map_or(0, |()| 1),
                Poll::Pending => waits.push(submit),
            }
        }
        assert_eq!(entered, 8, "twice the capacity");
        thread::scope(|scope| {
            scope.spawn(|| rig.pool.spawn_blocking(Job::echo(7)).unwrap());
            gate.open();
            waits
                .into_iter()
                .for_each(|submit| block_on(submit).unwrap());
        });
        assert_eq!(drain(&rig.pool).total().completed, 8 + 20 + 1 + 2);
    }
}

fn a_batch_overflows_as_single_tasks_do(kind: Kind) {
    for strategy in PLACING {
        let (rig, gate) = held(kind, strategy, true, 8, OverflowPolicy::Reject);
        let mut batch = Box::pin(rig.pool.execute_batch((0..200).map(Job::echo)));
        assert!(poll_once(batch.as_mut()).is_pending());
        assert_eq!(rig.pool.statistics().lanes[1].queued, 16);
        assert_eq!(rig.pool.scheduler().statistics().overflowed, 8);
        gate.open();
        let results = block_on(batch);
        let entered = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!((entered, results.len()), (16, 200));
        assert_eq!(drain(&rig.pool).total().refused, 184);
    }
}

fn each_worker_holds_its_part_of_a_lane_rounded_up(kind: Kind) {
    for (workers, capacity, part) in [(1, 4, 4), (2, 4, 2), (3, 16, 8), (5, 2, 2), (4, 9, 4)] {
        let config = config(workers).lane(TaskPriority::Normal, |lane| {
            lane.capacity(capacity).overflow(OverflowPolicy::Reject)
        });
        let rig = Rig::new(kind, config);
        let gate = rig.hold_all();
        rig.pool
            .scheduler()
            .set_strategy(SchedulingStrategy::RoundRobin);
        let entered = (0..200).filter(|id| rig.pool.try_spawn(Job::echo(*id)).is_ok());
        let shared = capacity.next_power_of_two();
        assert_eq!(entered.count(), shared + workers * part);
        for worker in rig.pool.load_balancer().metrics() {
            assert_eq!(worker.queue_depth, part as u64);
        }
        gate.open();
        drain(&rig.pool);
    }
}
