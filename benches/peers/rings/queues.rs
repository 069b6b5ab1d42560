//! Queues that nobody can wait on.

use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::ArrayQueue;
use thingbuf::ThingBuf;

use super::{CAPACITY, Numbers};

pub(super) struct Array(ArrayQueue<u64>);

impl Numbers for Array {
    fn with_capacity(capacity: usize) -> Self {
        Self(ArrayQueue::new(capacity))
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.push(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.0.pop()
    }
}

pub(super) struct Concurrent(ConcurrentQueue<u64>);

impl Numbers for Concurrent {
    fn with_capacity(capacity: usize) -> Self {
        Self(ConcurrentQueue::bounded(capacity))
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.push(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.0.pop().ok()
    }
}

pub(super) struct Heapless(Box<heapless::mpmc::Queue<u64, CAPACITY>>);

impl Numbers for Heapless {
    #[expect(
        deprecated,
        reason = "it warns that the queue is not lock-free, which its note says as well"
    )]
    fn with_capacity(_: usize) -> Self {
        Self(Box::new(heapless::mpmc::Queue::new()))
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.enqueue(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.0.dequeue()
    }
}

pub(super) struct Thing(ThingBuf<u64>);

impl Numbers for Thing {
    fn with_capacity(capacity: usize) -> Self {
        Self(ThingBuf::new(capacity))
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.push(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.0.pop()
    }
}
