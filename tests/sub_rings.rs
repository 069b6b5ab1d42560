//! Sub-rings spread the submitters of a lane and change nothing else: every worker takes from all of them.

mod common;

use std::thread;

use common::script::HOLDING;
use common::{Gate, Job, Kind, Rig, block_on, config, drain, for_both_kinds, lanes};
use lanepool::{
    OverflowPolicy, ProcessingTask, SchedulingStrategy, SubmitError, TaskPriority,
    WorkerPoolConfigBuilder,
};

for_both_kinds!(
    any_worker_takes_what_lies_in_any_ring,
    one_submitter_keeps_its_order,
    a_lane_with_several_rings_is_bounded,
    a_burst_of_several_submitters_wakes_everybody,
    the_rings_belong_to_no_worker_that_may_not_take_them,
);

fn rings(workers: usize, sub_rings: usize, stealing: bool) -> WorkerPoolConfigBuilder {
    config(workers)
        .sub_rings(sub_rings)
        .enable_task_stealing(stealing)
        .lanes(lanes(64, OverflowPolicy::Wait))
}

fn any_worker_takes_what_lies_in_any_ring(kind: Kind) {
    for sub_rings in [2, 4, 16] {
        for stealing in [true, false] {
            let rig = Rig::new(kind, rings(4, sub_rings, stealing));
            let gates = [Gate::new(), Gate::new(), Gate::new()];
            for gate in &gates {
                rig.pool.try_spawn(Job::hold(0, gate)).unwrap();
                gate.await_arrivals(1);
            }
            // One worker is left, and threads that draw different rings.
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        for id in 0..40 {
                            let done = rig.submit(id, TaskPriority::ALL[id as usize % 4]);
                            assert!(done.wait().is_ok());
                        }
                    });
                }
            });
            gates.iter().for_each(Gate::open);
            assert_eq!(drain(&rig.pool).total().completed, 243);
        }
    }
}

fn one_submitter_keeps_its_order(kind: Kind) {
    let rig = Rig::new(kind, rings(2, 2, true));
    let gates = [Gate::new(), Gate::new()];
    for gate in &gates {
        rig.pool.try_spawn(Job::hold(HOLDING, gate)).unwrap();
        gate.await_arrivals(1);
    }
    thread::scope(|scope| {
        for submitter in 0..4 {
            let rig = &rig;
            scope.spawn(move || {
                for n in 0..7 {
                    let task = ProcessingTask::new(Job::echo(submitter * 100 + n)).lane(1);
                    rig.pool.try_spawn(task).unwrap();
                }
            });
        }
    });
    // One worker does it all.
    gates[0].open();
    while rig.started().len() < 2 + 4 * 7 {
        thread::yield_now();
    }
    gates[1].open();
    drain(&rig.pool);
    for submitter in 0..4 {
        let own = rig.started().into_iter().filter(|id| id / 100 == submitter);
        assert!(own.eq((0..7).map(|n| submitter * 100 + n)));
    }
}

fn a_lane_with_several_rings_is_bounded(kind: Kind) {
    let config = rings(2, 2, true).lanes(lanes(8, OverflowPolicy::Reject));
    let rig = Rig::new(kind, config);
    let gate = rig.hold_all();
    // Whichever of the two rings each thread draws, the shared one takes what does not fit.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    match rig.pool.try_spawn(Job::echo(0)) {
                        Ok(()) | Err(SubmitError::Full(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let statistics = rig.pool.statistics();
    assert_eq!(statistics.conserved(), Ok(()));
    let queued = statistics.lanes[1].queued;
    assert!((12..=16).contains(&queued), "{queued}");
    assert_eq!(rig.pool.scheduler().statistics().overflowed, 8);
    gate.open();
    assert_eq!(drain(&rig.pool).lanes[1].completed, queued);
}

/// As many tasks as workers wait for each other, from as many threads.
fn a_burst_of_several_submitters_wakes_everybody(kind: Kind) {
    for stealing in [true, false] {
        let rig = Rig::new(kind, rings(4, 4, stealing));
        for round in 0..100 {
            let meeting = Gate::meeting(4);
            thread::scope(|scope| {
                for id in 0..4 {
                    let task = ProcessingTask::new(Job::hold(id, &meeting)).lane(round % 4);
                    let pool = &rig.pool;
                    scope.spawn(move || {
                        let ticket = block_on(pool.submit(task)).unwrap();
                        assert!(ticket.wait().is_ok());
                    });
                }
            });
        }
        assert_eq!(drain(&rig.pool).total().completed, 400);
    }
}

fn the_rings_belong_to_no_worker_that_may_not_take_them(kind: Kind) {
    for strategy in [
        SchedulingStrategy::PriorityBased,
        SchedulingStrategy::HashBased,
    ] {
        let config = rings(4, 4, false)
            .scheduling_strategy(strategy)
            .reserve(TaskPriority::High, 2);
        let rig = Rig::new(kind, config);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for id in 0..40 {
                        let lane = id as usize % 4;
                        let done = rig.submit(id, TaskPriority::ALL[lane]).wait().unwrap();
                        assert!(lane >= 2 || done.worker < 2, "{lane} on {}", done.worker);
                    }
                });
            }
        });
        assert_eq!(drain(&rig.pool).total().completed, 240);
    }
}
