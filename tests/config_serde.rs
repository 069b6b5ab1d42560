//! The configuration as text: what is written is read back, and what is unknown is refused.
#![cfg(feature = "serde")]

use std::time::Duration;

use lanepool::{LaneConfig, Outcome, OverflowPolicy, TaskPriority, WorkerPoolConfig};
use serde_json::{from_str, from_value, json, to_string, to_value};

fn unusual() -> WorkerPoolConfig {
    WorkerPoolConfig::builder()
        .workers(7)
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
    }))
    .unwrap();
    assert_eq!(config.worker_count, 3);
    assert_eq!(config.lanes[0], LaneConfig::new().capacity(16));
    assert_eq!(
        config.lanes[1],
        LaneConfig::new().weight(9).overflow(OverflowPolicy::Reject)
    );
    assert_eq!(
        config.sample_every,
        WorkerPoolConfig::default().sample_every
    );
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
        json!({"lanes": 4}),
        json!({"lanes": [{"weight": 4_294_967_296_u64}]}),
        json!({"default_timeout": 5}),
        json!("fast"),
        json!(null),
    ] {
        let text = value.to_string();
        assert!(from_value::<WorkerPoolConfig>(value).is_err(), "{text}");
    }
}

#[test]
fn a_value_out_of_bounds_is_read_and_then_found() {
    let config: WorkerPoolConfig = from_value(json!({"sample_every": 0, "lanes": []})).unwrap();
    assert_eq!(config.validate().unwrap_err().problems().len(), 2);
}

#[test]
fn words_are_written_in_lower_case() {
    assert_eq!(to_value(OverflowPolicy::Wait).unwrap(), json!("wait"));
    let priorities = TaskPriority::ALL.map(|priority| to_value(priority).unwrap());
    assert_eq!(priorities, ["low", "normal", "high", "critical"]);
    for outcome in Outcome::ALL {
        let written = to_value(outcome).unwrap();
        assert_eq!(from_value::<Outcome>(written).unwrap(), outcome);
    }
}
