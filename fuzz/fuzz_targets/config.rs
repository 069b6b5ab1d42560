//! The configuration: arbitrary values, and arbitrary JSON.
//!
//! **The model** is a second list of the bounds, written out from the documentation of the fields:
//! [`problems`] names the fields of a configuration that are out of bounds, in order.
//!
//! - `validate`, the builder and every constructor agree with it, and list every problem at once;
//!   none of them panics, and each problem prints with its field and its value.
//! - JSON reads back what was written. A field that is not given has its default. A field that does
//!   not exist is refused, in the pool's part and in a lane's.
//! - A valid configuration of a small size builds a pool that serves a task in every lane and shuts
//!   down with everything accounted for.

#![no_main]

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use lanepool::{
    BuildError, ConfigError, ExecuteError, LaneConfig, LoadBalancingStrategy, OverflowPolicy,
    ProcessingError, ProcessingTask, Reservation, SchedulingStrategy, TaskContext, TaskPriority,
    WorkerPool, WorkerPoolConfig, service_fn,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
enum Scenario {
    Values(Values),
    Json(String),
    /// The JSON of a configuration with one field put in, in the pool's part or in a lane's.
    AnotherField {
        values: Values,
        name: String,
        in_lane: bool,
    },
    /// The JSON of a configuration without one of its fields.
    MissingField {
        values: Values,
        which: u8,
    },
}

#[derive(Arbitrary, Debug)]
struct Values {
    worker_count: Size,
    lanes: Vec<Lane>,
    thread_name: Option<String>,
    thread_stack_size: Option<Size>,
    sample_every: Size,
    max_run_length: Size,
    default_timeout: Option<(u64, u32)>,
    scheduling: Option<Scheduling>,
}

/// Where tasks wait and who takes them, if that is not as usual.
#[derive(Arbitrary, Debug)]
struct Scheduling {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.choose(&SchedulingStrategy::ALL).copied())]
    strategy: SchedulingStrategy,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.choose(&LoadBalancingStrategy::ALL).copied())]
    balancing: LoadBalancingStrategy,
    steals: bool,
    worker_weights: Weights,
    reserved: Vec<(Priority, Size)>,
    ageing: Option<(u64, u32)>,
    sub_rings: Size,
}

/// The weights of workers: as many as there are workers, or any.
#[derive(Arbitrary, Debug)]
enum Weights {
    None,
    OfAll(Size),
    Some(Vec<Size>),
}

impl Weights {
    fn of(&self, workers: usize) -> Vec<u32> {
        match self {
            Self::None => Vec::new(),
            Self::OfAll(weight) => vec![weight.small(); workers.min(MOST_LISTED)],
            Self::Some(weights) => weights.iter().map(Size::small).collect(),
        }
    }
}

/// More weights are not written out.
const MOST_LISTED: usize = 2_048;

#[derive(Debug)]
struct Priority(TaskPriority);

impl<'a> Arbitrary<'a> for Priority {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        u.choose(&TaskPriority::ALL).copied().map(Self)
    }
}

#[derive(Arbitrary, Debug)]
struct Lane {
    capacity: Size,
    weight: Size,
    rejects: bool,
}

/// A number that is often small, often next to a bound, and sometimes anything.
#[derive(Debug)]
struct Size(u64);

impl<'a> Arbitrary<'a> for Size {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const EDGES: [u64; 8] = [
            16,
            1_024,
            10_000,
            16 * 1_024,
            1_000_000,
            1 << 20,
            1 << 24,
            1 << 30,
        ];
        Ok(Self(match u.int_in_range(0..=3)? {
            0 | 1 => u.int_in_range(0..=20)?,
            2 => (*u.choose(&EDGES)? + u.int_in_range(0..=2)?) - 1,
            _ => u.arbitrary()?,
        }))
    }
}

impl Size {
    fn small(&self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    fn large(&self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Values {
    fn config(&self) -> WorkerPoolConfig {
        let lane = |lane: &Lane| LaneConfig {
            capacity: lane.capacity.large(),
            weight: lane.weight.small(),
            overflow: if lane.rejects {
                OverflowPolicy::Reject
            } else {
                OverflowPolicy::Wait
            },
        };
        let default = WorkerPoolConfig::default();
        let worker_count = self.worker_count.large();
        let config = WorkerPoolConfig {
            worker_count,
            lanes: self.lanes.iter().map(lane).collect(),
            thread_name: self
                .thread_name
                .clone()
                .unwrap_or_else(|| default.thread_name.clone()),
            thread_stack_size: self.thread_stack_size.as_ref().map(Size::large),
            sample_every: self.sample_every.small(),
            max_run_length: self.max_run_length.large(),
            default_timeout: self.default_timeout.map(duration),
            ..default
        };
        match &self.scheduling {
            Some(scheduling) => scheduling.add_to(config),
            None => config,
        }
    }
}

fn duration((seconds, nanos): (u64, u32)) -> Duration {
    Duration::new(seconds, nanos % 1_000_000_000)
}

impl Scheduling {
    fn add_to(&self, config: WorkerPoolConfig) -> WorkerPoolConfig {
        let reservation = |(priority, workers): &(Priority, Size)| Reservation {
            priority: priority.0,
            workers: workers.large(),
        };
        WorkerPoolConfig {
            scheduling_strategy: self.strategy,
            load_balancing_strategy: self.balancing,
            enable_task_stealing: self.steals,
            worker_weights: self.worker_weights.of(config.worker_count),
            reserved: self.reserved.iter().map(reservation).collect(),
            ageing: self.ageing.map(duration),
            sub_rings: self.sub_rings.large(),
            ..config
        }
    }
}

/// The model: the fields out of bounds, in order.
fn problems(config: &WorkerPoolConfig) -> Vec<String> {
    let mut fields = Vec::new();
    let mut require = |allowed: bool, field: String| {
        if !allowed {
            fields.push(field);
        }
    };
    require(config.worker_count <= 1_024, "worker_count".into());
    require((1..=8).contains(&config.lanes.len()), "lanes".into());
    for (index, lane) in config.lanes.iter().enumerate() {
        let capacity = (1..=16_777_216).contains(&lane.capacity);
        require(capacity, format!("lanes[{index}].capacity"));
        let weight = (1..=1_000_000).contains(&lane.weight);
        require(weight, format!("lanes[{index}].weight"));
    }
    let name = config.thread_name.as_bytes();
    let named = (1..=64).contains(&name.len()) && !name.contains(&0);
    require(named, "thread_name".into());
    let stack = config.thread_stack_size.unwrap_or(16_384);
    let stack_fits = (16_384..=1_073_741_824).contains(&stack);
    require(stack_fits, "thread_stack_size".into());
    let sampled = (1..=1_048_576).contains(&config.sample_every);
    require(sampled, "sample_every".into());
    let run = (1..=16).contains(&config.max_run_length);
    require(run, "max_run_length".into());
    let timeout = config.default_timeout != Some(Duration::ZERO);
    require(timeout, "default_timeout".into());
    // As many as there are CPUs if none are asked for, and nobody but the machine knows how many that are.
    let workers = match config.worker_count {
        0 => config.workers(),
        given => given,
    };
    let weights = &config.worker_weights;
    let for_each = weights.is_empty() || weights.len() == workers;
    require(for_each, "worker_weights".into());
    for (worker, weight) in weights.iter().enumerate() {
        let weight = (1..=10_000).contains(weight);
        require(weight, format!("worker_weights[{worker}]"));
    }
    for (index, kept) in config.reserved.iter().enumerate() {
        let kept = kept.workers != 0;
        require(kept, format!("reserved[{index}].workers"));
    }
    let kept = config.reserved.iter().map(|kept| kept.workers as u128);
    let kept = kept.sum::<u128>();
    let one_is_left = kept == 0 || kept < workers as u128;
    require(one_is_left, "reserved".into());
    let ageing = config.ageing.is_none_or(|after| after.as_nanos() >= 1_000);
    require(ageing, "ageing".into());
    let rings = (1..=16).contains(&config.sub_rings);
    require(rings, "sub_rings".into());
    fields
}

/// A configuration's problems are exactly these, each of them printed with its value.
fn check_error(error: &ConfigError, expected: &[String]) {
    let fields: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| &problem.field)
        .collect();
    assert_eq!(fields, expected.iter().collect::<Vec<_>>());
    let text = error.to_string();
    for problem in error.problems() {
        assert!(text.contains(&problem.to_string()));
        assert!(!problem.value.is_empty() && !problem.allowed.is_empty());
    }
}

/// Validates a configuration in every way, and runs it if it is valid and small.
fn check(config: &WorkerPoolConfig) {
    let expected = problems(config);
    let built = through_builder(config);
    if expected.is_empty() {
        config.validate().expect("the model finds no problem");
        assert_eq!(built.as_ref(), Ok(config));
        serve(config);
        return;
    }
    check_error(
        &config.validate().expect_err("the model finds problems"),
        &expected,
    );
    check_error(&built.expect_err("the model finds problems"), &expected);
    let service = service_fn(|request: u8, _: &TaskContext| Ok::<_, ()>(request));
    match WorkerPool::with_config(service, config.clone()) {
        Err(BuildError::Config(error)) => check_error(&error, &expected),
        other => panic!("a pool of an invalid configuration: {other:?}"),
    }
}

fn through_builder(config: &WorkerPoolConfig) -> Result<WorkerPoolConfig, ConfigError> {
    let mut builder = WorkerPoolConfig::builder()
        .workers(config.worker_count)
        .lanes(config.lanes.clone())
        .thread_name(&*config.thread_name)
        .sample_every(config.sample_every)
        .max_run_length(config.max_run_length)
        .scheduling_strategy(config.scheduling_strategy)
        .load_balancing_strategy(config.load_balancing_strategy)
        .enable_task_stealing(config.enable_task_stealing)
        .worker_weights(config.worker_weights.iter().copied())
        .sub_rings(config.sub_rings);
    for kept in &config.reserved {
        builder = builder.reserve(kept.priority, kept.workers);
    }
    if let Some(after) = config.ageing {
        builder = builder.ageing(after);
    }
    if let Some(bytes) = config.thread_stack_size {
        builder = builder.thread_stack_size(bytes);
    }
    if let Some(timeout) = config.default_timeout {
        builder = builder.default_timeout(timeout);
    }
    builder.build()
}

/// Runs a task in every lane of a pool, if the pool is small.
fn serve(config: &WorkerPoolConfig) {
    let slots: usize = config.lanes.iter().map(|lane| lane.capacity).sum();
    // A sanitizer's frames are large, and a stack is mapped for each worker.
    let stack = config.thread_stack_size.unwrap_or(1 << 20);
    if !(1..=4).contains(&config.worker_count)
        || slots > 1 << 12
        || !(1 << 18..=1 << 24).contains(&stack)
    {
        return;
    }
    let service = service_fn(|request: usize, _: &TaskContext| Ok::<_, ()>(request + 1));
    let pool = WorkerPool::with_config(service, config.clone()).expect("a valid configuration");
    assert_eq!(pool.workers(), config.worker_count);
    assert_eq!(pool.config(), config);
    let (scheduler, balancer) = (pool.scheduler(), pool.load_balancer());
    assert_eq!(scheduler.strategy(), config.scheduling_strategy);
    assert_eq!(balancer.strategy(), config.load_balancing_strategy);
    let hurried = config
        .default_timeout
        .is_some_and(|timeout| timeout < Duration::from_secs(60));
    for lane in 0..config.lanes.len() {
        let task = [ProcessingTask::new(lane).lane(lane).key(7)];
        match pool.execute_batch_blocking(task).remove(0) {
            Ok(response) => assert_eq!(response, lane + 1),
            Err(ExecuteError::Processing(ProcessingError::Expired)) => assert!(hurried),
            Err(other) => panic!("lane {lane} of {config:?}: {other:?}"),
        }
    }
    let report = pool.shutdown_blocking(Duration::from_secs(60));
    assert!(report.drained && report.returned.is_empty() && report.running.is_empty());
    let statistics = report.statistics;
    statistics.conserved().expect("everything is accounted for");
    for lane in &statistics.lanes {
        assert_eq!((lane.submitted, lane.completed + lane.expired), (1, 1));
        assert_eq!((lane.queued, lane.running), (0, 0));
    }
}

fn to_json(config: &WorkerPoolConfig) -> serde_json::Map<String, Value> {
    match serde_json::to_value(config).expect("a configuration can be written") {
        Value::Object(fields) => fields,
        other => panic!("a configuration is an object: {other}"),
    }
}

fn another_field(values: &Values, name: String, in_lane: bool) {
    let mut fields = to_json(&values.config());
    let target = if in_lane {
        let first = fields["lanes"].as_array_mut().expect("a list").first_mut();
        match first {
            Some(lane) => lane.as_object_mut().expect("a lane is an object"),
            None => return,
        }
    } else {
        &mut fields
    };
    if target.insert(name, Value::Null).is_some() {
        return;
    }
    let read = serde_json::from_value::<WorkerPoolConfig>(Value::Object(fields));
    assert!(read.is_err(), "a field that does not exist is refused");
}

fn missing_field(values: &Values, which: u8) {
    let config = values.config();
    let mut fields = to_json(&config);
    let default = to_json(&WorkerPoolConfig::default());
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = &names[usize::from(which) % names.len()];
    fields.remove(name);
    let read: WorkerPoolConfig =
        serde_json::from_value(Value::Object(fields.clone())).expect("every field is optional");
    fields.insert(name.clone(), default[name].clone());
    assert_eq!(to_json(&read), fields);
}

fuzz_target!(|scenario: Scenario| {
    match scenario {
        Scenario::Values(values) => {
            let config = values.config();
            let text = serde_json::to_string(&config).expect("a configuration can be written");
            let read: WorkerPoolConfig = serde_json::from_str(&text).expect("and read");
            assert_eq!(read, config);
            check(&config);
        }
        Scenario::Json(text) => {
            if let Ok(config) = serde_json::from_str::<WorkerPoolConfig>(&text) {
                check(&config);
            }
        }
        Scenario::AnotherField {
            values,
            name,
            in_lane,
        } => another_field(&values, name, in_lane),
        Scenario::MissingField { values, which } => missing_field(&values, which),
    }
});
