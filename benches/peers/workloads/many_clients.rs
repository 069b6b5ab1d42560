//! W3: async clients on one thread, each of which calls, awaits, and calls again.

use std::sync::Arc;

use lanepool_bench::{
    Result,
    compare::{Better, Metric, Outline},
};

use super::{
    Amount, BOTH, QUIET, Setting, Values, cases,
    clients::{Fared, call_in_turn},
    no_such_case,
    requests::{Hash, warm_up_async},
};
use crate::contender::{Calls, Contender, Shape};

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
    let fared = runtime.block_on(async {
        warm_up_async(&*pool, WARM_UP).await?;
        call_in_turn(&pool, clients, 0, milliseconds).await
    })?;
    // The runtime's tasks hold the pool until it is gone.
    drop(runtime);
    Arc::into_inner(pool)
        .ok_or("a client outlived its runtime")?
        .finish();
    Ok(values(&fared))
}

fn values(fared: &Fared) -> Values {
    let requests = fared.requests() as f64;
    let rate = requests / fared.elapsed.as_secs_f64();
    let each = |total: u64| total as f64 / requests;
    let mut values = vec![("requests_m_per_s", rate / 1e6)];
    values.extend(fared.percentiles());
    values.push(("switches_per_request", each(fared.used.voluntary)));
    values.push(("cpu_ns_per_request", each(fared.used.cpu_ns)));
    values
}
