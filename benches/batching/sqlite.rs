//! A real service: inserts into a SQLite database, one transaction a batch.
//!
//! The database is a file in the system's folder for temporary files, with a write-ahead log and durable commits
//! (`synchronous = FULL`), so the fixed cost of a batch is that of a transaction and its `fsync`, whatever the disk
//! makes of that. Beside it the same pool without batches, one transaction an insert. At the end every row is
//! read back and compared.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lanepool::{
    Answers, Batch, BatchProcessorConfig, BatchService, Service, TaskContext, Ticket, WorkerPool,
};
use lanepool_bench::{
    Bound, Report, Result,
    compare::ratio::{Summary, ratios},
    figure::amount,
    samples,
    work::check_report,
};
use rusqlite::Connection;

use crate::{
    service::{answer_to, check},
    shop::config,
    throughput::{MOST, Sizing, range},
};

/// Requests in flight.
const IN_FLIGHT: usize = 4 * MOST;
const WARM_UP: Duration = Duration::from_millis(150);
const SHARE: f64 = 0.95;
const FILL: f64 = 0.9;
/// The sizes that are tried beside the adaptive one; larger ones are what pays here.
const SIZES: [Sizing; 4] = [
    Sizing::Adaptive,
    Sizing::Fixed(4),
    Sizing::Fixed(16),
    Sizing::Fixed(MOST),
];

type Pool = WorkerPool<u64, u64, String>;

/// Inserts numbers, each with a text of its own. A worker keeps a connection.
struct Table {
    file: PathBuf,
}

impl Table {
    fn connect(&self) -> Connection {
        open(&self.file).unwrap_or_else(|error| panic!("the database could not be opened: {error}"))
    }

    fn insert(connection: &mut Connection, numbers: &[u64]) -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO entries (number, text) VALUES (?1, ?2)")?;
            for &number in numbers {
                insert.execute((number as i64, text(number)))?;
            }
        }
        transaction.commit()
    }
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute(
        "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",
        (),
    )?;
    Ok(connection)
}

fn text(number: u64) -> String {
    format!("entry {number:08}: {:016x}", answer_to(number))
}

impl BatchService<u64> for Table {
    type Response = u64;
    type Error = String;
    type State = Connection;

    fn state(&self, _worker: usize) -> Connection {
        self.connect()
    }

    fn call_batch(
        &self,
        connection: &mut Connection,
        batch: Batch<u64>,
    ) -> std::result::Result<Answers<u64, String>, String> {
        Self::insert(connection, batch.requests()).map_err(|error| error.to_string())?;
        let numbers = batch.into_iter().map(|(number, _)| number);
        Ok(numbers.map(|number| Ok(answer_to(number))).collect())
    }
}

impl Service<u64> for Table {
    type Response = u64;
    type Error = String;
    type State = Connection;

    fn state(&self, _worker: usize) -> Connection {
        self.connect()
    }

    fn call(
        &self,
        connection: &mut Connection,
        number: u64,
        _context: &TaskContext,
    ) -> std::result::Result<u64, String> {
        Self::insert(connection, &[number]).map_err(|error| error.to_string())?;
        Ok(answer_to(number))
    }
}

/// A folder that goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("lanepool-batching-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} was left behind: {error}", self.0.display());
        }
    }
}

/// A pool, its file, and the inserts in flight.
struct Entry {
    /// None for one transaction an insert.
    sizing: Option<Sizing>,
    pool: Pool,
    file: PathBuf,
    flying: VecDeque<(u64, Ticket<u64, String>)>,
    asked: u64,
    answered: u64,
    throughputs: Vec<f64>,
}

pub(crate) fn measure(report: &mut Report) {
    let rounds = report.choose(40, 10);
    let slice = Duration::from_millis(report.choose(60, 40));
    eprintln!("sqlite: {rounds} rounds of {slice:?} each");
    if let Err(error) = compare(report, rounds, slice) {
        report.fail("sqlite", &error);
    }
}

fn compare(report: &mut Report, rounds: usize, slice: Duration) -> Result<()> {
    let folder = Folder::make()?;
    let sizings = [None].into_iter().chain(SIZES.map(Some));
    let mut field = sizings
        .map(|sizing| Entry::open(sizing, &folder.0))
        .collect::<Result<Vec<Entry>>>()?;
    for round in 0..rounds {
        let all = field.len();
        // Forwards and backwards by turns, so that nobody always comes after the same one, whose writes the disk may
        // still have to do.
        let order = (0..all).map(|at| {
            let at = if round % 2 == 0 { at } else { all - 1 - at };
            (at + round / 2) % all
        });
        for at in order {
            let throughput = field[at].run(slice)?;
            field[at].throughputs.push(throughput);
        }
    }
    show(report, &field, rounds);
    judge(report, &field);
    field.into_iter().try_for_each(Entry::close)
}

impl Entry {
    fn open(sizing: Option<Sizing>, folder: &Path) -> Result<Self> {
        let file = folder.join(format!("{}.db", name(sizing).replace([' ', ','], "-")));
        let table = Table { file: file.clone() };
        let pool = match sizing {
            Some(sizing) => Pool::with_batches(table, config(1, sizing.batching()))?,
            None => Pool::with_config(table, config(1, BatchProcessorConfig::new()))?,
        };
        let mut entry = Self {
            sizing,
            pool,
            file,
            flying: VecDeque::new(),
            asked: 0,
            answered: 0,
            throughputs: Vec::new(),
        };
        entry.run(WARM_UP)?;
        Ok(entry)
    }

    /// Keeps so many inserts in flight for about this long. Returns how many rows a second were committed.
    fn run(&mut self, time: Duration) -> Result<f64> {
        let (began, before) = (Instant::now(), self.answered);
        while began.elapsed() < time {
            while self.flying.len() < IN_FLIGHT {
                let ticket = self.pool.submit_blocking(self.asked);
                self.flying
                    .push_back((self.asked, ticket.map_err(|error| error.to_string())?));
                self.asked += 1;
            }
            self.take()?;
            while self
                .flying
                .front()
                .is_some_and(|(_, ticket)| ticket.is_done())
            {
                self.take()?;
            }
        }
        let (answered, took) = (self.answered - before, began.elapsed());
        while !self.flying.is_empty() {
            self.take()?;
        }
        Ok(answered as f64 / took.as_secs_f64())
    }

    fn take(&mut self) -> Result<()> {
        let Some((number, ticket)) = self.flying.pop_front() else {
            return Ok(());
        };
        let answer = ticket.wait().map_err(|error| error.to_string())?;
        self.answered += 1;
        check(number, answer)
    }

    /// Shuts the pool down, checks its books and reads the rows back.
    fn close(self) -> Result<()> {
        check_report(
            &self.pool.shutdown_blocking(lanepool_bench::work::PATIENCE),
            self.asked,
        )?;
        drop(self.pool);
        let connection = open(&self.file)?;
        let mut select = connection.prepare("SELECT number, text FROM entries ORDER BY number")?;
        let mut rows = select.query(())?;
        let mut expected = 0;
        while let Some(row) = rows.next()? {
            let (number, found): (i64, String) = (row.get(0)?, row.get(1)?);
            if number as u64 != expected || found != text(expected) {
                return Err(
                    format!("row {expected} was {number}, {found:?} when read back").into(),
                );
            }
            expected += 1;
        }
        if expected != self.asked {
            return Err(format!(
                "{} rows were committed, and {expected} are there",
                self.asked
            )
            .into());
        }
        Ok(())
    }
}

fn name(sizing: Option<Sizing>) -> String {
    sizing.map_or_else(|| "one transaction an insert".to_owned(), Sizing::name)
}

fn show(report: &mut Report, field: &[Entry], rounds: usize) {
    let [single, ..] = field else { return };
    let mut rows = Vec::new();
    for entry in field {
        let throughput = samples::median(&mut entry.throughputs.clone());
        let batches = entry
            .pool
            .batch_processor()
            .map(|batches| batches.statistics());
        if report.is_json() {
            let figure = format!("sqlite, {}", name(entry.sizing));
            report.record(figure, throughput, "rows/s", Bound::None);
        }
        let of = |value: &dyn Fn(&lanepool::BatchStatistics) -> String| {
            batches.as_ref().map_or_else(|| "-".to_owned(), value)
        };
        rows.push(vec![
            name(entry.sizing),
            amount(throughput),
            Summary::of(ratios(&entry.throughputs, &single.throughputs))
                .map_or_else(|| "-".to_owned(), range),
            of(&|batches| amount(batches.mean_size())),
            of(&|batches| amount(batches.fill())),
            of(&|batches| amount(batches.amortisation())),
            of(&|batches| match batches.curve {
                Some(curve) => format!("{:?} + {:?} n", curve.fixed, curve.per_request),
                None => "-".to_owned(),
            }),
        ]);
    }
    let about = format!(
        "{IN_FLIGHT} inserts in flight, 1 worker, batches of at most {MOST}; {rounds} rounds, medians. The file \
         has a write-ahead log and durable commits"
    );
    let heads = [
        "sizes",
        "rows/s",
        "beside one transaction an insert (range)",
        "rows a batch",
        "fill",
        "amortisation",
        "learned curve",
    ];
    report.table("sqlite", &about, &heads.map(str::to_owned), &rows);
}

fn judge(report: &mut Report, field: &[Entry]) {
    let [single, adaptive, fixed @ ..] = field else {
        return;
    };
    let medians = |other: &Entry| Summary::of(ratios(&adaptive.throughputs, &other.throughputs));
    if let Some(gain) = medians(single) {
        let figure = "sqlite: adaptive beside one transaction an insert";
        report.record(figure, gain.median, "x", Bound::AtLeast(1.0));
    }
    let beside = fixed
        .iter()
        .filter_map(|entry| Some((medians(entry)?, entry)));
    if let Some((ratio, best)) = beside.min_by(|a, b| a.0.median.total_cmp(&b.0.median)) {
        let figure = format!("sqlite: adaptive beside the best, {}", name(best.sizing));
        report.record(figure, ratio.median, "x", Bound::AtLeast(SHARE));
    }
    if let Some(batches) = adaptive.pool.batch_processor() {
        let fill = batches.statistics().fill();
        report.record(
            "sqlite: fill, adaptive",
            fill,
            "of wanted",
            Bound::AtLeast(FILL),
        );
    }
}
