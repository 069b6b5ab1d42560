//! Every bound is checked, all problems are reported at once, and defaults work.

mod common;

use std::time::Duration;

use common::watched;
use lanepool::{
    BatchProcessorConfig, BuildError, ConfigError, LaneConfig, LoadBalancingStrategy,
    MOST_CAPACITY, MOST_STACK, MOST_SUB_RINGS, MOST_WEIGHT, MOST_WORKER_WEIGHT, MOST_WORKERS,
    OverflowPolicy, Reservation, SchedulingStrategy, TaskContext, TaskPriority, WorkerPool,
    WorkerPoolConfig, WorkerPoolConfigBuilder, service_fn,
};

/// The fields that an error names.
fn fields(error: &ConfigError) -> Vec<&str> {
    error
        .problems()
        .iter()
        .map(|problem| problem.field.as_str())
        .collect()
}

fn with(change: impl FnOnce(&mut WorkerPoolConfig)) -> Result<(), ConfigError> {
    let mut config = WorkerPoolConfig::default();
    change(&mut config);
    config.validate()
}

/// Of three workers these are reserved.
fn with_reserved(workers: &[usize]) -> Result<(), ConfigError> {
    with(|config| {
        config.worker_count = 3;
        config.reserved = reserved(workers);
    })
}

fn reserved(workers: &[usize]) -> Vec<Reservation> {
    let reservation = |workers: &usize| Reservation {
        priority: TaskPriority::High,
        workers: *workers,
    };
    workers.iter().map(reservation).collect()
}

/// Of three workers there may be so many.
fn with_most(workers: usize) -> Result<(), ConfigError> {
    with(|config| {
        config.worker_count = 3;
        config.max_workers = workers;
    })
}

/// Three workers have these weights.
fn with_weights(weights: &[u32]) -> Result<(), ConfigError> {
    with(|config| {
        config.worker_count = 3;
        config.worker_weights = weights.to_vec();
    })
}

fn with_lane(change: impl FnOnce(&mut LaneConfig)) -> Result<(), ConfigError> {
    with(|config| change(&mut config.lanes[2]))
}

#[test]
fn the_defaults_are_valid() {
    let config = WorkerPoolConfig::default();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(WorkerPoolConfig::builder().build().unwrap(), config);
    assert_eq!((config.worker_count, config.lanes.len()), (0, 4));
    assert_eq!(config.max_workers, 0, "as many as it is built with");
    assert!(
        (1..=MOST_WORKERS).contains(&config.workers()),
        "one per usable CPU"
    );
    assert!(
        config
            .lanes
            .iter()
            .all(|lane| lane.overflow == OverflowPolicy::Wait)
    );
    assert!(config.lanes.is_sorted_by_key(|lane| lane.weight));
    assert_eq!(
        config.scheduling_strategy,
        SchedulingStrategy::PriorityBased
    );
    assert_eq!(
        config.load_balancing_strategy,
        LoadBalancingStrategy::AdaptiveHybrid
    );
    assert!(config.enable_task_stealing && config.worker_weights.is_empty());
    assert!(config.reserved.is_empty() && config.ageing.is_none());
    assert_eq!(config.sub_rings, 1);
}

#[test]
fn each_bound_is_checked_on_both_sides() {
    let good = [
        with(|config| config.worker_count = MOST_WORKERS),
        with_most(0),
        with_most(3),
        with_most(MOST_WORKERS),
        with(|config| config.lanes = vec![LaneConfig::new()]),
        with(|config| config.lanes = vec![LaneConfig::new(); 8]),
        with_lane(|lane| lane.capacity = 1),
        with_lane(|lane| lane.capacity = MOST_CAPACITY),
        with_lane(|lane| lane.weight = MOST_WEIGHT),
        with(|config| config.thread_name = "n".repeat(64)),
        with(|config| config.thread_stack_size = Some(16 * 1024)),
        with(|config| config.thread_stack_size = Some(MOST_STACK)),
        with(|config| config.sample_every = 1),
        with(|config| config.sample_every = 1 << 20),
        with(|config| config.max_run_length = 1),
        with(|config| config.max_run_length = 16),
        with(|config| config.default_timeout = Some(Duration::from_nanos(1))),
        with(|config| config.default_timeout = Some(Duration::MAX)),
        with_weights(&[1, MOST_WORKER_WEIGHT, 7]),
        with_reserved(&[1, 1]),
        with_reserved(&[2]),
        with(|config| config.ageing = Some(Duration::from_micros(1))),
        with(|config| config.ageing = Some(Duration::MAX)),
        with(|config| config.sub_rings = MOST_SUB_RINGS),
    ];
    for (index, result) in good.into_iter().enumerate() {
        assert_eq!(result, Ok(()), "number {index}");
    }
    let bad = [
        (
            "worker_count",
            with(|config| config.worker_count = MOST_WORKERS + 1),
        ),
        (
            "worker_count",
            with(|config| config.worker_count = usize::MAX),
        ),
        ("max_workers", with_most(2)),
        ("max_workers", with_most(MOST_WORKERS + 1)),
        ("lanes", with(|config| config.lanes.clear())),
        (
            "lanes",
            with(|config| config.lanes = vec![LaneConfig::new(); 9]),
        ),
        ("lanes[2].capacity", with_lane(|lane| lane.capacity = 0)),
        (
            "lanes[2].capacity",
            with_lane(|lane| lane.capacity = MOST_CAPACITY + 1),
        ),
        (
            "lanes[2].capacity",
            with_lane(|lane| lane.capacity = usize::MAX),
        ),
        ("lanes[2].weight", with_lane(|lane| lane.weight = 0)),
        (
            "lanes[2].weight",
            with_lane(|lane| lane.weight = MOST_WEIGHT + 1),
        ),
        ("thread_name", with(|config| config.thread_name.clear())),
        (
            "thread_name",
            with(|config| config.thread_name = "n".repeat(65)),
        ),
        (
            "thread_name",
            with(|config| config.thread_name = "a\0b".to_owned()),
        ),
        (
            "thread_stack_size",
            with(|config| config.thread_stack_size = Some(16 * 1024 - 1)),
        ),
        (
            "thread_stack_size",
            with(|config| config.thread_stack_size = Some(MOST_STACK + 1)),
        ),
        ("sample_every", with(|config| config.sample_every = 0)),
        (
            "sample_every",
            with(|config| config.sample_every = (1 << 20) + 1),
        ),
        ("max_run_length", with(|config| config.max_run_length = 0)),
        ("max_run_length", with(|config| config.max_run_length = 17)),
        (
            "default_timeout",
            with(|config| config.default_timeout = Some(Duration::ZERO)),
        ),
        ("worker_weights", with_weights(&[1, 1])),
        ("worker_weights", with_weights(&[1; 4])),
        ("worker_weights[1]", with_weights(&[1, 0, 1])),
        (
            "worker_weights[2]",
            with_weights(&[1, 1, MOST_WORKER_WEIGHT + 1]),
        ),
        ("reserved[1].workers", with_reserved(&[1, 0])),
        ("reserved", with_reserved(&[1, 2])),
        ("reserved", with_reserved(&[1, usize::MAX])),
        (
            "ageing",
            with(|config| config.ageing = Some(Duration::from_nanos(999))),
        ),
        (
            "ageing",
            with(|config| config.ageing = Some(Duration::ZERO)),
        ),
        ("sub_rings", with(|config| config.sub_rings = 0)),
        (
            "sub_rings",
            with(|config| config.sub_rings = MOST_SUB_RINGS + 1),
        ),
    ];
    for (field, result) in bad {
        assert_eq!(fields(&result.unwrap_err()), [field]);
    }
}

/// A configuration in which nothing is right.
fn all_wrong() -> WorkerPoolConfig {
    WorkerPoolConfig {
        worker_count: 1_000_000,
        max_workers: 2_000_000,
        lanes: vec![LaneConfig::new().capacity(0).weight(0); 9],
        thread_name: "\0".to_owned(),
        thread_stack_size: Some(1),
        sample_every: 0,
        max_run_length: 99,
        default_timeout: Some(Duration::ZERO),
        worker_weights: vec![0, MOST_WORKER_WEIGHT + 1],
        reserved: reserved(&[0, usize::MAX]),
        ageing: Some(Duration::ZERO),
        sub_rings: 0,
        ..WorkerPoolConfig::default()
    }
}

#[test]
fn all_problems_are_listed_at_once() {
    let error = all_wrong().validate().unwrap_err();
    let lanes =
        (0..9).flat_map(|lane| ["capacity", "weight"].map(|name| format!("lanes[{lane}].{name}")));
    let mut expected = ["worker_count", "max_workers", "lanes"]
        .map(str::to_owned)
        .to_vec();
    expected.extend(lanes);
    let rest = [
        "thread_name",
        "thread_stack_size",
        "sample_every",
        "max_run_length",
        "default_timeout",
        "worker_weights",
        "worker_weights[0]",
        "worker_weights[1]",
        "reserved[0].workers",
        "reserved",
        "ageing",
        "sub_rings",
    ];
    expected.extend(rest.map(str::to_owned));
    assert_eq!(fields(&error), expected, "in the order of the fields");
    let workers = &error.problems()[0];
    assert_eq!(
        (workers.value.as_str(), workers.allowed.as_str()),
        ("1000000", "0 to 1024")
    );
    assert_eq!(
        workers.to_string(),
        "worker_count is 1000000, allowed: 0 to 1024"
    );
    let most = &error.problems()[1];
    assert_eq!(
        most.to_string(),
        "max_workers is 2000000, allowed: 0, or 1024 to 1024"
    );
    let text = error.to_string();
    let named = |field: &str| {
        let mut problems = error.problems().iter();
        problems
            .find(|problem| problem.field == field)
            .unwrap()
            .to_string()
    };
    assert_eq!(
        named("worker_weights"),
        "worker_weights is 2 weights, allowed: none, or one for each of the 2000000 workers"
    );
    assert_eq!(
        named("worker_weights[1]"),
        "worker_weights[1] is 10001, allowed: 1 to 10000"
    );
    assert_eq!(
        named("ageing"),
        "ageing is 0ns, allowed: 1 µs or more, or none"
    );
    for problem in error.problems() {
        assert!(text.contains(&problem.to_string()), "{text}");
    }
    assert!(!text.contains('\0'), "a terminal shall print it");
}

#[test]
fn every_constructor_refuses_a_configuration_that_is_not_valid() {
    watched(|| {
        struct Blind;
        impl lanepool::PerformanceMonitor for Blind {}
        let service = || service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(n));
        let built = [
            WorkerPool::with_config(service(), all_wrong()),
            WorkerPool::with_performance_monitor(service(), all_wrong(), Blind),
            WorkerPool::<u8, u8, ()>::builder()
                .config(all_wrong())
                .build(service()),
            #[cfg(feature = "tokio")]
            WorkerPool::<u8, u8, ()>::builder()
                .config(all_wrong())
                .build_async(lanepool::async_service_fn(
                    |n: u8, _: TaskContext| async move { Ok::<_, ()>(n) },
                )),
        ];
        for pool in built {
            match pool.unwrap_err() {
                BuildError::Config(error) => assert_eq!(error.problems().len(), 33),
                other => panic!("{other:?}"),
            }
        }
        assert!(WorkerPoolConfig::builder().sample_every(0).build().is_err());
    });
}

#[test]
fn the_builder_sets_every_field() {
    let config = WorkerPoolConfig::builder()
        .workers(3)
        .max_workers(4)
        .lanes([LaneConfig::new().capacity(8), LaneConfig::new()])
        .lane(TaskPriority::Critical, |lane| {
            lane.weight(9).overflow(OverflowPolicy::Reject)
        })
        .thread_name("assets")
        .thread_stack_size(1 << 20)
        .sample_every(2)
        .max_run_length(4)
        .default_timeout(Duration::from_secs(5))
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .load_balancing_strategy(LoadBalancingStrategy::WeightedRoundRobin)
        .enable_task_stealing(false)
        .worker_weights([5, 1, 3, 2])
        .reserve(TaskPriority::High, 1)
        .reserve(TaskPriority::Critical, 1)
        .ageing(Duration::from_millis(7))
        .sub_rings(2)
        .batching(BatchProcessorConfig::new().batch_size(9))
        .build()
        .unwrap();
    let top = LaneConfig::new().weight(9).overflow(OverflowPolicy::Reject);
    let expected = WorkerPoolConfig {
        worker_count: 3,
        max_workers: 4,
        lanes: vec![LaneConfig::new().capacity(8), top],
        thread_name: "assets".to_owned(),
        thread_stack_size: Some(1 << 20),
        sample_every: 2,
        max_run_length: 4,
        default_timeout: Some(Duration::from_secs(5)),
        scheduling_strategy: SchedulingStrategy::HashBased,
        load_balancing_strategy: LoadBalancingStrategy::WeightedRoundRobin,
        enable_task_stealing: false,
        worker_weights: vec![5, 1, 3, 2],
        reserved: [TaskPriority::High, TaskPriority::Critical]
            .map(|priority| Reservation {
                priority,
                workers: 1,
            })
            .to_vec(),
        ageing: Some(Duration::from_millis(7)),
        sub_rings: 2,
        batching: BatchProcessorConfig::new().batch_size(9),
    };
    assert_eq!(config, expected);
    let without = WorkerPoolConfig::builder().lanes([]);
    let without = without.lane(TaskPriority::Low, |_| panic!("there is no lane to change"));
    assert_eq!(fields(&without.build().unwrap_err()), ["lanes"]);
}

#[test]
fn a_pool_is_what_its_configuration_says() {
    watched(|| {
        let config = WorkerPoolConfig::builder()
            .workers(2)
            .thread_name("named")
            .thread_stack_size(16 << 20)
            .build()
            .unwrap();
        let service = service_fn(|large: bool, _: &TaskContext| {
            // Larger than the usual stack of a thread.
            let deep = if large {
                std::hint::black_box([1_u8; 3 << 20])[12_345]
            } else {
                0
            };
            let name = std::thread::current().name().map(str::to_owned);
            Ok::<_, ()>((name.unwrap_or_default(), deep))
        });
        let pool = WorkerPool::with_config(service, config.clone()).unwrap();
        assert_eq!(pool.config(), &config);
        assert_eq!(pool.workers(), 2);
        let answer = pool.execute_blocking(true, TaskPriority::Low, TaskContext::new());
        let (name, deep) = answer.unwrap();
        assert!(["named-0", "named-1"].contains(&name.as_str()), "{name}");
        assert_eq!(deep, 1);
    });
}

#[test]
fn a_count_of_zero_is_one_worker_per_usable_cpu() {
    watched(|| {
        let pool = WorkerPool::new(service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(n))).unwrap();
        assert_eq!(pool.workers(), WorkerPoolConfig::default().workers());
        assert_eq!(pool.statistics().workers.len(), pool.workers());
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
        assert!(pool.workers() >= cpus, "a quota is rounded up, not down");
    });
}

/// The bound for three workers that claim one task at a time.
fn bound_of(
    change: impl FnOnce(WorkerPoolConfigBuilder) -> WorkerPoolConfigBuilder,
    priority: TaskPriority,
) -> u64 {
    let config = WorkerPoolConfig::builder().workers(3).max_run_length(1);
    let service = service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(n));
    let pool = WorkerPool::with_config(service, change(config).build().unwrap()).unwrap();
    pool.starvation_bound(priority)
}

#[test]
fn the_starvation_bound_follows_its_formula() {
    watched(|| {
        let bound = |weights: &[u32], workers: usize, run: usize, priority| {
            let lanes = weights
                .iter()
                .map(|weight| LaneConfig::new().weight(*weight));
            let config = WorkerPoolConfig::builder()
                .workers(workers)
                .max_run_length(run)
                .lanes(lanes);
            let service = service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(n));
            let pool = WorkerPool::with_config(service, config.build().unwrap()).unwrap();
            pool.starvation_bound(priority)
        };
        let default = [1, 4, 16, 64];
        let of_default = TaskPriority::ALL.map(|priority| bound(&default, 1, 1, priority));
        assert_eq!(of_default, [85 + 2, 22 + 2, 6 + 2, 4]);
        assert_eq!(bound(&default, 3, 16, TaskPriority::Low), 3 * 16 * 87);
        assert_eq!(
            bound(&[7], 2, 1, TaskPriority::Normal),
            2,
            "a single lane is always next"
        );
        assert_eq!(bound(&[1, 1], 1, 1, TaskPriority::Low), 2);
        assert_eq!(bound(&[1, 1], 1, 1, TaskPriority::Critical), 2);
        let aged = |config: WorkerPoolConfigBuilder| config.ageing(Duration::from_secs(1));
        assert_eq!(
            bound_of(aged, TaskPriority::Low),
            2 * bound_of(|config| config, TaskPriority::Low),
            "a lane is preferred for its age at every other pull at most"
        );
        let placed = |config: WorkerPoolConfigBuilder| {
            config.scheduling_strategy(SchedulingStrategy::LeastLoaded)
        };
        assert_eq!(
            bound_of(placed, TaskPriority::Low),
            4 * bound_of(|config| config, TaskPriority::Low),
            "tasks and turns of keys, shared and its own"
        );
    });
}
