//! Turns windows into measurements of the strategy in force. Pure.

use std::fmt;
use std::time::Duration;

use super::BalanceWindow;
use super::comparison::median;

/// A window says something from so many timed tasks on; smaller ones are added together.
const LEAST_TASKS: u64 = 8;
/// After a change of strategy at most so many windows are left out, and at least one.
pub(super) const MOST_SETTLING: u32 = 4;

/// What one window, or several small ones, measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) tasks: u64,
    pub(super) mean_ns: u64,
    pub(super) worst_ns: u64,
}

/// Collects windows.
///
/// What waits when the strategy changes was placed under the one before. So the first window after
/// a change is left out, and further ones as long as each has less than half the wait of the one before it:
/// a backlog is still being worked off.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    /// Small windows since the last measure.
    small: Measure,
    /// Left out since the change; `None` once it has settled.
    settling: Option<Settling>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settling {
    left_out: u32,
    last_ns: u64,
}

impl Gauge {
    /// Before the first window of a strategy.
    pub(super) fn settling() -> Self {
        Self {
            settling: Some(Settling::default()),
            ..Self::default()
        }
    }

    /// What the windows up to this one measured, if they do.
    pub(super) fn add(&mut self, window: BalanceWindow) -> Option<Measure> {
        self.small = joined(self.small, window);
        if self.small.tasks < LEAST_TASKS {
            return None;
        }
        let measure = std::mem::take(&mut self.small);
        let Some(settling) = &mut self.settling else {
            return Some(measure);
        };
        let draining = measure.mean_ns < settling.last_ns / 2;
        if settling.left_out == 0 || (draining && settling.left_out < MOST_SETTLING) {
            settling.left_out += 1;
            settling.last_ns = measure.mean_ns;
            return None;
        }
        self.settling = None;
        Some(measure)
    }
}

/// The mean of all tasks of both and the worst of both.
fn joined(small: Measure, window: BalanceWindow) -> Measure {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if window.tasks == 0 {
        return small;
    }
    let sum = |tasks: u64, mean_ns: u64| u128::from(tasks) * u128::from(mean_ns);
    let tasks = small.tasks.saturating_add(window.tasks);
    let waited = sum(small.tasks, small.mean_ns) + sum(window.tasks, nanoseconds(window.mean_wait));
    Measure {
        tasks,
        mean_ns: u64::try_from(waited / u128::from(tasks)).unwrap_or(u64::MAX),
        worst_ns: small.worst_ns.max(nanoseconds(window.worst_wait)),
    }
}

/// The figures of a trial, to be printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    median_ns: u64,
    worst_ns: u64,
    tasks: u64,
    windows: usize,
}

impl Figures {
    /// Of at least one measure.
    pub(super) fn of(measures: &[Measure]) -> Self {
        Self {
            median_ns: median(measures.iter().map(|measure| measure.mean_ns)),
            worst_ns: measures.iter().map(|m| m.worst_ns).max().unwrap_or(0),
            tasks: measures
                .iter()
                .fold(0, |sum, m| sum.saturating_add(m.tasks)),
            windows: measures.len(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a wait of {} (at worst {}, {} timed tasks in {} windows)",
            Wait(self.median_ns),
            Wait(self.worst_ns),
            self.tasks,
            self.windows
        )
    }
}

/// A time in nanoseconds, to be printed with its unit.
pub(super) struct Wait(pub(super) u64);

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1?}", Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(tasks: u64, mean_us: u64) -> BalanceWindow {
        BalanceWindow {
            tasks,
            mean_wait: Duration::from_micros(mean_us),
            worst_wait: Duration::from_micros(mean_us * 3),
        }
    }

    /// The mean waits in microseconds that a gauge measures.
    fn measured(mut gauge: Gauge, windows: &[(u64, u64)]) -> Vec<u64> {
        windows
            .iter()
            .filter_map(|(tasks, mean_us)| gauge.add(window(*tasks, *mean_us)))
            .map(|measure| measure.mean_ns / 1_000)
            .collect()
    }

    #[test]
    fn small_windows_are_added_together() {
        let windows = [(2, 10), (0, 99_999), (6, 50), (7, 1), (100, 20)];
        assert_eq!(measured(Gauge::default(), &windows), [40, 18]);
        let mut gauge = Gauge::default();
        assert!(gauge.add(window(4, 30)).is_none());
        let measure = gauge.add(window(4, 10)).unwrap();
        assert_eq!((measure.tasks, measure.worst_ns), (8, 90_000));
    }

    #[test]
    fn the_first_window_is_left_out_and_a_backlog_with_it() {
        let even = [(8, 100); 3];
        assert_eq!(measured(Gauge::settling(), &even), [100, 100]);
        let draining = [(8, 800), (8, 399), (8, 199), (8, 100), (8, 10)];
        assert_eq!(measured(Gauge::settling(), &draining), [100, 10]);
        let endless = [
            (8, 1 << 20),
            (8, 1 << 16),
            (8, 1 << 12),
            (8, 1 << 8),
            (8, 1 << 4),
        ];
        assert_eq!(measured(Gauge::settling(), &endless), [16]);
    }

    #[test]
    fn no_wait_is_too_long_and_no_count_too_large() {
        let mut gauge = Gauge::default();
        let window = BalanceWindow {
            tasks: u64::MAX,
            mean_wait: Duration::MAX,
            worst_wait: Duration::MAX,
        };
        let measure = gauge.add(window).unwrap();
        assert_eq!(measure.mean_ns, u64::MAX);
        let figures = Figures::of(&[measure, measure]).to_string();
        assert!(figures.contains("2 windows"), "{figures}");
    }

    #[test]
    fn figures_have_units() {
        let measure = Measure {
            tasks: 9,
            mean_ns: 12_340,
            worst_ns: 5_000_000,
        };
        assert_eq!(
            Figures::of(&[measure; 2]).to_string(),
            "a wait of 12.3µs (at worst 5.0ms, 18 timed tasks in 2 windows)"
        );
    }
}
