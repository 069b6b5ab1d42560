//! The strategy is changed a thousand times under load: nothing is lost, and keys keep their order.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Job, KeyLog, Kind, LONG, Rig, block_on, config, drain, for_both_kinds, lanes};
use lanepool::{
    LoadBalancingStrategy, OverflowPolicy, PoolEvent, ProcessingTask, SchedulingStrategy,
};

const CHANGES: u64 = 1_000;
const SUBMITTERS: u64 = 3;
/// Keys of each submitter; a key of two would have no order to keep.
const KEYS: u64 = 4;

for_both_kinds!(
    a_thousand_changes_lose_nothing_and_keep_the_order_of_keys,
    keys_keep_their_order_after_the_first_time_that_they_had_one,
);

fn a_thousand_changes_lose_nothing_and_keep_the_order_of_keys(kind: Kind) {
    for stealing in [true, false] {
        let config = config(3)
            .scheduling_strategy(SchedulingStrategy::HashBased)
            .enable_task_stealing(stealing)
            .lanes(lanes(16, OverflowPolicy::Wait));
        let rig = Rig::new(kind, config);
        let events = rig.pool.events();
        let log = KeyLog::new();
        let changed = AtomicBool::new(false);
        let submitted: u64 = thread::scope(|scope| {
            let submit = |submitter| {
                let (log, changed, rig) = (&log, &changed, &rig);
                move || submit_until(rig, log, submitter, changed)
            };
            let submitters: Vec<_> = (0..SUBMITTERS)
                .map(|submitter| scope.spawn(submit(submitter)))
                .collect();
            for (n, epoch) in (1..=CHANGES).enumerate() {
                let strategy = SchedulingStrategy::ALL[n % 5];
                assert_eq!(rig.pool.scheduler().set_strategy(strategy), epoch);
                let balancing = LoadBalancingStrategy::ALL[n / 5 % 5];
                rig.pool.load_balancer().set_strategy(balancing);
                // A task gets through between one change and the next.
                let between = rig.pool.submit_blocking(Job::echo(0)).unwrap();
                assert!(between.wait().is_ok());
            }
            changed.store(true, Ordering::SeqCst);
            submitters.into_iter().map(|it| it.join().unwrap()).sum()
        });
        let total = drain(&rig.pool).total();
        assert_eq!(total.completed, submitted + CHANGES);
        assert_eq!(total.refused, 0);
        log.assert_orderly();
        let scheduling = rig.pool.scheduler().statistics();
        assert_eq!((scheduling.epoch, scheduling.live_keys), (CHANGES, 0));
        assert_eq!(scheduling.keyed, log.started() as u64);
        assert_eq!(scheduling.scheduled, submitted + CHANGES);
        assert_events(&events);
    }
}

/// Submits tasks with and without keys until the changes are over, and for a round more. Returns how many.
fn submit_until(rig: &Rig, log: &KeyLog, submitter: u64, changed: &AtomicBool) -> u64 {
    let mut n = 0;
    let mut last_round = false;
    loop {
        let over = changed.load(Ordering::SeqCst);
        for _ in 0..40 {
            let lane = (n / 3 % 4) as usize;
            let key = submitter * KEYS + n / 2 % KEYS;
            let task = match n % 2 {
                0 => log.task(key, n).lane(lane),
                _ => ProcessingTask::new(Job::echo(n)).lane(lane),
            };
            match n % 3 {
                0 => block_on(rig.pool.spawn(task)).unwrap(),
                _ => rig.pool.spawn_blocking(task).unwrap(),
            }
            n += 1;
        }
        if last_round {
            return n;
        }
        last_round = over;
    }
}

/// As far as the subscriber's backlog goes, every change is told in its order.
fn assert_events(events: &lanepool::EventStream) {
    let mut last = 0;
    while let Some(event) = events.recv_timeout(LONG) {
        match event {
            PoolEvent::StrategyChanged { from, to, epoch } => {
                assert_eq!(epoch, last + 1);
                last = epoch;
                let n = epoch as usize - 1;
                assert_eq!(to, SchedulingStrategy::ALL[n % 5]);
                if n > 0 {
                    assert_eq!(from, SchedulingStrategy::ALL[(n - 1) % 5]);
                }
            }
            PoolEvent::BalancingChanged { .. } => {}
            other => panic!("{other:?}"),
        }
        if last == 500 {
            return;
        }
    }
    panic!("{last} changes were told");
}

fn keys_keep_their_order_after_the_first_time_that_they_had_one(kind: Kind) {
    let rig = Rig::new(kind, config(3).lanes(lanes(256, OverflowPolicy::Wait)));
    let log = KeyLog::new();
    rig.pool
        .scheduler()
        .set_strategy(SchedulingStrategy::HashBased);
    let gate = rig.hold_all();
    let mut n = 0;
    for strategy in SchedulingStrategy::ALL {
        rig.pool.scheduler().set_strategy(strategy);
        for _ in 0..25 {
            let task = log.task(n % 5, n).lane(n as usize % 4);
            rig.pool.try_spawn(task).unwrap();
            n += 1;
        }
    }
    let scheduling = rig.pool.scheduler().statistics();
    assert_eq!((scheduling.keyed, scheduling.live_keys), (n, 5));
    gate.open();
    assert_eq!(drain(&rig.pool).total().completed, n + 3);
    log.assert_orderly();
    (0..5).for_each(|key| assert_eq!(log.of(key).len(), 25));
}
