//! A paused lane is left alone until it is resumed, and the others go on; nothing waits in vain for it.

mod common;

use std::sync::Barrier;
use std::thread;

use common::{
    Gate, Job, KeyLog, Kind, Rig, block_on, config, drain, for_both_kinds, lanes, poll_once,
};
use lanepool::{
    OverflowPolicy, PoolEvent, ProcessingTask, SchedulingStrategy, SubmitError, TaskPriority,
};

const LOW: TaskPriority = TaskPriority::Low;

for_both_kinds!(
    a_paused_lane_waits_and_the_others_go_on,
    what_a_worker_has_begun_it_finishes,
    a_paused_lane_accepts_until_it_is_full,
    a_close_resumes_every_lane,
    each_change_is_told_once,
    a_resume_wakes_whoever_sleeps,
    a_task_that_comes_as_its_lane_is_resumed_is_run,
    keys_of_a_paused_lane_wait_and_the_others_go_on,
    a_key_waits_with_its_next_task_whatever_comes_behind_it,
);

/// Pauses a lane, and lets every worker begin a task afterwards: one that was just looking for its next task
/// may still take one of the lane, but nobody does so who looks after that.
fn pause(rig: &Rig, priority: TaskPriority) {
    let scheduler = rig.pool.scheduler();
    scheduler.pause(priority);
    let strategy = scheduler.strategy();
    scheduler.set_strategy(SchedulingStrategy::PriorityBased);
    let workers = rig.pool.workers();
    let meeting = Gate::meeting(workers);
    let other = if priority == LOW {
        TaskPriority::High
    } else {
        LOW
    };
    let submit = |_| {
        let task = ProcessingTask::new(Job::hold(MEETING, &meeting)).priority(other);
        rig.pool.try_submit(task).unwrap()
    };
    let tickets: Vec<_> = (0..workers).map(submit).collect();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    scheduler.set_strategy(strategy);
}

/// The number of the tasks of [`pause`].
const MEETING: u64 = 1_000_000;

fn paused(rig: &Rig) -> Vec<bool> {
    let statistics = rig.pool.statistics();
    statistics.lanes.iter().map(|lane| lane.paused).collect()
}

fn a_paused_lane_waits_and_the_others_go_on(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        for (stealing, sub_rings) in [(true, 1), (false, 1), (true, 2)] {
            let config = config(2)
                .scheduling_strategy(strategy)
                .enable_task_stealing(stealing)
                .sub_rings(sub_rings);
            let rig = Rig::new(kind, config);
            for (lane, priority) in TaskPriority::ALL.into_iter().enumerate() {
                pause(&rig, priority);
                let (mut waits, mut runs) = (Vec::new(), Vec::new());
                for n in 0..40 {
                    let of = n as usize % 4;
                    let task = ProcessingTask::new(Job::echo(of as u64)).lane(of).key(n);
                    let ticket = rig.pool.try_submit(task).unwrap();
                    let list = if of == lane { &mut waits } else { &mut runs };
                    list.push(ticket);
                }
                assert!(runs.into_iter().all(|ticket| ticket.wait().is_ok()));
                let statistics = rig.pool.statistics();
                assert_eq!(statistics.lanes[lane].queued, 10);
                assert_eq!(statistics.conserved(), Ok(()));
                let expected: Vec<_> = (0..4).map(|of| of == lane).collect();
                assert_eq!(paused(&rig), expected);
                assert!(rig.pool.scheduler().is_paused(priority));
                assert!(statistics.total().paused);
                assert!(waits.iter().all(|ticket| !ticket.is_done()));
                rig.pool.scheduler().resume(priority);
                assert!(waits.into_iter().all(|ticket| ticket.wait().is_ok()));
                assert_eq!(paused(&rig), [false; 4]);
            }
            assert_eq!(drain(&rig.pool).total().completed, 160 + 8);
        }
    }
}

fn what_a_worker_has_begun_it_finishes(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = Gate::new();
    let begun = ProcessingTask::new(Job::hold(1, &gate)).priority(LOW);
    let begun = rig.pool.try_submit(begun).unwrap();
    gate.await_arrivals(1);
    rig.pool.scheduler().pause(LOW);
    let waits = rig.submit(2, LOW);
    gate.open();
    assert!(begun.wait().is_ok());
    assert!(rig.submit(3, TaskPriority::High).wait().is_ok());
    assert_eq!(rig.started(), [1, 3]);
    rig.pool.scheduler().resume(LOW);
    assert!(waits.wait().is_ok());
    drain(&rig.pool);
}

fn a_paused_lane_accepts_until_it_is_full(kind: Kind) {
    for overflow in [OverflowPolicy::Reject, OverflowPolicy::Wait] {
        let rig = Rig::new(kind, config(2).lanes(lanes(4, overflow)));
        pause(&rig, LOW);
        let task = |id| ProcessingTask::new(Job::echo(id)).priority(LOW);
        (0..4).for_each(|id| rig.pool.try_spawn(task(id)).unwrap());
        let refused = rig.pool.try_spawn(task(4)).unwrap_err();
        assert!(matches!(refused, SubmitError::Full(_)));
        if overflow == OverflowPolicy::Wait {
            let mut waits: Vec<_> = (5..20)
                .map(|id| Box::pin(rig.pool.spawn(task(id))))
                .collect();
            for wait in &mut waits {
                assert!(poll_once(wait.as_mut()).is_pending());
            }
            rig.pool.scheduler().resume(LOW);
            waits.into_iter().for_each(|wait| block_on(wait).unwrap());
            assert_eq!(drain(&rig.pool).lanes[0].completed, 19);
        } else {
            rig.pool.scheduler().resume(LOW);
            assert_eq!(drain(&rig.pool).lanes[0].completed, 4);
        }
    }
}

fn a_close_resumes_every_lane(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        let rig = Rig::new(kind, config(2).scheduling_strategy(strategy));
        let gate = rig.hold_all();
        for priority in TaskPriority::ALL {
            rig.pool.scheduler().pause(priority);
        }
        gate.open();
        for n in 0..40 {
            let task = ProcessingTask::new(Job::echo(n))
                .lane(n as usize % 4)
                .key(n % 3);
            rig.pool.try_spawn(task).unwrap();
        }
        assert_eq!(rig.pool.statistics().total().queued, 40);
        assert_eq!(drain(&rig.pool).total().completed, 40 + 2);
        assert_eq!(paused(&rig), [false; 4]);
        let events = rig.pool.events();
        rig.pool.scheduler().pause(LOW);
        assert!(!rig.pool.scheduler().is_paused(LOW), "it is over");
        assert_eq!(events.try_recv(), None);
    }
}

fn each_change_is_told_once(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let events = rig.pool.events();
    let scheduler = rig.pool.scheduler();
    scheduler.resume(LOW);
    for (lane, priority) in TaskPriority::ALL.into_iter().enumerate() {
        scheduler.pause(priority);
        scheduler.pause(priority);
        assert_eq!(events.try_recv(), Some(PoolEvent::LanePaused { lane }));
        scheduler.resume(priority);
        scheduler.resume(priority);
        assert_eq!(events.try_recv(), Some(PoolEvent::LaneResumed { lane }));
        assert_eq!(events.try_recv(), None);
    }
    drain(&rig.pool);
}

fn a_resume_wakes_whoever_sleeps(kind: Kind) {
    for strategy in [
        SchedulingStrategy::PriorityBased,
        SchedulingStrategy::RoundRobin,
        SchedulingStrategy::HashBased,
    ] {
        for stealing in [true, false] {
            let config = config(2)
                .scheduling_strategy(strategy)
                .enable_task_stealing(stealing);
            let rig = Rig::new(kind, config);
            let scheduler = rig.pool.scheduler();
            for round in 0..300 {
                pause(&rig, LOW);
                // Each wakes the other's worker on its way, or finds it asleep.
                let meeting = Gate::meeting(2);
                let tickets = [0, 1].map(|n| {
                    let task = ProcessingTask::new(Job::hold(n, &meeting));
                    rig.pool.try_submit(task.priority(LOW).key(n)).unwrap()
                });
                if round % 2 == 0 {
                    assert!(rig.submit(9, TaskPriority::High).wait().is_ok());
                }
                assert_eq!(meeting.arrived(), 0);
                scheduler.resume(LOW);
                assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
            }
            drain(&rig.pool);
        }
    }
}

fn a_task_that_comes_as_its_lane_is_resumed_is_run(kind: Kind) {
    const ROUNDS: u64 = 1_000;
    let rig = Rig::new(kind, config(2));
    let (before, after) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                rig.pool.scheduler().pause(LOW);
                before.wait();
                rig.pool.scheduler().resume(LOW);
                after.wait();
            }
        });
        for id in 0..ROUNDS {
            before.wait();
            assert!(rig.submit(id, LOW).wait().is_ok());
            after.wait();
        }
    });
    assert_eq!(drain(&rig.pool).total().completed, ROUNDS);
}

fn keys_of_a_paused_lane_wait_and_the_others_go_on(kind: Kind) {
    for stealing in [true, false] {
        let config = config(2)
            .scheduling_strategy(SchedulingStrategy::HashBased)
            .enable_task_stealing(stealing);
        let rig = Rig::new(kind, config);
        let log = KeyLog::new();
        pause(&rig, LOW);
        // The even keys have their first task in the paused lane, and the more urgent ones keep their order.
        let mut others = Vec::new();
        for n in 0..20 {
            for key in 0..6 {
                let lane = if key % 2 == 0 { 0 } else { 1 + n as usize % 3 };
                let ticket = rig.pool.try_submit(log.task(key, n).lane(lane)).unwrap();
                if key % 2 == 0 {
                    ticket.detach();
                } else {
                    others.push(ticket);
                }
            }
        }
        assert!(others.into_iter().all(|ticket| ticket.wait().is_ok()));
        (0..6).for_each(|key| assert_eq!(log.of(key).len(), if key % 2 == 0 { 0 } else { 20 }));
        assert_eq!(rig.pool.statistics().lanes[0].queued, 60);
        rig.pool.scheduler().resume(LOW);
        assert_eq!(drain(&rig.pool).total().completed, 120 + 2);
        log.assert_orderly();
        assert_eq!(rig.pool.scheduler().statistics().live_keys, 0);
    }
}

fn a_key_waits_with_its_next_task_whatever_comes_behind_it(kind: Kind) {
    for stealing in [true, false] {
        let config = config(2)
            .scheduling_strategy(SchedulingStrategy::HashBased)
            .enable_task_stealing(stealing);
        let rig = Rig::new(kind, config);
        let log = KeyLog::new();
        let gate = rig.hold_all();
        rig.pool.scheduler().pause(LOW);
        // The turn of the key is first in the lane of the critical task, for whose sake it hurries.
        for (n, lane) in (0..).zip([1, 0, 3, 0, 2]) {
            rig.pool.try_spawn(log.task(1, n).lane(lane)).unwrap();
        }
        gate.open();
        for n in 0..100 {
            let other = log.task(2, n).lane(1 + n as usize % 3);
            assert!(rig.pool.try_submit(other).unwrap().wait().is_ok());
        }
        assert_eq!(log.of(1), [0], "the second task is of the paused lane");
        rig.pool.scheduler().resume(LOW);
        drain(&rig.pool);
        assert_eq!(log.of(1), [0, 1, 2, 3, 4]);
        log.assert_orderly();
    }
}

/// A pool that has nothing to do but in a paused lane costs nothing: its runtime's thread lies down.
#[cfg(feature = "tokio")]
#[test]
fn tasks_sleep_while_only_a_paused_lane_holds_anything() {
    common::watched(|| {
        for strategy in SchedulingStrategy::ALL {
            let lies_down = std::sync::Arc::new(tokio::sync::Notify::new());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .on_thread_park({
                    let lies_down = lies_down.clone();
                    move || lies_down.notify_waiters()
                })
                .build()
                .unwrap();
            let service = lanepool::async_service_fn(|n: u64, _| async move { Ok::<_, ()>(n) });
            let pool = lanepool::WorkerPool::<u64, u64, ()>::builder()
                .config(config(2).scheduling_strategy(strategy).build().unwrap())
                .runtime(runtime.handle().clone())
                .build_async(service)
                .unwrap();
            runtime.block_on(async {
                pool.scheduler().pause(LOW);
                let task = |n| ProcessingTask::new(n).priority(LOW).key(n);
                let tickets = [1, 2, 3].map(|n| pool.try_submit(task(n)).unwrap());
                // A worker that looked again and again would leave the thread no rest.
                lies_down.notified().await;
                let other = pool.try_submit(ProcessingTask::new(9)).unwrap();
                assert_eq!(other.await, Ok(9));
                lies_down.notified().await;
                assert!(tickets.iter().all(|ticket| !ticket.is_done()));
                pool.scheduler().resume(LOW);
                for ticket in tickets {
                    assert!(ticket.await.is_ok());
                }
                assert!(pool.shutdown(common::LONG).await.drained);
            });
        }
    });
}

/// As above: the system says of each worker's thread that it sleeps.
#[cfg(target_os = "linux")]
#[test]
fn threads_sleep_while_only_a_paused_lane_holds_anything() {
    /// Whether every thread of this name sleeps.
    fn all_asleep(name: &str) -> bool {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let stats = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
        let mut own = stats.filter(|stat| stat.contains(&format!("({name}-")));
        own.all(|stat| stat.contains(") S "))
    }
    common::watched(|| {
        for (n, strategy) in SchedulingStrategy::ALL.into_iter().enumerate() {
            let name = format!("paused{n}");
            let config = config(2).scheduling_strategy(strategy).thread_name(&name);
            let rig = Rig::new(Kind::Threads, config);
            pause(&rig, LOW);
            let task = |id| ProcessingTask::new(Job::echo(id)).priority(LOW).key(id);
            let tickets = [1, 2, 3].map(|id| rig.pool.try_submit(task(id)).unwrap());
            for _ in 0..20 {
                while !all_asleep(&name) {
                    thread::yield_now();
                }
                assert!(rig.submit(9, TaskPriority::High).wait().is_ok());
            }
            assert!(tickets.iter().all(|ticket| !ticket.is_done()));
            rig.pool.scheduler().resume(LOW);
            assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
            drain(&rig.pool);
        }
    });
}
