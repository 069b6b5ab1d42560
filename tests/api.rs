//! The public names, one by one, and what each must be: `Send`, `Sync`, `Debug`, an error.

mod common;

use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use common::{Kind, LONG, builder, config, watched};
use lanepool::{
    BuildError, Clock, ConfigError, ConfigProblem, EventStream, ExecuteError, HistogramSnapshot,
    Imbalance, LaneConfig, LaneStatistics, MOST_CAPACITY, MOST_STACK, MOST_WEIGHT, MOST_WORKERS,
    ManualClock, Outcome, OverflowPolicy, PerformanceMonitor, PoolBuilder, PoolEvent,
    ProcessingError, ProcessingTask, ResizeError, ResultStream, Returned, RunningTask, Service,
    ServiceFn, ShutdownReport, StreamItem, SubmitError, TaskContext, TaskPriority, Ticket,
    WorkerHealthStatus, WorkerPool, WorkerPoolConfig, WorkerPoolConfigBuilder,
    WorkerPoolStatistics, WorkerStatistics, service_fn,
};

/// A request, response or error that is `Send` and not `Sync`: the pool must not ask for more.
type Cell = std::cell::Cell<u8>;

#[test]
fn what_crosses_threads_may() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<WorkerPool<Cell, Cell, Cell>>();
    shared::<Ticket<Cell, Cell>>();
    sent::<ResultStream<Cell, Cell, Cell>>();
    sent::<StreamItem<Cell, Cell>>();
    sent::<ShutdownReport<Cell>>();
    sent::<Returned<Cell>>();
    sent::<ProcessingTask<Cell>>();
    shared::<ProcessingTask<u8>>();
    shared::<ResultStream<u8, u8, u8>>();
    shared::<ShutdownReport<u8>>();
    shared::<EventStream>();
    shared::<PoolEvent>();
    shared::<PoolBuilder>();
    shared::<WorkerPoolConfig>();
    shared::<WorkerPoolConfigBuilder>();
    shared::<LaneConfig>();
    shared::<Clock>();
    shared::<ManualClock>();
    shared::<TaskContext>();
    shared::<WorkerPoolStatistics>();
    shared::<RunningTask>();
    shared::<ConfigError>();
    sent::<ExecuteError<Cell, Cell>>();
    sent::<BuildError>();
    shared::<BuildError>();
    sent::<ResizeError>();
    shared::<ResizeError>();
    shared::<ServiceFn<fn()>>();
    #[cfg(feature = "tokio")]
    shared::<lanepool::AsyncServiceFn<fn()>>();
}

#[test]
fn the_futures_can_be_spawned() {
    fn sent<T: Send>(_: T) {}
    watched(|| {
        let service = |n: u8, _: &TaskContext| Ok::<u8, u8>(n);
        let pool = Kind::Threads.serve(builder(config(1)), service).unwrap();
        sent(pool.execute(1, TaskPriority::Low, TaskContext::new()));
        sent(pool.submit(1));
        sent(pool.spawn(1));
        sent(pool.execute_batch([1, 2]));
        sent(pool.shutdown(LONG));
        let mut stream = pool.stream(1);
        sent(stream.submit(1));
        sent(stream.next());
        sent(pool.events().recv_async());
    });
}

#[test]
fn every_public_type_can_be_printed() {
    fn prints(what: &dyn Debug, needle: &str) {
        let text = format!("{what:?}");
        assert!(text.contains(needle), "{text} does not name {needle}");
        assert!(!format!("{what:#?}").is_empty());
    }
    watched(|| {
        // Neither requests nor responses need to be `Debug`.
        struct Mute;
        let service = |_: Mute, _: &TaskContext| Ok::<Mute, Mute>(Mute);
        let pool = Kind::Threads.serve(builder(config(1)), service).unwrap();
        prints(&pool, "WorkerPool");
        let ticket = pool.try_submit(Mute).unwrap();
        prints(&ticket, "Ticket");
        assert!(ticket.wait().is_ok());
        prints(&pool.stream(3), "ResultStream");
        prints(&pool.events(), "EventStream");
        prints(&pool.statistics(), "WorkerPoolStatistics");
        prints(&pool.statistics().lanes[0], "LaneStatistics");
        prints(&pool.statistics().workers[0], "WorkerStatistics");
        prints(&pool.statistics().dispatch_overhead, "HistogramSnapshot");
        prints(&pool.config(), "WorkerPoolConfig");
        prints(&WorkerPool::<u8, u8, u8>::builder(), "PoolBuilder");
        prints(&WorkerPoolConfig::builder(), "WorkerPoolConfigBuilder");
        prints(&SubmitError::Full(Mute), "Full");
        prints(&Clock::manual(), "ManualClock");
        let echo = |n: u8, _: &TaskContext| Ok::<u8, u8>(n);
        prints(&service_fn(echo), "ServiceFn");
        let context = TaskContext::new().with_key(3).with_deadline(Instant::now());
        prints(&context, "key: 3");
        assert!(
            !format!("{context:?}").contains("tenant"),
            "what is not given is not shown"
        );
        prints(&ProcessingTask::new(1).context(context), "ProcessingTask");
        prints(&PoolEvent::Closed, "Closed");
        prints(&pool.shutdown_blocking(LONG).statistics, "lanes");
        prints(&[Outcome::ALL], "Shed");
        prints(&WorkerHealthStatus::Idle, "Idle");
    });
}

#[test]
fn every_error_is_one_and_says_what_to_do() {
    fn says(error: &dyn Error, needle: &str) {
        let text = error.to_string();
        assert!(text.contains(needle), "{text}");
        assert!(
            !text.contains('\n') && !text.ends_with('.'),
            "one plain sentence: {text}"
        );
    }
    type Processing = ProcessingError<std::fmt::Error>;
    type Execute = ExecuteError<u8, std::fmt::Error>;
    says(&ResizeError::Closed, "shutting down");
    says(&SubmitError::Full(1), "wait for room");
    says(&SubmitError::Closed(1), "shutting down");
    says(&SubmitError::Expired(1), "deadline");
    says(&SubmitError::Nested(1), "another pool");
    says(
        &SubmitError::NoSuchLane {
            lane: 9,
            lanes: 4,
            request: 1,
        },
        "0 to 3",
    );
    says(&Processing::Failed(std::fmt::Error), "failed");
    says(&Processing::Panicked("no disk".to_owned()), "no disk");
    says(&Processing::Expired, "deadline");
    says(&Processing::Cancelled, "cancelled");
    says(&Processing::Shed, "make room");
    says(&Processing::Abandoned, "the pool ended");
    says(&Execute::TimedOut, "time limit");
    says(&Execute::from(SubmitError::Full(1)), "full");
    says(&Execute::from(Processing::Expired), "deadline");
    says(&BuildError::NoRuntime, "runtime");
    let source = std::io::Error::other("no threads left");
    let spawn = BuildError::Spawn { worker: 3, source };
    says(&spawn, "worker 3");
    assert_eq!(spawn.source().unwrap().to_string(), "no threads left");
    assert!(Processing::Failed(std::fmt::Error).source().is_some());
    assert!(
        Execute::from(Processing::Failed(std::fmt::Error))
            .source()
            .is_some()
    );
    assert!(Execute::TimedOut.source().is_none());
    let invalid = WorkerPoolConfig::builder()
        .workers(usize::MAX)
        .build()
        .unwrap_err();
    says(&invalid, "worker_count");
    let problem: &ConfigProblem = &invalid.problems()[0];
    assert_eq!(problem.allowed, format!("0 to {MOST_WORKERS}"));
    says(&BuildError::from(invalid), "worker_count");
    let mut unbalanced = WorkerPoolStatistics::default();
    let mut lane = LaneStatistics::default();
    (lane.submitted, lane.completed, lane.queued) = (9, 4, 3);
    unbalanced.lanes.push(lane);
    let imbalance: Imbalance = unbalanced.conserved().unwrap_err();
    says(&imbalance, "9 tasks submitted, 7 accounted for");
}

#[test]
fn a_refusal_hands_every_kind_of_request_back() {
    let refusals = [
        SubmitError::Full(7),
        SubmitError::Closed(7),
        SubmitError::Expired(7),
        SubmitError::Nested(7),
        SubmitError::NoSuchLane {
            lane: 9,
            lanes: 4,
            request: 7,
        },
    ];
    for refusal in refusals {
        assert_eq!(refusal.into_request(), 7);
    }
    assert_eq!(
        ProcessingTask::new(7)
            .priority(TaskPriority::Low)
            .into_request(),
        7
    );
    assert_eq!(*ProcessingTask::from(7).request(), 7);
}

#[test]
fn a_context_is_small_and_says_what_it_was_told() {
    assert!(size_of::<TaskContext>() <= 64, "it goes with every task");
    let context = TaskContext::new();
    assert_eq!(context, TaskContext::default());
    let numbers = |context: TaskContext| {
        [
            context.connection_id(),
            context.message_id(),
            context.batch_id(),
            context.key(),
            context.tenant().map(u64::from),
        ]
    };
    assert_eq!(numbers(context), [None; 5]);
    let all = context
        .with_connection_id(0)
        .with_message_id(1)
        .with_batch_id(2)
        .with_key(3)
        .with_tenant(4);
    assert_eq!(numbers(all), [0, 1, 2, 3, 4].map(Some), "0 is a number too");
    assert_eq!(all.with_key(9).key(), Some(9));
}

/// The constructors and ways of the pool, by name.
#[test]
fn every_name_of_the_pool_does_what_it_says() {
    struct Blind;
    impl PerformanceMonitor for Blind {}
    struct Counts;
    impl Service<u64> for Counts {
        type Response = u64;
        type Error = String;
        type State = u64;
        fn state(&self, worker: usize) -> u64 {
            worker as u64 * 1_000
        }
        fn call(&self, state: &mut u64, request: u64, _: &TaskContext) -> Result<u64, String> {
            *state += request;
            Ok(*state)
        }
    }
    watched(|| {
        let one = || WorkerPoolConfig::builder().workers(1).build().unwrap();
        let pools: [WorkerPool<u64, u64, String>; 4] = [
            WorkerPool::new(Counts).unwrap(),
            WorkerPool::with_config(Counts, one()).unwrap(),
            WorkerPool::with_performance_monitor(Counts, one(), Blind).unwrap(),
            WorkerPool::<u64, u64, String>::builder()
                .config(one())
                .clock(Clock::monotonic())
                .build(Counts)
                .unwrap(),
        ];
        for pool in &pools[1..] {
            let context = TaskContext::new();
            assert_eq!(
                pool.execute_blocking(2, TaskPriority::Critical, context),
                Ok(2)
            );
            assert_eq!(
                common::block_on(pool.execute(3, TaskPriority::Low, context)),
                Ok(5)
            );
            let batch = common::block_on(pool.execute_batch([ProcessingTask::new(1), 2.into()]));
            assert_eq!(batch, [Ok(6), Ok(8)]);
            assert!(pool.usage_ratio() <= 1.0);
            let statistics: WorkerPoolStatistics = pool.statistics();
            let worker: &WorkerStatistics = &statistics.workers[0];
            assert_eq!(worker.finished, 4);
            let histogram: &HistogramSnapshot = &statistics.lanes[0].wait;
            assert_eq!(histogram.is_empty(), histogram.count() == 0);
            assert!(
                pool.starvation_bound(TaskPriority::Low)
                    > pool.starvation_bound(TaskPriority::High)
            );
            assert!(common::block_on(pool.shutdown(LONG)).drained);
        }
        assert!(common::block_on(pools[0].shutdown(LONG)).drained);
        #[cfg(feature = "tokio")]
        asynchronous();
    });
}

/// What the design sketch called its batching, by name.
#[test]
fn every_name_of_the_batches_does_what_it_says() {
    use lanepool::{
        Answers, Batch, BatchFn, BatchProcessor, BatchProcessorConfig, BatchStatistics,
        BatchingQueue, CloseReason, ServiceCurve, batch_fn,
    };

    fn double(batch: Batch<u64>) -> Result<Answers<u64, String>, String> {
        Ok(batch.answer_each(|n, _| Ok(n * 2)))
    }
    watched(|| {
        let batching = BatchProcessorConfig::new().batch_size(4).keyed(true);
        let config = WorkerPoolConfig::builder().batching(batching).build();
        let service: BatchFn<_> = batch_fn(double);
        let pool = WorkerPool::with_batches(service, config.unwrap()).unwrap();
        assert_eq!(
            pool.execute_batch_blocking(0..9),
            std::array::from_fn::<_, 9, _>(|n| Ok(2 * n as u64))
        );
        let processor: BatchProcessor<'_, _, _, _> = pool.batch_processor().unwrap();
        assert_eq!(processor.config().batch_size, 4);
        let queues: Vec<BatchingQueue> = processor.queues();
        assert!(queues.iter().all(|queue| queue.key.is_none()));
        let statistics: BatchStatistics = processor.statistics();
        let closed = CloseReason::ALL.map(|reason| statistics.closed(reason));
        assert_eq!(closed.iter().sum::<u64>(), statistics.batches());
        assert!((1.0..=4.0).contains(&statistics.mean_size()) && statistics.fill() <= 1.0);
        let _: Option<ServiceCurve> = statistics.curve;
        assert!(
            WorkerPool::new(lanepool::service_fn(|n: u8, _: &TaskContext| Ok::<_, ()>(
                n
            )))
            .unwrap()
            .batch_processor()
            .is_none()
        );
        assert!(common::block_on(pool.shutdown(LONG)).drained);
    });
}

#[cfg(feature = "tokio")]
fn asynchronous() {
    use lanepool::{AsyncService, async_service_fn};

    struct Counts;
    impl AsyncService<u64> for Counts {
        type Response = u64;
        type Error = String;
        type State = u64;
        fn state(&self, _: usize) -> u64 {
            0
        }
        async fn call(
            &self,
            state: &mut u64,
            request: u64,
            _: &TaskContext,
        ) -> Result<u64, String> {
            tokio::task::yield_now().await;
            *state += request;
            Ok(*state)
        }
    }
    common::block_on(async {
        let one = || WorkerPoolConfig::builder().workers(1).build().unwrap();
        let echo = async_service_fn(|n: u64, _: TaskContext| async move { Ok::<u64, String>(n) });
        let counts = WorkerPool::with_config_async(Counts, one()).unwrap();
        for (pool, answers) in [
            (counts, [1, 3]),
            (WorkerPool::new_async(echo).unwrap(), [1, 2]),
        ] {
            for (request, answer) in (1..).zip(answers) {
                let got = pool
                    .execute(request, TaskPriority::Normal, TaskContext::new())
                    .await;
                assert_eq!(got, Ok(answer));
            }
            assert!(pool.shutdown(LONG).await.drained);
        }
    });
}

#[test]
fn the_bounds_are_public() {
    let most = WorkerPoolConfig {
        worker_count: MOST_WORKERS,
        lanes: vec![
            LaneConfig::new()
                .capacity(MOST_CAPACITY)
                .weight(MOST_WEIGHT),
        ],
        thread_stack_size: Some(MOST_STACK),
        ..WorkerPoolConfig::default()
    };
    assert_eq!(most.validate(), Ok(()));
    assert_eq!(OverflowPolicy::default(), OverflowPolicy::Wait);
    assert_eq!(TaskPriority::default(), TaskPriority::Normal);
    assert!(TaskPriority::ALL.is_sorted());
    let (clock, hands) = Clock::manual();
    let start = clock.now();
    hands.advance(Duration::from_secs(1));
    assert_eq!(clock.now() - start, Duration::from_secs(1));
    assert!(Clock::default().now() >= start);
}
