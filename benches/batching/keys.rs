//! What a key costs in memory while a batch of it is to form, and what is left of it afterwards.
//!
//! The only lane is paused, 100,000 requests of as many keys are queued, and the heap's growth is counted; then the
//! lane is resumed, and the growth is counted again when all are answered. The memory of the lane was taken
//! before, when the pool was built. A pool keeps room for some keys, so this is done twice, with other keys, and
//! it is the second time that must leave nothing.
//!
//! The counts are those of all threads, so nothing else may run in the process meanwhile.

use std::time::{Duration, Instant};

use lanepool::{
    BatchProcessorConfig, LaneConfig, ProcessingTask, SchedulingStrategy, TaskPriority,
    WorkerPoolConfig,
};
use lanepool_bench::{Bound, Report, Result, alloc::Phase, work::PATIENCE};

use crate::{
    service::Cost,
    shop::{Request, Shop},
};

/// Keys that are live at once.
const LIVE: u64 = 100_000;
/// Room for them.
const CAPACITY: usize = 1 << 17;
/// What a key may leave behind, in bytes: nothing, but for what allocations of the measuring itself may add.
const LEFT: f64 = 0.1;
/// Next to nothing: it is memory that is measured.
const COST: Cost = Cost {
    fixed: Duration::from_nanos(200),
    per_request: Duration::from_nanos(100),
};

pub(crate) fn measure(report: &mut Report) {
    for strategy in [
        SchedulingStrategy::PriorityBased,
        SchedulingStrategy::HashBased,
    ] {
        eprintln!("keys, {strategy:?}: {LIVE} keys at once, twice");
        let figure = format!("batches by key, {strategy:?}");
        match run(strategy) {
            Ok(found) => found.record(report, &figure),
            Err(error) => report.fail(&figure, &error),
        }
    }
}

/// Bytes by which the heap grew since before the part.
struct Found {
    built: f64,
    waiting: f64,
    kept: f64,
    after: f64,
}

impl Found {
    fn record(&self, report: &mut Report, figure: &str) {
        for (name, bytes, bound) in [
            (
                "heap when the pool is built, per place of its lane of 131,072",
                self.built / CAPACITY as f64,
                Bound::None,
            ),
            (
                "heap per key, 100,000 keys with a request each, that included",
                self.waiting / LIVE as f64,
                Bound::None,
            ),
            (
                "heap kept when all are answered, together",
                self.kept,
                Bound::None,
            ),
            (
                "heap left per key by 100,000 other keys",
                self.after / LIVE as f64,
                Bound::AtMost(LEFT),
            ),
        ] {
            report.record(format!("{figure}: {name}"), bytes, "bytes", bound);
        }
    }
}

fn run(strategy: SchedulingStrategy) -> Result<Found> {
    let config = WorkerPoolConfig::builder()
        .workers(2)
        .lanes([LaneConfig::new().capacity(CAPACITY)])
        .scheduling_strategy(strategy)
        // With a lane alone its requests would all be urgent.
        .batching(BatchProcessorConfig::new().keyed(true).urgent(None))
        .build()?;
    let phase = Phase::start()?;
    let shop = Shop::open(COST, config)?;
    let mut asked = 0;
    let mut submit = |key: u64| -> Result<()> {
        let task = ProcessingTask::new(Request::now(asked)).key(key);
        asked += 1;
        shop.pool
            .try_spawn(task)
            .map_err(|error| error.to_string().into())
    };
    // The first request has each thread allocate what it keeps for ever.
    submit(0)?;
    await_requests(&shop, 1)?;
    let built = phase.stop().growth_bytes();

    let mut wave = |number: u64| -> Result<(i64, i64)> {
        let scheduler = shop.pool.scheduler();
        let phase = Phase::start()?;
        scheduler.pause(TaskPriority::Normal);
        for key in 0..LIVE {
            submit(number * LIVE + key)?;
        }
        live_keys(&shop, LIVE)?;
        let waiting = phase.so_far().growth_bytes();
        scheduler.resume(TaskPriority::Normal);
        await_requests(&shop, 1 + (number + 1) * LIVE)?;
        Ok((waiting, phase.stop().growth_bytes()))
    };
    let (waiting, kept) = wave(0)?;
    let (_, after) = wave(1)?;
    live_keys(&shop, 0)?;
    shop.close(1 + 2 * LIVE, 0, 0)?;
    Ok(Found {
        built: built as f64,
        waiting: waiting as f64,
        kept: kept as f64,
        after: after as f64,
    })
}

/// Checks how many keys have requests.
fn live_keys(shop: &Shop, expected: u64) -> Result<()> {
    match shop.pool.scheduler().statistics().live_keys as u64 {
        live if live == expected => Ok(()),
        live => Err(format!("{live} keys have requests, not {expected}").into()),
    }
}

/// Waits until so many requests in all have their outcomes and no key is left. A key goes after its last request,
/// which is a moment after the service is done with it.
fn await_requests(shop: &Shop, count: u64) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while shop.pool.statistics().total().finished() < count
        || shop.pool.scheduler().statistics().live_keys > 0
    {
        if Instant::now() >= limit {
            let done = shop.pool.statistics().total().finished();
            return Err(format!("{done} of {count} requests were done within {PATIENCE:?}").into());
        }
        std::thread::yield_now();
    }
    Ok(())
}
