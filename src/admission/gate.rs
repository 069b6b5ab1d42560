//! Where submitters wait while a lane is full.
//!
//! **Wait.** 1. Queue up with a waker and raise the count of waiting. 2. Look at the ring once more;
//! if half of it is free, leave the queue and try. 3. Sleep until woken, then try; when the lane is full
//! again, go to the head of the queue. Who is refused although half is free does not queue up: a worker was
//! interrupted before it left its slot, and gets the CPU.
//!
//! **Let in.** After each claim of the head a worker loads the count: one load on the hot path. If
//! somebody waits and half of the lane is free, it wakes the first. Half and not one
//! slot, because a submitter that is woken for each slot costs a context switch a task; woken for
//! half, it fills that in one go. A submitter that got in wakes the next while there is room,
//! and one that gives up after it was woken passes the notice on, so no notice is lost.
//!
//! A notice reserves nothing. A woken future that is never polled again keeps its notice, as with
//! any async semaphore; each later claim wakes another waiter.
//!
//! # Orderings
//!
//! - `gate-dekker`: a worker claims the head, then loads the count; a submitter raises the count,
//!   then loads the head. All four are `SeqCst`, so either the worker sees the submitter or the
//!   submitter sees the room.
//!
//! # Progress
//!
//! Workers never block here unless somebody waits; then, and for submitters, there is a lock around
//! a short queue. Wakers run outside it.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crossbeam_utils::CachePadded;

use crate::panics;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, dekker_fence, thread};

/// What submitters wait to enter.
pub(crate) trait Room {
    /// Whether so many would get in: the last look of a submitter that waits for room.
    fn has_room(&self, at_least: usize) -> bool;

    /// Whether nobody will get in any more.
    fn is_closed(&self) -> bool;
}

/// The waiting room of one lane.
#[derive(Debug)]
pub(crate) struct Gate {
    /// How many submitters are queued. Written under the lock, read by workers without it.
    waiting: CachePadded<AtomicU32>,
    queue: Mutex<Queue>,
    /// Free slots at which a worker lets the first one in.
    enough: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiters: VecDeque<Waiter>,
    last_name: u64,
}

#[derive(Debug)]
struct Waiter {
    name: u64,
    waker: Waker,
}

impl Gate {
    /// The gate of a lane of this capacity.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: CachePadded::new(AtomicU32::new(0)),
            queue: Mutex::new(Queue::default()),
            enough: (capacity / 2).max(1),
        }
    }

    /// Lets a submitter in if one waits and there is room enough. For a worker that claimed the head.
    #[inline]
    pub(crate) fn freed(&self, lane: &impl Room) {
        dekker_fence();
        // ORDERING(gate-dekker): SeqCst, after the claim of the head.
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.let_in(lane, self.enough);
        }
    }

    #[cold]
    fn let_in(&self, lane: &impl Room, enough: usize) {
        if lane.has_room(enough) || lane.is_closed() {
            let first = self.change(|queue| queue.waiters.pop_front());
            if let Some(waiter) = first {
                panics::wake(waiter.waker);
            }
        }
    }

    /// Wakes everybody. For a lane that was closed.
    pub(crate) fn open_for_all(&self) {
        for waiter in self.change(|queue| std::mem::take(&mut queue.waiters)) {
            panics::wake(waiter.waker);
        }
    }

    /// Changes the queue under its lock and brings the count along.
    fn change<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.queue.lock();
        let result = change(&mut queue);
        // ORDERING(gate-dekker): SeqCst, before the submitter's last look at the ring. A swap,
        // because a model sees a fence beside a read-modify-write.
        self.waiting
            .swap(queue.waiters.len() as u32, Ordering::SeqCst);
        result
    }
}

/// One submitter's place at a gate. Dropping it gives the place up and passes a notice on.
#[derive(Debug)]
pub(crate) struct Turn<'a, L: Room> {
    gate: &'a Gate,
    lane: &'a L,
    /// The name under which it is queued, or was until it was woken.
    place: Option<u64>,
    /// Whether it has waited before and so may go to the head of the queue.
    waited: bool,
}

impl<'a, L: Room> Turn<'a, L> {
    pub(crate) fn new(gate: &'a Gate, lane: &'a L) -> Self {
        Self {
            gate,
            lane,
            place: None,
            waited: false,
        }
    }

    /// Ready when it is worth trying again.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.place {
            None => self.queue_up(context.waker()),
            Some(place) => {
                let refreshed = {
                    let mut queue = self.gate.queue.lock();
                    let mine = queue.waiters.iter_mut().find(|waiter| waiter.name == place);
                    mine.map(|waiter| waiter.waker.clone_from(context.waker()))
                        .is_some()
                };
                if refreshed {
                    return Poll::Pending;
                }
                self.place = None;
                Poll::Ready(())
            }
        }
    }

    fn queue_up(&mut self, waker: &Waker) -> Poll<()> {
        let again = self.waited;
        if again && self.lane.has_room(self.gate.enough) {
            // Who took it was interrupted before it left its slot, and nobody gets past that: let it run.
            thread::yield_now();
            return Poll::Ready(());
        }
        let name = self.gate.change(|queue| {
            queue.last_name += 1;
            let waiter = Waiter {
                name: queue.last_name,
                waker: waker.clone(),
            };
            if again {
                queue.waiters.push_front(waiter);
            } else {
                queue.waiters.push_back(waiter);
            }
            queue.last_name
        });
        self.place = Some(name);
        self.waited = true;
        dekker_fence();
        if self.lane.has_room(self.gate.enough) || self.lane.is_closed() {
            self.give_up();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Tells the next in the queue after this submitter got in.
    pub(crate) fn got_in(mut self) {
        self.give_up();
        if self.waited {
            self.gate.freed(self.lane);
        }
    }

    fn give_up(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let queued = self.gate.change(|queue| {
            let before = queue.waiters.len();
            queue.waiters.retain(|waiter| waiter.name != place);
            queue.waiters.len() != before
        });
        if !queued {
            // The notice was for whoever can use it.
            self.gate.let_in(self.lane, 1);
        }
    }
}

impl<L: Room> Drop for Turn<'_, L> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;
    use crate::sync::counter::{AtomicUsize, Ordering};

    /// A lane that has as much room as it is told.
    struct Told(AtomicUsize);

    impl Room for Told {
        fn has_room(&self, at_least: usize) -> bool {
            self.0.load(Ordering::Relaxed) >= at_least
        }

        fn is_closed(&self) -> bool {
            false
        }
    }

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_sleeps_until_half_is_free_and_does_not_queue_while_it_is() {
        let (gate, lane, bell) = (
            Gate::new(8),
            Told(AtomicUsize::new(3)),
            Arc::new(Bell::default()),
        );
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        let rings = || bell.0.load(Ordering::Relaxed);
        let mut turn = Turn::new(&gate, &lane);
        assert!(turn.poll(&mut context).is_pending(), "3 of 8 are not half");
        gate.freed(&lane);
        assert!(rings() == 0 && turn.poll(&mut context).is_pending());
        lane.0.store(4, Ordering::Relaxed);
        gate.freed(&lane);
        assert!(rings() == 1 && turn.poll(&mut context).is_ready());
        // Refused all the same: whoever gave up the room has not left its slot.
        assert!(turn.poll(&mut context).is_ready(), "half is free");
        let queued = gate.queue.lock().last_name;
        assert_eq!(queued, 1, "it did not queue up again");
        lane.0.store(3, Ordering::Relaxed);
        assert!(turn.poll(&mut context).is_pending(), "somebody else got in");
    }
}
