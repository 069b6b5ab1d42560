//! Nothing leaks: tasks that are cancelled, refused or lost give back all they took, and a warm pool takes
//! no memory for a task.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use common::{
    Gate, Kind, block_on, builder, config, drain, for_both_kinds, lanes, poll_once, watched,
};
use lanepool::{OverflowPolicy, ProcessingTask, TaskContext, TaskPriority, WorkerPool};

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES_LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting
// touches two atomics and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES_LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES_LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract, and `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The counts are of the whole process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

for_both_kinds!(
    a_hundred_thousand_cancelled_tasks_leave_nothing_behind,
    a_warm_pool_allocates_nothing_for_a_task,
);

/// A response as large as a page, so that a leaked slot shows.
type Large = [u64; 64];

/// Tasks that may wait in a lane.
const CAPACITY: usize = 64;

/// The request that waits at the gate.
const HELD: u64 = u64::MAX;

fn pool(kind: Kind, gate: &Gate) -> WorkerPool<u64, Large, ()> {
    let config = config(1).lanes(lanes(CAPACITY, OverflowPolicy::Wait));
    let gate = gate.clone();
    kind.serve(builder(config), move |n: u64, _| {
        if n == HELD {
            gate.pass();
        }
        Ok([n; 64])
    })
    .unwrap()
}

/// A pool that has had as many tasks in flight as it can have: reply slots are kept, so it needs no more
/// of them from here on, however its threads are scheduled.
fn grown(kind: Kind) -> WorkerPool<u64, Large, ()> {
    let gate = Gate::new();
    let pool = pool(kind, &gate);
    let low = |n| ProcessingTask::new(n).priority(TaskPriority::Low);
    let held = pool.submit_blocking(low(HELD)).unwrap();
    gate.await_arrivals(1);
    let queued: Vec<_> = (0..CAPACITY as u64)
        .map(|n| pool.try_submit(low(n)).unwrap())
        .collect();
    let mut waiting = Box::pin(pool.execute(0, TaskPriority::Low, TaskContext::new()));
    assert!(poll_once(waiting.as_mut()).is_pending());
    gate.open();
    assert!(held.wait().is_ok());
    assert!(queued.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert!(block_on(waiting).is_ok());
    pool
}

/// Waits until the worker has seen everything before it.
fn settle(pool: &WorkerPool<u64, Large, ()>) {
    let answer = pool.execute_blocking(7, TaskPriority::Low, TaskContext::new());
    assert_eq!(answer.map(|large| large[63]), Ok(7));
}

fn cancel_in_every_way(pool: &WorkerPool<u64, Large, ()>, rounds: usize) {
    let low = |n| ProcessingTask::new(n).priority(TaskPriority::Low);
    for _ in 0..rounds {
        drop(pool.submit_blocking(low(1)).unwrap());
        let mut polled = pool.submit_blocking(low(2)).unwrap();
        let _: bool = poll_once(pin!(&mut polled)).is_pending();
        drop(polled);
        pool.submit_blocking(low(3)).unwrap().detach();
        let mut future = pin!(pool.execute(4, TaskPriority::Low, TaskContext::new()));
        let _: bool = poll_once(future.as_mut()).is_pending();
    }
    settle(pool);
}

fn a_hundred_thousand_cancelled_tasks_leave_nothing_behind(kind: Kind) {
    let _alone = ALONE.lock();
    let pool = grown(kind);
    cancel_in_every_way(&pool, 2_000);
    let before = BYTES_LIVE.load(Ordering::Relaxed);
    cancel_in_every_way(&pool, 25_000);
    let grown = BYTES_LIVE.load(Ordering::Relaxed) - before;
    // A single page of reply slots would be more than twice as much as this.
    assert!(
        grown < 16 * 1024,
        "{grown} bytes more after 100,000 cancelled tasks"
    );
    let total = drain(&pool).total();
    // The last of the four ways waits for room at times, and then there is no task yet.
    assert!(total.cancelled + total.completed > 3 * 27_000);
    assert!(total.cancelled > 0);
}

fn a_warm_pool_allocates_nothing_for_a_task(kind: Kind) {
    let _alone = ALONE.lock();
    let pool = grown(kind);
    let task = || ProcessingTask::new(1).priority(TaskPriority::Low);
    let round = |times: usize| {
        for _ in 0..times {
            settle(&pool);
            pool.submit_blocking(task()).unwrap().wait().unwrap();
            pool.spawn_blocking(task()).unwrap();
            while let Err(full) = pool.try_submit(task()).map(drop) {
                full.into_request();
            }
        }
        settle(&pool);
    };
    let round_async = |times: usize| {
        block_on(async {
            for _ in 0..times {
                let answer = pool.execute(1, TaskPriority::Low, TaskContext::new()).await;
                assert!(answer.is_ok());
                pool.submit(task()).await.unwrap().await.unwrap();
                pool.spawn(task()).await.unwrap();
            }
        });
        settle(&pool);
    };
    round(500);
    round_async(500);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    round(5_000);
    round_async(5_000);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // The rest is the test's: its harness, and the runtime that it blocks on.
    assert!(
        allocations < 200,
        "{allocations} allocations for 30,000 tasks"
    );
    drain(&pool);
}

#[test]
fn the_allocator_counts() {
    watched(|| {
        let _alone = ALONE.lock();
        let before = (
            ALLOCATIONS.load(Ordering::Relaxed),
            BYTES_LIVE.load(Ordering::Relaxed),
        );
        let memory = std::hint::black_box(vec![0_u8; 1 << 20]);
        assert!(ALLOCATIONS.load(Ordering::Relaxed) > before.0);
        assert!(BYTES_LIVE.load(Ordering::Relaxed) - before.1 > 1 << 19);
        drop(memory);
    });
}
