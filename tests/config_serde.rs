//! The configuration as text: what is written is read back, and what is unknown is refused.
#![cfg(feature = "serde")]

use std::time::Duration;

use lanepool::{
    LaneConfig, LoadBalancingStrategy, Outcome, OverflowPolicy, Reservation, SchedulingStrategy,
    TaskPriority, WorkerPoolConfig,
};
use serde_json::{from_str, from_value, json, to_string, to_value};

fn unusual() -> WorkerPoolConfig {
    WorkerPoolConfig::builder()
        .workers(7)
        .max_workers(9)
        .lanes([
            LaneConfig::new()
                .capacity(3)
                .weight(5)
                .overflow(OverflowPolicy::Reject),
            LaneConfig::new(),
        ])
        .thread_name("größe")
        .thread_stack_size(1 << 20)
        .sample_every(3)
        .max_run_length(5)
        .default_timeout(Duration::from_millis(1_500))
        .scheduling_strategy(SchedulingStrategy::LeastLoaded)
        .load_balancing_strategy(LoadBalancingStrategy::ResponseTimeWeighted)
        .enable_task_stealing(false)
        .worker_weights(1..=9)
        .reserve(TaskPriority::High, 2)
        .reserve(TaskPriority::Critical, 1)
        .ageing(Duration::from_millis(20))
        .sub_rings(4)
        .build()
        .unwrap()
}

#[test]
fn a_configuration_survives_the_round_trip() {
    for config in [WorkerPoolConfig::default(), unusual()] {
        let text = to_string(&config).unwrap();
        assert_eq!(
            from_str::<WorkerPoolConfig>(&text).unwrap(),
            config,
            "{text}"
        );
    }
}

#[test]
fn what_is_left_out_is_the_default() {
    assert_eq!(
        from_str::<WorkerPoolConfig>("{}").unwrap(),
        WorkerPoolConfig::default()
    );
    let config: WorkerPoolConfig = from_value(json!({
        "worker_count": 3,
        "lanes": [{"capacity": 16}, {"weight": 9, "overflow": "reject"}],
        "scheduling_strategy": "hash_based",
        "reserved": [{"priority": "high", "workers": 1}],
        "ageing": {"secs": 1, "nanos": 500},
    }))
    .unwrap();
    assert_eq!(config.worker_count, 3);
    assert_eq!(config.lanes[0], LaneConfig::new().capacity(16));
    assert_eq!(
        config.lanes[1],
        LaneConfig::new().weight(9).overflow(OverflowPolicy::Reject)
    );
    assert_eq!(config.scheduling_strategy, SchedulingStrategy::HashBased);
    let reservation = Reservation {
        priority: TaskPriority::High,
        workers: 1,
    };
    assert_eq!(config.reserved, [reservation]);
    assert_eq!(config.ageing, Some(Duration::new(1, 500)));
    let usual = WorkerPoolConfig::default();
    assert_eq!(config.sample_every, usual.sample_every);
    assert_eq!(
        config.load_balancing_strategy,
        usual.load_balancing_strategy
    );
    assert!(config.enable_task_stealing && config.sub_rings == 1);
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    for (unknown, value) in [
        ("workers", json!({"workers": 3})),
        ("capacty", json!({"lanes": [{"capacty": 3}]})),
        (
            "drop_oldest",
            json!({"lanes": [{"overflow": "drop_oldest"}]}),
        ),
        ("stealing", json!({"stealing": true})),
        ("hashed", json!({"scheduling_strategy": "hashed"})),
        ("LeastLoaded", json!({"scheduling_strategy": "LeastLoaded"})),
        ("fastest", json!({"load_balancing_strategy": "fastest"})),
        ("lane", json!({"reserved": [{"lane": 2, "workers": 1}]})),
    ] {
        let error = from_value::<WorkerPoolConfig>(value)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(unknown) && error.contains("expected"),
            "{error}"
        );
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    for value in [
        json!({"worker_count": -1}),
        json!({"worker_count": "many"}),
        json!({"worker_count": 1.5}),
        json!({"max_workers": "many"}),
        json!({"lanes": 4}),
        json!({"lanes": [{"weight": 4_294_967_296_u64}]}),
        json!({"default_timeout": 5}),
        json!({"ageing": 0.5}),
        json!({"enable_task_stealing": "yes"}),
        json!({"worker_weights": 3}),
        json!({"worker_weights": [-1]}),
        json!({"reserved": [{"priority": "high"}]}),
        json!({"sub_rings": "few"}),
        json!("fast"),
        json!(null),
    ] {
        let text = value.to_string();
        assert!(from_value::<WorkerPoolConfig>(value).is_err(), "{text}");
    }
}

#[test]
fn a_value_out_of_bounds_is_read_and_then_found() {
    let config: WorkerPoolConfig =
        from_value(json!({"sample_every": 0, "lanes": [], "sub_rings": 17})).unwrap();
    assert_eq!(config.validate().unwrap_err().problems().len(), 3);
}

#[test]
fn words_are_written_in_lower_case() {
    assert_eq!(to_value(OverflowPolicy::Wait).unwrap(), json!("wait"));
    let priorities = TaskPriority::ALL.map(|priority| to_value(priority).unwrap());
    assert_eq!(priorities, ["low", "normal", "high", "critical"]);
    let strategies = SchedulingStrategy::ALL.map(|strategy| to_value(strategy).unwrap());
    assert_eq!(
        strategies,
        [
            "round_robin",
            "least_loaded",
            "random",
            "hash_based",
            "priority_based"
        ]
    );
    let balancing = LoadBalancingStrategy::ALL.map(|strategy| to_value(strategy).unwrap());
    assert_eq!(
        balancing,
        [
            "round_robin",
            "least_connections",
            "weighted_round_robin",
            "response_time_weighted",
            "adaptive_hybrid"
        ]
    );
    for outcome in Outcome::ALL {
        let written = to_value(outcome).unwrap();
        assert_eq!(from_value::<Outcome>(written).unwrap(), outcome);
    }
}
