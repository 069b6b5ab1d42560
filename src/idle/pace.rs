//! How long to spin and to yield before sleeping.
//!
//! A thread that goes to sleep costs its waker a system call of microseconds; one that spins costs a
//! CPU that another might use. The lengths are stated in nanoseconds and turned into numbers of
//! pauses by measuring, once a process, how long a pause takes. With one CPU nobody spins: whoever
//! could end the wait is not running.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::cpus;
use crate::sync::counter::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{hint, patience, thread};

/// How long the only searching worker polls for the next task: a little more than a quick caller
/// takes to come back.
const WORKER_SPIN_NS: u64 = 1_000;
/// How long any searching worker polls on a loaded host, where it does not yield: what a sleeping caller
/// takes to come back.
const LOADED_SPIN_NS: u64 = 10_000;
/// Idle spells that begin this far apart come from callers that take their time: nothing follows at once.
const SPARSE_NS: u64 = 5 * LOADED_SPIN_NS;
/// So many such spells in a row: a single one may be an interruption.
const SPARSE_SPELLS: u32 = 4;
/// How long a blocked caller polls for its answer.
const CALLER_SPIN_NS: u64 = 2_000;
/// How long an async caller polls for its answer before it lets others use its thread.
const LINGER_NS: u64 = 1_500;
/// How long a caller polls whose worker had to be woken: what the kernel takes to bring a thread to a CPU that has
/// halted, at which the caller's own CPU need not arrive as well.
const ARRIVAL_NS: u64 = 30_000;
/// How long a submitter waits for a searcher to appear before it wakes a sleeper: what is left of a
/// short task, and a twentieth of what a wake costs.
const WAKE_NS: u64 = 200;
/// How long a worker on the heels of its producers lets the lanes fill.
const FILL_NS: u64 = 3_000;
/// How long a thread steps aside at first that lost a claim to another: what it takes for a cache line to come and go.
const LOSS_NS: u64 = 100;
/// Yields before a worker sleeps; each lets threads that share its CPU run, and fill its lanes.
pub(crate) const YIELDS: u32 = patience(50);
/// The same after a run that was as long as it may be: the next is probably on its way, and a worker
/// that sleeps and is woken for each costs more than all its tasks.
pub(crate) const YIELDS_AFTER_LONG_RUN: u32 = patience(20);
/// A yield that took this long says that other work wants the CPU.
const LOADED_HOST_NS: u64 = 500_000;
/// Idle episodes without yields after that.
const PENALTY_EPISODES: u32 = 4_096;

struct Pauses {
    worker: u32,
    loaded: u32,
    caller: u32,
    linger: u32,
    arrival: u32,
    fill: u32,
    wake: u32,
}

/// How many pauses last as long as [`LOSS_NS`] says; as many as usual until that is known. By itself, because to measure
/// might unwind, and every push would pay for being ready for that.
static LOSS_PAUSES: AtomicU32 = AtomicU32::new(4);

/// Pauses that last as long as the constants above say; 0 on one CPU and where time does not pass.
fn pauses() -> &'static Pauses {
    static PAUSES: OnceLock<Pauses> = OnceLock::new();
    PAUSES.get_or_init(|| {
        if cpus::usable() == 1 || patience(1) == 0 {
            return Pauses {
                worker: 0,
                loaded: 0,
                caller: 0,
                linger: 0,
                arrival: 0,
                fill: 0,
                wake: 0,
            };
        }
        const SAMPLE: u32 = 64;
        // The shortest of a few, because any of them may be interrupted.
        let shortest = (0..8).map(|_| {
            let start = Instant::now();
            hint::pause(SAMPLE);
            start.elapsed().as_nanos() as u64
        });
        let pause_ns = (shortest.min().unwrap_or(0) / u64::from(SAMPLE)).max(1);
        let count = |ns: u64| (ns / pause_ns).clamp(1, 4_096) as u32;
        // Relaxed: a hint.
        LOSS_PAUSES.store(count(LOSS_NS), Ordering::Relaxed);
        Pauses {
            worker: count(WORKER_SPIN_NS),
            loaded: count(LOADED_SPIN_NS),
            caller: count(CALLER_SPIN_NS),
            linger: count(LINGER_NS),
            arrival: count(ARRIVAL_NS),
            fill: count(FILL_NS),
            wake: count(WAKE_NS),
        }
    })
}

/// Measures the pauses now and not at the first wait.
pub(crate) fn calibrate() {
    pauses();
}

/// How many times a lone searching worker polls with a pause between.
pub(crate) fn worker_spins() -> u32 {
    pauses().worker
}

/// How many times a searching worker polls with a pause between on a loaded host.
pub(crate) fn loaded_spins() -> u32 {
    pauses().loaded
}

/// How many times a blocked caller polls with a pause between.
pub(crate) fn caller_spins() -> u32 {
    pauses().caller
}

/// How many times an async caller polls with a pause between.
pub(crate) fn linger_spins() -> u32 {
    pauses().linger
}

/// How many times a caller polls with a pause between whose worker had to be woken.
pub(crate) fn arrival_spins() -> u32 {
    pauses().arrival
}

/// How many times a submitter looks for a searcher before it wakes a sleeper.
pub(crate) fn wake_pauses() -> u32 {
    pauses().wake
}

/// How many pauses a thread makes at first that lost a claim.
pub(crate) fn loss_pauses() -> u32 {
    // Relaxed: a hint.
    LOSS_PAUSES.load(Ordering::Relaxed)
}

/// How many pauses let the lanes fill.
pub(crate) fn fill_pauses() -> u32 {
    pauses().fill
}

/// Whether yielding helps, as one worker has found.
#[derive(Debug, Default)]
pub(crate) struct Yielding {
    penalty: u32,
}

impl Yielding {
    /// How many yields this idle episode may have, of `wanted`.
    pub(crate) fn allowance(&mut self, wanted: u32) -> u32 {
        if self.penalty == 0 {
            return wanted;
        }
        self.penalty -= 1;
        0
    }

    /// Yields once and notes whether the host is loaded. Returns whether it is.
    pub(crate) fn yield_once(&mut self) -> bool {
        let loaded = yield_takes_long();
        if loaded {
            self.penalty = PENALTY_EPISODES;
        }
        loaded
    }
}

/// How often a worker runs out of work.
#[derive(Debug, Default)]
pub(crate) struct Cadence {
    last_ns: u64,
    /// Spells in a row that began long after the one before.
    sparse: u32,
}

impl Cadence {
    /// An idle spell begins. Returns whether the last ones did so far apart that nothing is likely to follow at once.
    pub(crate) fn is_sparse(&mut self, now_ns: u64) -> bool {
        let last_ns = std::mem::replace(&mut self.last_ns, now_ns);
        if now_ns.saturating_sub(last_ns) > SPARSE_NS {
            self.sparse = self.sparse.saturating_add(1);
        } else {
            self.sparse = 0;
        }
        self.sparse >= SPARSE_SPELLS
    }
}

/// Yields once. Returns whether other work took the CPU for so long that the host must be loaded.
fn yield_takes_long() -> bool {
    let start = Instant::now();
    thread::yield_now();
    start.elapsed() > Duration::from_nanos(LOADED_HOST_NS)
}

/// Whether to spin or to yield helps, as the callers of one pool have found: after `m` misses in a row it
/// is skipped `2^m - 1` times.
#[derive(Debug)]
pub(crate) struct Luck {
    /// Misses in a row in the low half, skips left in the high half. Any caller writes it; a lost
    /// update changes nothing but how soon the next spin is tried.
    packed: AtomicU64,
}

impl Luck {
    const MOST_MISSES: u64 = 6;

    pub(crate) fn new() -> Self {
        Self {
            packed: AtomicU64::new(0),
        }
    }

    /// Whether to spin this time.
    pub(crate) fn is_with_us(&self) -> bool {
        // Relaxed: a hint.
        let packed = self.packed.load(Ordering::Relaxed);
        let (misses, skips) = (packed & 0xffff_ffff, packed >> 32);
        if skips == 0 {
            return true;
        }
        self.packed
            .store((skips - 1) << 32 | misses, Ordering::Relaxed);
        false
    }

    /// Yields up to so many times until it helps, if that has paid lately, and notes whether it did; on a
    /// loaded host it is not tried again for long. Returns whether it helped.
    pub(crate) fn yield_until(&self, yields: u32, helped: impl Fn() -> bool) -> bool {
        if !self.is_with_us() {
            return false;
        }
        for _ in 0..yields {
            let loaded = yield_takes_long();
            if loaded {
                // Relaxed: a hint.
                let skips = u64::from(PENALTY_EPISODES);
                self.packed.store(skips << 32, Ordering::Relaxed);
            }
            if helped() {
                if !loaded {
                    self.note(true);
                }
                return true;
            }
            if loaded {
                return false;
            }
        }
        self.note(false);
        false
    }

    /// Notes how a spin ended.
    pub(crate) fn note(&self, hit: bool) {
        // Relaxed: a hint. Written only when it changes, to leave the line shared.
        let packed = self.packed.load(Ordering::Relaxed);
        let misses = if hit {
            0
        } else {
            ((packed & 0xffff_ffff) + 1).min(Self::MOST_MISSES)
        };
        let skips = (1 << misses) - 1;
        let now = skips << 32 | misses;
        if now != packed {
            self.packed.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_skipped_twice_as_often_each_time() {
        let luck = Luck::new();
        let tries_until_next = |luck: &Luck| {
            luck.note(false);
            (0..).take_while(|_| !luck.is_with_us()).count()
        };
        assert!(luck.is_with_us());
        let skipped: Vec<_> = (0..8).map(|_| tries_until_next(&luck)).collect();
        assert_eq!(skipped, [1, 3, 7, 15, 31, 63, 63, 63]);
        luck.note(true);
        assert!(luck.is_with_us());
    }

    #[test]
    fn some_spells_in_a_row_that_are_far_apart_are_sparse() {
        let mut cadence = Cadence::default();
        let mut now_ns = 1;
        let mut after = |ns| {
            now_ns += ns;
            cadence.is_sparse(now_ns)
        };
        let far = SPARSE_NS + 1;
        let spells = [0, far, far, far, far, far, SPARSE_NS, far].map(&mut after);
        assert_eq!(
            spells,
            [false, false, false, false, true, true, false, false]
        );
    }

    #[test]
    fn a_penalty_takes_the_yields_away_for_its_episodes() {
        let mut yielding = Yielding { penalty: 2 };
        assert_eq!([0; 4].map(|_| yielding.allowance(50)), [0, 0, 50, 50]);
    }
}
