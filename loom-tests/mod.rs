//! Models of the engine's protocols: `cargo test --features loom`.
//!
//! A model is a small program of at most three threads beside the main one. Loom runs it once for
//! every interleaving and every value that a load may return, up to a number of preemptions: two,
//! or what `LOOM_MAX_PREEMPTIONS` says. Lost wake-ups show as deadlocks, missing orderings as
//! causality violations.
//!
//! 1. [`ring`]: the bounded queue, single and in runs, full, closed.
//! 2. [`annex`]: what lies beside its slots.
//! 3. [`lanes`]: the word that says which lanes may hold something.
//! 4. [`idle`]: workers that fall asleep while tasks come in; the baton; bursts; async workers.
//! 5. [`gate`]: submitters that wait while a lane is full.
//! 6. [`reply`]: the answer, its caller who waits or leaves, and the shutdown.
//! 7. [`pool`]: the end of a pool, with the real engine and the real worker loop.
//! 8. [`shards`]: tasks in the workers' own lanes: pulled, stolen, taken back, left behind.
//! 9. [`strands`]: tasks in the order of their keys, whichever worker ends or whoever closes.
//! 10. [`keys`]: the same with the real engine, when a worker ends and when a pool does.
//! 11. [`reserved`]: workers that do not take every task, and those who do.
//! 12. [`paused`]: lanes that are paused and resumed while tasks come.
//! 13. [`resize`]: workers that are told to go, and tasks that were placed with them.
//! 14. [`batching`]: batches that linger, against time, submitters and callers who leave.
//!
//! [`common`] is what the models with a real engine share.
//!
//! Each model says which [`Flaw`] must break it, and a negative run beside it shows that the flaw does:
//! it runs the very same test again in a process of its own, where [`check`] builds the flaw in.
//! What a run does not show is a model too small for the fault; so the flaws are the faults that the
//! protocols were written against.

mod annex;
mod batching;
mod common;
mod gate;
mod idle;
mod keys;
mod lanes;
mod paused;
mod pool;
mod reply;
mod reserved;
mod resize;
mod ring;
mod shards;
mod strands;

use std::cell::Cell;
use std::panic;
use std::process::{Command, exit};
use std::sync::Once;

use crate::lane::{Claim, LaneSet};
use crate::sync::{self, Mutation};

/// Names the flaw to a process that runs a model for it.
const VARIABLE: &str = "LANEPOOL_MODEL_FLAW";
/// The bound that CI uses; most faults of such protocols need no more.
const PREEMPTIONS: usize = 2;
/// Enough for any run that ends; one that spins goes beyond it, and fails.
const MOST_BRANCHES: usize = 2_000;
/// The exit status of a model that failed for its flaw.
const FAILED: i32 = 101;

/// A way to break a protocol that a model must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The facade is weakened, below the engine.
    Layer(Mutation),
    /// A worker sleeps without a last look at the tails.
    NoLastLook,
    /// A worker that found work does not pass the search on.
    NoBaton,
    /// A worker that found work counts itself among those who see to the rest.
    CountsItself,
    /// A worker goes without its guard.
    NoGuard,
    /// A submitter that got in, or gave up, tells nobody.
    NoticeKept,
    /// A ring is drained up to the first value that is not there yet, not up to its tail.
    DrainWhatIsThere,
    /// A pool's lanes close and nobody is woken.
    CloseInSilence,
    /// A worker leaves its shard to the others and wakes nobody.
    LeaveInSilence,
    /// A worker leaves its shard open to submitters.
    LeaveOpen,
    /// A worker leaves its shard, and puts a run there after.
    LeaveFirst,
    /// A lane is resumed and nobody is woken.
    ResumeInSilence,
    /// A lane is paused though the pool is closed.
    PauseTheClosed,
    /// Any sleeper is woken for a task, whether it takes that task or not.
    WakeAnybody,
    /// The worker that a task was placed with is called, and nobody else who may take it.
    CallTheOwner,
    /// A task of a key is not counted between its acceptance and its announcement.
    AnnounceUncounted,
    /// A shutdown does not wait for the runs that are about to be announced.
    RunsNotAwaited,
    /// A key is given back before its task is done.
    GiveBackEarly,
    /// A worker that gives a key back does not announce the next task.
    RunKept,
    /// One of the two halves of a reply never leaves.
    HalfForgotten,
    /// A worker lingers before it has said so.
    WishAfterTheLook,
    /// A submitter does not look who lingers.
    PushPastTheDesk,
    /// A worker lingers without a last look whether others run.
    IdleUnasked,
}

impl Flaw {
    const ALL: [Flaw; 27] = [
        Flaw::Layer(Mutation::NoRelease),
        Flaw::Layer(Mutation::NoAcquire),
        Flaw::Layer(Mutation::NoSeqCst),
        Flaw::Layer(Mutation::TornRmw),
        Flaw::Layer(Mutation::LostWake),
        Flaw::NoLastLook,
        Flaw::NoBaton,
        Flaw::CountsItself,
        Flaw::NoGuard,
        Flaw::NoticeKept,
        Flaw::DrainWhatIsThere,
        Flaw::CloseInSilence,
        Flaw::LeaveInSilence,
        Flaw::LeaveOpen,
        Flaw::LeaveFirst,
        Flaw::ResumeInSilence,
        Flaw::PauseTheClosed,
        Flaw::WakeAnybody,
        Flaw::CallTheOwner,
        Flaw::AnnounceUncounted,
        Flaw::RunsNotAwaited,
        Flaw::GiveBackEarly,
        Flaw::RunKept,
        Flaw::HalfForgotten,
        Flaw::WishAfterTheLook,
        Flaw::PushPastTheDesk,
        Flaw::IdleUnasked,
    ];

    /// The flaw that this process was started to show.
    fn built_in() -> Option<Flaw> {
        let name = std::env::var(VARIABLE).ok()?;
        let flaw = Self::ALL.into_iter().find(|flaw| flaw.name() == name);
        Some(flaw.expect("the variable names a flaw"))
    }

    /// Whether this is the flaw that this process was started to show. For a model's own steps.
    fn is_built_in(self) -> bool {
        Self::built_in() == Some(self)
    }

    fn name(self) -> String {
        format!("{self:?}")
    }
}

thread_local!(static PANICS: Cell<u32> = const { Cell::new(0) });

/// Has panics counted, because the engine catches some and those may be loom's. In a process that
/// shows a flaw the first one is the verdict: unwinding through a broken model would only say more.
fn notice_panics() {
    static NOTICED: Once = Once::new();
    NOTICED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            report(panic);
            PANICS.set(PANICS.get() + 1);
            if Flaw::built_in().is_some() {
                exit(FAILED);
            }
        }));
    });
}

/// Checks every interleaving of a model within the bound, and that it leaks no cell.
///
/// A model joins its threads before it drops what they shared through a native `Arc`: loom does not
/// see those counts.
fn check(model: impl Fn() + Send + Sync + 'static) {
    if let Some(Flaw::Layer(mutation)) = Flaw::built_in() {
        sync::mutate(mutation);
    }
    notice_panics();
    let run = move || {
        sync::begin_run();
        PANICS.set(0);
        model();
        assert_eq!(sync::live_cells(), 0, "cells leaked or dropped twice");
        assert_eq!(PANICS.get(), 0, "a panic was caught by the engine");
    };
    if std::env::var_os("LOOM_LOG").is_some() {
        // With a subscriber for the log; takes all its bounds from the environment.
        loom::model(run);
        return;
    }
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.max_branches = builder.max_branches.max(MOST_BRANCHES);
    builder.check(run);
}

/// Runs a model's test again with a flaw built in, and expects it to fail with this word.
fn must_fail(test: &str, flaw: Flaw, word: &str) {
    let program = std::env::current_exe().expect("a test knows its program");
    let run = Command::new(program)
        .args([&format!("loom_tests::{test}"), "--exact", "--nocapture"])
        .env(VARIABLE, flaw.name())
        .output()
        .expect("a test's program runs again");
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("running 1 test"), "no test {test}:\n{said}");
    assert_eq!(
        run.status.code(),
        Some(FAILED),
        "{flaw:?} does not break {test}:\n{said}"
    );
    assert!(
        said.contains(word),
        "{flaw:?} breaks {test} for another reason than {word:?}:\n{said}"
    );
}

/// Has the rest of a run go on in one order only: what the model is about has happened.
fn rest_in_one_order() {
    loom::stop_exploring();
}

/// Hands a value to a lane. Returns whether it took it.
fn push(lanes: &LaneSet<u32>, lane: usize, value: u32) -> bool {
    lanes.push_with(lane, |_: Claim<'_, ()>| value).is_ok()
}

/// Takes the oldest value of a lane.
fn pop(lanes: &LaneSet<u32>, lane: usize) -> Option<u32> {
    lanes.pop(lane).map(|(value, _)| value)
}

/// Waits for threads of a model.
fn join_all<T>(threads: impl IntoIterator<Item = loom::thread::JoinHandle<T>>) -> Vec<T> {
    let join = |thread: loom::thread::JoinHandle<T>| thread.join().expect("no thread panics");
    threads.into_iter().map(join).collect()
}

/// What loom says when every thread waits for another.
const DEADLOCK: &str = "deadlock";
/// What loom says of two accesses that no ordering parts.
const RACE: &str = "Causality violation";
/// What [`check`] says of a page or a ring that is never freed.
const LEAK: &str = "cells leaked";
