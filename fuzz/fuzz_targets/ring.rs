//! The ring of a lane against a plain queue.
//!
//! **The model** is a `VecDeque` of values, a capacity, the position of the next push, and whether
//! the ring was closed. A ring asked for `c` slots has `max(2, c)` of them, rounded up to a power of
//! two. On one thread nothing is ever "claimed and not yet published", so every answer is exact:
//!
//! - a push is refused as full exactly when the model is full, and as closed exactly after a close,
//!   full or not; a refusal hands the same value back;
//! - positions count up by one, in whatever operation they are claimed;
//! - `push_n` takes the least of what is asked, what is free, and what is left before the slots wrap
//!   around; `pop_n` the least of what is asked, 16, what is there, and what is left before the wrap;
//!   `pop_share` a share of that when it is less than asked; all in order;
//! - every value that was made is dropped once: by whoever took it, or by the ring.

#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use arbitrary::{Arbitrary, Result, Unstructured};
use lanepool::internals::{Refused, Ring};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Scenario {
    #[arbitrary(with = |u: &mut Unstructured<'_>| u.int_in_range(1..=64))]
    capacity: usize,
    #[arbitrary(with = as_many_as_there_are)]
    operations: Vec<Operation>,
}

/// To the end of the input. A derived list asks before each element whether to go on, and half of all
/// bytes say no.
fn as_many_as_there_are(u: &mut Unstructured<'_>) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    while !u.is_empty() {
        operations.push(u.arbitrary()?);
    }
    Ok(operations)
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Push,
    Pop,
    PushN(Count),
    PopN(Count),
    PopShare(Count, u8),
    Close,
}

/// How many values an operation asks for: mostly about as many as fit, sometimes absurdly many.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Count {
    Few(u8),
    Most,
}

impl Count {
    fn get(self) -> usize {
        match self {
            Count::Few(count) => usize::from(count % 80),
            Count::Most => usize::MAX,
        }
    }
}

/// The most values of one `pop_n`: what a worker's hand holds.
const LONGEST_RUN: usize = 16;

/// How often each value was dropped, by its number.
type Drops = Rc<RefCell<Vec<u32>>>;

/// A value that knows its number and is counted when it is dropped. Boxed, so that a sanitizer sees a
/// value that is read twice or never freed.
#[derive(Debug)]
struct Value {
    number: Box<usize>,
    drops: Drops,
}

impl Value {
    fn new(drops: &Drops) -> Self {
        let number = drops.borrow().len();
        drops.borrow_mut().push(0);
        Self {
            number: Box::new(number),
            drops: Rc::clone(drops),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.borrow_mut()[*self.number] += 1;
    }
}

struct Model {
    queue: VecDeque<usize>,
    capacity: usize,
    accepted: usize,
    closed: bool,
}

impl Model {
    /// What is left from a position to the end of the slots.
    fn before_wrap(&self, position: usize) -> usize {
        self.capacity - position % self.capacity
    }

    /// What one claim for `most` values finds.
    fn in_one_claim(&self, most: usize) -> usize {
        let there = self.queue.len();
        let head = self.accepted - there;
        most.min(there).min(self.before_wrap(head))
    }

    fn room(&self) -> usize {
        if self.closed {
            0
        } else {
            self.capacity - self.queue.len()
        }
    }

    fn accept(&mut self, number: usize) {
        self.queue.push_back(number);
        self.accepted += 1;
    }
}

fn push(ring: &Ring<Value>, model: &mut Model, drops: &Drops) {
    let value = Value::new(drops);
    let number = *value.number;
    match ring.push(value) {
        Ok(position) => {
            assert!(model.room() > 0, "a full or closed ring took a value");
            assert_eq!(position, model.accepted as u64, "positions count up by one");
            model.accept(number);
        }
        Err(Refused::Closed(value)) => {
            assert!(model.closed, "an open ring says that it is closed");
            assert_eq!(*value.number, number, "another value came back");
        }
        Err(Refused::Full(value)) => {
            assert!(!model.closed, "a closed ring says that it is full");
            assert_eq!(model.room(), 0, "a ring with room says that it is full");
            assert_eq!(*value.number, number, "another value came back");
        }
    }
}

fn push_n(ring: &Ring<Value>, model: &mut Model, drops: &Drops, count: usize) {
    let expected = count
        .min(model.room())
        .min(model.before_wrap(model.accepted));
    let pushed = ring.push_n(count, || {
        let value = Value::new(drops);
        model.accept(*value.number);
        value
    });
    assert_eq!(pushed, expected, "push_n took too few or too many");
}

/// Takes values with `pop` and compares them with the oldest ones of the model.
fn pop_some(model: &mut Model, expected: usize, pop: impl FnOnce(&mut dyn FnMut(Value)) -> usize) {
    let mut taken = 0;
    let count = pop(&mut |value: Value| {
        let oldest = model.queue.pop_front();
        assert_eq!(Some(*value.number), oldest, "values come out in order");
        taken += 1;
    });
    assert_eq!(count, taken, "the number of values taken is returned");
    assert_eq!(taken, expected, "too few or too many values taken");
}

fuzz_target!(|scenario: Scenario| {
    let drops = Drops::default();
    let ring = Ring::with_capacity(scenario.capacity);
    let mut model = Model {
        queue: VecDeque::new(),
        capacity: scenario.capacity.max(2).next_power_of_two(),
        accepted: 0,
        closed: false,
    };
    assert_eq!(ring.capacity(), model.capacity);
    for operation in scenario.operations {
        match operation {
            Operation::Push => push(&ring, &mut model, &drops),
            Operation::Pop => {
                let expected = model.queue.len().min(1);
                pop_some(&mut model, expected, |take| {
                    ring.pop().map(take).map_or(0, |()| 1)
                });
            }
            Operation::PushN(count) => push_n(&ring, &mut model, &drops, count.get()),
            Operation::PopN(count) => {
                let most = count.get();
                let expected = model.in_one_claim(most.min(LONGEST_RUN));
                pop_some(&mut model, expected, |take| ring.pop_n(most, take));
            }
            Operation::PopShare(count, sharers) => {
                let (most, sharers) = (count.get(), usize::from(sharers).max(1));
                let fits = most.min(LONGEST_RUN);
                let found = model.in_one_claim(fits);
                let expected = if found < fits {
                    found.div_ceil(sharers)
                } else {
                    fits
                };
                pop_some(&mut model, expected, |take| {
                    ring.pop_share(most, sharers, take)
                });
            }
            Operation::Close => {
                ring.close();
                model.closed = true;
            }
        }
        assert_eq!(ring.len(), model.queue.len());
        assert_eq!(ring.is_empty(), model.queue.is_empty());
        assert_eq!(ring.is_closed(), model.closed);
    }
    let inside: Vec<usize> = model.queue.iter().copied().collect();
    for (number, count) in drops.borrow().iter().enumerate() {
        let expected = u32::from(!inside.contains(&number));
        assert_eq!(
            *count, expected,
            "drops of value {number} before the ring's"
        );
    }
    drop(ring);
    assert!(
        drops.borrow().iter().all(|count| *count == 1),
        "every value is dropped once"
    );
});
