//! Where reply slots come from: pages of 63, a bit for each, and no allocation once warm.
//!
//! A page's word has a bit for each slot in use and one more for the slab itself. The word is the
//! page's reference count: whoever clears its last bit frees the page. So a ticket needs no count of
//! its own to outlive the pool; dropping the slab clears the slab's bit, and a page with tickets out
//! lives until the last of them is gone.
//!
//! Pages are added when all are full and stay until the slab is dropped, so a pool's slab grows to the
//! most replies that were ever in flight at once. Threads start looking in different places and go on
//! from where they last found something.
//!
//! # Orderings
//!
//! - `page-table`: the Release of the number of pages, or of the page where a slot was found, with the Acquire of
//!   whoever looks for a page.
//! - `page-bit`: the Release of the one who clears a bit with the Acquire of the next who sets it, or
//!   who frees the page: all accesses to the slot are over.
//!
//! # Progress
//!
//! Lock-free while a page has a free slot; adding pages takes a lock.
#![expect(
    unsafe_code,
    reason = "a page is shared by its slots' owners and freed by the last"
)]

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use super::slot::Slot;
use crate::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, counter, thread};

/// Slots of a page; the word's last bit is the slab's.
const SLOTS: usize = 63;
const SLAB: u64 = 1 << SLOTS;
/// Segments of pages, each twice as long as the one before: 4 million slots on one CPU.
const SEGMENTS: usize = 16;
/// Places from which threads start looking.
const STRIPES: usize = 8;

/// The slots of a page follow its word, so that each finds the page by its own address and its bit.
#[repr(C)]
struct Page<V> {
    /// A bit for each slot in use, and [`SLAB`].
    used: AtomicU64,
    slots: [Slot<V>; SLOTS],
}

struct PageRef<V>(NonNull<Page<V>>);

/// Where a stripe of threads last found a slot: the page, and its number.
struct Cursor<V> {
    page: AtomicPtr<Page<V>>,
    number: counter::AtomicUsize,
}

impl<V> Default for Cursor<V> {
    fn default() -> Self {
        Self {
            page: AtomicPtr::new(ptr::null_mut()),
            number: counter::AtomicUsize::new(0),
        }
    }
}

/// All reply slots of a pool.
pub(crate) struct Slab<V> {
    segments: [OnceLock<Box<[PageRef<V>]>>; SEGMENTS],
    /// Pages of the first segment; a power of two.
    base: usize,
    /// Pages there are. Raised under `growth`, read without it.
    pages: AtomicUsize,
    growth: Mutex<()>,
    /// For each stripe of threads the page where it last found a slot; null before that.
    cursors: [CachePadded<Cursor<V>>; STRIPES],
    owns: PhantomData<V>,
}

// SAFETY: a page hands each slot to two owners at a time, which move a value between threads.
unsafe impl<V: Send> Send for Slab<V> {}
// SAFETY: as above; `&Slab` gives out no `&V`.
unsafe impl<V: Send> Sync for Slab<V> {}

impl<V> std::fmt::Debug for Slab<V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Relaxed: for the eye.
        let pages = self.pages.load(Ordering::Relaxed);
        formatter
            .debug_struct("Slab")
            .field("pages", &pages)
            .finish_non_exhaustive()
    }
}

impl<V> Slab<V> {
    /// A slab that starts with `pages` pages, rounded up to a power of two.
    pub(crate) fn new(pages: usize) -> Self {
        let slab = Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            base: pages.max(1).next_power_of_two(),
            pages: AtomicUsize::new(0),
            growth: Mutex::new(()),
            cursors: std::array::from_fn(|_| CachePadded::new(Cursor::default())),
            owns: PhantomData,
        };
        slab.add_segment(0);
        slab
    }

    fn add_segment(&self, segment: usize) {
        let length = self.base << segment;
        self.segments[segment].get_or_init(|| (0..length).map(|_| Page::allocate()).collect());
        let pages = (self.base << (segment + 1)) - self.base;
        // ORDERING(page-table): Release: whoever reads the new number finds the segment, which was
        // set before.
        self.pages.store(pages, Ordering::Release);
    }

    /// The page of this number: segment `s` begins at `(base << s) - base`.
    fn page(&self, number: usize) -> NonNull<Page<V>> {
        let place = number + self.base;
        let segment = (place.ilog2() - self.base.ilog2()) as usize;
        let pages = self.segments[segment]
            .get()
            .expect("pages are counted after they are added");
        pages[place - (self.base << segment)].0
    }

    /// Takes a slot for two owners. `None` when millions are in use.
    #[inline]
    pub(super) fn take(&self) -> Option<NonNull<Slot<V>>> {
        let cursor = &self.cursors[thread::stripe() % STRIPES];
        // ORDERING(page-table): Acquire: the page that is pointed to can be reached.
        let page = NonNull::new(cursor.page.load(Ordering::Acquire));
        // SAFETY: the slab's bit keeps the page alive until the slab is dropped.
        let slot = page.and_then(|page| unsafe { Page::take(page) });
        slot.or_else(|| self.search(cursor))
    }

    /// Takes a slot of another page than that where the last one was found.
    #[cold]
    fn search(&self, cursor: &Cursor<V>) -> Option<NonNull<Slot<V>>> {
        loop {
            // ORDERING(page-table): Acquire: the pages that are counted can be reached.
            let pages = self.pages.load(Ordering::Acquire);
            // Relaxed: a hint.
            let start = cursor.number.load(counter::Ordering::Relaxed) + thread::stripe();
            for offset in 1..=pages {
                let number = (start + offset) % pages;
                let page = self.page(number);
                // SAFETY: as in `take`.
                if let Some(slot) = unsafe { Page::take(page) } {
                    // Relaxed: a hint.
                    cursor.number.store(number, counter::Ordering::Relaxed);
                    // ORDERING(page-table): Release: who finds the page here can reach it as this thread can.
                    cursor.page.store(page.as_ptr(), Ordering::Release);
                    return Some(slot);
                }
            }
            let _growing = self.growth.lock();
            // ORDERING(page-table): Acquire, as above: another may have grown it meanwhile.
            if self.pages.load(Ordering::Acquire) == pages {
                let segment = self
                    .segments
                    .iter()
                    .position(|segment| segment.get().is_none())?;
                self.add_segment(segment);
            }
        }
    }

    /// Answers every caller who still waits, without a value. For a shutdown whose time is up: the
    /// tasks are running, or lie in the hands of workers that are. Returns how many.
    pub(crate) fn abandon_all(&self) -> usize {
        // ORDERING(page-table): Acquire, as in `search`.
        let pages = self.pages.load(Ordering::Acquire);
        // SAFETY: the slab's bit keeps its pages alive.
        let abandon = |number| unsafe { self.page(number).as_ref() }.abandon_all();
        (0..pages).map(abandon).sum()
    }
}

impl<V> Drop for Slab<V> {
    fn drop(&mut self) {
        for page in self
            .segments
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|pages| pages.iter())
        {
            // SAFETY: the slab's bit is set and cleared only here, once.
            unsafe { Page::release(page.0, SLAB) };
        }
    }
}

impl<V> Page<V> {
    /// A page with the slab's bit set. It is made in its place, because answers may be large.
    fn allocate() -> PageRef<V> {
        let mut page = Box::<Self>::new_uninit();
        let place = page.as_mut_ptr();
        // SAFETY: the place is this page's, and every part of it is written before it counts as a page.
        unsafe {
            (&raw mut (*place).used).write(AtomicU64::new(SLAB));
            let slots = (&raw mut (*place).slots).cast::<Slot<V>>();
            for bit in 0..SLOTS {
                slots.add(bit).write(Slot::new(bit as u32));
            }
            PageRef(NonNull::from(Box::leak(page.assume_init())))
        }
    }

    /// Takes a slot of the page that nobody holds.
    ///
    /// # Safety
    /// The page is alive.
    #[inline]
    unsafe fn take(page: NonNull<Self>) -> Option<NonNull<Slot<V>>> {
        // SAFETY: the page is alive.
        let word = unsafe { &page.as_ref().used };
        // Relaxed: the compare-exchange checks it.
        let mut used = word.load(Ordering::Relaxed);
        while used != u64::MAX {
            let bit = used.trailing_ones();
            // ORDERING(page-bit): Acquire: the slot's last owners are done with it.
            match word.compare_exchange_weak(
                used,
                used | 1 << bit,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    // SAFETY: the last bit is the slab's and always set, so this is a slot's.
                    let slot = unsafe { Self::slot(page, bit) };
                    // SAFETY: its bit is this thread's and keeps it alive.
                    unsafe { slot.as_ref() }.reset();
                    return Some(slot);
                }
                Err(now) => used = now,
            }
        }
        None
    }

    /// The slot of this bit, by a pointer from which the page can be found.
    ///
    /// # Safety
    /// The page is alive, and the bit is a slot's.
    #[inline(always)]
    unsafe fn slot(page: NonNull<Self>, bit: u32) -> NonNull<Slot<V>> {
        // SAFETY: within the page.
        unsafe {
            page.byte_add(offset_of!(Self, slots))
                .cast::<Slot<V>>()
                .add(bit as usize)
        }
    }

    /// The page of a slot that [`Page::take`] gave out, and its bit.
    ///
    /// # Safety
    /// The slot is not given back.
    #[inline(always)]
    unsafe fn of(slot: NonNull<Slot<V>>) -> (NonNull<Self>, u32) {
        // SAFETY: the slot's bit keeps the page alive, and the pointer was made from the page's.
        unsafe {
            let bit = slot.as_ref().bit;
            let first = slot.sub(bit as usize);
            (first.byte_sub(offset_of!(Self, slots)).cast(), bit)
        }
    }

    fn abandon_all(&self) -> usize {
        // ORDERING(page-bit): Acquire: a slot whose bit is seen set was reset by its taker.
        let used = self.used.load(Ordering::Acquire);
        let in_use = (0..SLOTS).filter(|bit| used & 1 << bit != 0);
        in_use.filter(|bit| self.slots[*bit].abandon()).count()
    }

    /// Clears a bit and frees the page if it was the last.
    ///
    /// # Safety
    /// The caller owns the bit and uses neither it nor the page afterwards.
    unsafe fn release(page: NonNull<Self>, bit: u64) {
        // SAFETY: the caller's bit keeps the page alive.
        let used = unsafe { &page.as_ref().used };
        // ORDERING(page-bit): AcqRel: our accesses are over before the bit is clear, and if it was the
        // last, everybody else's are over too.
        if used.fetch_and(!bit, Ordering::AcqRel) == bit {
            // SAFETY: allocated as a box by `allocate`; no bit is set, so nobody else refers to it.
            drop(unsafe { Box::from_raw(page.as_ptr()) });
        }
    }
}

/// Gives a slot back.
///
/// # Safety
/// Both owners have left it; it is not used afterwards.
pub(super) unsafe fn free<V>(slot: NonNull<Slot<V>>) {
    // SAFETY: the slot's bit is set until the call below.
    let (page, bit) = unsafe { Page::of(slot) };
    // SAFETY: the slot's bit is the caller's.
    unsafe { Page::release(page, 1 << bit) };
}
