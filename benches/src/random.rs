//! Numbers that look random and are the same in every run, for every contender.

use std::time::Duration;

/// A number that looks random, from a counter (the output function of SplitMix64; Steele, Lea, Flood 2014).
#[must_use]
pub fn scatter(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The times of arrivals within `limit` that are independent of each other (exponential gaps), `mean_gap_s`
/// seconds apart on average; at least one.
///
/// `seed` is not 0.
#[must_use]
pub fn arrivals(seed: u64, mean_gap_s: f64, limit: Duration) -> Vec<Duration> {
    let mut random = XorShift(seed);
    let mut time = 0.0;
    let mut due = Vec::new();
    loop {
        time += -mean_gap_s * random.open_unit().ln();
        if time >= limit.as_secs_f64() && !due.is_empty() {
            return due;
        }
        due.push(Duration::from_secs_f64(time));
    }
}

/// Marsaglia's xorshift64*, with Vigna's multiplier.
struct XorShift(u64);

impl XorShift {
    /// Above 0, and at most 1.
    fn open_unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_in_their_order_and_as_often_as_asked() {
        let due = arrivals(42, 0.001, Duration::from_secs(10));
        assert!(due.is_sorted());
        assert!(
            due.last()
                .is_some_and(|&last| last < Duration::from_secs(10))
        );
        // Ten thousand are expected, with a standard deviation of a hundred.
        assert!((9_500..10_500).contains(&due.len()), "{}", due.len());
        assert_eq!(arrivals(42, 1000.0, Duration::from_nanos(1)).len(), 1);
    }

    #[test]
    fn neighbours_scatter() {
        let mut numbers: Vec<u64> = (0..1_000).map(scatter).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 1_000);
        let upper = numbers.iter().filter(|&&number| number >= 1 << 63).count();
        assert!((400..600).contains(&upper), "{upper}");
    }
}
