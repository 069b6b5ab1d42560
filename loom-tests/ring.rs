//! The ring: every value comes out once, whole, and a close counts what came in.

use std::sync::Arc;

use loom::thread;

use super::{Flaw, RACE, check, join_all, must_fail};
use crate::lane::{Refusal, Ring};
use crate::sync::{Mutation, hint};

/// A ring of two slots whose positions have gone around once already.
fn ring_after_a_lap() -> Arc<Ring<Box<u32>>> {
    let ring = Ring::with_capacity(2);
    for value in 0..2 {
        push(&ring, value);
    }
    while ring.pop().is_some() {}
    Arc::new(ring)
}

/// Pushes, waiting for room. Boxed values, so that one that is read torn or twice is noticed.
fn push(ring: &Ring<Box<u32>>, value: u32) {
    let mut value = Box::new(value);
    while let Err(Refusal::Full(back)) = ring.push(value) {
        value = back;
        hint::spin_loop();
    }
}

/// Pops, waiting for a value.
fn pop(ring: &Ring<Box<u32>>) -> u32 {
    loop {
        if let Some(value) = ring.pop() {
            return *value;
        }
        hint::spin_loop();
    }
}

/// Pushes values in runs as long as there is room for.
fn push_run(ring: &Ring<Box<u32>>, values: &[u32]) {
    let mut left = values.iter();
    while left.len() > 0 {
        let count = left.len();
        let next = || Box::new(*left.next().expect("no more claims than values"));
        if ring.push_n(count, next, |_, _| ()) == 0 {
            hint::spin_loop();
        }
    }
}

/// Pops a run of up to two, waiting for one at least.
fn pop_run(ring: &Ring<Box<u32>>) -> Vec<u32> {
    let mut values = Vec::new();
    while ring.pop_share(2, 1, |value| values.push(*value)) == 0 {
        hint::spin_loop();
    }
    values
}

fn sorted(values: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable();
    values
}

/// Threads: two producers of one value each; two consumers of one value each, the main thread being
/// the second. The positions wrap around.
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
        let theirs = consumer.join().unwrap();
        join_all(producers);
        assert_eq!(sorted([mine, theirs]), [1, 2]);
        assert!(!ring.has_claims());
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

/// Threads: two producers of one value each on a ring that is full; the main thread takes all four.
///
/// Property: a producer that finds the ring full gets in once there is room, and the order of each
/// lap is kept: what was in the ring comes out first.
///
/// Broken by: a release without Release, as the slot is written again before it was read.
#[test]
fn producers_of_a_full_ring() {
    check(|| {
        let ring = Arc::new(Ring::with_capacity(2));
        push(&ring, 1);
        push(&ring, 2);
        let producers = [3, 4].map(|value| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, value))
        });
        assert_eq!([pop(&ring), pop(&ring)], [1, 2]);
        assert_eq!(sorted([pop(&ring), pop(&ring)]), [3, 4]);
        join_all(producers);
    });
}

#[test]
fn producers_of_a_full_ring_need_the_release() {
    let test = "ring::producers_of_a_full_ring";
    must_fail(test, Flaw::Layer(Mutation::NoRelease), RACE);
}

/// Threads: one that pushes a run of two, one that pushes a single value, one that pops runs of up to
/// two; the main thread pops singly, twice. Three values for two slots.
///
/// Property: every value comes out once, and the run's values come out in order.
///
/// Broken by: a torn claim, a look without Acquire.
#[test]
fn runs_against_single_operations() {
    check(|| {
        let ring = ring_after_a_lap();
        let [run, single, consumer] = [(); 3].map(|()| Arc::clone(&ring));
        let threads = [
            thread::spawn(move || push_run(&run, &[1, 2])),
            thread::spawn(move || push(&single, 3)),
        ];
        let consumer = thread::spawn(move || pop_run(&consumer));
        let mut mine = vec![pop(&ring)];
        let theirs = consumer.join().unwrap();
        while mine.len() + theirs.len() < 3 {
            mine.push(pop(&ring));
        }
        join_all(threads);
        for part in [&mine, &theirs] {
            assert!(!part.ends_with(&[2, 1]), "a run keeps its order");
        }
        assert_eq!(sorted(mine.into_iter().chain(theirs)), [1, 2, 3]);
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

/// Threads: two producers of one value each, one of them in a run; one that closes the ring and then
/// drains it as a shutdown does, as long as positions are claimed.
///
/// Property: after the close the count of accepted values is exact and final, it is the number of
/// pushes that succeeded, and all of them are popped.
///
/// Broken by: draining only what is there, because a claimed value may be on its way; a close that is
/// torn, and takes back a claim.
#[test]
fn close_against_push() {
    check(|| {
        let ring = Arc::new(Ring::with_capacity(2));
        let [single, run, closer] = [(); 3].map(|()| Arc::clone(&ring));
        let single = thread::spawn(move || u64::from(single.push(Box::new(1)).is_ok()));
        let run = thread::spawn(move || run.push_n(1, || Box::new(2), |_, _| ()) as u64);
        let closer = thread::spawn(move || {
            closer.close();
            let accepted = closer.accepted();
            (accepted, drain(&closer))
        });
        let (accepted, drained) = closer.join().unwrap();
        assert_eq!(single.join().unwrap() + run.join().unwrap(), accepted);
        assert_eq!(ring.accepted(), accepted, "nothing came in after the close");
        assert_eq!(drained, accepted, "what was accepted is popped");
    });
}

/// Pops until no position is claimed.
fn drain(ring: &Ring<Box<u32>>) -> u64 {
    let mut drained = 0;
    while ring.has_claims() {
        match ring.pop() {
            Some(_) => drained += 1,
            None if Flaw::DrainWhatIsThere.is_built_in() => break,
            None => hint::spin_loop(),
        }
    }
    drained
}

#[test]
fn close_against_push_needs_to_drain_claims() {
    let test = "ring::close_against_push";
    must_fail(test, Flaw::DrainWhatIsThere, "what was accepted is popped");
}

#[test]
fn close_against_push_needs_a_whole_close() {
    let test = "ring::close_against_push";
    must_fail(test, Flaw::Layer(Mutation::TornRmw), "");
}
