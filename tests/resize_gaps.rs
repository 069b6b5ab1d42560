//! Workers that come to their places while others still make their states, or fail to.

mod common;

use common::{EXPECTED, Gate, Job, Kind, LONG, Rig, builder, config, drain, for_both_kinds};
use lanepool::{EventStream, PoolEvent, ProcessingTask, ResizeError, SchedulingStrategy};

for_both_kinds!(workers_that_came_just_now_know_a_new_strategy);

/// Waits until a worker has come to this place.
fn await_start(events: &EventStream, place: usize) {
    let is_start = |event| matches!(event, PoolEvent::WorkerStarted { worker } if worker == place);
    while !is_start(events.recv_timeout(LONG).expect("the worker comes")) {}
}

/// States of this place are made once the gate is open.
fn state_behind(
    gate: &Gate,
    place: usize,
) -> impl Fn(usize, u64) -> Box<dyn std::any::Any + Send> + use<> {
    let gate = gate.clone();
    move |worker, _| {
        if worker == place {
            gate.pass();
        }
        Box::new(())
    }
}

fn workers_that_came_just_now_know_a_new_strategy(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        let gate = Gate::new();
        let config = config(1).max_workers(3);
        let rig = Rig::with_extra(kind, builder(config), state_behind(&gate, 2)).unwrap();
        let events = rig.pool.events();
        std::thread::scope(|scope| {
            let resize = scope.spawn(|| rig.pool.set_workers(3).unwrap());
            gate.await_arrivals(1);
            await_start(&events, 1);
            rig.pool.scheduler().set_strategy(strategy);
            let both = Gate::meeting(2);
            let hold = |id| rig.pool.submit_blocking(Job::hold(id, &both)).unwrap();
            let [first, second] = [0, 1].map(hold).map(|ticket| ticket.wait().unwrap().worker);
            assert_ne!(first, second, "{strategy:?}");
            gate.open();
            assert_eq!(resize.join().unwrap(), 3);
        });
        let total = drain(&rig.pool).total();
        assert_eq!((total.completed, total.panicked), (2, 0), "{strategy:?}");
    }
}

/// Threads make their states side by side, so the third may work while the second is not there.
#[test]
fn what_a_worker_beyond_a_gap_leaves_is_taken() {
    common::watched(leave_beyond_a_gap);
}

fn leave_beyond_a_gap() {
    let [gap, busy, beyond] = [(); 3].map(|()| Gate::new());
    let fails = state_behind(&gap, 1);
    let extra = move |worker, number| {
        let state = fails(worker, number);
        assert!(worker != 1, "no state, {EXPECTED}");
        state
    };
    let config = config(1)
        .max_workers(3)
        .scheduling_strategy(SchedulingStrategy::HashBased);
    let rig = Rig::with_extra(Kind::Threads, builder(config), extra).unwrap();
    let events = rig.pool.events();
    let keyed = |job, key| {
        let task = ProcessingTask::new(job).key(key);
        rig.pool.submit_blocking(task).unwrap()
    };
    let first = keyed(Job::hold(0, &busy), 0);
    busy.await_arrivals(1);
    std::thread::scope(|scope| {
        let resize = scope.spawn(|| rig.pool.set_workers(3));
        gap.await_arrivals(1);
        await_start(&events, 2);
        let second = keyed(Job::hold(1, &beyond), 1);
        beyond.await_arrivals(1);
        let third = keyed(Job::echo(2), 1);
        gap.open();
        let error = resize.join().unwrap().unwrap_err();
        assert!(
            matches!(error, ResizeError::Service { worker: 1, .. }),
            "{error}"
        );
        // It is to go, and leaves the next task of its key behind.
        beyond.open();
        assert_eq!(second.wait().unwrap().worker, 2);
        busy.open();
        assert_eq!(first.wait().unwrap().worker, 0);
        assert_eq!(third.wait().unwrap().worker, 0);
    });
    assert_eq!(drain(&rig.pool).total().completed, 3);
}
