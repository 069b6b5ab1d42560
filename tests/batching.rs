//! How batches form: when they close and why, in the time of a clock that the tests turn.

mod common;

use std::time::Duration;

use common::batches::{await_lingering, lingering};
use common::{Gate, Kind, builder, config, drain, for_both_kinds};
use lanepool::{
    Answers, Batch, BatchProcessorConfig, Clock, CloseReason, ManualClock, ProcessingTask,
    TaskPriority, Ticket, WorkerPool,
};

/// What each request learns: the size of its batch, its number, and why it closed.
type Seen = (usize, u64, CloseReason);
type Pool = WorkerPool<u32, Seen, ()>;

fn see(batch: Batch<u32>) -> Result<Answers<Seen, ()>, ()> {
    let seen = (batch.len(), batch.id(), batch.close_reason());
    Ok(batch.into_iter().map(|_| Ok(seen)).collect())
}

/// A pool of so many workers, with a clock that stands still.
fn pool_of(
    kind: Kind,
    workers: usize,
    batching: BatchProcessorConfig,
) -> (Pool, Clock, ManualClock) {
    let (clock, hands) = Clock::manual();
    let builder = builder(config(workers).batching(batching)).clock(clock.clone());
    let pool = kind.serve_batches(builder, see).unwrap();
    (pool, clock, hands)
}

fn submit(pool: &Pool, request: u32) -> Ticket<Seen, ()> {
    pool.try_submit(request).unwrap()
}

/// The sizes and reasons that requests were told; those of one batch agree.
fn answers(tickets: impl IntoIterator<Item = Ticket<Seen, ()>>) -> Vec<(usize, CloseReason)> {
    let seen = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
    seen.map(|(size, _, reason)| (size, reason)).collect()
}

fn a_full_batch_goes_at_once(kind: Kind) {
    let (pool, _clock, _hands) = pool_of(kind, 1, lingering(3));
    let tickets: Vec<_> = (0..3).map(|n| submit(&pool, n)).collect();
    assert_eq!(answers(tickets), [(3, CloseReason::Full); 3]);
    drain(&pool);
}

fn a_batch_lingers_for_its_timeout_and_no_longer(kind: Kind) {
    let (pool, _clock, hands) = pool_of(kind, 1, lingering(3));
    let tickets = [submit(&pool, 1), submit(&pool, 2)];
    await_lingering(&pool, 1);
    hands.advance(Duration::from_millis(999));
    assert!(tickets.iter().all(|ticket| !ticket.is_done()));
    hands.advance(Duration::from_millis(1));
    assert_eq!(answers(tickets), [(2, CloseReason::Timeout); 2]);
    let batches = pool.batch_processor().unwrap().statistics();
    assert_eq!(batches.added_wait.max(), Duration::from_secs(1));
    drain(&pool);
}

fn what_comes_while_a_batch_lingers_joins_it(kind: Kind) {
    let (pool, _clock, hands) = pool_of(kind, 1, lingering(3));
    let first = submit(&pool, 1);
    await_lingering(&pool, 1);
    hands.advance(Duration::from_millis(500));
    let second = submit(&pool, 2);
    let third = submit(&pool, 3);
    assert_eq!(answers([first, second, third]), [(3, CloseReason::Full); 3]);
    drain(&pool);
}

fn the_age_of_a_request_bounds_the_lingering(kind: Kind) {
    let batching = lingering(3).max_batch_wait(Duration::from_secs(1));
    let (pool, _clock, hands) = pool_of(kind, 1, batching);
    pool.scheduler().pause(TaskPriority::Normal);
    let old = submit(&pool, 1);
    hands.advance(Duration::from_millis(700));
    pool.scheduler().resume(TaskPriority::Normal);
    await_lingering(&pool, 1);
    hands.advance(Duration::from_millis(299));
    assert!(!old.is_done());
    hands.advance(Duration::from_millis(1));
    assert_eq!(answers([old]), [(1, CloseReason::Age)]);
    drain(&pool);
}

/// While no batch has run nobody knows how long one takes, so one with a deadline goes at once.
fn a_deadline_closes_a_batch_in_time(kind: Kind) {
    let (pool, clock, hands) = pool_of(kind, 1, lingering(3));
    let due_in = |milliseconds| {
        let deadline = clock.now() + Duration::from_millis(milliseconds);
        pool.try_submit(ProcessingTask::new(2).deadline(deadline))
            .unwrap()
    };
    let first = submit(&pool, 1);
    await_lingering(&pool, 1);
    assert_eq!(
        answers([first, due_in(400)]),
        [(2, CloseReason::Deadline); 2]
    );

    // A batch takes no time at all on this clock; a timer may be 100 microseconds late.
    let tickets = [submit(&pool, 1), due_in(400)];
    await_lingering(&pool, 1);
    hands.advance(Duration::from_nanos(399_899_999));
    assert!(tickets.iter().all(|ticket| !ticket.is_done()));
    hands.advance(Duration::from_nanos(1));
    assert_eq!(answers(tickets), [(2, CloseReason::Deadline); 2]);
    drain(&pool);
}

fn an_urgent_request_takes_its_batch_along(kind: Kind) {
    let (pool, _clock, _hands) = pool_of(kind, 1, lingering(3));
    let first = submit(&pool, 1);
    await_lingering(&pool, 1);
    let urgent = ProcessingTask::new(2).priority(TaskPriority::Critical);
    let urgent = pool.try_submit(urgent).unwrap();
    assert_eq!(answers([first, urgent]), [(2, CloseReason::Priority); 2]);
    drain(&pool);
}

fn an_idle_pool_does_not_linger(kind: Kind) {
    let (pool, _clock, _hands) = pool_of(kind, 2, lingering(3).close_when_idle(true));
    assert_eq!(answers([submit(&pool, 1)]), [(1, CloseReason::Idle)]);
    drain(&pool);
}

/// While one worker runs a batch the other lingers; when the first is done, nothing is to be waited for.
fn a_batch_goes_when_the_pool_falls_idle(kind: Kind) {
    let gate = Gate::new();
    let (clock, _hands) = Clock::manual();
    let builder = builder(config(2).batching(lingering(2).close_when_idle(true))).clock(clock);
    let pool = match kind {
        Kind::Threads => {
            let gate = gate.clone();
            builder.build_batches(lanepool::batch_fn(move |batch: Batch<u32>| {
                if batch.requests()[0] == 0 {
                    gate.pass();
                }
                see(batch)
            }))
        }
        #[cfg(feature = "tokio")]
        Kind::Tasks => {
            let gate = gate.clone();
            let service = lanepool::async_batch_fn(move |batch: Batch<u32>| {
                let gate = gate.clone();
                async move {
                    if batch.requests()[0] == 0 {
                        gate.pass_async().await;
                    }
                    see(batch)
                }
            });
            builder
                .runtime(common::runtime().handle().clone())
                .build_batches_async(service)
        }
    };
    let pool = pool.unwrap();
    let held_up = submit(&pool, 0);
    gate.await_arrivals(1);
    let lingers = submit(&pool, 1);
    await_lingering(&pool, 1);
    assert!(!lingers.is_done());
    gate.open();
    assert_eq!(answers([held_up, lingers]), [(1, CloseReason::Idle); 2]);
    drain(&pool);
}

fn a_closed_pool_does_not_linger(kind: Kind) {
    let (pool, _clock, _hands) = pool_of(kind, 2, lingering(3));
    let tickets = [submit(&pool, 1), submit(&pool, 2)];
    drain(&pool);
    let told = answers(tickets);
    assert!(
        told.iter().all(|(_, reason)| *reason == CloseReason::Drain),
        "{told:?}"
    );
}

fn whoever_left_is_not_run_and_not_counted(kind: Kind) {
    let (pool, clock, hands) = pool_of(kind, 1, lingering(9));
    let deadline = clock.now() + Duration::from_millis(1_500);
    let late = ProcessingTask::new(1).deadline(deadline);
    pool.scheduler().pause(TaskPriority::Normal);
    let (late, gone, there) = (
        pool.try_submit(late).unwrap(),
        submit(&pool, 2),
        submit(&pool, 3),
    );
    hands.advance(Duration::from_millis(1_500));
    pool.scheduler().resume(TaskPriority::Normal);
    await_lingering(&pool, 1);
    drop(gone);
    hands.advance(Duration::from_secs(1));
    assert_eq!(answers([there]), [(1, CloseReason::Timeout)]);
    assert!(late.wait().is_err());
    let statistics = drain(&pool).total();
    assert_eq!(
        (
            statistics.completed,
            statistics.expired,
            statistics.cancelled
        ),
        (1, 1, 1)
    );
    let batches = pool.batch_processor().unwrap().statistics();
    assert_eq!(
        (batches.batches(), batches.requests, batches.wanted),
        (1, 1, 9)
    );
}

/// A batch of which nobody is left does not reach the service.
fn a_batch_of_nobody_is_none(kind: Kind) {
    let (pool, _clock, hands) = pool_of(kind, 1, lingering(9));
    let gone = [submit(&pool, 1), submit(&pool, 2)];
    await_lingering(&pool, 1);
    drop(gone);
    hands.advance(Duration::from_secs(1));
    let statistics = drain(&pool).total();
    assert_eq!((statistics.completed, statistics.cancelled), (0, 2));
    assert_eq!(pool.batch_processor().unwrap().statistics().batches(), 0);
}

/// Two requests of one key and one of another: each key has its own batch, and one worker is enough to keep the
/// time of both.
fn batches_of_keys_linger_side_by_side(kind: Kind) {
    let (pool, _clock, hands) = pool_of(kind, 1, lingering(3).keyed(true));
    let of = |key| pool.try_submit(ProcessingTask::new(1).key(key)).unwrap();
    let first = [of(7), of(7)];
    hands.advance(Duration::from_millis(400));
    let other = of(8);
    await_lingering(&pool, 1);
    let queues = pool.batch_processor().unwrap().queues();
    let mut queues: Vec<_> = queues
        .iter()
        .map(|queue| (queue.key, queue.len, queue.lingers))
        .collect();
    queues.sort_unstable();
    assert_eq!(queues, [(Some(7), 2, true), (Some(8), 1, true)]);
    hands.advance(Duration::from_millis(600));
    assert_eq!(answers(first), [(2, CloseReason::Timeout); 2]);
    assert!(!other.is_done());
    hands.advance(Duration::from_millis(400));
    assert_eq!(answers([other]), [(1, CloseReason::Timeout)]);
    drain(&pool);
    assert!(pool.batch_processor().unwrap().queues().is_empty());
}

fn a_full_batch_of_a_key_goes_at_once(kind: Kind) {
    let (pool, _clock, hands) = pool_of(kind, 2, lingering(3).keyed(true));
    let of = |key| pool.try_submit(ProcessingTask::new(1).key(key)).unwrap();
    let first = of(7);
    let other = of(8);
    assert_eq!(answers([of(7), of(7), first]), [(3, CloseReason::Full); 3]);
    assert!(!other.is_done());
    // What is left of the key forms anew.
    let again = of(7);
    hands.advance(Duration::from_secs(1));
    assert_eq!(answers([other, again]), [(1, CloseReason::Timeout); 2]);
    drain(&pool);
}

fn what_presses_closes_the_batch_of_its_key_alone(kind: Kind) {
    let (pool, clock, _hands) = pool_of(kind, 2, lingering(3).keyed(true));
    let of = |key| ProcessingTask::new(1).key(key);
    let (first, second) = (
        pool.try_submit(of(1)).unwrap(),
        pool.try_submit(of(2)).unwrap(),
    );
    let urgent = pool
        .try_submit(of(1).priority(TaskPriority::Critical))
        .unwrap();
    assert_eq!(answers([first, urgent]), [(2, CloseReason::Priority); 2]);
    let third = pool.try_submit(of(3)).unwrap();
    let deadline = clock.now() + Duration::from_millis(3);
    let due = pool.try_submit(of(3).deadline(deadline)).unwrap();
    assert_eq!(answers([third, due]), [(2, CloseReason::Deadline); 2]);
    assert!(!second.is_done());
    drain(&pool);
    assert_eq!(answers([second]), [(1, CloseReason::Drain)]);
}

for_both_kinds!(
    batches_of_keys_linger_side_by_side,
    a_full_batch_of_a_key_goes_at_once,
    what_presses_closes_the_batch_of_its_key_alone,
    a_full_batch_goes_at_once,
    a_batch_lingers_for_its_timeout_and_no_longer,
    what_comes_while_a_batch_lingers_joins_it,
    the_age_of_a_request_bounds_the_lingering,
    a_deadline_closes_a_batch_in_time,
    an_urgent_request_takes_its_batch_along,
    an_idle_pool_does_not_linger,
    a_batch_goes_when_the_pool_falls_idle,
    a_closed_pool_does_not_linger,
    whoever_left_is_not_run_and_not_counted,
    a_batch_of_nobody_is_none,
);
