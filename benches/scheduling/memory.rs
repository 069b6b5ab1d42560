//! What a key costs in memory while it has a task, and what is left of it when it has none.
//!
//! The only lane is paused, 100,000 tasks of as many keys are queued, and the heap's growth is counted; then
//! the lane is resumed, and the growth is counted again when all tasks are done. The memory of the lane was
//! taken before, when the pool was built; what is counted is the keys' own, and that of their tasks, which wait
//! with their keys and not in the lane. A pool keeps room for some keys, so this is done twice, with other keys,
//! and it is the second time that must leave nothing. At last many keys come one after the other, a few
//! at a time.
//!
//! The counts are those of all threads, so nothing else may run in the process meanwhile.

use lanepool::{LaneConfig, ProcessingTask, SchedulingStrategy, TaskPriority, WorkerPoolConfig};
use lanepool_bench::{Bound, Report, Result, alloc::Phase, busy::Busy, work::sum_below};

use crate::service::{Clerk, Desk, Order, Pool, Work};

/// Keys that are live at once.
const LIVE: u64 = 100_000;
/// Room for them.
const CAPACITY: usize = 1 << 17;
/// What a key may leave behind, in bytes: nothing, but for what allocations of the measuring itself may add.
const LEFT: f64 = 0.1;
/// Keys of the last part that are live at once.
const FEW: u64 = 64;

pub(crate) fn measure(report: &mut Report) {
    let in_turn = report.choose(1_000_000, 200_000);
    eprintln!("memory: {LIVE} keys at once, then {in_turn} in turn");
    let found = match run(in_turn) {
        Ok(found) => found,
        Err(error) => return report.fail("bytes per key", &error),
    };
    report.record(
        "heap of a HashBased pool, a lane of 131,072, when it is built, per place of the lane",
        found.built / CAPACITY as f64,
        "bytes",
        Bound::None,
    );
    for (name, bytes, bound) in [
        (
            "heap per key, 100,000 keys with a waiting task each, the task included",
            found.waiting / LIVE as f64,
            Bound::None,
        ),
        (
            "heap that is kept when their tasks are done, all keys together",
            found.kept,
            Bound::None,
        ),
        (
            "heap left per key by 100,000 other keys when their tasks are done",
            found.after / LIVE as f64,
            Bound::AtMost(LEFT),
        ),
        (
            "heap left per key by keys that came one after the other",
            found.in_turn / in_turn as f64,
            Bound::AtMost(LEFT),
        ),
    ] {
        report.record(name, bytes, "bytes", bound);
    }
}

/// Bytes by which the heap grew since before the part.
struct Found {
    built: f64,
    waiting: f64,
    kept: f64,
    after: f64,
    in_turn: f64,
}

fn run(in_turn: u64) -> Result<Found> {
    let config = WorkerPoolConfig::builder()
        .workers(2)
        .lanes([LaneConfig::new().capacity(CAPACITY)])
        .scheduling_strategy(SchedulingStrategy::HashBased)
        .build()?;
    let desk = Desk::new(0, FEW / 2);
    let clerk = Clerk {
        desk: desk.clone(),
        slow: None,
    };
    let phase = Phase::start()?;
    let pool = Pool::with_config(clerk, config)?;
    let scheduler = pool.scheduler();
    let submit = |number: u64, key: u64| -> Result<()> {
        let order = Order {
            number,
            work: Work::Busy(Busy::rounds(1)),
            turn: None,
        };
        desk.hand_in();
        pool.try_spawn(ProcessingTask::new(order).key(key))
            .map_err(|error| error.to_string().into())
    };
    let live_keys = |expected: u64| -> Result<()> {
        match scheduler.statistics().live_keys as u64 {
            live if live == expected => Ok(()),
            live => Err(format!("{live} keys are live, not {expected}").into()),
        }
    };
    // The first task has each thread allocate what it keeps for ever.
    submit(0, 0)?;
    desk.await_level(0)?;
    let built = phase.stop().growth_bytes();

    let wave = |first: u64| -> Result<(i64, i64)> {
        let phase = Phase::start()?;
        scheduler.pause(TaskPriority::Normal);
        for number in 0..LIVE {
            submit(number, first + number)?;
        }
        live_keys(LIVE)?;
        let waiting = phase.so_far().growth_bytes();
        scheduler.resume(TaskPriority::Normal);
        desk.await_level(0)?;
        await_no_keys(&pool);
        Ok((waiting, phase.stop().growth_bytes()))
    };
    let (waiting, kept) = wave(0)?;
    let (_, after) = wave(LIVE)?;

    let phase = Phase::start()?;
    for number in 0..in_turn {
        if desk.in_flight() >= FEW {
            desk.await_level(FEW / 2)?;
        }
        submit(number, 2 * LIVE + number)?;
    }
    desk.await_level(0)?;
    await_no_keys(&pool);
    let last = phase.stop().growth_bytes();
    live_keys(0)?;
    desk.close(
        &pool,
        1 + 2 * LIVE + in_turn,
        2 * sum_below(LIVE) + sum_below(in_turn),
        true,
    )?;
    Ok(Found {
        built: built as f64,
        waiting: waiting as f64,
        kept: kept as f64,
        after: after as f64,
        in_turn: last as f64,
    })
}

/// A key goes after its last task has its outcome, which is a moment after the service is done with it.
fn await_no_keys(pool: &Pool) {
    while pool.scheduler().statistics().live_keys > 0 {
        std::thread::yield_now();
    }
}
