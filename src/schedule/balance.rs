//! Which worker takes a keyed run or a chunk of a batch. Pure: the numbers are handed in.
//!
//! None of these looks for the best worker of all on every count: several submitters would see the
//! same one and all run to it. They take turns among equals ([`least_connections`],
//! [`WeightTable`]), or look at two workers drawn at random and take the better one. Two draws are
//! what makes the difference: the longest queue of `n` then grows as log log n where one draw gives
//! log n / log log n (Azar, Broder, Karlin and Upfal, 1994; Mitzenmacher, *The Power of Two Choices
//! in Randomized Load Balancing*, 1996), and a third draw adds little.
//!
//! There is always at least one worker. Numbers may be a moment old; a wrong choice costs time and
//! nothing else.

/// What a balancer knows of one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Tasks queued at it and in its hand.
    pub(crate) outstanding: u64,
    /// How long it takes to respond, as a peak EWMA; 0 for not known.
    pub(crate) response_ns: u64,
}

/// The worker with the least outstanding.
///
/// The scan begins at `start`, which callers move on by one each time, and the first of several equal
/// ones is taken, so that an idle pool is served in turns.
pub(crate) fn least_connections(workers: usize, start: u64, load: impl Fn(usize) -> Load) -> usize {
    let first = (start % workers as u64) as usize;
    let mut best = (u64::MAX, first);
    for worker in (first..workers).chain(0..first) {
        let outstanding = load(worker).outstanding;
        if outstanding < best.0 {
            best = (outstanding, worker);
        }
        if outstanding == 0 {
            break;
        }
    }
    best.1
}

/// Of two different workers drawn by `random`, the one that promises the earlier response: the lower
/// `response_ns * (outstanding + 1)`, which is the cost of Finagle's peak EWMA balancer.
///
/// Of a worker whose response is not known it is assumed that it responds like the other one, so the
/// two are told apart by what they have outstanding. Were it taken for quick, everything would go to a
/// worker that has not answered yet, for as long as it does not; were it taken for slow, it would
/// never be tried. So it gets its share by queue length until its first response says more.
pub(crate) fn response_weighted(
    workers: usize,
    random: u64,
    load: impl Fn(usize) -> Load,
) -> usize {
    lower_of_two(workers, random, |worker, other| {
        let (mine, other) = (load(worker), load(other));
        let response_ns = match (mine.response_ns, other.response_ns) {
            (0, 0) => 1,
            (0, others) => others,
            (own, _) => own,
        };
        u128::from(response_ns) * (u128::from(mine.outstanding) + 1)
    })
}

/// Of two different workers drawn by `random`, the one with the lower number.
pub(crate) fn less_loaded_of_two(
    workers: usize,
    random: u64,
    queued: impl Fn(usize) -> u64,
) -> usize {
    lower_of_two(workers, random, |worker, _| u128::from(queued(worker)))
}

/// Draws two different workers and takes the one with the lower cost. Of equals it is the first,
/// which is either with the same chance. The cost of a worker may depend on who the other one is.
#[inline]
fn lower_of_two(workers: usize, random: u64, cost: impl Fn(usize, usize) -> u128) -> usize {
    if workers < 2 {
        return 0;
    }
    let (one, other) = two_of(workers, random);
    if cost(other, one) < cost(one, other) {
        other
    } else {
        one
    }
}

/// Two different numbers below `workers`, which is at least 2, from the two halves of `random`: each
/// pair is as likely as any other, to within one in 2^32.
#[inline]
fn two_of(workers: usize, random: u64) -> (usize, usize) {
    // A multiplication spreads 32 random bits over a range as a remainder would, without a division.
    let below = |range: usize, bits: u64| ((bits * range as u64) >> 32) as usize;
    let one = below(workers, random >> 32);
    let other = below(workers - 1, random & u64::from(u32::MAX));
    // The second draw is among the others, numbered without the first.
    (one, if other >= one { other + 1 } else { other })
}

/// A random number from a ticket: the output of that index of splitmix64 seeded with 0 (Steele, Lea and
/// Flood, *Fast Splittable Pseudorandom Number Generators*, 2014). No two tickets give the same number.
#[inline]
pub(crate) fn scatter(ticket: u64) -> u64 {
    let mut mixed = ticket.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// To about this length a [`WeightTable`] is shortened.
const MOST_TURNS: u64 = 4_096;

/// Turns of a weighted round robin, spread evenly.
///
/// The turns are worked out once, by the smooth weighted round robin of nginx: before each turn every
/// worker gains its weight in credit, and the one with the most credit has the turn and pays the sum of
/// all weights. In one round each worker has as many turns as its weight, and a heavy worker's turns
/// lie apart instead of in a row. After that a turn is one look into the table, by any number of
/// threads, and nothing is ever written.
///
/// Weights are divided by what they have in common. If more than 4,096 turns remain, a round is
/// shortened to so many, each worker's turns rounded to the nearest number and at least 1; the table
/// then has at most 4,096 turns and one for each worker.
#[derive(Clone, Debug)]
pub(crate) struct WeightTable {
    turns: Box<[u32]>,
}

impl WeightTable {
    /// For workers of these weights, each above 0.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let shares = shares(weights);
        let round: i64 = shares.iter().sum();
        let mut credits = vec![0_i64; shares.len()];
        let turns = (0..round).map(|_| {
            let mut first = 0;
            for worker in 0..shares.len() {
                credits[worker] += shares[worker];
                if credits[worker] > credits[first] {
                    first = worker;
                }
            }
            credits[first] -= round;
            first as u32
        });
        Self {
            turns: turns.collect(),
        }
    }

    /// The worker whose turn it is.
    #[inline]
    pub(crate) fn at(&self, ticket: u64) -> usize {
        self.turns[(ticket % self.turns.len() as u64) as usize] as usize
    }
}

/// How many turns each worker has in a round.
fn shares(weights: &[u32]) -> Vec<i64> {
    debug_assert!(!weights.is_empty() && weights.iter().all(|weight| *weight > 0));
    let common = u64::from(weights.iter().copied().fold(0, common_divisor).max(1));
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let round = total / common;
    let turns = |weight: &u32| {
        let weight = u64::from(*weight);
        let turns = if round <= MOST_TURNS {
            weight / common
        } else {
            (weight * MOST_TURNS + total / 2) / total
        };
        turns.max(1) as i64
    };
    weights.iter().map(turns).collect()
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(outstanding: u64, response_ns: u64) -> Load {
        Load {
            outstanding,
            response_ns,
        }
    }

    /// A number that makes `two_of` draw these two of `workers`.
    fn drawing(workers: usize, one: usize, other: usize) -> u64 {
        let draws = (0..).map(scatter);
        let mut fitting = draws.filter(|random| two_of(workers, *random) == (one, other));
        fitting.next().unwrap()
    }

    #[test]
    fn one_worker_takes_everything() {
        for ticket in [0, 1, 7, u64::MAX] {
            assert_eq!(least_connections(1, ticket, |_| load(9, 9)), 0);
            assert_eq!(response_weighted(1, ticket, |_| load(9, 9)), 0);
            assert_eq!(less_loaded_of_two(1, ticket, |_| 9), 0);
            assert_eq!(WeightTable::new(&[17]).at(ticket), 0);
        }
    }

    #[test]
    fn equal_workers_take_turns() {
        let turns: Vec<_> = (0..7)
            .map(|start| least_connections(3, start, |_| load(4, 0)))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_full_pool_still_has_a_least_loaded_worker() {
        assert_eq!(least_connections(2, 1, |_| load(u64::MAX, 0)), 1);
        assert!(response_weighted(2, 1, |_| load(u64::MAX, u64::MAX)) < 2);
    }

    #[test]
    fn a_slow_worker_gets_as_much_less_as_it_is_slower() {
        // Worker 0 responds in 1 ms, worker 1 in 10 ms.
        let choose = |queues: [u64; 2]| {
            let loads = [load(queues[0], 1_000_000), load(queues[1], 10_000_000)];
            response_weighted(2, drawing(2, 0, 1), |worker| loads[worker])
        };
        assert_eq!(choose([0, 0]), 0);
        assert_eq!(choose([8, 0]), 0, "9 ms against 10 ms");
        assert_eq!(choose([10, 0]), 1, "11 ms against 10 ms");
        assert_eq!(choose([10, 1]), 0, "11 ms against 20 ms");
    }

    #[test]
    fn a_worker_of_unknown_response_is_tried_and_not_flooded() {
        let choose = |known: u64, unknown: u64| {
            let loads = [load(known, 1_000_000), load(unknown, 0)];
            response_weighted(2, drawing(2, 0, 1), |worker| loads[worker])
        };
        assert_eq!(choose(1, 0), 1);
        assert_eq!(choose(1, 2), 0);
        let unknown = [load(3, 0), load(2, 0)];
        assert_eq!(
            response_weighted(2, drawing(2, 0, 1), |worker| unknown[worker]),
            1,
            "of two unknown ones, the shorter queue"
        );
    }

    #[test]
    fn every_pair_is_drawn_about_as_often() {
        const WORKERS: usize = 7;
        const DRAWS: u64 = 42_000;
        let mut drawn = [[0_u64; WORKERS]; WORKERS];
        for ticket in 0..DRAWS {
            let (one, other) = two_of(WORKERS, scatter(ticket));
            drawn[one][other] += 1;
        }
        for (one, row) in drawn.iter().enumerate() {
            for (other, count) in row.iter().enumerate() {
                // 1,000 are expected of each pair, with a standard deviation of 32.
                let fair = if one == other { 0..=0 } else { 850..=1_150 };
                assert!(fair.contains(count), "{one} and {other}: {count}");
            }
        }
    }

    #[test]
    fn two_choices_keep_queues_shorter_than_one() {
        const WORKERS: usize = 64;
        let longest = |choose: fn(u64, &[u64]) -> usize| {
            let mut queues = [0_u64; WORKERS];
            (0..WORKERS as u64 * 100).for_each(|ticket| queues[choose(ticket, &queues)] += 1);
            *queues.iter().max().unwrap()
        };
        let of_one = longest(|ticket, _| (scatter(ticket) % WORKERS as u64) as usize);
        let of_two = longest(|ticket, queues| {
            less_loaded_of_two(WORKERS, scatter(ticket), |worker| queues[worker])
        });
        assert!(
            of_two <= 103,
            "an average of 100, at most log2 log2 64 more: {of_two}"
        );
        assert!(of_one > 110, "one choice: {of_one}");
    }

    #[test]
    fn the_published_outputs_of_splitmix64() {
        assert_eq!(
            [scatter(0), scatter(1), scatter(2)],
            [
                0xE220_A839_7B1D_CDAF,
                0x6E78_9E6A_A1B9_65F4,
                0x06C4_5D18_8009_454F
            ]
        );
    }

    #[test]
    fn the_turns_of_a_heavy_worker_lie_apart() {
        // The example of nginx's own description of the algorithm.
        let table = WeightTable::new(&[50, 10, 10]);
        let turns: Vec<_> = (0..8).map(|ticket| table.at(ticket)).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_long_round_is_shortened_and_nobody_loses_his_turn() {
        let weights = [10_000, 9_999, 1, 3_333];
        let table = WeightTable::new(&weights);
        assert!(table.turns.len() as u64 <= MOST_TURNS + 4);
        assert_eq!(shares(&weights)[2], 1, "a share of 0.2 turns is one turn");
        let most = vec![10_000; 1_000];
        assert_eq!(WeightTable::new(&most).turns.len(), 1_000);
    }

    proptest! {
        #[test]
        fn two_draws_are_two_workers(workers in 2_usize..2_000, random: u64) {
            let (one, other) = two_of(workers, random);
            prop_assert!(one != other && one < workers && other < workers);
        }

        #[test]
        fn nobody_has_less_outstanding_than_the_chosen(
            queues in prop::collection::vec(0_u64..5, 1..20),
            start: u64,
        ) {
            let chosen = least_connections(queues.len(), start, |worker| load(queues[worker], 0));
            prop_assert_eq!(queues[chosen], *queues.iter().min().unwrap());
        }

        #[test]
        fn the_longest_queue_is_never_chosen_of_two(
            queues in prop::collection::vec(0_u64..1_000, 2..20),
            random: u64,
        ) {
            let chosen = less_loaded_of_two(queues.len(), random, |worker| queues[worker]);
            let (one, other) = two_of(queues.len(), random);
            prop_assert_eq!(queues[chosen], queues[one].min(queues[other]));
        }

        /// From any ticket on, a round has exactly a worker's turns, and at no moment is a worker
        /// further from its due than the logarithm of the number of workers, or a turn.
        #[test]
        fn a_round_has_the_shares_of_the_weights(
            weights in prop::collection::vec(1_u32..60, 1..12),
            from in 0_u64..1_000_000,
        ) {
            let table = WeightTable::new(&weights);
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let round = table.turns.len() as u64;
            prop_assert_eq!(total % round, 0);
            let mut turns = vec![0_u64; weights.len()];
            (from..from + round).for_each(|ticket| turns[table.at(ticket)] += 1);
            for (turns, weight) in turns.iter().zip(&weights) {
                prop_assert_eq!(turns * total / round, u64::from(*weight));
            }
            let most_off = 1.0 + (weights.len() as f64).ln();
            let mut turns = vec![0_u64; weights.len()];
            for ticket in 0..round {
                turns[table.at(ticket)] += 1;
                for (turns, weight) in turns.iter().zip(&weights) {
                    let due = (ticket + 1) as f64 * f64::from(*weight) / total as f64;
                    prop_assert!((*turns as f64 - due).abs() <= most_off, "{turns} of {due}");
                }
            }
        }

        /// A shortened round is within half a turn of the shares, or gives a worker its one turn.
        #[test]
        fn a_shortened_round_stays_within_a_turn(
            weights in prop::collection::vec(1_u32..=10_000, 2..40),
        ) {
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let shares = shares(&weights);
            let common = weights.iter().copied().fold(0, common_divisor);
            let round = (total / u64::from(common)).min(MOST_TURNS);
            prop_assert!(shares.iter().sum::<i64>() as u64 <= MOST_TURNS + weights.len() as u64);
            for (share, weight) in shares.iter().zip(&weights) {
                let exact = f64::from(*weight) * round as f64 / total as f64;
                prop_assert!(*share >= 1);
                prop_assert!((*share as f64 - exact.max(1.0)).abs() <= 0.5 || *share == 1);
            }
        }
    }
}
