//! W8: a service that answers many requests at a time, called by async clients on one thread.
//!
//! A batch of `n` requests costs `a + b * n` of CPU time. That is a fixed amount of arithmetic, measured once in
//! each process, and not a time to wait for, so a worker that is preempted has its batch still to do.

use std::{sync::Arc, time::Duration};

use lanepool_bench::{
    Result,
    busy::Busy,
    compare::{
        Better, Condition, Kind, Measurement, Metric, Outline, Results,
        measurement::Column,
        ratio::{Rivals, within_rounds},
    },
};

use super::{
    Amount, BOTH, NEVER, QUIET, Setting, Values, cases,
    clients::{Fared, call_in_turn, first_of},
    no_such_case,
    requests::answer,
    tally::{self, Totals, sum_below},
};
use crate::contender::{Calls, Contender, Serve, ServeBatch, Shape};

/// A bound that holds all clients at once, so that nobody waits for room.
const SHAPE: Shape = Shape {
    workers: 2,
    capacity: 1024,
};

/// The same clients call for so long before anything is measured, so that who learns has learnt.
const WARM_UP_MS: u64 = 60;
/// What the numbers of a client's requests are ahead of those of its warm-up.
const MEASURED: u64 = 1 << 31;

const SPEED: Metric = Metric {
    name: "requests_k_per_s",
    title: "thousand requests/s",
    better: Better::Higher,
};
const BESIDE: Metric = Metric {
    name: "requests_beside_best",
    title: "requests/s, as a multiple of the best rival's",
    better: Better::Higher,
};
const METRICS: &[Metric] = &[
    SPEED,
    BESIDE,
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
    // No size is better than another; the order is that of the rows.
    Metric {
        name: "requests_per_batch",
        title: "requests a batch",
        better: Better::Higher,
    },
    Metric {
        name: "cpu_ns_per_request",
        title: "CPU ns a request",
        better: Better::Lower,
    },
];

pub(crate) fn outline() -> Outline {
    Outline {
        name: "W8",
        title: "batch service",
        about: "A service that answers a batch of n requests at a cost of a + b·n of CPU time, in batches of at most \
            32, which is this project's default, or 64; 2 workers. Async clients on one thread (a tokio runtime of \
            one thread) that call, await the answer and call again. No rival forms batches: each has those that \
            its users write by hand, as its note says.",
        metrics: METRICS,
        cases: cases(settings()),
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let amount = Amount::Milliseconds {
        full: 500,
        quick: 80,
    };
    [
        // First, because the first case ranks the contenders.
        (10, 1, 64, 32, BOTH, QUIET),
        (100, 1, 64, 32, QUIET, QUIET),
        (1, 10, 64, 32, QUIET, NEVER),
        (10, 1, 1, 32, QUIET, NEVER),
        (10, 1, 512, 32, QUIET, NEVER),
        // One batch may hold the requests of all clients, which leaves nothing for the other worker.
        (10, 1, 64, 64, QUIET, NEVER),
    ]
    .map(|(fixed, each, clients, most, full, quick)| {
        let plural = if clients == 1 { "" } else { "s" };
        let setting = Setting::new(
            format!("{fixed}us-{each}us-clients-{clients}-most-{most}"),
            format!("{fixed} + {each}·n µs, {clients} client{plural}, n ≤ {most}"),
            amount,
        );
        setting.full(full).quick(quick)
    })
    .into()
}

/// What a batch costs, the clients, and the most requests of a batch.
#[derive(Clone, Copy, Debug)]
struct Load {
    fixed: Duration,
    each: Duration,
    clients: usize,
    most: usize,
}

fn parse(case: &str) -> Option<Load> {
    let (cost, clients) = case.split_once("us-clients-")?;
    let (fixed, each) = cost.split_once("us-")?;
    let microseconds = |text: &str| text.parse().ok().map(Duration::from_micros);
    let (clients, most) = clients.split_once("-most-")?;
    let load = Load {
        fixed: microseconds(fixed)?,
        each: microseconds(each)?,
        clients: clients.parse().ok()?,
        most: most.parse().ok()?,
    };
    (load.clients > 0 && load.most > 0).then_some(load)
}

/// Keeps a CPU busy for what a batch costs, and counts batches and requests.
#[derive(Clone)]
struct Emulated {
    fixed: Busy,
    each: Busy,
    most: usize,
}

impl Serve for Emulated {
    #[inline]
    fn serve(&self, request: u64) -> u64 {
        // One more, so that number 0 counts as well.
        tally::add_second(request + 1);
        answer(request)
    }
}

impl ServeBatch for Emulated {
    fn prepare(&self, requests: usize) {
        assert!((1..=self.most).contains(&requests), "a batch of {requests}");
        tally::add(requests as u64, 0);
        self.fixed.and(self.each.times(requests as u32)).run();
    }
}

pub(crate) fn run<C: Contender>(case: &str, milliseconds: u64) -> Result<Values> {
    let load = parse(case).ok_or_else(|| no_such_case(case))?;
    let service = Emulated {
        fixed: Busy::of(load.fixed),
        each: Busy::of(load.each),
        most: load.most,
    };
    let pool = Arc::new(C::batches(SHAPE, load.most, service));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (warm_up, before, fared) = runtime.block_on(async {
        let warm_up = call_in_turn(&pool, load.clients, 0, WARM_UP_MS).await?;
        // Everything is answered, so nothing is counted at the moment.
        let before = tally::totals();
        let fared = call_in_turn(&pool, load.clients, MEASURED, milliseconds).await?;
        Result::Ok((warm_up, before, fared))
    })?;
    // The runtime's tasks hold the pool until it is gone.
    drop(runtime);
    Arc::into_inner(pool)
        .ok_or("a client outlived its runtime")?
        .finish();
    let after = tally::totals();
    check(before, &[(&warm_up, 0)])?;
    check(after, &[(&warm_up, 0), (&fared, MEASURED)])?;
    Ok(values(&fared, before, after))
}

/// Checks that the service was told of each request once, and answered each once.
fn check(found: Totals, called: &[(&Fared, u64)]) -> Result<()> {
    let mut expected = Totals {
        tasks: found.tasks,
        ..Totals::default()
    };
    for (fared, offset) in called {
        expected.first += fared.requests();
        for (client, count) in fared.counts().enumerate() {
            // From `first` on: each number and one.
            let first = first_of(client) + offset + 1;
            let sum = count.wrapping_mul(first).wrapping_add(sum_below(count));
            expected.second = expected.second.wrapping_add(sum);
        }
    }
    if found == expected {
        return Ok(());
    }
    Err(format!("the batches left {found:?}, not {expected:?}").into())
}

fn values(fared: &Fared, before: Totals, after: Totals) -> Values {
    let requests = fared.requests() as f64;
    let batches = (after.tasks - before.tasks) as f64;
    let rate = requests / fared.elapsed.as_secs_f64();
    let mut values = vec![(SPEED.name, rate / 1e3)];
    values.extend(fared.percentiles());
    values.push(("requests_per_batch", requests / batches));
    values.push(("cpu_ns_per_request", fared.used.cpu_ns as f64 / requests));
    values
}

/// How this project compares with the best rival.
pub(crate) fn derive(results: &mut Results, condition: Condition) {
    let outline = outline();
    for case in &outline.cases {
        let column = results.column(Column {
            condition,
            workload: outline.name,
            case: &case.name,
            metric: SPEED.name,
        });
        for series in column.iter().filter(|series| series.kind == Kind::Ours) {
            let Some(ratio) = within_rounds(series, &column, Rivals::All, SPEED.better) else {
                continue;
            };
            results.push(Measurement {
                workload: outline.name,
                case: case.name.clone(),
                contender: series.contender,
                kind: series.kind,
                condition,
                round: 0,
                values: vec![(BESIDE.name.to_owned(), ratio.median)],
            });
        }
    }
}
