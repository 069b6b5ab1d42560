//! One contender on every load.

use std::{sync::Arc, time::Duration};

use lanepool_bench::{Result, random::arrivals, samples};
use tokio::runtime::{Builder, Runtime};

use super::{
    Rival, SIZE,
    batch_aint_one::{AtOnce, Lingering},
    batched_fn::BatchedFn,
    clients::{self, Slice},
    ours::{Adaptive, Fixed},
};
use crate::service::Cost;

const SEED: u64 = 0xBA7C_45EE_D000_0001;
const WARM_UP: Duration = Duration::from_millis(60);
/// In the warm-up: enough for full batches.
const WARM_UP_CLIENTS: usize = 4 * SIZE;

/// Starts a contender, with an emulated service of this cost.
type Open = fn(Cost) -> Result<Box<dyn Running>>;

/// All of them.
pub(super) const CONTENDERS: [Open; 5] = [
    open::<Adaptive>,
    open::<Fixed>,
    open::<BatchedFn>,
    open::<Lingering>,
    open::<AtOnce>,
];

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// From so many clients.
    Clients(usize),
    /// At this percentage of what full batches can bear.
    Percent(u32),
}

impl Load {
    pub(super) const ALL: [Self; 5] = [
        Self::Clients(1),
        Self::Clients(64),
        Self::Clients(1024),
        Self::Percent(10),
        Self::Percent(70),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Clients(1) => "1 client".to_owned(),
            Self::Clients(clients) => format!("{clients} clients"),
            Self::Percent(percent) => format!("{percent} % load"),
        }
    }
}

/// What one contender reached on each load, by round.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) note: &'static str,
    pub(super) is_ours: bool,
    pub(super) on: [OnLoad; Load::ALL.len()],
}

#[derive(Clone, Debug, Default)]
pub(super) struct OnLoad {
    /// Requests a second.
    pub(super) throughputs: Vec<f64>,
    pub(super) p50s_us: Vec<f64>,
    pub(super) p99s_us: Vec<f64>,
    /// Requests a batch.
    pub(super) sizes: Vec<f64>,
}

/// A contender that runs.
pub(super) trait Running {
    fn round(&mut self, load: Load, round: usize, time: Duration) -> Result<()>;
    fn entry(&self) -> &Entry;
    /// Ends it and checks its books.
    fn close(self: Box<Self>) -> Result<Entry>;
}

struct Contender<R> {
    rival: Arc<R>,
    clients: Runtime,
    cost: Cost,
    asked: u64,
    entry: Entry,
}

fn open<R: Rival>(cost: Cost) -> Result<Box<dyn Running>> {
    let mut contender = Contender {
        rival: Arc::new(R::start(cost)?),
        clients: Builder::new_current_thread().build()?,
        cost,
        asked: 0,
        entry: Entry {
            name: R::NAME,
            note: R::NOTE,
            is_ours: R::IS_OURS,
            on: Default::default(),
        },
    };
    contender.ask(Load::Clients(WARM_UP_CLIENTS), 0, WARM_UP)?;
    Ok(Box::new(contender))
}

impl<R: Rival> Contender<R> {
    fn ask(&mut self, load: Load, round: usize, time: Duration) -> Result<Slice> {
        let first = self.asked;
        let slice = match load {
            Load::Clients(clients) => {
                let asking = clients::closed_loop(&self.rival, clients, first, time);
                self.clients.block_on(asking)?
            }
            Load::Percent(percent) => {
                let rate = self.cost.capacity(SIZE) * f64::from(percent) / 100.0;
                let due = arrivals(SEED + round as u64, 1.0 / rate, time);
                self.clients
                    .block_on(clients::open_loop(&self.rival, &due, first))?
            }
        };
        self.asked += slice.latencies_us.len() as u64;
        Ok(slice)
    }
}

impl<R: Rival> Running for Contender<R> {
    fn round(&mut self, load: Load, round: usize, time: Duration) -> Result<()> {
        let served = self.rival.served();
        let (batches, requests) = (served.batches(), served.requests());
        let mut slice = self.ask(load, round, time)?;
        let served = self.rival.served();
        let requests = served.requests() - requests;
        if requests != slice.latencies_us.len() as u64 {
            let answered = slice.latencies_us.len();
            return Err(format!("{answered} were answered, but {requests} were run").into());
        }
        let at = Load::ALL.iter().position(|one| *one == load);
        let on = &mut self.entry.on[at.ok_or("no such load")?];
        let latencies_us = &mut slice.latencies_us;
        on.throughputs
            .push(latencies_us.len() as f64 / slice.took.as_secs_f64());
        on.p50s_us.push(samples::percentile(latencies_us, 0.5));
        on.p99s_us.push(samples::percentile(latencies_us, 0.99));
        on.sizes
            .push(requests as f64 / (served.batches() - batches) as f64);
        Ok(())
    }

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn close(self: Box<Self>) -> Result<Entry> {
        let Self {
            rival,
            clients,
            asked,
            entry,
            ..
        } = *self;
        // The runtime's tasks hold the rival until it is gone.
        drop(clients);
        Arc::into_inner(rival)
            .ok_or("a client outlived its runtime")?
            .finish(asked)?;
        Ok(entry)
    }
}
