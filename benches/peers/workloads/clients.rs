//! Async clients on one thread, each of which calls, awaits, and calls again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lanepool_bench::{Result, threads::Usage};
use tokio::task::JoinHandle;

use super::{
    Values,
    requests::{Stretch, check, microseconds, percentiles},
};
use crate::contender::{Calls, Priority};

/// How clients fared.
pub(crate) struct Fared {
    pub(crate) elapsed: Duration,
    /// By the whole process.
    pub(crate) used: Usage,
    /// How long its requests took, for each client.
    times_us: Vec<Vec<f64>>,
}

/// Has so many clients call for so long. The runtime that this runs on is theirs, and has one thread.
///
/// A client's requests count up from [`first_of`] it plus `offset`.
pub(crate) async fn call_in_turn<P: Calls>(
    pool: &Arc<P>,
    clients: usize,
    offset: u64,
    milliseconds: u64,
) -> Result<Fared> {
    // Room for a request of 0.1 µs each, so that the lists hardly ever move.
    let room = milliseconds as usize * 10_000 / clients;
    let stretch = Stretch::begin(milliseconds)?;
    let clients: Vec<JoinHandle<Result<Vec<f64>>>> = (0..clients)
        .map(|client| {
            let (pool, end) = (Arc::clone(pool), stretch.end);
            let first = first_of(client) + offset;
            tokio::spawn(async move { live(&*pool, first, end, room).await })
        })
        .collect();
    let mut times_us = Vec::with_capacity(clients.len());
    for client in clients {
        times_us.push(client.await??);
    }
    Ok(Fared {
        elapsed: stretch.began.elapsed(),
        used: stretch.used()?,
        times_us,
    })
}

/// The first number of this client, which has 2³² of them.
pub(crate) fn first_of(client: usize) -> u64 {
    (client as u64) << 32
}

/// The life of one client; returns how long its requests took.
async fn live(pool: &impl Calls, first: u64, end: Instant, room: usize) -> Result<Vec<f64>> {
    let mut times_us = Vec::with_capacity(room);
    let mut request = first;
    let mut began = Instant::now();
    while began < end {
        let reply = pool.call_async(request, Priority::Normal).await;
        // One look at the clock ends a request and begins the next.
        let now = Instant::now();
        times_us.push(microseconds(now - began));
        began = now;
        check(request, reply)?;
        request += 1;
    }
    Ok(times_us)
}

impl Fared {
    /// How many requests each client had answered.
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> {
        self.times_us.iter().map(|times_us| times_us.len() as u64)
    }

    /// How many requests were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.counts().sum()
    }

    /// `p50_us` and `p99_us` of all of them.
    pub(crate) fn percentiles(&self) -> Values {
        let mut times_us = self.times_us.concat();
        percentiles(&mut times_us, &[("p50_us", 0.5), ("p99_us", 0.99)])
    }
}
