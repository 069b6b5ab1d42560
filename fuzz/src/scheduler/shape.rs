//! The shape of a pool: lanes, workers, and how workers come by their tasks.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use lanepool::{
    BatchProcessorConfig, LaneConfig, LoadBalancingStrategy, OverflowPolicy, SchedulingStrategy,
    TaskPriority, WorkerPoolConfig, WorkerPoolConfigBuilder,
};

/// The most lanes of a pool.
pub(crate) const MOST_LANES: usize = 8;

/// How the pool is built.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Shape {
    #[arbitrary(with = few_lanes)]
    lanes: Vec<Lane>,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=3))]
    pub(crate) workers: usize,
    /// Whether a monitor counts along; then every task is timed.
    pub(crate) monitored: bool,
    sample_all: bool,
    manner: Manner,
    /// In seconds of the pool's clock.
    #[arbitrary(with = short_timeout)]
    default_timeout: Option<u64>,
}

/// How workers come by their tasks.
#[derive(Clone, Debug)]
struct Manner {
    /// Whether a worker that is alone may claim several tasks at once. Async workers never do.
    long_runs: bool,
    /// What is not as usual about the scheduling, if anything is.
    scheduling: Option<Scheduling>,
    /// How batches form, if the pool runs batches.
    batches: Option<Batches>,
}

/// How batches form where the workers are threads; async workers take batches of one, which the model can follow:
/// who sees one size alone does not learn what a request adds, so nobody gives way for his deadline.
#[derive(Clone, Debug)]
struct Batches {
    size: usize,
    keyed: bool,
    lingers: bool,
}

impl Batches {
    /// The five bits that the byte of a manner has left.
    fn of(bits: u8) -> Option<Self> {
        (bits & 1 != 0).then(|| Self {
            size: 1 << (bits >> 1 & 3),
            keyed: bits & 8 != 0,
            lingers: bits & 16 != 0,
        })
    }

    fn config(&self) -> BatchProcessorConfig {
        let seconds = u64::from(self.lingers) * 2;
        BatchProcessorConfig::new()
            .batch_size(self.size)
            .batch_timeout(Duration::from_secs(seconds))
            .max_batch_wait(Duration::from_secs(3))
            .close_when_idle(self.size < 8)
            .keyed(self.keyed)
    }
}

/// One byte says whether all is as usual, and how batches form.
impl<'a> Arbitrary<'a> for Manner {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = u.arbitrary::<u8>()?;
        Ok(Self {
            long_runs: kind & 1 != 0,
            scheduling: if kind & 0b110 != 0 {
                Some(u.arbitrary()?)
            } else {
                None
            },
            batches: Batches::of(kind >> 3),
        })
    }
}

/// The scheduling of a pool, as far as it is not the usual one.
#[derive(Arbitrary, Clone, Debug)]
struct Scheduling {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.choose(&SchedulingStrategy::ALL).copied())]
    strategy: SchedulingStrategy,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.choose(&LoadBalancingStrategy::ALL).copied())]
    balancing: LoadBalancingStrategy,
    /// Whether nobody steals.
    own_tasks_only: bool,
    #[arbitrary(with = few_rings)]
    sub_rings: usize,
    /// The priorities for which a worker each is kept, as far as there are workers.
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.arbitrary::<[u8; 2]>())]
    reserved: [u8; 2],
    /// In seconds of the pool's clock.
    #[arbitrary(with = short_timeout)]
    ageing: Option<u64>,
    /// The first worker's weight; none has one if it is 0.
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(0..=3))]
    weight: u32,
}

impl Scheduling {
    fn configure(
        &self,
        mut builder: WorkerPoolConfigBuilder,
        workers: usize,
    ) -> WorkerPoolConfigBuilder {
        builder = builder
            .scheduling_strategy(self.strategy)
            .load_balancing_strategy(self.balancing)
            .enable_task_stealing(!self.own_tasks_only)
            .sub_rings(self.sub_rings);
        for kind in self.reserved.iter().take(workers - 1) {
            if let Some(priority) = TaskPriority::ALL.get(usize::from(kind % 8)) {
                builder = builder.reserve(*priority, 1);
            }
        }
        if let Some(seconds) = self.ageing {
            builder = builder.ageing(Duration::from_secs(seconds));
        }
        if self.weight > 0 {
            let first = |worker| if worker == 0 { self.weight } else { 1 };
            builder = builder.worker_weights((0..workers).map(first));
        }
        builder
    }
}

fn few_rings(u: &mut Unstructured<'_>) -> Result<usize> {
    let kind = u.arbitrary::<u8>()?;
    Ok(if kind % 4 == 0 {
        usize::from(kind / 4 % 3) + 1
    } else {
        1
    })
}

#[derive(Arbitrary, Clone, Debug)]
struct Lane {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=16))]
    capacity: usize,
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=12))]
    weight: u32,
    rejects: bool,
}

fn few_lanes(u: &mut Unstructured<'_>) -> Result<Vec<Lane>> {
    let lanes = u.int_in_range(1..=MOST_LANES)?;
    (0..lanes).map(|_| u.arbitrary()).collect()
}

fn short_timeout(u: &mut Unstructured<'_>) -> Result<Option<u64>> {
    Ok(if u.ratio(1, 4)? {
        Some(u.int_in_range(1..=10)?)
    } else {
        None
    })
}

impl Shape {
    /// The most tasks of a claim. Of several workers each claims single tasks: what one of them has
    /// in its hand the others cannot run, and the model could not tell who should be busy.
    pub(crate) fn longest_run(&self) -> usize {
        if self.manner.long_runs && self.workers == 1 && !self.is_batched() {
            16
        } else {
            1
        }
    }

    /// The configuration of the pool; its batches are of one request each.
    pub(crate) fn config(&self) -> WorkerPoolConfig {
        let one_by_one = BatchProcessorConfig::new()
            .batch_size(1)
            .batch_timeout(Duration::ZERO);
        self.config_with(one_by_one)
    }

    /// The configuration of the pool, with all that batches can be like.
    pub(crate) fn config_with_batches(&self) -> WorkerPoolConfig {
        let batches = self.manner.batches.as_ref();
        self.config_with(batches.map_or_else(BatchProcessorConfig::new, Batches::config))
    }

    fn config_with(&self, batching: BatchProcessorConfig) -> WorkerPoolConfig {
        let lane = |lane: &Lane| {
            LaneConfig::new()
                .capacity(lane.capacity)
                .weight(lane.weight)
                .overflow(if lane.rejects {
                    OverflowPolicy::Reject
                } else {
                    OverflowPolicy::Wait
                })
        };
        let mut config = WorkerPoolConfig::builder()
            .workers(self.workers)
            .lanes(self.lanes.iter().map(lane))
            .sample_every(if self.sample_all { 1 } else { 32 })
            .max_run_length(self.longest_run())
            .batching(batching);
        if let Some(seconds) = self.default_timeout {
            config = config.default_timeout(Duration::from_secs(seconds));
        }
        if let Some(scheduling) = &self.manner.scheduling {
            config = scheduling.configure(config, self.workers);
        }
        config
            .build()
            .expect("every shape is a valid configuration")
    }

    /// Whether the pool runs batches.
    pub(crate) fn is_batched(&self) -> bool {
        self.manner.batches.is_some()
    }

    /// Whether tasks wait in lanes that all workers share and take by turns alone.
    pub(crate) fn is_usual(&self) -> bool {
        self.manner.scheduling.is_none()
    }

    /// Whether the wait and run histograms have every task.
    pub(crate) fn times_all(&self) -> bool {
        self.monitored || self.sample_all || self.is_batched()
    }
}
