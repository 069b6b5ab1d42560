//! The worker's half of a reply.
#![expect(unsafe_code, reason = "a half of a slot is used as its state permits")]

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use super::slab::{self, Slab};
pub(crate) use super::slot::Delivery;
use super::slot::{Leave, Slot};
use super::ticket::Half;
use crate::panics;

/// Will be answered exactly once: by [`Promise::complete`], or with "abandoned" when it is dropped.
///
/// A promise to nobody stands in fire-and-forget tasks.
pub(crate) struct Promise<V> {
    /// The slot's address, null if there is none. Its lowest bit, which no address of a slot uses, is
    /// [`MARK`].
    slot: *mut Slot<V>,
}

/// Says whatever the promise's carrier wants it to.
const MARK: usize = 1;

// SAFETY: a promise is one of two owners of a slot whose state tells what it may touch; it moves a
// `V` to another thread.
unsafe impl<V: Send> Send for Promise<V> {}

/// A promise that nobody waits for.
impl<V> Default for Promise<V> {
    #[inline(always)]
    fn default() -> Self {
        Self {
            slot: ptr::null_mut(),
        }
    }
}

impl<V> Promise<V> {
    /// A promise and the caller's half. `None` when the slab can grow no more.
    #[inline]
    pub(crate) fn pair(slab: &Slab<V>) -> Option<(Self, Half<V>)> {
        const { assert!(align_of::<Slot<V>>() > MARK) };
        let slot = slab.take()?;
        let promise = Self {
            slot: slot.as_ptr(),
        };
        // SAFETY: the slot is fresh, and these are its two owners.
        Some((promise, unsafe { Half::new(slot) }))
    }

    /// Sets a mark that stays with the promise.
    #[inline(always)]
    pub(crate) fn mark(&mut self) {
        self.slot = self.slot.map_addr(|address| address | MARK);
    }

    /// Whether it was marked.
    #[inline(always)]
    pub(crate) fn is_marked(&self) -> bool {
        self.slot.addr() & MARK != 0
    }

    /// Whether nobody waits for it, and it is not marked.
    #[inline(always)]
    pub(crate) fn is_blank(&self) -> bool {
        self.slot.is_null()
    }

    #[inline(always)]
    fn slot(&self) -> Option<NonNull<Slot<V>>> {
        NonNull::new(self.slot.map_addr(|address| address & !MARK))
    }

    /// Whether anybody still wants the task run. Always, for fire-and-forget.
    #[inline(always)]
    pub(crate) fn is_wanted(&self) -> bool {
        // SAFETY: this half keeps the slot alive.
        self.slot()
            .is_none_or(|slot| unsafe { slot.as_ref() }.is_wanted())
    }

    /// Answers.
    #[inline(always)]
    pub(crate) fn complete(self, value: V) -> Delivery {
        match ManuallyDrop::new(self).slot() {
            None => Delivery::Delivered,
            Some(slot) => complete(slot, value),
        }
    }
}

/// Answers through a slot whose worker's half is given up here.
fn complete<V>(slot: NonNull<Slot<V>>, value: V) -> Delivery {
    // SAFETY: the worker's half keeps the slot alive; it is given up here.
    let (delivery, leave, untaken) = unsafe { slot.as_ref().complete(value) };
    if leave == Leave::Last {
        // SAFETY: both owners have left.
        unsafe { slab::free(slot) };
    }
    if let Some(value) = untaken {
        panics::discard(value);
    }
    delivery
}

impl<V> Drop for Promise<V> {
    #[inline]
    fn drop(&mut self) {
        let Some(slot) = self.slot() else { return };
        // SAFETY: this half keeps the slot alive; it is given up here.
        if unsafe { slot.as_ref() }.lose() == Leave::Last {
            // SAFETY: both owners have left.
            unsafe { slab::free(slot) };
        }
    }
}
