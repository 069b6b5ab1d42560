//! Who asks: clients that wait for their answers, and arrivals that do not wait for anybody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lanepool_bench::Result;
use tokio::task::JoinHandle;

use super::Rival;
use crate::service::check;

/// How a slice of time went.
pub(super) struct Slice {
    /// In microseconds.
    pub(super) latencies_us: Vec<f64>,
    /// Until the last answer.
    pub(super) took: Duration,
}

/// So many clients call, await, and call again, for this long. Numbers of requests count up from `first`.
pub(super) async fn closed_loop<R: Rival>(
    rival: &Arc<R>,
    clients: usize,
    first: u64,
    time: Duration,
) -> Result<Slice> {
    let began = Instant::now();
    let end = began + time;
    let live = |client: usize| {
        let rival = Arc::clone(rival);
        async move {
            let mut latencies_us = Vec::new();
            let mut number = first + client as u64;
            let mut asked = Instant::now();
            while asked < end {
                check(number, rival.call(number).await?)?;
                // One look at the clock ends a request and begins the next.
                let now = Instant::now();
                latencies_us.push(microseconds(now - asked));
                asked = now;
                number += clients as u64;
            }
            Ok(latencies_us)
        }
    };
    let clients: Vec<JoinHandle<Result<Vec<f64>>>> = (0..clients)
        .map(|client| tokio::spawn(live(client)))
        .collect();
    let mut latencies_us = Vec::new();
    for client in clients {
        latencies_us.extend(client.await??);
    }
    Ok(Slice {
        latencies_us,
        took: began.elapsed(),
    })
}

/// A request at each of these times, whatever became of those before.
pub(super) async fn open_loop<R: Rival>(
    rival: &Arc<R>,
    due: &[Duration],
    first: u64,
) -> Result<Slice> {
    // A little later, so that the first one is not late before anything has begun.
    let began = Instant::now() + Duration::from_millis(1);
    let mut arrivals: Vec<JoinHandle<Result<f64>>> = Vec::with_capacity(due.len());
    for (number, &due) in (first..).zip(due) {
        let due = began + due;
        // The others run meanwhile.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        let rival = Arc::clone(rival);
        arrivals.push(tokio::spawn(async move {
            check(number, rival.call(number).await?)?;
            Ok(microseconds(due.elapsed()))
        }));
    }
    let mut latencies_us = Vec::with_capacity(due.len());
    for arrival in arrivals {
        latencies_us.push(arrival.await??);
    }
    Ok(Slice {
        latencies_us,
        took: began.elapsed(),
    })
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}
