//! What the fuzzer makes up: the shape of a pool (`shape.rs`), what is done to it, and how it ends.

use arbitrary::{Arbitrary, Result, Unstructured};
use lanepool::{LoadBalancingStrategy, SchedulingStrategy, TaskPriority};

use super::shape::{MOST_LANES, Shape};

const NO_LANE: usize = 15;
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
    SetStrategy(SchedulingStrategy),
    SetBalancing(LoadBalancingStrategy),
    /// Gives workers these weights, by turns.
    SetWeights([u8; 2]),
    Pause(TaskPriority),
    Resume(TaskPriority),
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
            36 | 37 => Self::Poll(u.arbitrary()?),
            38 | 39 => Self::SetStrategy(*u.choose(&SchedulingStrategy::ALL)?),
            40 | 41 => Self::Drop(u.arbitrary()?),
            42 => Self::DropWoken,
            43 => Self::Detach(u.arbitrary()?),
            44 => Self::WaitNoTime(u.arbitrary()?),
            45..=49 => Self::Release(u.arbitrary()?, End::arbitrary(u)?),
            50 | 51 => Self::Advance(u.int_in_range(1..=5)?),
            52..=54 => Self::Run,
            55 => pause_or_resume(u.arbitrary()?),
            56..=58 => Self::RunThrough(u.int_in_range(1..=16)?),
            59 => Self::Check,
            60 => rebalance(u)?,
            61 => Self::ShutdownNow,
            62 => Self::ShutdownBegin,
            _ => Self::EndRuntime,
        })
    }
}

fn pause_or_resume(kind: u8) -> Operation {
    let priority = TaskPriority::ALL[usize::from(kind % 4)];
    if kind & 4 == 0 {
        Operation::Pause(priority)
    } else {
        Operation::Resume(priority)
    }
}

fn rebalance(u: &mut Unstructured<'_>) -> Result<Operation> {
    let kind = usize::from(u.arbitrary::<u8>()?);
    Ok(match LoadBalancingStrategy::ALL.get(kind % 8) {
        Some(strategy) => Operation::SetBalancing(*strategy),
        None => Operation::SetWeights(u.arbitrary()?),
    })
}

/// What a task's order depends on, where the pool keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Given(u64),
    Connection(u64),
}

/// A task to be.
#[derive(Clone, Debug)]
pub(crate) struct TaskSpec {
    pub(crate) address: Address,
    /// In seconds from now on the pool's clock; 0 has passed already.
    pub(crate) deadline: Option<u64>,
    /// Whether its context has numbers.
    pub(crate) numbered: bool,
    /// The connection's, if it has.
    pub(crate) connection: u64,
    /// The key that it is given.
    pub(crate) given: Option<u64>,
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
            connection: u64::from(place >> 4) % 3,
            given: (kind & 0b110 == 0b110).then_some(u64::from(place >> 4) % 4),
            gated: kind & 0b1_0000 != 0,
            end: End::of(kind >> 5),
        })
    }
}

impl TaskSpec {
    /// What its order depends on.
    pub(crate) fn key(&self) -> Option<Key> {
        let connection = self.numbered.then_some(Key::Connection(self.connection));
        self.given.map(Key::Given).or(connection)
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
