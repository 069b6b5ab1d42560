//! Which of the requests that a worker holds run in its next batch, where some have deadlines. Pure.
//!
//! Under overload a request that will be late in any case takes time from others that could still be on time
//! ("early drop" in Nexus; Shen et al., SOSP 2019). So such a request *gives way*: it expires when the batch closes, but only
//! in favour of others; if all are late alike they are run. A worker holds up to two batches' worth. Of each
//! lane the tightest deadlines go first (earliest deadline first; Liu and Layland 1973), the others are *put off* to the next
//! batch, at most [`MOST_PUT_OFF`] times; how many of each lane go is what it would be in the order of taking.
//!
//! 1. If the first batch's worth is on time, it runs.
//! 2. If not, but it would be in two smaller batches, the first one of these runs.
//! 3. If not, the tightest ones give way until the rest is on time.

use smallvec::SmallVec;

use super::INLINE;

/// How often a request can be put off; after that it goes before all others.
pub(crate) const MOST_PUT_OFF: u8 = 2;
/// A request is late if the batch is expected to end after its deadline by more than this part of its cost: the
/// cost is an estimate.
const DOUBT: f64 = 1.0 / 32.0;

/// A request that a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) lane: usize,
    pub(crate) deadline_ns: Option<u64>,
    /// How often it was put off.
    pub(crate) put_off: u8,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Runs,
    PutOff,
    GivesWay,
}

/// What batches cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Of a batch, and of each of its requests.
    pub(crate) fixed_ns: f64,
    pub(crate) each_ns: f64,
    /// The least size to which a batch may be made smaller: smaller ones would not carry the load for long.
    pub(crate) least: usize,
}

/// What is known when a batch closes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) now_ns: u64,
    pub(crate) costs: Costs,
    /// The size that the batch is to have.
    pub(crate) target: usize,
    /// Whether requests can be put off.
    pub(crate) puts_off: bool,
}

/// What becomes of all candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Of each candidate, in their order.
    pub(crate) fates: SmallVec<[Fate; INLINE]>,
    /// Whether the batch is smaller than it could be for the sake of a deadline.
    pub(crate) is_cut: bool,
}

impl Terms {
    /// When a batch of so many that begins now is expected to end.
    fn end_ns(&self, requests: usize) -> f64 {
        self.now_ns as f64 + self.cost_ns(requests)
    }

    fn cost_ns(&self, requests: usize) -> f64 {
        self.costs.fixed_ns + self.costs.each_ns * requests as f64
    }

    /// Whether a deadline is kept by a batch of so many that begins now.
    fn keeps(&self, deadline_ns: f64, requests: usize) -> bool {
        self.end_ns(requests) - DOUBT * self.cost_ns(requests) <= deadline_ns
    }

    /// Whether all of so many candidates can run at once and the tightest deadline among them is kept.
    pub(crate) fn keeps_all(&self, tightest_ns: u64, candidates: usize) -> bool {
        candidates <= self.target && self.keeps(tightest_ns as f64, candidates)
    }

    /// Chooses the next batch from these candidates, which are in the order in which they were taken. At least one of them
    /// runs, and at most `target`; none gives way unless all that run are expected to be on time.
    pub(crate) fn choose(&self, candidates: &[Candidate]) -> Choice {
        choose(candidates, self)
    }
}

fn choose(candidates: &[Candidate], terms: &Terms) -> Choice {
    let order = order(candidates);
    let deadline_ns = |at: usize| match candidates[at].deadline_ns {
        Some(deadline_ns) => deadline_ns as f64,
        None => f64::INFINITY,
    };
    let able = |requests: usize| -> SmallVec<[usize; INLINE]> {
        let able = |at: &usize| terms.keeps(deadline_ns(*at), requests);
        order.iter().copied().filter(able).collect()
    };
    let mut fates: SmallVec<[Fate; INLINE]> =
        std::iter::repeat_n(Fate::GivesWay, order.len()).collect();
    let mut settle = |chosen: &[usize], size: usize| {
        for (place, at) in chosen.iter().enumerate() {
            fates[*at] = if place < size {
                Fate::Runs
            } else {
                Fate::PutOff
            };
        }
    };
    let whole = order.len().min(terms.target);
    let due = |put_off: &usize| candidates[*put_off].put_off >= MOST_PUT_OFF;
    let least = terms
        .costs
        .least
        .max(order.iter().filter(|at| due(at)).count());
    let chosen = able(least.min(whole));
    let size = if chosen.len() < least.min(whole) {
        // So few can be in a smaller batch than that, in which others are on time as well.
        None
    } else {
        in_one_or_two(&chosen, least, deadline_ns, terms)
    };
    if let Some(size) = size {
        settle(&chosen, size);
        let is_cut = size < chosen.len().min(terms.target);
        return Choice { fates, is_cut };
    }
    let size = largest_on_time(&order, deadline_ns, terms);
    if size == 0 {
        // Nobody would gain by it.
        settle(&order, whole);
        return Choice {
            fates,
            is_cut: false,
        };
    }
    let mut chosen = able(size);
    if size < whole || !terms.puts_off {
        // With one more the batch would be late, and the next one is later still: the tightest give way.
        chosen.sort_by(|one, other| deadline_ns(*other).total_cmp(&deadline_ns(*one)));
        chosen.truncate(size);
    }
    settle(&chosen, size);
    Choice {
        fates,
        is_cut: false,
    }
}

/// The candidates in the order in which they are to go: those that cannot be put off again, then the others
/// with their lanes in the order of taking, and in each lane those without a deadline, then the tightest.
fn order(candidates: &[Candidate]) -> SmallVec<[usize; INLINE]> {
    let is_due = |at: &usize| candidates[*at].put_off >= MOST_PUT_OFF;
    let (mut order, others): (SmallVec<[usize; INLINE]>, SmallVec<[usize; INLINE]>) =
        (0..candidates.len()).partition(is_due);
    let mut sorted = others.clone();
    sorted.sort_by_key(|at| (candidates[*at].lane, candidates[*at].deadline_ns));
    // Where the next one of each lane is in the sorted ones.
    let mut next: SmallVec<[(usize, usize); INLINE]> = SmallVec::new();
    for (place, at) in sorted.iter().enumerate() {
        let lane = candidates[*at].lane;
        if next.last().is_none_or(|(last, _)| *last != lane) {
            next.push((lane, place));
        }
    }
    for at in others {
        let of_lane = next
            .iter_mut()
            .find(|(lane, _)| *lane == candidates[at].lane);
        if let Some((_, place)) = of_lane {
            order.push(sorted[*place]);
            *place += 1;
        }
    }
    order
}

/// How many of those chosen run now so that all of them are on time, in one batch or in two; `None` if they cannot.
fn in_one_or_two(
    chosen: &[usize],
    least: usize,
    deadline_ns: impl Fn(usize) -> f64,
    terms: &Terms,
) -> Option<usize> {
    let whole = chosen.len().min(terms.target);
    let tightest = |places: &[usize]| {
        let deadlines = places.iter().map(|at| deadline_ns(*at));
        deadlines.fold(f64::INFINITY, f64::min)
    };
    let mut first_ns: SmallVec<[f64; INLINE]> = SmallVec::with_capacity(whole + 1);
    first_ns.push(f64::INFINITY);
    for at in &chosen[..whole] {
        let tightest_ns = first_ns[first_ns.len() - 1].min(deadline_ns(*at));
        first_ns.push(tightest_ns);
    }
    if whole > 0 && terms.keeps(first_ns[whole], whole) {
        return Some(whole);
    }
    if !terms.puts_off {
        return None;
    }
    let mut rest_ns = tightest(&chosen[whole..]);
    for size in (least.max(1)..whole).rev() {
        rest_ns = rest_ns.min(deadline_ns(chosen[size]));
        let rest = chosen.len() - size;
        if rest > terms.target {
            return None;
        }
        let rest_ends_ns = terms.end_ns(size) + terms.cost_ns(rest);
        if terms.end_ns(size) <= first_ns[size] && rest_ends_ns <= rest_ns {
            return Some(size);
        }
    }
    None
}

/// The size of the largest batch whose requests can all be on time; 0 if there is none.
fn largest_on_time(order: &[usize], deadline_ns: impl Fn(usize) -> f64, terms: &Terms) -> usize {
    let mut loosest: SmallVec<[f64; INLINE]> = order.iter().map(|at| deadline_ns(*at)).collect();
    loosest.sort_by(|one, other| other.total_cmp(one));
    let most = order.len().min(terms.target);
    let is_on_time = |size: &usize| terms.keeps(loosest[size - 1], *size);
    (1..=most).rev().find(is_on_time).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        fixed_ns: 10.0,
        each_ns: 10.0,
        least: 1,
    };

    fn terms(target: usize) -> Terms {
        Terms {
            now_ns: 1_000,
            costs: COSTS,
            target,
            puts_off: true,
        }
    }

    /// One of lane 0 that has so long left.
    fn left(ns: u64) -> Candidate {
        Candidate {
            lane: 0,
            deadline_ns: Some(1_000 + ns),
            put_off: 0,
        }
    }

    /// The fates as letters: `r`uns, is `p`ut off, gives `w`ay.
    fn fates(choice: &Choice) -> String {
        let letter = |fate: &Fate| match fate {
            Fate::Runs => 'r',
            Fate::PutOff => 'p',
            Fate::GivesWay => 'w',
        };
        choice.fates.iter().map(letter).collect()
    }

    #[test]
    fn who_is_on_time_runs() {
        let three = [left(40), left(41), left(9_000)];
        let choice = terms(4).choose(&three);
        assert_eq!((fates(&choice).as_str(), choice.is_cut), ("rrr", false));
        assert!(terms(4).keeps_all(1_040, 3) && !terms(4).keeps_all(1_030, 3));
        assert!(!terms(2).keeps_all(u64::MAX, 3), "more than a batch");
    }

    #[test]
    fn who_is_late_in_any_case_gives_way_to_who_is_not() {
        let choice = terms(4).choose(&[left(15), left(900), left(15), left(900)]);
        assert_eq!(fates(&choice), "wrwr");
    }

    #[test]
    fn a_little_late_is_not_late() {
        let doubtful = [left(39), left(39), left(39)];
        assert_eq!(fates(&terms(3).choose(&doubtful)), "rrr");
    }

    #[test]
    fn if_all_are_late_they_run() {
        assert_eq!(fates(&terms(3).choose(&[left(5); 3])), "rrr");
        assert_eq!(fates(&terms(3).choose(&[left(5); 5])), "rrrpp");
    }

    /// With nine it takes 100, with four 50.
    #[test]
    fn a_batch_is_cut_for_a_deadline_if_the_rest_can_wait() {
        let mut nine = [left(900); 9];
        nine[8] = left(55);
        let choice = terms(9).choose(&nine);
        assert_eq!(
            (fates(&choice).as_str(), choice.is_cut),
            ("rrrpppppr", true)
        );
        let mut tight = [left(105); 9];
        tight[8] = left(55);
        assert_eq!(
            fates(&terms(9).choose(&tight)),
            "rrrrrrrrw",
            "two batches take 110"
        );
        let mut costly = terms(9);
        costly.costs.least = 5;
        assert_eq!(fates(&costly.choose(&nine)), "rrrrrrrrw");
        let mut keyed = terms(9);
        keyed.puts_off = false;
        assert_eq!(fates(&keyed.choose(&nine)), "rrrrrrrrw");
    }

    #[test]
    fn of_more_than_a_batch_the_tightest_go_first() {
        let four = [left(900), left(200), left(800), left(100)];
        assert_eq!(fates(&terms(2).choose(&four)), "prpr");
        let mut old = four;
        old[0].put_off = MOST_PUT_OFF;
        assert_eq!(fates(&terms(2).choose(&old)), "rppr");
        let mut timeless = four;
        timeless[2].deadline_ns = None;
        assert_eq!(fates(&terms(2).choose(&timeless)), "pprr");
    }

    #[test]
    fn lanes_keep_their_turns() {
        let of = |lane, ns| Candidate { lane, ..left(ns) };
        let mixed = [of(3, 900), of(0, 900), of(3, 200), of(3, 300), of(0, 100)];
        assert_eq!(fates(&terms(2).choose(&mixed)), "pprpr");
        assert_eq!(fates(&terms(3).choose(&mixed)), "pprrr");
        let highest_first = [of(3, 900), of(3, 900), of(0, 100)];
        assert_eq!(fates(&terms(2).choose(&highest_first)), "rrp");
    }

    /// Numbers that look random.
    fn numbers() -> impl FnMut(u64) -> u64 {
        let mut state = 7_u64;
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        }
    }

    #[test]
    fn the_rules_hold_for_any_candidates() {
        let mut number = numbers();
        for _ in 0..20_000 {
            let held = 1 + number(12) as usize;
            let tight = number(300) + 1;
            let candidates: Vec<Candidate> = (0..held)
                .map(|_| Candidate {
                    lane: number(3) as usize,
                    deadline_ns: (number(5) > 0).then(|| 1_000 + number(tight)),
                    put_off: number(4) as u8,
                })
                .collect();
            let mut terms = terms(1 + number(8) as usize);
            terms.costs.least = 1 + number(4) as usize;
            terms.puts_off = number(3) > 0;
            if !terms.puts_off {
                terms.target = terms.target.max(held);
            }
            let choice = terms.choose(&candidates);
            check(&candidates, &terms, &choice);
        }
    }

    fn check(candidates: &[Candidate], terms: &Terms, choice: &Choice) {
        let context = (candidates, terms, choice);
        assert_eq!(choice.fates.len(), candidates.len());
        let of = |fate| {
            let fated = candidates.iter().zip(&choice.fates);
            fated.filter_map(move |(one, its)| (*its == fate).then_some(one))
        };
        let runs = of(Fate::Runs).count();
        assert!((1..=terms.target).contains(&runs), "{context:?}");
        let is_on_time = |one: &Candidate| {
            one.deadline_ns
                .is_none_or(|deadline_ns| terms.keeps(deadline_ns as f64, runs))
        };
        if of(Fate::GivesWay).count() > 0 {
            assert!(of(Fate::Runs).all(is_on_time), "{context:?}");
            assert!(of(Fate::GivesWay).all(|one| one.deadline_ns.is_some()));
        }
        let is_due = |one: &&Candidate| one.put_off >= MOST_PUT_OFF;
        if candidates.iter().filter(is_due).count() <= terms.target {
            assert!(!of(Fate::PutOff).any(|one| is_due(&one)), "{context:?}");
        }
        let most_on_time = |size: usize| {
            let able = |one: &&Candidate| {
                one.deadline_ns
                    .is_none_or(|deadline_ns| terms.keeps(deadline_ns as f64, size))
            };
            candidates.iter().filter(able).count() >= size
        };
        if of(Fate::GivesWay).count() > 0 && of(Fate::PutOff).count() == 0 {
            let larger = runs + 1..=terms.target.min(candidates.len());
            assert!(!larger.into_iter().any(most_on_time), "{context:?}");
        }
        assert!(terms.puts_off || of(Fate::PutOff).count() == 0);
        assert!(!choice.is_cut || of(Fate::PutOff).count() > 0);
    }
}
