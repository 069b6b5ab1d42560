//! Which worker takes the tasks of a key or a part of a batch, under each strategy; and what is known of the
//! workers.

mod common;

use std::time::Duration;

use common::{
    Gate, Job, Kind, LONG, Rig, builder, config, drain, for_both_kinds, lanes, poll_once,
};
use lanepool::{
    Clock, LoadBalancingStrategy, OverflowPolicy, PoolEvent, ProcessingTask, SchedulingStrategy,
    TaskPriority, WorkerPoolConfigBuilder,
};

const MILLISECOND: Duration = Duration::from_millis(1);

for_both_kinds!(
    round_robin_goes_around,
    the_least_connected_worker_is_chosen,
    weights_share_out_the_turns,
    weights_that_are_not_valid_change_nothing,
    a_slow_worker_is_left_alone,
    a_reserved_worker_gets_nothing_that_it_does_not_take,
    a_batch_is_shared_out_in_parts,
    a_change_is_told_with_its_reason,
    the_adaptive_one_follows_the_shortest_waits_and_says_why,
    what_is_known_of_a_worker_adds_up,
    efficiency_is_one_when_work_is_even_and_low_when_one_does_all,
    a_decision_takes_time_where_there_is_one,
);

fn balanced(workers: usize, balancing: LoadBalancingStrategy) -> WorkerPoolConfigBuilder {
    config(workers)
        .load_balancing_strategy(balancing)
        .lanes(lanes(1_024, OverflowPolicy::Wait))
}

/// All workers at the gate, and then a strategy that places tasks: what is placed stays where it is.
fn held(kind: Kind, config: WorkerPoolConfigBuilder, strategy: SchedulingStrategy) -> (Rig, Gate) {
    let rig = Rig::new(kind, config);
    let gate = rig.hold_all();
    rig.pool.scheduler().set_strategy(strategy);
    (rig, gate)
}

/// Submits a task for each of these keys.
fn submit_keys(rig: &Rig, keys: std::ops::Range<u64>) {
    for key in keys {
        let task = ProcessingTask::new(Job::echo(key)).priority(TaskPriority::Low);
        rig.pool.try_spawn(task.key(key)).unwrap();
    }
}

fn depths(rig: &Rig) -> Vec<u64> {
    let metrics = rig.pool.load_balancer().metrics();
    metrics.iter().map(|worker| worker.queue_depth).collect()
}

fn end(rig: Rig, gate: Gate) {
    gate.open();
    drain(&rig.pool);
}

const HASHED: SchedulingStrategy = SchedulingStrategy::HashBased;

fn round_robin_goes_around(kind: Kind) {
    let config = balanced(4, LoadBalancingStrategy::RoundRobin);
    let (rig, gate) = held(kind, config, HASHED);
    for n in 0..12 {
        submit_keys(&rig, n..n + 1);
        let expected: Vec<_> = (0..4).map(|worker| (n + 4 - worker) / 4).collect();
        assert_eq!(depths(&rig), expected, "{n}");
    }
    // A key's later tasks wait behind the first and add nothing.
    submit_keys(&rig, 0..12);
    assert_eq!(depths(&rig), [3; 4]);
    end(rig, gate);
}

fn the_least_connected_worker_is_chosen(kind: Kind) {
    let config =
        balanced(4, LoadBalancingStrategy::WeightedRoundRobin).worker_weights([9, 1, 1, 1]);
    let (rig, gate) = held(kind, config, HASHED);
    submit_keys(&rig, 0..12);
    assert_eq!(depths(&rig), [9, 1, 1, 1]);
    rig.pool
        .load_balancer()
        .set_strategy(LoadBalancingStrategy::LeastConnections);
    submit_keys(&rig, 12..24);
    assert_eq!(depths(&rig), [9, 5, 5, 5]);
    submit_keys(&rig, 24..40);
    assert_eq!(depths(&rig), [10; 4]);
    end(rig, gate);
}

fn weights_share_out_the_turns(kind: Kind) {
    let config =
        balanced(4, LoadBalancingStrategy::WeightedRoundRobin).worker_weights([4, 3, 2, 1]);
    let (rig, gate) = held(kind, config, HASHED);
    submit_keys(&rig, 0..20);
    assert_eq!(depths(&rig), [8, 6, 4, 2]);
    assert_eq!(rig.pool.load_balancer().set_weights(&[1, 1, 1, 7]), Ok(1));
    submit_keys(&rig, 20..40);
    assert_eq!(depths(&rig), [10, 8, 6, 16]);
    assert_eq!(rig.pool.load_balancer().set_weights(&[]), Ok(2));
    submit_keys(&rig, 40..80);
    assert_eq!(depths(&rig), [20, 18, 16, 26]);
    assert_eq!(rig.pool.load_balancer().epoch(), 2);
    end(rig, gate);
}

fn weights_that_are_not_valid_change_nothing(kind: Kind) {
    let config = balanced(2, LoadBalancingStrategy::WeightedRoundRobin).worker_weights([3, 1]);
    let (rig, gate) = held(kind, config, HASHED);
    let balancer = rig.pool.load_balancer();
    let fields = |weights: &[u32]| -> Vec<String> {
        let error = balancer.set_weights(weights).unwrap_err();
        let problems = error.problems().iter();
        problems.map(|problem| problem.field.clone()).collect()
    };
    assert_eq!(fields(&[1]), ["worker_weights"]);
    assert_eq!(fields(&[1, 0]), ["worker_weights[1]"]);
    assert_eq!(
        fields(&[0, 10_001, 1]),
        ["worker_weights", "worker_weights[0]", "worker_weights[1]"]
    );
    assert_eq!(balancer.epoch(), 0);
    submit_keys(&rig, 0..8);
    assert_eq!(depths(&rig), [6, 2]);
    end(rig, gate);
}

fn a_slow_worker_is_left_alone(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let config = balanced(2, LoadBalancingStrategy::ResponseTimeWeighted);
    let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
    // One worker takes a millisecond, the other a hundred.
    let gates = [Gate::new(), Gate::new()];
    let [quick, slow] = gates.each_ref().map(|gate| {
        let ticket = rig.pool.try_submit(Job::hold(0, gate)).unwrap();
        gate.await_arrivals(1);
        ticket
    });
    hands.advance(MILLISECOND);
    gates[0].open();
    let quick = quick.wait().unwrap().worker;
    hands.advance(99 * MILLISECOND);
    gates[1].open();
    assert_ne!(slow.wait().unwrap().worker, quick);
    let gate = rig.hold_all();
    rig.pool.scheduler().set_strategy(HASHED);
    // Each has one task in hand: the slow one is as good as the quick one with 198 more.
    submit_keys(&rig, 0..198);
    assert_eq!(depths(&rig)[quick], 198);
    submit_keys(&rig, 198..204);
    assert_eq!(depths(&rig)[1 - quick], 1, "it has its turn then");
    end(rig, gate);
}

fn a_reserved_worker_gets_nothing_that_it_does_not_take(kind: Kind) {
    for balancing in LoadBalancingStrategy::ALL {
        let config = balanced(3, balancing)
            .worker_weights([1, 1, 8])
            .reserve(TaskPriority::High, 1);
        let (rig, gate) = held(kind, config, HASHED);
        submit_keys(&rig, 0..40);
        let low = depths(&rig);
        assert_eq!((low[0] + low[1], low[2]), (40, 0), "{balancing:?}");
        for key in 100..140 {
            let task = ProcessingTask::new(Job::echo(key)).priority(TaskPriority::High);
            rig.pool.try_spawn(task.key(key)).unwrap();
        }
        assert!(depths(&rig)[2] > 0, "{balancing:?}");
        end(rig, gate);
    }
}

fn a_batch_is_shared_out_in_parts(kind: Kind) {
    for (balancing, expected) in [
        (LoadBalancingStrategy::RoundRobin, [32, 32, 32, 32]),
        (LoadBalancingStrategy::LeastConnections, [32, 32, 32, 32]),
        (LoadBalancingStrategy::WeightedRoundRobin, [80, 16, 16, 16]),
    ] {
        for strategy in [
            SchedulingStrategy::RoundRobin,
            SchedulingStrategy::LeastLoaded,
            SchedulingStrategy::Random,
        ] {
            let config = balanced(4, balancing).worker_weights([5, 1, 1, 1]);
            let (rig, gate) = held(kind, config, strategy);
            let mut batch = Box::pin(rig.pool.execute_batch((0..128).map(Job::echo)));
            assert!(poll_once(batch.as_mut()).is_pending());
            assert_eq!(depths(&rig), expected, "{balancing:?}, {strategy:?}");
            gate.open();
            assert!(common::block_on(batch).iter().all(Result::is_ok));
            drain(&rig.pool);
        }
    }
}

fn a_change_is_told_with_its_reason(kind: Kind) {
    let rig = Rig::new(kind, balanced(2, LoadBalancingStrategy::RoundRobin));
    let events = rig.pool.events();
    let balancer = rig.pool.load_balancer();
    for (epoch, to) in (1..).zip(LoadBalancingStrategy::ALL) {
        let before = balancer.in_force();
        assert_eq!(balancer.set_strategy(to), epoch);
        assert_eq!((balancer.strategy(), balancer.epoch()), (to, epoch));
        let adaptive = to == LoadBalancingStrategy::AdaptiveHybrid;
        assert_eq!(balancer.in_force() == to, !adaptive);
        match events.recv_timeout(LONG) {
            Some(PoolEvent::BalancingChanged {
                from,
                to: told,
                why,
            }) => {
                assert_eq!((from, told), (before, to));
                assert!(!why.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    drain(&rig.pool);
}

/// The wait that a pool with a slow worker has under each strategy.
fn wait_under(strategy: LoadBalancingStrategy) -> Duration {
    match strategy {
        LoadBalancingStrategy::ResponseTimeWeighted => MILLISECOND / 5,
        LoadBalancingStrategy::LeastConnections => MILLISECOND,
        _ => 5 * MILLISECOND,
    }
}

fn the_adaptive_one_follows_the_shortest_waits_and_says_why(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let config = balanced(2, LoadBalancingStrategy::AdaptiveHybrid).scheduling_strategy(HASHED);
    let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
    let events = rig.pool.events();
    let balancer = rig.pool.load_balancer();
    for _ in 0..40 {
        let gate = rig.hold_all();
        let submit = |key| {
            rig.pool
                .try_submit(ProcessingTask::new(Job::echo(0)).key(key))
                .unwrap()
        };
        let tickets: Vec<_> = (0..32).map(submit).collect();
        hands.advance(wait_under(balancer.in_force()));
        gate.open();
        assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
        hands.advance(20 * MILLISECOND);
    }
    assert_eq!(balancer.strategy(), LoadBalancingStrategy::AdaptiveHybrid);
    let best = LoadBalancingStrategy::ResponseTimeWeighted;
    assert_eq!(balancer.in_force(), best);
    let mut in_force = LoadBalancingStrategy::LeastConnections;
    let mut tried = vec![in_force];
    let mut reason = String::new();
    while let Some(event) = events.try_recv() {
        if let PoolEvent::BalancingChanged { from, to, why } = event {
            assert_eq!(from, in_force, "{why}");
            (in_force, reason) = (to, why);
            tried.push(to);
        }
    }
    assert_eq!(in_force, best, "the last change that was told");
    assert!(
        tried.contains(&LoadBalancingStrategy::RoundRobin),
        "{tried:?}"
    );
    assert!(reason.contains("ResponseTimeWeighted"), "{reason}");
    assert!(reason.contains("µs"), "it has figures: {reason}");
    drain(&rig.pool);
}

fn what_is_known_of_a_worker_adds_up(kind: Kind) {
    let (clock, hands) = Clock::manual();
    let began = clock.now();
    let config = balanced(2, LoadBalancingStrategy::RoundRobin);
    let rig = Rig::build(kind, builder(config).clock(clock.clone())).unwrap();
    for (number, worker) in rig.pool.load_balancer().metrics().into_iter().enumerate() {
        assert_eq!(worker.worker, number);
        assert_eq!((worker.current_load, worker.queue_depth), (0, 0));
        assert_eq!((worker.throughput, worker.error_rate), (0.0, 0.0));
        assert_eq!(worker.average_response_time, Duration::ZERO);
        assert_eq!(worker.last_update, None);
    }
    // One worker does it all: a success, a failure, a panic and a task of 7 ms that waited for 3.
    let (stuck, gate) = (Gate::new(), Gate::new());
    let stays = rig.pool.try_submit(Job::hold(0, &stuck)).unwrap();
    stuck.await_arrivals(1);
    let quick: Vec<_> = [Job::echo(1), Job::fail(2), Job::panic(3)]
        .into_iter()
        .map(|job| rig.pool.try_submit(job).unwrap().wait())
        .collect();
    let worker = quick[0].as_ref().unwrap().worker;
    let before = Gate::new();
    rig.pool.try_spawn(Job::hold(4, &before)).unwrap();
    before.await_arrivals(1);
    let slow = rig.pool.try_submit(Job::hold(5, &gate)).unwrap();
    hands.advance(3 * MILLISECOND);
    before.open();
    gate.await_arrivals(1);
    rig.pool
        .scheduler()
        .set_strategy(SchedulingStrategy::RoundRobin);
    for id in 10..20 {
        rig.pool.try_spawn(Job::echo(id)).unwrap();
    }
    for metrics in rig.pool.load_balancer().metrics() {
        assert_eq!((metrics.queue_depth, metrics.current_load), (5, 6));
    }
    let statistics = rig.pool.statistics();
    assert_eq!(statistics.total().queued, 10);
    hands.advance(7 * MILLISECOND);
    gate.open();
    assert_eq!(slow.wait().unwrap().worker, worker);
    stuck.open();
    assert_eq!(stays.wait().unwrap().worker, 1 - worker);
    drain(&rig.pool);
    let metrics = rig.pool.load_balancer().metrics();
    let finished: Vec<_> = rig
        .pool
        .statistics()
        .workers
        .iter()
        .map(|it| it.finished)
        .collect();
    for (metrics, finished) in metrics.iter().zip(finished) {
        assert_eq!((metrics.queue_depth, metrics.current_load), (0, 0));
        assert_eq!(metrics.last_update, Some(began + 10 * MILLISECOND));
        let in_ten_milliseconds = metrics.throughput / 100.0;
        assert!((in_ten_milliseconds - finished as f64).abs() < 1e-6);
        let errors = metrics.error_rate * finished as f64;
        let expected = if metrics.worker == worker { 2.0 } else { 0.0 };
        assert!((errors - expected).abs() < 1e-6, "{errors}");
        let mean = metrics.average_response_time;
        assert!(
            mean > Duration::ZERO && mean <= 10 * MILLISECOND,
            "{mean:?}"
        );
    }
}

fn efficiency_is_one_when_work_is_even_and_low_when_one_does_all(kind: Kind) {
    for busy in 1..=4 {
        let (clock, hands) = Clock::manual();
        let config = balanced(4, LoadBalancingStrategy::RoundRobin);
        let rig = Rig::build(kind, builder(config).clock(clock)).unwrap();
        assert_eq!(rig.pool.scheduler().statistics().balance_efficiency, 1.0);
        let gate = Gate::new();
        for _ in 0..busy {
            rig.pool.try_spawn(Job::hold(0, &gate)).unwrap();
        }
        gate.await_arrivals(busy);
        hands.advance(MILLISECOND);
        gate.open();
        drain(&rig.pool);
        let efficiency = rig.pool.scheduler().statistics().balance_efficiency;
        assert!(
            (efficiency - busy as f64 / 4.0).abs() < 1e-9,
            "{efficiency}"
        );
    }
}

fn a_decision_takes_time_where_there_is_one(kind: Kind) {
    for strategy in SchedulingStrategy::ALL {
        let config = balanced(2, LoadBalancingStrategy::RoundRobin).scheduling_strategy(strategy);
        let rig = Rig::new(kind, config);
        for key in 0..1_000 {
            let task = ProcessingTask::new(Job::echo(0)).key(key);
            rig.pool.spawn_blocking(task).unwrap();
        }
        let took = rig.pool.scheduler().statistics().scheduling_time;
        let decides = strategy != SchedulingStrategy::PriorityBased;
        assert_eq!(took > Duration::ZERO, decides, "{strategy:?}: {took:?}");
        drain(&rig.pool);
    }
}
