//! Whether a batch closes now or lingers for more. Pure.

use std::time::Duration;

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseReason {
    /// It had the size that it was to have.
    Full,
    /// It had lingered for [`batch_timeout`](crate::BatchProcessorConfig::batch_timeout).
    Timeout,
    /// Its oldest request had been accepted
    /// [`max_batch_wait`](crate::BatchProcessorConfig::max_batch_wait) ago.
    Age,
    /// One of its requests would have missed its deadline otherwise.
    Deadline,
    /// It held an [`urgent`](crate::BatchProcessorConfig::urgent) request.
    Priority,
    /// Nothing else waited or ran in the pool.
    Idle,
    /// The pool was closed, or the worker that formed it is to go.
    Drain,
}

impl CloseReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [CloseReason; 7] = [
        CloseReason::Full,
        CloseReason::Timeout,
        CloseReason::Age,
        CloseReason::Deadline,
        CloseReason::Priority,
        CloseReason::Idle,
        CloseReason::Drain,
    ];

    /// The reason's place in [`CloseReason::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// How late a timer may be, in nanoseconds.
pub(super) const TIMER_NS: u64 = 100_000;

/// What a batch must observe while it lingers, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) linger_ns: u64,
    pub(crate) age_ns: u64,
    pub(crate) close_when_idle: bool,
}

impl Rules {
    pub(crate) fn new(linger: Duration, age: Duration, close_when_idle: bool) -> Self {
        // A timer is late as a rule and never early, so what is waited for is somewhat less.
        let ns = |duration: Duration| {
            let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            ns - TIMER_NS.min(ns / 8)
        };
        Self {
            linger_ns: ns(linger),
            age_ns: ns(age),
            close_when_idle,
        }
    }
}

/// A batch that forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forming {
    pub(crate) len: usize,
    /// When its first request was taken, and when its oldest one was accepted.
    pub(crate) since_ns: u64,
    pub(crate) oldest_ns: u64,
    /// The earliest deadline among its requests.
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) urgent: bool,
    /// When it was last said to be due; 0 before.
    pub(crate) due_ns: u64,
}

impl Forming {
    /// A request joins that was accepted at `accepted_ns`.
    pub(crate) fn join(
        &mut self,
        now_ns: u64,
        accepted_ns: u64,
        deadline_ns: Option<u64>,
        urgent: bool,
    ) {
        if self.len == 0 {
            self.since_ns = now_ns;
            self.oldest_ns = accepted_ns;
        }
        self.len += 1;
        self.oldest_ns = self.oldest_ns.min(accepted_ns);
        self.deadline_ns = match (self.deadline_ns, deadline_ns) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.urgent |= urgent;
    }
}

/// What surrounds a batch that forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) now_ns: u64,
    /// The size it is to have.
    pub(crate) target: usize,
    /// How long before its tightest deadline it has to begin, with one request more.
    pub(crate) lead_ns: u64,
    /// The longest that whoever waits with it may linger.
    pub(crate) patience_ns: u64,
    /// Whether nothing else waits or runs.
    pub(crate) idle: bool,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a batch closes or lingers"]
pub(crate) enum Decision {
    Close(CloseReason),
    /// Until then, unless more comes before.
    LingerUntil(u64),
}

/// Whether this batch closes now.
pub(crate) fn decide(rules: &Rules, forming: &Forming, situation: &Situation) -> Decision {
    if forming.len >= situation.target {
        return Decision::Close(CloseReason::Full);
    }
    if situation.closed {
        return Decision::Close(CloseReason::Drain);
    }
    if forming.urgent {
        return Decision::Close(CloseReason::Priority);
    }
    let rules = Rules {
        linger_ns: rules.linger_ns.min(situation.patience_ns),
        ..*rules
    };
    let (due_ns, reason) = due(&rules, forming, situation.lead_ns);
    if reason != CloseReason::Timeout && due_ns <= situation.now_ns {
        return Decision::Close(reason);
    }
    if situation.idle && rules.close_when_idle {
        return Decision::Close(CloseReason::Idle);
    }
    if due_ns <= situation.now_ns {
        return Decision::Close(reason);
    }
    Decision::LingerUntil(due_ns)
}

/// When a batch closes though it is not full, and why.
pub(crate) fn due(rules: &Rules, forming: &Forming, lead_ns: u64) -> (u64, CloseReason) {
    let deadline_ns = forming.deadline_ns.unwrap_or(u64::MAX);
    [
        (deadline_ns.saturating_sub(lead_ns), CloseReason::Deadline),
        (
            forming.oldest_ns.saturating_add(rules.age_ns),
            CloseReason::Age,
        ),
        (
            forming.since_ns.saturating_add(rules.linger_ns),
            CloseReason::Timeout,
        ),
    ]
    .into_iter()
    .min_by_key(|(due_ns, _)| *due_ns)
    .expect("there are three")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        linger_ns: 100,
        age_ns: 500,
        close_when_idle: true,
    };

    fn forming() -> Forming {
        let mut forming = Forming::default();
        forming.join(1_000, 900, None, false);
        forming.join(1_010, 950, None, false);
        forming
    }

    fn situation(now_ns: u64) -> Situation {
        Situation {
            now_ns,
            target: 4,
            lead_ns: 30,
            patience_ns: u64::MAX,
            idle: false,
            closed: false,
        }
    }

    #[test]
    fn a_batch_lingers_for_its_time_from_its_first_request_on() {
        let decide_at = |now_ns| decide(&RULES, &forming(), &situation(now_ns));
        assert_eq!(decide_at(1_010), Decision::LingerUntil(1_100));
        assert_eq!(decide_at(1_099), Decision::LingerUntil(1_100));
        assert_eq!(decide_at(1_100), Decision::Close(CloseReason::Timeout));
    }

    #[test]
    fn no_batch_lingers_beyond_the_age_of_its_oldest_request() {
        let mut old = forming();
        old.join(1_020, 550, None, false);
        assert_eq!(old.oldest_ns, 550);
        assert_eq!(
            decide(&RULES, &old, &situation(1_020)),
            Decision::LingerUntil(1_050)
        );
        assert_eq!(
            decide(&RULES, &old, &situation(1_050)),
            Decision::Close(CloseReason::Age)
        );
    }

    #[test]
    fn it_closes_in_time_for_its_tightest_deadline() {
        let mut tight = forming();
        tight.join(1_020, 1_020, Some(1_090), false);
        tight.join(1_020, 1_020, Some(5_000), false);
        let mut around = situation(1_020);
        around.target = 9;
        assert_eq!(
            decide(&RULES, &tight, &around),
            Decision::LingerUntil(1_060)
        );
        around.now_ns = 1_060;
        assert_eq!(
            decide(&RULES, &tight, &around),
            Decision::Close(CloseReason::Deadline)
        );
        around.lead_ns = u64::MAX;
        assert_eq!(
            decide(&RULES, &tight, &around),
            Decision::Close(CloseReason::Deadline)
        );
    }

    #[test]
    fn what_needs_no_more_waiting_goes_at_once() {
        let close = |change: fn(&mut Forming, &mut Situation)| {
            let (mut forming, mut situation) = (forming(), situation(1_010));
            change(&mut forming, &mut situation);
            decide(&RULES, &forming, &situation)
        };
        assert_eq!(
            close(|forming, _| forming.len = 4),
            Decision::Close(CloseReason::Full)
        );
        assert_eq!(
            close(|forming, _| forming.urgent = true),
            Decision::Close(CloseReason::Priority)
        );
        assert_eq!(
            close(|_, around| around.closed = true),
            Decision::Close(CloseReason::Drain)
        );
        assert_eq!(
            close(|_, around| around.idle = true),
            Decision::Close(CloseReason::Idle)
        );
        let stubborn = Rules {
            close_when_idle: false,
            ..RULES
        };
        let mut idle = situation(1_010);
        idle.idle = true;
        assert_eq!(
            decide(&stubborn, &forming(), &idle),
            Decision::LingerUntil(1_100)
        );
    }

    #[test]
    fn patience_ends_the_lingering_and_nothing_else() {
        let mut hasty = situation(1_010);
        hasty.patience_ns = 40;
        assert_eq!(
            decide(&RULES, &forming(), &hasty),
            Decision::LingerUntil(1_040)
        );
        hasty.now_ns = 1_040;
        assert_eq!(
            decide(&RULES, &forming(), &hasty),
            Decision::Close(CloseReason::Timeout)
        );
    }

    #[test]
    fn without_lingering_what_is_there_goes() {
        let natural = Rules {
            linger_ns: 0,
            ..RULES
        };
        let decision = decide(&natural, &forming(), &situation(1_010));
        assert_eq!(decision, Decision::Close(CloseReason::Timeout));
    }

    #[test]
    fn the_index_is_the_place_in_the_list() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }
}
