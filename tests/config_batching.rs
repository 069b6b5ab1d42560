//! What can be said about batches, and what cannot.

use std::time::Duration;

use lanepool::{
    BatchProcessorConfig, BuildError, ConfigError, MOST_BATCH, TaskPriority, WorkerPool,
    WorkerPoolConfig, batch_fn,
};

fn fields(error: &ConfigError) -> Vec<&str> {
    error
        .problems()
        .iter()
        .map(|problem| problem.field.as_str())
        .collect()
}

fn check(batching: BatchProcessorConfig) -> Result<WorkerPoolConfig, ConfigError> {
    WorkerPoolConfig::builder().batching(batching).build()
}

fn new() -> BatchProcessorConfig {
    BatchProcessorConfig::new()
}

#[test]
fn the_defaults_are_valid_and_batch_without_being_late() {
    let config = new();
    assert!(check(config.clone()).is_ok());
    assert_eq!((config.batch_size, config.keyed), (32, false));
    assert_eq!(config.batch_timeout, Duration::from_millis(1));
    assert_eq!(config.max_batch_wait, Duration::from_millis(10));
    assert!(config.enable_adaptive_batching && config.close_when_idle);
    assert_eq!(
        (config.target_p99, config.urgent),
        (None, Some(TaskPriority::Critical))
    );
}

#[test]
fn each_setter_sets_its_field() {
    let config = new()
        .batch_size(3)
        .batch_timeout(Duration::from_secs(1))
        .max_batch_wait(Duration::from_secs(2))
        .enable_adaptive_batching(false)
        .target_p99(Duration::from_secs(3))
        .close_when_idle(false)
        .urgent(None)
        .keyed(true);
    let expected = BatchProcessorConfig {
        batch_size: 3,
        batch_timeout: Duration::from_secs(1),
        max_batch_wait: Duration::from_secs(2),
        enable_adaptive_batching: false,
        target_p99: Some(Duration::from_secs(3)),
        close_when_idle: false,
        urgent: None,
        keyed: true,
    };
    assert_eq!(config, expected);
}

#[test]
fn each_bound_is_checked_on_both_sides() {
    let good = [
        new().batch_size(1),
        new().batch_size(MOST_BATCH),
        new().batch_timeout(Duration::ZERO),
        new()
            .batch_timeout(Duration::MAX)
            .max_batch_wait(Duration::MAX),
        new().max_batch_wait(Duration::from_millis(1)),
        new().target_p99(Duration::from_nanos(1)),
    ];
    for config in good {
        assert!(check(config.clone()).is_ok(), "{config:?}");
    }
    let bad = [
        ("batching.batch_size", new().batch_size(0)),
        ("batching.batch_size", new().batch_size(MOST_BATCH + 1)),
        (
            "batching.max_batch_wait",
            new().max_batch_wait(Duration::from_nanos(999_999)),
        ),
        (
            "batching.max_batch_wait",
            new()
                .batch_timeout(Duration::ZERO)
                .max_batch_wait(Duration::ZERO),
        ),
        ("batching.target_p99", new().target_p99(Duration::ZERO)),
    ];
    for (field, config) in bad {
        assert_eq!(fields(&check(config).unwrap_err()), [field]);
    }
}

#[test]
fn all_problems_are_listed_at_once_and_no_pool_is_built() {
    let wrong = new()
        .batch_size(0)
        .max_batch_wait(Duration::ZERO)
        .target_p99(Duration::ZERO);
    let config = WorkerPoolConfig {
        sample_every: 0,
        batching: wrong,
        ..WorkerPoolConfig::default()
    };
    let service =
        batch_fn(|batch: lanepool::Batch<u8>| Ok::<_, ()>(batch.answer_each(|n, _| Ok(n))));
    let error = WorkerPool::with_batches(service, config).unwrap_err();
    let BuildError::Config(error) = error else {
        panic!("{error}");
    };
    assert_eq!(
        fields(&error),
        [
            "sample_every",
            "batching.batch_size",
            "batching.max_batch_wait",
            "batching.target_p99"
        ]
    );
    assert_eq!(
        error.problems()[2].to_string(),
        "batching.max_batch_wait is 0ns, allowed: more than 0, and no less than batch_timeout, which is 1ms"
    );
}

#[cfg(feature = "serde")]
#[test]
fn it_is_read_and_written() {
    use serde_json::{from_value, json, to_value};

    let config = new().batch_size(7).urgent(None).keyed(true);
    let written = to_value(&config).unwrap();
    assert_eq!(written["batch_size"], json!(7));
    assert_eq!(from_value::<BatchProcessorConfig>(written).unwrap(), config);
    let read: WorkerPoolConfig = from_value(json!({"batching": {"urgent": "high"}})).unwrap();
    assert_eq!(read.batching, new().urgent(Some(TaskPriority::High)));
    for wrong in [
        json!({"size": 3}),
        json!({"batch_size": -1}),
        json!({"urgent": "soon"}),
    ] {
        assert!(from_value::<BatchProcessorConfig>(wrong).is_err());
    }
}
