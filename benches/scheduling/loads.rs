//! The five loads.
//!
//! A load is kept up by one driver that has so many tasks in flight, whatever the strategy, so that waits can
//! be compared. Every task of every load carries a key, so that each strategy is handed the same, but only
//! `HashBased` makes anything of it.
//!
//! Where tasks are to be long or one worker slow they sleep, so that two CPUs are enough for four workers: what
//! is compared is where tasks wait, not how the system shares out CPUs.

use std::time::Duration;

use lanepool::TaskPriority;

use crate::service::Work;

/// Keys of a load; few enough to be live again and again, so many that two tasks of one seldom meet.
pub(crate) const KEYS: usize = 4_096;
/// Workers of the pools.
pub(crate) const WORKERS: usize = 4;
/// The worker that is slow where one is, and how many times as long its tasks take.
const SLOW: (usize, u32) = (0, 5);

/// What one task is to be.
pub(crate) struct Draft {
    pub(crate) work: Work,
    pub(crate) key: usize,
    pub(crate) priority: TaskPriority,
}

/// How tasks come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many in flight: whenever half of them are done, as many again.
    Steady(u64),
    /// So many at once, and when they are done nothing for this long.
    Bursts(u64, Duration),
}

/// One load.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) pace: Pace,
    pub(crate) slow: Option<(usize, u32)>,
    /// Weights for weighted round robin; none for all the same.
    pub(crate) weights: &'static [u32],
    /// Whether the keys are what the load is about: then only strategies that keep their order do the job.
    pub(crate) is_about_keys: bool,
    /// From a random number.
    pub(crate) draft: fn(u64) -> Draft,
}

pub(crate) const LOADS: [Load; 5] = [
    Load {
        name: "uniform",
        about: "tasks of 2 µs of CPU, 512 in flight",
        pace: Pace::Steady(512),
        slow: None,
        weights: &[],
        is_about_keys: false,
        draft: |random| Draft {
            work: Work::busy(Duration::from_micros(2)),
            key: any_key(random),
            priority: any_priority(random),
        },
    },
    Load {
        name: "slow-worker",
        about: "tasks that sleep for 200 µs, on worker 0 for 1 ms, 64 in flight; weighted round robin is \
                told so by weights",
        pace: Pace::Steady(64),
        slow: Some(SLOW),
        weights: &[1, 5, 5, 5],
        is_about_keys: false,
        draft: |random| Draft {
            work: Work::Sleep(Duration::from_micros(200)),
            key: any_key(random),
            priority: any_priority(random),
        },
    },
    Load {
        name: "hot-key",
        about: "tasks of 5 µs of CPU, 512 in flight; half of them have one key, and only those are Normal",
        pace: Pace::Steady(512),
        slow: None,
        weights: &[],
        is_about_keys: true,
        draft: |random| {
            let (key, priority) = match random % 4 {
                0 | 1 => (0, TaskPriority::Normal),
                2 => (any_key(random).max(1), TaskPriority::Low),
                _ => (any_key(random).max(1), TaskPriority::High),
            };
            Draft {
                work: Work::busy(Duration::from_micros(5)),
                key,
                priority,
            }
        },
    },
    Load {
        name: "bursts",
        about: "400 tasks of 5 µs of CPU at once, then nothing for a millisecond; the throughput is that \
                of the bursts",
        pace: Pace::Bursts(400, Duration::from_millis(1)),
        slow: None,
        weights: &[],
        is_about_keys: false,
        draft: |random| Draft {
            work: Work::busy(Duration::from_micros(5)),
            key: any_key(random),
            priority: any_priority(random),
        },
    },
    Load {
        name: "mixed",
        about: "99 of 100 tasks use 5 µs of CPU and one sleeps for 5 ms, 256 in flight",
        pace: Pace::Steady(256),
        slow: None,
        weights: &[],
        is_about_keys: false,
        draft: |random| Draft {
            work: if (random >> 48).is_multiple_of(100) {
                Work::Sleep(Duration::from_millis(5))
            } else {
                Work::busy(Duration::from_micros(5))
            },
            key: any_key(random),
            priority: any_priority(random),
        },
    },
];

fn any_key(random: u64) -> usize {
    (random >> 16) as usize % KEYS
}

/// Half of the tasks are Normal, a quarter Low, an eighth each High and Critical.
fn any_priority(random: u64) -> TaskPriority {
    match random % 8 {
        0..4 => TaskPriority::Normal,
        4..6 => TaskPriority::Low,
        6 => TaskPriority::High,
        _ => TaskPriority::Critical,
    }
}
