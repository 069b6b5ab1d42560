use lanepool::*;
use std::time::Duration;

#[test]
fn threads() {
    let config = WorkerPoolConfig::builder().workers(2).build().unwrap();
    let pool = WorkerPool::with_config(
        service_fn(|n: u64, _: &TaskContext| {
            if n == 13 {
                panic!("thirteen")
            }
            if n == 7 { Err("seven") } else { Ok(n * 2) }
        }),
        config,
    )
    .unwrap();
    for n in 0..1000 {
        let r = pool.execute_blocking(n, TaskPriority::Normal, TaskContext::new());
        match n {
            13 => assert!(matches!(
                r,
                Err(ExecuteError::Processing(ProcessingError::Panicked(_)))
            )),
            7 => assert!(r.is_err()),
            _ => assert_eq!(r.unwrap(), n * 2),
        }
    }
    for n in 100..100_100 {
        pool.spawn_blocking(n).unwrap();
    }
    let results = pool.execute_batch_blocking((100..5000).map(ProcessingTask::new));
    assert_eq!(results.len(), 4900);
    for (i, r) in results.into_iter().enumerate() {
        assert_eq!(r.unwrap(), (i as u64 + 100) * 2);
    }
    let report = pool.shutdown_blocking(Duration::from_secs(10));
    assert!(report.drained);
    report.statistics.conserved().unwrap();
    println!("{:?}", report.statistics.total().completed);
    assert_eq!(report.statistics.total().completed, 998 + 100_000 + 4900);
    println!(
        "dispatch {:?} util {}",
        report.statistics.dispatch_overhead.p50(),
        report.statistics.utilisation()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks() {
    let config = WorkerPoolConfig::builder().workers(4).build().unwrap();
    let pool = WorkerPool::with_config_async(
        async_service_fn(|n: u64, _: TaskContext| async move {
            tokio::task::yield_now().await;
            if n == 13 {
                panic!("thirteen")
            }
            if n == 7 { Err("seven") } else { Ok(n * 2) }
        }),
        config,
    )
    .unwrap();
    for n in 0..1000 {
        let r = pool
            .execute(n, TaskPriority::Normal, TaskContext::new())
            .await;
        match n {
            13 => assert!(matches!(
                r,
                Err(ExecuteError::Processing(ProcessingError::Panicked(_)))
            )),
            7 => assert!(r.is_err()),
            _ => assert_eq!(r.unwrap(), n * 2),
        }
    }
    for n in 100..10_100 {
        pool.spawn(n).await.unwrap();
    }
    let results = pool
        .execute_batch((100..5000).map(ProcessingTask::new))
        .await;
    for (i, r) in results.into_iter().enumerate() {
        assert_eq!(r.unwrap(), (i as u64 + 100) * 2);
    }
    let report = pool.shutdown(Duration::from_secs(10)).await;
    assert!(report.drained, "{report:?}");
    report.statistics.conserved().unwrap();
}
