//! What the fuzzer makes up: the shape of a pool, what is done to it, and how it ends.

use arbitrary::{Arbitrary, Result, Unstructured};
use lanepool::{LaneConfig, OverflowPolicy, TaskPriority, WorkerPoolConfig};

const NO_LANE: usize = 15;
const MOST_LANES: usize = 8;
const MOST_OPERATIONS: usize = 400;

/// One run of a target.
#[derive(Arbitrary, Clone, Debug)]
pub struct Scenario {
    pub(crate) shape: Shape,
    pub(crate) ending: Ending,
    #[arbitrary(with = as_many_as_there_are)]
    pub(crate) operations: Vec<Operation>,
}

/// To the end of the input. A derived list asks before each element whether to go on, and half of all
/// bytes say no.
fn as_many_as_there_are(u: &mut Unstructured<'_>) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    while !u.is_empty() && operations.len() < MOST_OPERATIONS {
        operations.push(u.arbitrary()?);
    }
    Ok(operations)
}

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
    /// Whether a worker that is alone may claim several tasks at once. Async workers never do.
    long_runs: bool,
    /// In seconds of the pool's clock.
    #[arbitrary(with = short_timeout)]
    default_timeout: Option<u64>,
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
        if self.long_runs && self.workers == 1 {
            16
        } else {
            1
        }
    }

    /// The configuration of the pool.
    pub(crate) fn config(&self) -> WorkerPoolConfig {
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
            .max_run_length(self.longest_run());
        if let Some(seconds) = self.default_timeout {
            config = config.default_timeout(std::time::Duration::from_secs(seconds));
        }
        config
            .build()
            .expect("every shape is a valid configuration")
    }

    /// Whether the wait and run histograms have every task.
    pub(crate) fn times_all(&self) -> bool {
        self.monitored || self.sample_all
    }
}

/// One thing that is done to the pool. Numbers that pick one of several are taken modulo how many
/// there are; an operation that finds nothing to act on does nothing.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    TrySubmit(TaskSpec),
    TrySpawn(TaskSpec),
    /// The blocking ways in, where they cannot block.
    SubmitBlocking(TaskSpec),
    SpawnBlocking(TaskSpec),
    /// `execute_timeout` with no time at all.
    ExecuteTimeout(TaskSpec),
    /// The async ways in: the future is polled once, and kept if it waits.
    Submit(TaskSpec),
    Spawn(TaskSpec),
    Execute(TaskSpec),
    Batch(Vec<TaskSpec>),
    /// Through a result stream, which is made when there is none.
    StreamTrySubmit(TaskSpec),
    StreamSubmit(TaskSpec),
    StreamNext,
    StreamDrop,
    /// A future or ticket that is held.
    Poll(u8),
    Drop(u8),
    /// A future that was let into its lane and has not tried yet.
    DropWoken,
    Detach(u8),
    WaitNoTime(u8),
    /// The end of a task that waits for its gate.
    Release(u8, End),
    /// Moves the pool's clock, in seconds.
    Advance(u64),
    /// Lets the workers go as far as they can.
    Run,
    /// Lets every task at a gate end, and the workers run, so many times.
    RunThrough(u8),
    /// Compares the statistics with the model.
    Check,
    /// Shuts down with no time at all, and goes on with the closed pool.
    ShutdownNow,
    /// Begins a shutdown that has all the time in the world, and goes on.
    ShutdownBegin,
    /// Takes the workers away, where they are tasks of a runtime.
    EndRuntime,
}

/// By hand, in as few bytes as can be and with the ends of a pool rare: an input of a few dozen bytes,
/// which is what a fuzzer tries first, should be a scenario of a dozen operations.
impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? % 64 {
            0..=5 => Self::TrySubmit(u.arbitrary()?),
            6..=9 => Self::TrySpawn(u.arbitrary()?),
            10 | 11 => Self::SubmitBlocking(u.arbitrary()?),
            12 | 13 => Self::SpawnBlocking(u.arbitrary()?),
            14 | 15 => Self::ExecuteTimeout(u.arbitrary()?),
            16..=19 => Self::Submit(u.arbitrary()?),
            20 | 21 => Self::Spawn(u.arbitrary()?),
            22..=25 => Self::Execute(u.arbitrary()?),
            26..=28 => {
                let [tasks, same_lane]: [u8; 2] = u.arbitrary()?;
                let tasks = (0..tasks % 25).map(|_| u.arbitrary());
                let mut tasks = tasks.collect::<Result<Vec<TaskSpec>>>()?;
                if let Some(address) = tasks.first().map(|first| first.address)
                    && same_lane % 2 == 0
                {
                    tasks.iter_mut().for_each(|task| task.address = address);
                }
                Self::Batch(tasks)
            }
            29 | 30 => Self::StreamTrySubmit(u.arbitrary()?),
            31 | 32 => Self::StreamSubmit(u.arbitrary()?),
            33 | 34 => Self::StreamNext,
            35 => Self::StreamDrop,
            36..=39 => Self::Poll(u.arbitrary()?),
            40 | 41 => Self::Drop(u.arbitrary()?),
            42 => Self::DropWoken,
            43 => Self::Detach(u.arbitrary()?),
            44 => Self::WaitNoTime(u.arbitrary()?),
            45..=49 => Self::Release(u.arbitrary()?, End::arbitrary(u)?),
            50 | 51 => Self::Advance(u.int_in_range(1..=5)?),
            52..=55 => Self::Run,
            56..=58 => Self::RunThrough(u.int_in_range(1..=16)?),
            59 | 60 => Self::Check,
            61 => Self::ShutdownNow,
            62 => Self::ShutdownBegin,
            _ => Self::EndRuntime,
        })
    }
}

/// A task to be.
#[derive(Clone, Debug)]
pub(crate) struct TaskSpec {
    pub(crate) address: Address,
    /// In seconds from now on the pool's clock; 0 has passed already.
    pub(crate) deadline: Option<u64>,
    /// Whether its context has numbers.
    pub(crate) numbered: bool,
    /// Whether it runs until it is released.
    pub(crate) gated: bool,
    /// How it ends, unless it is released with another end.
    pub(crate) end: End,
}

/// Two bytes: where it goes and until when, and what it is like.
impl<'a> Arbitrary<'a> for TaskSpec {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let [place, kind]: [u8; 2] = u.arbitrary()?;
        let number = usize::from(place & 15);
        Ok(Self {
            address: if kind & 1 == 0 {
                Address::Lane(number)
            } else {
                Address::Priority(number % 4)
            },
            deadline: (kind & 0b110 == 0).then_some(u64::from(place >> 4) % 7),
            numbered: kind & 0b1000 != 0,
            gated: kind & 0b1_0000 != 0,
            end: End::of(kind >> 5),
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Address {
    Priority(usize),
    /// One of the pool's by a number, or for [`NO_LANE`] one that no pool has.
    Lane(usize),
}

impl Address {
    /// The priority of an address, or the usual one.
    pub(crate) fn priority(self) -> TaskPriority {
        match self {
            Address::Priority(priority) => TaskPriority::ALL[priority],
            Address::Lane(_) => TaskPriority::Normal,
        }
    }

    /// The lane among so many: a priority's is the nearest, ends to ends.
    pub(crate) fn lane(self, lanes: usize) -> usize {
        match self {
            Address::Priority(priority) => ((priority * (lanes - 1)) as f64 / 3.0).round() as usize,
            Address::Lane(NO_LANE) => MOST_LANES,
            Address::Lane(number) => number % lanes,
        }
    }
}

/// How the service ends a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Fail,
    Panic,
    /// Panics, and then cannot make new state: the worker ends.
    Ruin,
}

impl End {
    fn of(number: u8) -> Self {
        match number % 8 {
            0..=4 => Self::Complete,
            5 => Self::Fail,
            6 => Self::Panic,
            _ => Self::Ruin,
        }
    }
}

impl<'a> Arbitrary<'a> for End {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::of(u.arbitrary()?))
    }
}

/// How the pool ends.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything is let run, every caller is answered, then the pool is shut down.
    Finish,
    /// Shut down with what there is, and time to run it.
    Drain,
    /// Shut down without time.
    Now,
    /// Every handle is dropped; tickets outlive the pool.
    Drop,
    /// The workers are taken away, where they are tasks of a runtime; else as `Now`.
    EndRuntime,
}
