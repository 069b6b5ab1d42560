//! How full batches are while enough for a full one waits.
//!
//! A caller keeps 512 requests in flight, so that more than a batch waits whenever a worker comes for one. *Fill*
//! is the pool's own figure: requests given to the service beside the sizes that the batches were to have, over
//! those that closed while a batch's worth was there. Beside it stands the same over *all* batches, from what
//! the service saw: on this load the two must hardly differ.

use std::time::Duration;

use lanepool::{BatchProcessorConfig, BatchStatistics, CloseReason};
use lanepool_bench::{Bound, Report, Result, figure::amount};

use crate::{
    saturated::Caller,
    service::{COSTS, Cost},
    shop::{Shop, config},
};

const FILL: f64 = 0.9;
const WARM_UP: Duration = Duration::from_millis(20);

/// Who asks, and how many workers there are.
struct Case {
    name: &'static str,
    workers: usize,
    /// One request in so many is given up; none if 0.
    give_up_every: u64,
}

const CASES: [Case; 3] = [
    Case {
        name: "1 worker",
        workers: 1,
        give_up_every: 0,
    },
    Case {
        name: "2 workers",
        workers: 2,
        give_up_every: 0,
    },
    Case {
        name: "1 worker, 1 in 10 cancelled",
        workers: 1,
        give_up_every: 10,
    },
];

pub(crate) fn measure(report: &mut Report) {
    let time = Duration::from_millis(report.choose(400, 60));
    eprintln!(
        "fill: {} services, {time:?} each, {} times",
        COSTS.len(),
        CASES.len()
    );
    let mut rows = Vec::new();
    for case in &CASES {
        for cost in COSTS {
            let figure = format!("fill, {}, {}", cost.name(), case.name);
            match run(cost, case, time) {
                Ok(found) => {
                    report.record(&figure, found.fill, "of wanted", Bound::AtLeast(FILL));
                    if report.is_json() {
                        found.record(report, &figure);
                    } else {
                        rows.push(found.row(cost, case));
                    }
                }
                Err(error) => report.fail(&figure, &error),
            }
        }
    }
    report.table(
        "fill",
        "512 requests in flight, batches of at most 32, everything as by default but the number of workers. \
         The learned curve is a fixed part and one for each request",
        &HEADS.map(str::to_owned),
        &rows,
    );
}

const HEADS: [&str; 9] = [
    "service",
    "case",
    "fill",
    "fill of all batches",
    "requests a batch",
    "closed full, %",
    "target",
    "amortisation",
    "learned curve, µs",
];

struct Found {
    fill: f64,
    fill_of_all: f64,
    statistics: BatchStatistics,
}

fn run(cost: Cost, case: &Case, time: Duration) -> Result<Found> {
    let shop = Shop::open(cost, config(case.workers, BatchProcessorConfig::new()))?;
    let mut caller = Caller::giving_up(shop, case.give_up_every);
    caller.run(WARM_UP)?;
    caller.run(time)?;
    // Before the last requests of all, which do not fill a batch.
    let statistics = caller.shop.batches();
    caller.close()?;
    if statistics.backlogged_wanted == 0 {
        return Err("no batch was closed while a batch's worth was there".into());
    }
    Ok(Found {
        fill: statistics.fill(),
        fill_of_all: statistics.requests as f64 / statistics.wanted as f64,
        statistics,
    })
}

impl Found {
    fn figures(&self) -> [(&'static str, f64, &'static str); 5] {
        let batches = self.statistics.batches() as f64;
        let full = self.statistics.closed(CloseReason::Full) as f64;
        [
            ("of all batches", self.fill_of_all, "of wanted"),
            ("requests a batch", self.statistics.mean_size(), "requests"),
            ("closed full", full * 100.0 / batches, "%"),
            ("target", self.statistics.target_size as f64, "requests"),
            ("amortisation", self.statistics.amortisation(), "x"),
        ]
    }

    /// Fixed part and part for each request, in microseconds.
    fn curve_us(&self) -> Option<[f64; 2]> {
        let curve = self.statistics.curve?;
        Some([curve.fixed, curve.per_request].map(|part| part.as_nanos() as f64 / 1000.0))
    }

    fn record(&self, report: &mut Report, figure: &str) {
        for (name, value, unit) in self.figures() {
            report.record(format!("{figure}, {name}"), value, unit, Bound::None);
        }
        for (name, part) in ["fixed", "per request"]
            .into_iter()
            .zip(self.curve_us().unwrap_or_default())
        {
            report.record(format!("{figure}, learned {name}"), part, "µs", Bound::None);
        }
    }

    fn row(&self, cost: Cost, case: &Case) -> Vec<String> {
        let mut row = vec![cost.name(), case.name.to_owned(), amount(self.fill)];
        row.extend(self.figures().iter().map(|(_, value, _)| amount(*value)));
        row.push(match self.curve_us() {
            Some([fixed, per_request]) => format!("{fixed:.1} + {per_request:.2} n"),
            None => "-".to_owned(),
        });
        row
    }
}
