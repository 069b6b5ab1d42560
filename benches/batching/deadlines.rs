//! Requests with deadlines, at 70 % of what full batches can bear: how many are not answered in time?
//!
//! Small batches cannot bear the load at all, and large ones make the urgent requests late. Everybody gets the same
//! arrivals, in slices by turns, and has the same linger. A request is missed if its deadline passed before it was
//! run or before its answer was seen, or if there was no room for it.

use std::time::Duration;

use lanepool::LaneConfig;
use lanepool_bench::{
    Bound, Report, Result,
    figure::amount,
    random::{arrivals, scatter},
};

use crate::{
    open_loop::{self, Fates},
    service::{COSTS, Cost},
    shop::{Shop, config},
    throughput::{MOST, Sizing},
};

const SEED: u64 = 0xDEAD_11E5;
const LOAD: f64 = 0.7;
/// As many may wait as a pool can be behind by until the deadlines of those that come last have passed.
const CAPACITY: usize = 1 << 14;
const WARM_UP: Duration = Duration::from_millis(60);
/// How long requests have: so many times as long as the largest batch takes. One in four is urgent and one in four is
/// not.
const LIVES: [u32; 4] = [3, 8, 8, 30];

struct Entry {
    sizing: Sizing,
    shop: Shop,
    asked: u64,
    /// Of the warm-up.
    before: Fates,
    fates: Fates,
}

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(9, 3);
    let slice = Duration::from_millis(report.choose(150, 50));
    for cost in COSTS {
        let figure = format!("deadlines, {}", cost.name());
        eprintln!("{figure}: {rounds} rounds of {slice:?} each");
        if let Err(error) = compare(report, &figure, cost, rounds, slice) {
            report.fail(&figure, &error);
        }
    }
}

fn compare(
    report: &mut Report,
    figure: &str,
    cost: Cost,
    rounds: u64,
    slice: Duration,
) -> Result<()> {
    let open = |sizing| Entry::open(sizing, cost);
    let mut field = Sizing::ALL
        .into_iter()
        .map(open)
        .collect::<Result<Vec<Entry>>>()?;
    for round in 0..rounds {
        let all = field.len() as u64;
        for at in (0..all).map(|at| (at + round) % all) {
            let entry = &mut field[at as usize];
            let fates = entry.slice(cost, round, slice)?;
            entry.fates.add(fates);
        }
    }
    show(report, figure, cost, &field);
    judge(report, figure, &field);
    field.into_iter().try_for_each(Entry::close)
}

impl Entry {
    fn open(sizing: Sizing, cost: Cost) -> Result<Self> {
        let mut config = config(1, sizing.batching());
        for lane in &mut config.lanes {
            *lane = LaneConfig {
                capacity: CAPACITY,
                ..lane.clone()
            };
        }
        let mut entry = Self {
            sizing,
            shop: Shop::open(cost, config)?,
            asked: 0,
            before: Fates::default(),
            fates: Fates::default(),
        };
        entry.before = entry.slice(cost, u64::MAX, WARM_UP)?;
        Ok(entry)
    }

    fn slice(&mut self, cost: Cost, round: u64, time: Duration) -> Result<Fates> {
        let due = arrivals(SEED ^ round, 1.0 / (cost.capacity(MOST) * LOAD), time);
        // A batch of the largest size is what makes a deadline tight or not.
        let whole = cost.of(MOST);
        let lifetime =
            |number| Some(whole * LIVES[(scatter(number) % LIVES.len() as u64) as usize]);
        let fates = open_loop::run(&self.shop, &due, self.asked, lifetime)?;
        self.asked += due.len() as u64;
        Ok(fates)
    }

    /// Of the rounds.
    fn asked_in_rounds(&self) -> u64 {
        self.fates.accepted + self.fates.refused
    }

    fn missed_percent(&self) -> f64 {
        self.fates.missed() as f64 * 100.0 / self.asked_in_rounds() as f64
    }

    fn close(self) -> Result<()> {
        let mut all = self.before;
        all.add(self.fates);
        self.shop.close(all.accepted, 0, all.expired)
    }
}

fn show(report: &mut Report, figure: &str, cost: Cost, field: &[Entry]) {
    let mut rows = Vec::new();
    for entry in field {
        let Fates {
            expired,
            late,
            refused,
            ..
        } = &entry.fates;
        let all = entry.asked_in_rounds() as f64;
        let percent = |count: &u64| *count as f64 * 100.0 / all;
        if report.is_json() {
            let name = format!("{figure}, {}: missed", entry.sizing.name());
            report.record(name, entry.missed_percent(), "%", Bound::None);
        }
        rows.push(vec![
            entry.sizing.name(),
            amount(entry.missed_percent()),
            amount(percent(expired)),
            amount(percent(late)),
            amount(percent(refused)),
            amount(entry.shop.batches().mean_size()),
        ]);
    }
    let whole = cost.of(MOST).as_micros() as u32;
    let about = format!(
        "{} requests in all, each with {}, {} (twice as many) or {} µs to live; 1 worker",
        field.first().map_or(0, Entry::asked_in_rounds),
        whole * LIVES[0],
        whole * LIVES[1],
        whole * LIVES[3],
    );
    let heads = [
        "sizes",
        "missed, %",
        "expired, %",
        "answered late, %",
        "refused, %",
        "requests a batch",
    ];
    report.table(figure, &about, &heads.map(str::to_owned), &rows);
}

fn judge(report: &mut Report, figure: &str, field: &[Entry]) {
    let [adaptive, fixed @ ..] = field else {
        return;
    };
    let best = fixed
        .iter()
        .min_by(|a, b| a.missed_percent().total_cmp(&b.missed_percent()));
    if let Some(best) = best {
        let missed = adaptive.missed_percent();
        report.record(
            format!("{figure}: missed by adaptive"),
            missed,
            "%",
            Bound::None,
        );
        // A difference and not a ratio, because the best may miss none.
        report.record(
            format!("{figure}: the same less the best, {}", best.sizing.name()),
            missed - best.missed_percent(),
            "% points",
            Bound::AtMost(0.0),
        );
    }
}
