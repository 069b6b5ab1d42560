//! The ways in: what each takes, waits for and gives back.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use common::{
    Done, EXPECTED, Failure, Job, Kind, LONG, Rig, block_on, config, drain, for_both_kinds, lanes,
    poll_once,
};
use lanepool::{
    ExecuteError, OverflowPolicy, PoolEvent, ProcessingError, ProcessingTask, SubmitError,
    TaskContext, TaskPriority, WorkerPool,
};

const NORMAL: TaskPriority = TaskPriority::Normal;

for_both_kinds!(
    an_answer_is_a_response_an_error_or_a_panic,
    the_context_reaches_the_service,
    a_ticket_can_be_awaited_waited_for_and_asked,
    async_ways_in_need_no_runtime,
    blocking_on_the_own_pool_is_refused,
    blocking_on_another_pool_is_fine,
    a_slow_subscriber_loses_the_newest_events,
);

/// A way to run a job and learn its number.
type Call<'a> = dyn Fn(Job) -> Result<u64, ExecuteError<Job, Failure>> + 'a;

fn an_answer_is_a_response_an_error_or_a_panic(kind: Kind) {
    let rig = Rig::new(kind, config(2));
    let pool = &rig.pool;
    let calls: [&Call; 4] = [
        &|job| block_on(pool.execute(job, NORMAL, TaskContext::new())).map(|done| done.id),
        &|job| {
            pool.execute_blocking(job, NORMAL, TaskContext::new())
                .map(|done| done.id)
        },
        &|job| {
            pool.execute_timeout(job, NORMAL, TaskContext::new(), LONG)
                .map(|done| done.id)
        },
        &|job| Ok(pool.submit_blocking(job)?.wait()?.id),
    ];
    for call in calls {
        assert_eq!(call(Job::echo(1)).unwrap(), 1);
        match call(Job::fail(2)).unwrap_err() {
            ExecuteError::Processing(ProcessingError::Failed(failure)) => {
                assert_eq!(failure, Failure(2))
            }
            other => panic!("{other:?}"),
        }
        match call(Job::panic(3)).unwrap_err() {
            ExecuteError::Processing(ProcessingError::Panicked(message)) => {
                assert_eq!(message, format!("3 {EXPECTED}"));
            }
            other => panic!("{other:?}"),
        }
    }
    drain(pool);
}

fn the_context_reaches_the_service(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let deadline = Instant::now() + LONG;
    let context = TaskContext::new()
        .with_connection_id(0)
        .with_message_id(u64::MAX)
        .with_batch_id(3)
        .with_key(4)
        .with_tenant(5)
        .with_deadline(deadline);
    let (tell, told) = mpsc::channel();
    let ask = || {
        let tell = tell.clone();
        Job::run(0, move |context| tell.send(*context).unwrap())
    };
    block_on(rig.pool.execute(ask(), NORMAL, context)).unwrap();
    rig.pool.execute_blocking(ask(), NORMAL, context).unwrap();
    let task = ProcessingTask::new(ask())
        .connection_id(0)
        .message_id(u64::MAX)
        .batch_id(3);
    let task = task.key(4).tenant(5).deadline(deadline);
    rig.pool.try_submit(task).unwrap().wait().unwrap();
    for _ in 0..3 {
        assert_eq!(told.recv().unwrap(), context);
    }
    rig.pool.try_submit(ask()).unwrap().wait().unwrap();
    assert_eq!(
        told.recv().unwrap(),
        TaskContext::new(),
        "a bare request says nothing"
    );
    drain(&rig.pool);
}

fn a_ticket_can_be_awaited_waited_for_and_asked(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let gate = rig.hold_all();
    let mut tickets: Vec<_> = (0..4).map(|id| rig.submit(id, NORMAL)).collect();
    assert!(tickets.iter().all(|ticket| !ticket.is_done()));
    assert!(poll_once(pin!(&mut tickets[3])).is_pending());
    gate.open();
    assert_eq!(
        tickets.remove(3).wait().unwrap().id,
        3,
        "waited for after it was polled"
    );
    assert!(
        tickets.iter().all(|ticket| ticket.is_done()),
        "those before it are done"
    );
    assert_eq!(block_on(tickets.remove(2)).unwrap().id, 2);
    assert!(matches!(poll_once(pin!(tickets.remove(1))), Poll::Ready(Ok(done)) if done.id == 1));
    let answer = tickets.remove(0).wait_timeout(Duration::ZERO);
    assert_eq!(answer.unwrap().unwrap().id, 0);
    drain(&rig.pool);
}

/// The smallest executor there is.
fn block_on_by_hand<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn async_ways_in_need_no_runtime(kind: Kind) {
    let rig = Rig::new(kind, config(2).lanes(lanes(4, OverflowPolicy::Wait)));
    block_on_by_hand(async {
        let pool = &rig.pool;
        for id in 0..200 {
            let done = pool
                .execute(Job::echo(id), NORMAL, TaskContext::new())
                .await;
            assert_eq!(done.unwrap().id, id);
            pool.spawn(Job::echo(id)).await.unwrap();
            pool.submit(Job::echo(id)).await.unwrap().detach();
        }
        assert_eq!(pool.execute_batch((0..50).map(Job::echo)).await.len(), 50);
        assert!(pool.shutdown(LONG).await.drained);
    });
    assert_eq!(rig.pool.statistics().total().completed, 650);
}

/// What a service gets when it blocks on its own pool, whose normal lane is full: whether each request came
/// back as nested.
fn block_inside(pool: &WorkerPool<Job, Done, Failure>) -> Vec<bool> {
    let nested = |answer: Result<_, ExecuteError<Job, Failure>>| match answer {
        Err(ExecuteError::Refused(SubmitError::Nested(job))) => job.id == 9,
        _ => false,
    };
    let (context, moment) = (TaskContext::new(), Duration::from_millis(1));
    let timed = pool.execute_timeout(Job::echo(9), NORMAL, context, moment);
    let mut refused = vec![nested(timed)];
    if !refused[0] {
        // Without a limit what follows would hang.
        return refused;
    }
    refused.push(nested(pool.execute_blocking(Job::echo(9), NORMAL, context)));
    let batch = pool.execute_batch_blocking([Job::echo(9), Job::echo(9)]);
    refused.extend(batch.into_iter().map(nested));
    let submit = pool.submit_blocking(Job::echo(9)).map(drop);
    let spawn = pool.spawn_blocking(Job::echo(9));
    for answer in [submit, spawn] {
        refused.push(matches!(answer, Err(SubmitError::Nested(job)) if job.id == 9));
    }
    let low = ProcessingTask::new(Job::echo(8)).priority(TaskPriority::Low);
    pool.spawn_blocking(low)
        .expect("there is room, so it need not wait");
    refused
}

fn blocking_on_the_own_pool_is_refused(kind: Kind) {
    let rig = Rig::new(kind, config(1).lanes(lanes(8, OverflowPolicy::Wait)));
    let gate = rig.hold_all();
    while rig.pool.try_spawn(Job::echo(8)).is_ok() {}
    let (tell, told) = mpsc::channel();
    let pool = rig.pool.clone();
    let job = Job::run(1, move |_| tell.send(block_inside(&pool)).unwrap());
    let first = ProcessingTask::new(job).priority(TaskPriority::Critical);
    rig.pool.try_spawn(first).unwrap();
    gate.open();
    assert_eq!(told.recv().unwrap(), [true; 6]);
    let statistics = drain(&rig.pool);
    assert_eq!(
        statistics.lanes[1].refused, 7,
        "and the one that found the lane full"
    );
    assert_eq!(statistics.lanes[0].completed, 1);
    assert!(!rig.started().contains(&9));
}

fn blocking_on_another_pool_is_fine(kind: Kind) {
    let outer = Rig::new(kind, config(2));
    let inner = Rig::new(Kind::Threads, config(1));
    let tickets: Vec<_> = (0..50)
        .map(|id| {
            let pool = inner.pool.clone();
            let job = Job::run(id, move |_| {
                let done = pool.execute_blocking(Job::echo(id), NORMAL, TaskContext::new());
                assert_eq!(done.unwrap().id, id);
            });
            outer.pool.submit_blocking(job).unwrap()
        })
        .collect();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    drain(&outer.pool);
    assert_eq!(drain(&inner.pool).total().completed, 50);
}

fn a_slow_subscriber_loses_the_newest_events(kind: Kind) {
    let rig = Rig::new(kind, config(1));
    let (slow, gone) = (rig.pool.events(), rig.pool.events());
    drop(gone);
    for id in 0..1_100 {
        assert!(
            rig.pool
                .submit_blocking(Job::panic(id))
                .unwrap()
                .wait()
                .is_err()
        );
    }
    drain(&rig.pool);
    let events: Vec<_> = std::iter::from_fn(|| slow.try_recv()).collect();
    assert_eq!(events.len(), 1_024);
    for (id, event) in events.into_iter().enumerate() {
        assert!(
            matches!(event, PoolEvent::WorkerPanicked { message, .. } if message.starts_with(&format!("{id} ")))
        );
    }
}
