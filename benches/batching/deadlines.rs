//! Bursts of requests with deadlines, at 70 % of what full batches can bear: how many are not answered in time?
//!
//! Small batches cannot bear the load of a service that is all overhead, and large ones make the urgent requests late where
//! each request costs much. Everybody gets the same arrivals, in slices by turns, and has the same linger. A
//! request is missed if its deadline passed before it was run or before its answer was seen, or if there was no
//! room for it. Of each slice the share of misses is taken, and of a contender's slices the median, which a machine that
//! stood still for a while does not move. A slice in which the pool or the caller had to wait for a CPU is repeated some
//! times, where the machine tells: who is behind by more than the deadlines misses all of them, whatever the sizes.
//!
//! A pool that knows the deadlines must not miss more of them than one that does not: beside the others stands an adaptive
//! one that is not told, whose answers are late or not.
//!
//! No fixed size is good for every service; so beside the verdicts for each there is one for all of them together.

use std::time::Duration;

use lanepool::WorkerPoolConfig;
use lanepool_bench::{
    Bound, Report, Result,
    figure::amount,
    random::{arrivals, scatter},
    samples,
    threads::{self, Others, Usage},
};

use crate::{
    open_loop::{self, Deadlines, Fates},
    service::{COSTS, Cost},
    shop::{Shop, config},
    throughput::{MOST, Sizing},
    turned::{self, Turned},
};

const SEED: u64 = 0xDEAD_11E5;
const LOAD: f64 = 0.7;
/// As many may wait as a pool can be behind by until the deadlines of those that come last have passed.
const CAPACITY: usize = 1 << 14;
const WARM_UP: Duration = Duration::from_millis(60);
/// The most requests that come at once; from one to so many are equally likely.
const BURST: u64 = 31;
/// How long requests have: so many times as long as the largest batch takes. One in four is urgent and one in four is
/// not.
const LIVES: [u32; 4] = [2, 4, 4, 16];

const HEADS: [&str; 6] = [
    "sizes",
    "missed, %",
    "expired, %",
    "answered late, %",
    "refused, %",
    "requests a batch",
];

/// Who is compared: adaptive sizes, the same without telling the pool of the deadlines, and every fixed size.
fn field() -> impl Iterator<Item = Contender> {
    let told = Sizing::ALL.map(|sizing| Contender { sizing, told: true });
    let [adaptive, fixed @ ..] = told;
    let untold = Contender {
        told: false,
        ..adaptive
    };
    [adaptive, untold].into_iter().chain(fixed)
}

/// How often a slice is measured until its threads had CPUs.
const ATTEMPTS: u32 = 4;
/// The part of a slice for which its threads may have waited for a CPU, all together.
const WAITED: u32 = 100;

#[derive(Clone, Copy)]
struct Contender {
    sizing: Sizing,
    /// Whether the pool knows the deadlines.
    told: bool,
}

impl Contender {
    fn name(self) -> String {
        let name = self.sizing.name();
        if self.told {
            name
        } else {
            format!("{name}, not told")
        }
    }
}

struct Entry {
    contender: Contender,
    shop: Shop,
    asked: u64,
    /// Of the warm-up and all rounds.
    fates: Fates,
    /// By round, in percent.
    missed: Vec<f64>,
    /// For how long the threads had no CPU though they could have run, in the slices that count.
    waited_ns: u64,
}

/// The medians of the contenders, in their order: percent that were missed.
type Missed = Vec<f64>;

/// How one service is measured with all contenders: the figure's name, how many slices, and how long each is.
type Compare = fn(&mut Report, &str, Cost, u64, Duration) -> Result<Missed>;

/// First on a clock that only the service turns, then in real time.
pub(crate) fn measure(report: &mut Report) {
    measure_all(report, "deadlines by the service's clock", compare_turned);
    measure_all(report, "deadlines", compare);
}

fn measure_all(report: &mut Report, title: &str, compare: Compare) {
    let rounds = report.choose(20, 5);
    let slice = Duration::from_millis(report.choose(80, 30));
    let mut all: Vec<Missed> = Vec::new();
    for cost in COSTS {
        let figure = format!("{title}, {}", cost.name());
        eprintln!("{figure}: {rounds} rounds of {slice:?} each");
        match compare(report, &figure, cost, rounds, slice) {
            Ok(missed) => {
                judge(report, &figure, &missed);
                all.push(missed);
            }
            Err(error) => report.fail(&figure, &error),
        }
    }
    let mean = |at: usize| all.iter().map(|missed| missed[at]).sum::<f64>() / all.len() as f64;
    if all.len() == COSTS.len() {
        let missed: Missed = (0..field().count()).map(mean).collect();
        judge(report, &format!("{title}, mean of all services"), &missed);
    }
}

fn compare_turned(
    report: &mut Report,
    figure: &str,
    cost: Cost,
    rounds: u64,
    slice: Duration,
) -> Result<Missed> {
    let mut missed = Vec::new();
    let mut rows = Vec::new();
    for contender in field() {
        let config = roomy(config(1, contender.sizing.batching()));
        let turned = Turned::open(cost, config, contender.told)?;
        let mut sum = turned::Fates::default();
        let mut first = 0;
        for round in 0..=rounds {
            let due = arrivals_of(cost, round, slice);
            let numbered = (first..).zip(&due);
            let fates = turned.run(numbered.map(|(number, due)| (*due, lifetime(cost, number))))?;
            first += due.len() as u64;
            // In the first one it learns what batches cost.
            if round > 0 {
                sum += fates;
            }
        }
        let percent = |count: u64| amount(count as f64 * 100.0 / sum.asked as f64);
        rows.push(vec![
            contender.name(),
            amount(sum.missed()),
            percent(sum.expired),
            percent(sum.late),
            percent(sum.refused),
            amount(turned.mean_size()),
        ]);
        if report.is_json() {
            let name = format!("{figure}, {}: missed", contender.name());
            report.record(name, sum.missed(), "%", Bound::None);
        }
        missed.push(sum.missed());
    }
    let about = "The same arrivals; a batch takes what it is to cost by the clock that the service turns, and all else \
                 no time. The same in every run";
    report.table(figure, about, &HEADS.map(str::to_owned), &rows);
    Ok(missed)
}

fn compare(
    report: &mut Report,
    figure: &str,
    cost: Cost,
    rounds: u64,
    slice: Duration,
) -> Result<Missed> {
    let mut field = field()
        .map(|contender| Entry::open(contender, cost))
        .collect::<Result<Vec<Entry>>>()?;
    for round in 0..rounds {
        let all = field.len() as u64;
        for at in (0..all).map(|at| (at + round) % all) {
            field[at as usize].undisturbed(cost, round, slice)?;
        }
    }
    show(report, figure, cost, &field);
    let missed = field.iter().map(Entry::median).collect();
    field.into_iter().try_for_each(Entry::close)?;
    Ok(missed)
}

impl Entry {
    fn open(contender: Contender, cost: Cost) -> Result<Self> {
        let config = roomy(config(1, contender.sizing.batching()));
        let mut entry = Self {
            contender,
            shop: Shop::open(cost, config)?,
            asked: 0,
            fates: Fates::default(),
            missed: Vec::new(),
            waited_ns: 0,
        };
        entry.slice(cost, u64::MAX, WARM_UP)?;
        Ok(entry)
    }

    /// Runs a slice until its threads have CPUs; of those that did not, the one that comes nearest to that counts.
    fn undisturbed(&mut self, cost: Cost, round: u64, time: Duration) -> Result<()> {
        let mut best = (u64::MAX, 0.0);
        for _ in 0..ATTEMPTS {
            let earlier = usage();
            let missed = self.slice(cost, round, time)?;
            let waited_ns = match (earlier, usage()) {
                (Some((mine, others)), Some((my_now, others_now))) => {
                    (my_now - mine).waited_ns + others_now.since(&others).waited_ns
                }
                _ => 0,
            };
            if waited_ns < best.0 {
                best = (waited_ns, missed);
            }
            if waited_ns <= (time / WAITED).as_nanos() as u64 {
                break;
            }
        }
        self.missed.push(best.1);
        self.waited_ns += best.0;
        Ok(())
    }

    /// Returns how many percent were missed.
    fn slice(&mut self, cost: Cost, round: u64, time: Duration) -> Result<f64> {
        let due = arrivals_of(cost, round, time);
        let deadlines = Deadlines {
            lifetime: |number| Some(lifetime(cost, number)),
            told: self.contender.told,
        };
        let fates = open_loop::run(&self.shop, &due, self.asked, &deadlines)?;
        self.asked += due.len() as u64;
        let missed = fates.missed() as f64 * 100.0 / due.len() as f64;
        self.fates.add(fates);
        Ok(missed)
    }

    fn median(&self) -> f64 {
        samples::median(&mut self.missed.clone())
    }

    fn close(self) -> Result<()> {
        self.shop.close(self.fates.accepted, 0, self.fates.expired)
    }
}

/// What this thread has used, and the others; `None` where the system does not tell.
fn usage() -> Option<(Usage, Others)> {
    Some((threads::current().ok()?, threads::others().ok()?))
}

/// The same with room for all that wait.
fn roomy(mut config: WorkerPoolConfig) -> WorkerPoolConfig {
    for lane in &mut config.lanes {
        lane.capacity = CAPACITY;
    }
    config
}

fn arrivals_of(cost: Cost, round: u64, time: Duration) -> Vec<Duration> {
    bursts(SEED ^ round, cost.capacity(MOST) * LOAD, time)
}

/// A batch of the largest size is what makes a deadline tight or not.
fn lifetime(cost: Cost, number: u64) -> Duration {
    cost.of(MOST) * LIVES[(scatter(number) % LIVES.len() as u64) as usize]
}

/// Arrivals of so many requests a second, several at once.
fn bursts(seed: u64, rate: f64, time: Duration) -> Vec<Duration> {
    let mean_size = (1 + BURST) as f64 / 2.0;
    let bursts = arrivals(seed, mean_size / rate, time).into_iter();
    let size = |at: u64| 1 + scatter(seed ^ at) % BURST;
    (0..)
        .zip(bursts)
        .flat_map(|(at, due)| (0..size(at)).map(move |_| due))
        .collect()
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
        let percent = |count: &u64| amount(*count as f64 * 100.0 / entry.asked as f64);
        if report.is_json() {
            let name = format!("{figure}, {}: missed", entry.contender.name());
            report.record(name, entry.median(), "%", Bound::None);
        }
        rows.push(vec![
            entry.contender.name(),
            amount(entry.median()),
            percent(expired),
            percent(late),
            percent(refused),
            amount(entry.shop.batches().mean_size()),
            amount(entry.waited_ns as f64 / 1e6),
        ]);
    }
    let whole = cost.of(MOST).as_micros() as u32;
    let [tight, usual, _, loose] = LIVES.map(|times| times * whole);
    let about = format!(
        "{} requests in bursts, each with {tight}, {usual} (twice as many) or {loose} µs to live; 1 worker. \
         Misses are the median of the rounds, the rest is of all of them together",
        field.first().map_or(0, |entry| entry.asked),
    );
    let heads = HEADS.into_iter().chain(["without a CPU, ms"]);
    let heads: Vec<String> = heads.map(str::to_owned).collect();
    report.table(figure, &about, &heads, &rows);
}

fn judge(report: &mut Report, figure: &str, missed: &Missed) {
    let contenders: Vec<(Contender, f64)> = field().zip(missed.iter().copied()).collect();
    let [(_, adaptive), (untold, not_told), fixed @ ..] = &contenders[..] else {
        return;
    };
    let best = fixed.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    report.record(
        format!("{figure}: missed by adaptive"),
        *adaptive,
        "%",
        Bound::None,
    );
    // Differences and not ratios, because the other may miss none.
    if let Some((contender, least)) = best {
        report.record(
            format!("{figure}: the same less the best, {}", contender.name()),
            adaptive - least,
            "% points",
            Bound::AtMost(0.0),
        );
    }
    report.record(
        format!("{figure}: the same less {}", untold.name()),
        adaptive - not_told,
        "% points",
        Bound::AtMost(0.0),
    );
}
