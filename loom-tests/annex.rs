//! What lies beside the slots of a ring belongs to whoever the slot belongs to.

use std::sync::Arc;

use loom::thread;

use super::{Flaw, RACE, check, join_all, must_fail};
use crate::lane::{Annex, Claim, Ring};
use crate::sync::Mutation;

/// Odd numbers go with an annex, their double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Double(u32);

impl Annex<u32> for Double {
    const BLANK: Self = Double(0);

    fn goes_with(value: &u32) -> bool {
        value % 2 == 1
    }
}

fn push(ring: &Ring<u32, Double>, value: u32) -> bool {
    let make = |mut claim: Claim<'_, Double>| {
        if Double::goes_with(&value) {
            claim.lay_down(Double(2 * value));
        }
        value
    };
    ring.push_with(make).is_ok()
}

/// Pops the oldest value; it must have its own annex, or none if it came without.
fn pop(ring: &Ring<u32, Double>) -> Option<u32> {
    let (value, annex) = ring.pop()?;
    let expected = Double::goes_with(&value).then_some(Double(2 * value));
    assert_eq!(annex, expected, "the annex of {value}");
    Some(value)
}

/// Threads: two producers on a full ring, one with an annex and one without; the main thread pops.
///
/// Property: each value comes out with its own annex, though the places are used again.
///
/// Broken by: a publication without Release, a look without Acquire.
#[test]
fn each_value_keeps_its_annex() {
    check(|| {
        let ring = Arc::new(Ring::with_capacity(2));
        assert!(push(&ring, 1) && push(&ring, 3));
        let producers = [5, 6].map(|value| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, value))
        });
        assert_eq!([pop(&ring), pop(&ring)], [Some(1), Some(3)]);
        let got_in = join_all(producers);
        let mut left: Vec<u32> = std::iter::from_fn(|| pop(&ring)).collect();
        left.sort_unstable();
        let expected: Vec<u32> = [5, 6]
            .into_iter()
            .zip(got_in)
            .filter_map(|(value, is_in)| is_in.then_some(value))
            .collect();
        assert_eq!(left, expected);
    });
}

#[test]
fn each_value_keeps_its_annex_by_the_release() {
    let test = "annex::each_value_keeps_its_annex";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

#[test]
fn each_value_keeps_its_annex_by_the_acquire() {
    let test = "annex::each_value_keeps_its_annex";
    must_fail(test, Flaw::Layer(Mutation::NoAcquire), RACE);
}
