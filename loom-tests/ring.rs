//! The ring: every value comes out once, whole and in order, and a close counts what came in.
//!
//! Nobody spins here but on a claim that is about to be published: two threads that spin beside
//! each other have no end, to a model. What nobody came by is popped in the end.

use std::sync::Arc;

use loom::thread;

use super::{Flaw, RACE, check, join_all, must_fail};
use crate::internals::Ring;
use crate::sync::{Mutation, hint};

/// Boxed, so that a value that is read torn or twice is noticed.
type Value = Box<u32>;

/// A ring of two slots whose positions have gone around once already.
fn ring_after_a_lap() -> Arc<Ring<Value>> {
    let ring = Ring::with_capacity(2);
    assert_eq!(ring.push_n(2, Value::default), 2);
    assert_eq!(pop_run(&ring), [0, 0]);
    Arc::new(ring)
}

/// Pushes a value if there is room. Returns how many that is.
fn push(ring: &Ring<Value>, value: u32) -> usize {
    usize::from(ring.push(Value::new(value)).is_ok())
}

/// Pushes in one claim as many of the values as there is room for.
fn push_run(ring: &Ring<Value>, values: &[u32]) -> usize {
    let mut left = values.iter();
    let next = || Value::new(*left.next().expect("no more claims than values"));
    ring.push_n(values.len(), next)
}

fn pop(ring: &Ring<Value>) -> Vec<u32> {
    ring.pop().into_iter().map(|value| *value).collect()
}

fn pop_run(ring: &Ring<Value>) -> Vec<u32> {
    let mut values = Vec::new();
    ring.pop_n(2, |value| values.push(*value));
    values
}

/// Pops everything, what is claimed and not yet published included.
fn drain(ring: &Ring<Value>) -> Vec<u32> {
    let mut values = Vec::new();
    while !ring.is_empty() {
        match ring.pop() {
            Some(value) => values.push(*value),
            None if Flaw::DrainWhatIsThere.is_built_in() => break,
            None => hint::spin_loop(),
        }
    }
    values
}

fn sorted(parts: impl IntoIterator<Item = Vec<u32>>) -> Vec<u32> {
    let mut values: Vec<_> = parts.into_iter().flatten().collect();
    values.sort_unstable();
    values
}

/// Threads: two producers of one value each; two consumers that look once, the main thread being the
/// second. The positions wrap around.
///
/// Property: both values come out once each, and no slot is written and read at once.
///
/// Broken by: a publication without Release, a look without Acquire, a torn claim.
#[test]
fn two_producers_and_two_consumers() {
    check(|| {
        let ring = ring_after_a_lap();
        let producers = [1, 2].map(|value| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, value))
        });
        let consumer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || pop(&ring))
        };
        let mine = pop(&ring);
        let theirs = consumer.join().expect("no thread panics");
        assert_eq!(join_all(producers), [1, 1], "there was room for both");
        assert_eq!(sorted([mine, theirs, drain(&ring)]), [1, 2]);
    });
}

#[test]
fn two_producers_and_two_consumers_need_the_release() {
    let test = "ring::two_producers_and_two_consumers";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

#[test]
fn two_producers_and_two_consumers_need_the_acquire() {
    let test = "ring::two_producers_and_two_consumers";
    must_fail(test, Flaw::Layer(Mutation::NoAcquire), RACE);
}

#[test]
fn two_producers_and_two_consumers_need_whole_claims() {
    let test = "ring::two_producers_and_two_consumers";
    must_fail(test, Flaw::Layer(Mutation::TornRmw), RACE);
}

/// Threads: two producers of one value each on a ring that is full; the main thread pops up to three.
///
/// Property: what was in the ring comes out first; what gets in comes out once; a producer that finds
/// the ring full is refused and nothing else happens.
///
/// Broken by: a slot given back without Release, as it is written again before it was read.
#[test]
fn producers_of_a_full_ring() {
    check(|| {
        let ring = Arc::new(Ring::with_capacity(2));
        assert_eq!(push_run(&ring, &[1, 2]), 2);
        let producers = [3, 4].map(|value| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, value) as u32 * value)
        });
        assert_eq!([pop(&ring), pop(&ring)].concat(), [1, 2]);
        let third = pop(&ring);
        let mut got_in = join_all(producers);
        got_in.retain(|value| *value != 0);
        assert_eq!(sorted([third, drain(&ring)]), got_in);
    });
}

#[test]
fn producers_of_a_full_ring_need_the_release() {
    let test = "ring::producers_of_a_full_ring";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

/// Threads: one that pushes a run of two, one that pushes a single value, one that pops a run of up to
/// two; the main thread pops singly. Three values for two slots, and the runs wrap around.
///
/// Property: what gets in comes out once, and a run's values come out in order.
///
/// Broken by: a torn claim, a look without Acquire.
#[test]
fn runs_against_single_operations() {
    check(|| {
        let ring = ring_after_a_lap();
        let [run, single, consumer] = [(); 3].map(|()| Arc::clone(&ring));
        let producers = [
            thread::spawn(move || push_run(&run, &[1, 2])),
            thread::spawn(move || push(&single, 3)),
        ];
        let consumer = thread::spawn(move || pop_run(&consumer));
        let mine = pop(&ring);
        let theirs = consumer.join().expect("no thread panics");
        let pushed = join_all(producers);
        let rest = drain(&ring);
        for part in [&theirs, &rest] {
            assert!(!part.ends_with(&[2, 1]), "a run keeps its order");
        }
        let mut all = [1, 2][..pushed[0]].to_vec();
        all.extend(&[3][..pushed[1]]);
        assert_eq!(sorted([mine, theirs, rest]), all);
    });
}

#[test]
fn runs_against_single_operations_need_whole_claims() {
    let test = "ring::runs_against_single_operations";
    must_fail(test, Flaw::Layer(Mutation::TornRmw), RACE);
}

#[test]
fn runs_against_single_operations_need_the_acquire() {
    let test = "ring::runs_against_single_operations";
    must_fail(test, Flaw::Layer(Mutation::NoAcquire), RACE);
}

/// Threads: two producers of one value each, one of them in a run; the main thread closes the ring and
/// then drains it as a shutdown does, as long as positions are claimed.
///
/// Property: after the close the number of accepted values is exact and final; it is the number of
/// pushes that succeeded; and all of them are popped.
///
/// Broken by: draining only what is there, because a claimed value may be on its way.
#[test]
fn close_against_push() {
    check(|| {
        let ring = Arc::new(Ring::with_capacity(2));
        let [single, run] = [(); 2].map(|()| Arc::clone(&ring));
        let producers = [
            thread::spawn(move || push(&single, 1)),
            thread::spawn(move || push_run(&run, &[2])),
        ];
        ring.close();
        let accepted = ring.len();
        let drained = drain(&ring).len();
        assert_eq!(drained, accepted, "what was accepted is popped");
        let pushed: usize = join_all(producers).iter().sum();
        assert_eq!(pushed, accepted, "every push knows whether it was accepted");
        assert!(ring.is_empty(), "nothing comes in after the close");
    });
}

#[test]
fn close_against_push_needs_to_drain_claims() {
    let test = "ring::close_against_push";
    must_fail(test, Flaw::DrainWhatIsThere, "what was accepted is popped");
}
