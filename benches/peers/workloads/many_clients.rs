//! W3: async clients on one thread, each of which calls, awaits, and calls again.

use std::{sync::Arc, time::Instant};

use lanepool_bench::{
    Result,
    compare::{Better, Metric, Outline},
};
use tokio::task::JoinHandle;

use super::{
    Amount, BOTH, QUIET, Setting, Values, cases, no_such_case,
    requests::{Hash, Stretch, check, microseconds, percentiles, warm_up_async},
};
use crate::contender::{Calls, Contender, Priority, Shape};

/// A bound that holds all clients at once, so that nobody waits for room.
const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 1024,
};
const WARM_UP: u64 = 1000;

const METRICS: &[Metric] = &[
    Metric {
        name: "requests_m_per_s",
        title: "M requests/s",
        better: Better::Higher,
    },
    Metric {
        name: "p50_us",
        title: "p50, µs",
        better: Better::Lower,
    },
    Metric {
        name: "p99_us",
        title: "p99, µs",
        better: Better::Lower,
    },
    Metric {
        name: "switches_per_request",
        title: "voluntary switches a request",
        better: Better::Lower,
    },
    Metric {
        name: "cpu_ns_per_request",
        title: "CPU ns a request",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W3",
        title: "many clients",
        about: "Async clients on one thread (a tokio runtime of one thread) that call, await the answer and \
            call again; 2 workers.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 500,
        quick: 80,
    };
    let setting =
        |clients: usize, title: &str| Setting::new(format!("clients-{clients}"), title, amount);
    vec![
        setting(1, "1 client"),
        setting(64, "64 clients").quick(BOTH),
        setting(1024, "1,024 clients").quick(QUIET),
    ]
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let clients: usize = case
        .strip_prefix("clients-")
        .and_then(|clients| clients.parse().ok())
        .ok_or_else(|| no_such_case(case))?;
    let pool = Arc::new(C::calls(SHAPE, Hash));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let values = runtime.block_on(async {
        warm_up_async(&*pool, WARM_UP).await?;
        // Room for a request of 0.1 µs each, so that the lists hardly ever move.
        let room = milliseconds as usize * 10_000 / clients;
        let stretch = Stretch::begin(milliseconds)?;
        let clients: Vec<JoinHandle<Result<Vec<f64>>>> = (0..clients)
            .map(|client| {
                let (pool, end) = (Arc::clone(&pool), stretch.end);
                tokio::spawn(async move { live(&*pool, client, end, room).await })
            })
            .collect();
        let mut lives = Vec::with_capacity(clients.len());
        for client in clients {
            lives.push(client.await??);
        }
        values(&stretch, &lives)
    })?;
    // The runtime's tasks hold the pool until it is gone.
    drop(runtime);
    Arc::into_inner(pool)
        .ok_or("a client outlived its runtime")?
        .finish();
    Ok(values)
}

/// The life of one client; returns how long its requests took.
async fn live(pool: &impl Calls, client: usize, end: Instant, room: usize) -> Result<Vec<f64>> {
    let mut times_us = Vec::with_capacity(room);
    let mut request = (client as u64) << 32;
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

fn values(stretch: &Stretch, lives: &[Vec<f64>]) -> Result<Values> {
    let (elapsed, used) = (stretch.began.elapsed(), stretch.used()?);
    let mut times_us = lives.concat();
    let requests = times_us.len() as f64;
    let mut values = vec![("requests_m_per_s", requests / elapsed.as_secs_f64() / 1e6)];
    values.extend(percentiles(
        &mut times_us,
        &[("p50_us", 0.5), ("p99_us", 0.99)],
    ));
    values.push(("switches_per_request", used.voluntary as f64 / requests));
    values.push(("cpu_ns_per_request", used.cpu_ns as f64 / requests));
    Ok(values)
}
