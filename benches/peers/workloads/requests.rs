//! The requests and answers that the clients share.

use std::time::{Duration, Instant};

use lanepool_bench::{Result, process, samples, threads::Usage};

use crate::contender::{Calls, Priority, Serve};

/// A service that costs next to nothing, and whose answer nothing but the request can have led to.
#[derive(Clone, Copy)]
pub(crate) struct Hash;

impl Serve for Hash {
    #[inline]
    fn serve(&self, request: u64) -> u64 {
        answer(request)
    }
}

/// To a request.
#[inline]
pub(crate) fn answer(request: u64) -> u64 {
    (request ^ (request >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D
}

#[inline]
pub(crate) fn check(request: u64, reply: u64) -> Result<()> {
    if reply == answer(request) {
        return Ok(());
    }
    Err(format!(
        "request {request} was answered with {reply}, not {}",
        answer(request)
    )
    .into())
}

/// Calls and checks, so that caches, threads and allocators are past their first time.
pub(crate) fn warm_up(pool: &impl Calls, calls: u64) -> Result<()> {
    (0..calls).try_for_each(|request| check(request, pool.call(request, Priority::Normal)))
}

/// The same by awaiting.
pub(crate) async fn warm_up_async(pool: &impl Calls, calls: u64) -> Result<()> {
    for request in 0..calls {
        let reply = pool.call_async(request, Priority::Normal).await;
        check(request, reply)?;
    }
    Ok(())
}

/// A stretch of calls: what the process used in it, and how long it has lasted.
pub(crate) struct Stretch {
    before: Usage,
    pub(crate) began: Instant,
    pub(crate) end: Instant,
}

impl Stretch {
    /// Begins now and should last this long.
    pub(crate) fn begin(milliseconds: u64) -> Result<Self> {
        let before = process::usage()?;
        let began = Instant::now();
        Ok(Self {
            before,
            began,
            end: began + Duration::from_millis(milliseconds),
        })
    }

    /// What the process has used since the beginning.
    pub(crate) fn used(&self) -> Result<Usage> {
        Ok(process::usage()? - self.before)
    }
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

/// The values at these ranks, under these names. Sorts the times.
pub(crate) fn percentiles(
    times_us: &mut [f64],
    ranks: &[(&'static str, f64)],
) -> Vec<(&'static str, f64)> {
    ranks
        .iter()
        .map(|&(name, rank)| (name, samples::percentile(times_us, rank)))
        .collect()
}
