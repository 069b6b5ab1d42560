//! Dropping the last handle ends the pool and answers everybody; so does the end of its runtime.

mod common;

use std::pin::pin;
use std::sync::{Arc, Mutex};

use common::{Gate, Job, Kind, Rig, builder, config, drain, for_both_kinds, poll_once};
use lanepool::{PoolEvent, ProcessingError, TaskContext, TaskPriority};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    the_last_handle_dropped_answers_everybody,
    a_clone_keeps_the_pool_alive,
    a_handle_dropped_on_a_worker_ends_the_pool,
    many_pools_come_and_go,
);

fn the_last_handle_dropped_answers_everybody(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = Gate::new();
    let running = rig.pool.try_submit(Job::hold(0, &gate)).unwrap();
    gate.await_arrivals(1);
    let queued: Vec<_> = (1..50)
        .map(|id| rig.submit(id, TaskPriority::ALL[id as usize % 4]))
        .collect();
    let mut polled = rig.submit(50, NORMAL);
    assert!(poll_once(pin!(&mut polled)).is_pending());
    let waiting = std::thread::spawn(move || polled.wait());
    let stream_pool = rig.pool.clone();
    let mut stream = stream_pool.stream(2);
    stream.try_submit(Job::echo(51)).unwrap();
    drop(stream_pool);
    let events = rig.pool.events();
    drop(rig);
    // The stream has a handle of its own.
    assert!(queued.iter().all(|ticket| !ticket.is_done()));
    drop(stream);
    for ticket in queued {
        assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
    }
    assert_eq!(waiting.join().unwrap(), Err(ProcessingError::Abandoned));
    assert!(!running.is_done(), "what runs is finished");
    gate.open();
    assert_eq!(running.wait().unwrap().id, 0);
    while events.recv().is_some() {}
}

fn a_clone_keeps_the_pool_alive(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let clone = rig.pool.clone();
    drop(rig);
    let answer = clone.execute_blocking(Job::echo(1), NORMAL, TaskContext::new());
    assert_eq!(answer.unwrap().id, 1);
    drain(&clone);
}

fn a_handle_dropped_on_a_worker_ends_the_pool(kind: Kind) {
    let handle = Arc::new(Mutex::new(None));
    let on_worker = Arc::clone(&handle);
    let gate = Gate::new();
    let inside = gate.clone();
    let drops = move |n: u64, _: &TaskContext| {
        if n == 0 {
            inside.pass();
            drop::<Option<lanepool::WorkerPool<u64, u64, ()>>>(on_worker.lock().unwrap().take());
        }
        Ok::<_, ()>(n)
    };
    let pool = kind.serve(builder(config(1)), drops).unwrap();
    let first = pool.try_submit(0).unwrap();
    gate.await_arrivals(1);
    let second = pool.try_submit(1).unwrap();
    let events = pool.events();
    *handle.lock().unwrap() = Some(pool);
    gate.open();
    assert_eq!(second.wait(), Err(ProcessingError::Abandoned));
    assert_eq!(first.wait(), Ok(0), "it was running");
    assert_eq!(events.recv(), Some(PoolEvent::Closed));
    assert_eq!(
        events.recv(),
        Some(PoolEvent::WorkerStopped {
            worker: 0,
            reason: None
        })
    );
    assert_eq!(events.recv(), None, "the pool is gone");
}

/// Pools dropped at once with work of every kind in them: whatever the workers are doing at that
/// moment, each ticket is answered.
fn many_pools_come_and_go(kind: Kind) {
    for round in 0..200 {
        let rig = Rig::new(kind, config(2));
        let tickets: Vec<_> = (0..round % 40).map(|id| rig.submit(id, NORMAL)).collect();
        drop(rig);
        for (id, ticket) in (0..).zip(tickets) {
            match ticket.wait() {
                Ok(done) => assert_eq!(done.id, id),
                Err(error) => assert_eq!(error, ProcessingError::Abandoned),
            }
        }
    }
}

#[cfg(feature = "tokio")]
mod runtime {
    use lanepool::{
        BuildError, OverflowPolicy, SubmitError, WorkerPool, WorkerPoolConfig, async_service_fn,
    };
    use tokio::runtime::{Builder, Runtime};

    use super::common::{Done, Failure, Script, lanes, watched};
    use super::*;

    fn single() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap()
    }

    #[test]
    fn without_a_runtime_there_is_no_async_pool() {
        watched(|| {
            let service =
                || async_service_fn(|n: u8, _: TaskContext| async move { Ok::<_, ()>(n) });
            let built = [
                WorkerPool::new_async(service()),
                WorkerPool::with_config_async(service(), WorkerPoolConfig::default()),
                WorkerPool::<u8, u8, ()>::builder().build_async(service()),
            ];
            for pool in built {
                let error = pool.unwrap_err();
                assert!(matches!(error, BuildError::NoRuntime), "{error:?}");
                assert!(error.to_string().contains("inside one"), "{error}");
            }
        });
    }

    fn rig_on(runtime: &Runtime, workers: usize) -> WorkerPool<Job, Done, Failure> {
        let config = config(workers).lanes(lanes(4, OverflowPolicy::Wait));
        let builder = builder(config).runtime(runtime.handle().clone());
        builder.build_async(Script::default()).unwrap()
    }

    #[test]
    fn a_runtime_that_ends_takes_the_pool_along_and_answers_everybody() {
        watched(|| {
            for workers in [1, 3] {
                let runtime = single();
                let pool = rig_on(&runtime, workers);
                let gate = Gate::new();
                let hold = |id| pool.try_submit(Job::hold(id, &gate)).unwrap();
                let running: Vec<_> = (0..workers as u64).map(hold).collect();
                gate.await_arrivals(workers);
                let mut queued = Vec::new();
                while let Ok(ticket) = pool.try_submit(Job::echo(9)) {
                    queued.push(ticket);
                }
                let mut submit = pin!(pool.submit(Job::echo(10)));
                assert!(poll_once(submit.as_mut()).is_pending());
                let blocked = {
                    let pool = pool.clone();
                    std::thread::spawn(move || pool.submit_blocking(Job::echo(11)).map(drop))
                };
                drop(runtime);
                for ticket in running.into_iter().chain(queued) {
                    assert_eq!(ticket.wait(), Err(ProcessingError::Abandoned));
                }
                let refused = super::common::block_on(submit).map(drop);
                assert!(matches!(
                    refused,
                    Err(SubmitError::Closed(Job { id: 10, .. }))
                ));
                let refused = blocked.join().unwrap();
                assert!(matches!(
                    refused,
                    Err(SubmitError::Closed(Job { id: 11, .. }))
                ));
                assert!(matches!(
                    pool.try_spawn(Job::echo(1)),
                    Err(SubmitError::Closed(_))
                ));
                let statistics = drain(&pool);
                assert_eq!(statistics.total().abandoned, workers as u64 + 4);
            }
        });
    }

    #[test]
    fn a_runtime_that_is_gone_already_leaves_a_closed_pool() {
        watched(|| {
            let runtime = single();
            let handle = runtime.handle().clone();
            drop(runtime);
            let builder = builder(config(2)).runtime(handle);
            let pool = builder.build_async(Script::default()).unwrap();
            assert!(matches!(
                pool.try_spawn(Job::echo(1)),
                Err(SubmitError::Closed(_))
            ));
            drain(&pool);
        });
    }
}
