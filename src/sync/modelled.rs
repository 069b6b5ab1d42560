//! The model: loom's atomics and threads, behind the same names as [`super::native`].
//!
//! A model that cannot fail proves nothing. [`mutate`] weakens this whole layer for one run (orderings
//! lost, fences removed, read-modify-writes torn), and the negative models show that each property
//! breaks when it should. The engine's code is the same in both.
//!
//! What is dropped is checked too: an atomic or a cell that is freed while another thread's access
//! to it is not over is a race, and [`live_cells`] counts what is never freed or freed twice.

use std::cell::Cell;

/// A way to weaken the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Release becomes Relaxed.
    NoRelease,
    /// Acquire becomes Relaxed.
    NoAcquire,
    /// `SeqCst` becomes `AcqRel`, and the fence that stands for it in a model vanishes.
    NoSeqCst,
    /// Read-modify-writes become a load and a store.
    TornRmw,
    /// A futex's waiter is never woken.
    LostWake,
}

thread_local!(static MUTATION: Cell<Option<Mutation>> = const { Cell::new(None) });

/// Weakens the layer until the process ends. For negative models, each in a process of its own.
pub(crate) fn mutate(mutation: Mutation) {
    MUTATION.with(|current| current.set(Some(mutation)));
}

fn mutated(mutation: Mutation) -> bool {
    MUTATION.with(|current| current.get() == Some(mutation))
}

pub(crate) mod atomic {
    use super::{Mutation, mutated};
    pub(crate) use loom::sync::atomic::Ordering;

    fn weakened(ordering: Ordering) -> Ordering {
        let no_release = mutated(Mutation::NoRelease);
        let no_acquire = mutated(Mutation::NoAcquire);
        match ordering {
            Ordering::SeqCst if mutated(Mutation::NoSeqCst) => Ordering::AcqRel,
            Ordering::Release if no_release => Ordering::Relaxed,
            Ordering::Acquire if no_acquire => Ordering::Relaxed,
            Ordering::AcqRel | Ordering::SeqCst if no_release => Ordering::Acquire,
            Ordering::AcqRel | Ordering::SeqCst if no_acquire => Ordering::Release,
            other => other,
        }
    }

    fn weakened_load(ordering: Ordering) -> Ordering {
        match ordering {
            Ordering::SeqCst if mutated(Mutation::NoAcquire) => Ordering::Relaxed,
            Ordering::SeqCst if mutated(Mutation::NoSeqCst) => Ordering::Acquire,
            Ordering::SeqCst => Ordering::SeqCst,
            other => weakened(other),
        }
    }

    macro_rules! modelled_atomic {
        ($name:ident, $value:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            #[allow(
                dead_code,
                reason = "one surface for every width; not each uses all of it"
            )]
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $value {
                    self.0.load(weakened_load(ordering))
                }

                pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                    self.0.store(value, weakened(ordering));
                }

                fn update(
                    &self,
                    ordering: Ordering,
                    whole: impl FnOnce(&loom::sync::atomic::$name, Ordering) -> $value,
                    part: impl FnOnce($value) -> $value,
                ) -> $value {
                    if mutated(Mutation::TornRmw) {
                        let before = self.0.load(Ordering::Acquire);
                        self.0.store(part(before), Ordering::Release);
                        before
                    } else {
                        whole(&self.0, weakened(ordering))
                    }
                }

                pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                    self.update(ordering, |atomic, o| atomic.swap(value, o), |_| value)
                }

                pub(crate) fn fetch_add(&self, by: $value, ordering: Ordering) -> $value {
                    self.update(
                        ordering,
                        |atomic, o| atomic.fetch_add(by, o),
                        |v| v.wrapping_add(by),
                    )
                }

                pub(crate) fn fetch_sub(&self, by: $value, ordering: Ordering) -> $value {
                    self.update(
                        ordering,
                        |atomic, o| atomic.fetch_sub(by, o),
                        |v| v.wrapping_sub(by),
                    )
                }

                pub(crate) fn fetch_or(&self, bits: $value, ordering: Ordering) -> $value {
                    self.update(ordering, |atomic, o| atomic.fetch_or(bits, o), |v| v | bits)
                }

                pub(crate) fn fetch_and(&self, bits: $value, ordering: Ordering) -> $value {
                    self.update(
                        ordering,
                        |atomic, o| atomic.fetch_and(bits, o),
                        |v| v & bits,
                    )
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    if mutated(Mutation::TornRmw) {
                        let before = self.0.load(Ordering::Acquire);
                        if before != current {
                            return Err(before);
                        }
                        self.0.store(new, Ordering::Release);
                        return Ok(before);
                    }
                    self.0
                        .compare_exchange(current, new, weakened(success), weakened_load(failure))
                }

                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }
            }

            impl Drop for $name {
                fn drop(&mut self) {
                    // A write, to the model: every access must have happened before.
                    if !std::thread::panicking() {
                        self.0.with_mut(|_| ());
                    }
                }
            }
        };
    }

    modelled_atomic!(AtomicU32, u32);
    modelled_atomic!(AtomicU64, u64);
    modelled_atomic!(AtomicUsize, usize);

    #[derive(Debug)]
    pub(crate) struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub(crate) fn new(value: *mut T) -> Self {
            Self(loom::sync::atomic::AtomicPtr::new(value))
        }

        pub(crate) fn load(&self, ordering: Ordering) -> *mut T {
            self.0.load(weakened_load(ordering))
        }

        pub(crate) fn store(&self, value: *mut T, ordering: Ordering) {
            self.0.store(value, weakened(ordering));
        }
    }
}

pub(crate) mod hint {
    pub(crate) use super::step_aside as spin_loop;

    /// One step aside: to a model the length of a pause means nothing.
    pub(crate) fn pause(_count: u32) {
        spin_loop();
    }
}

/// How often to try a thing that only gets likelier with time, which does not pass in a model.
pub(crate) const fn patience(_times: u32) -> u32 {
    0
}

pub(crate) mod thread {
    pub(crate) use super::step_aside as yield_now;
    // Models run the workers' loops on threads of loom's; the pool's own threads stay native.
    pub(crate) use std::thread::{Builder, JoinHandle, current};

    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use loom::sync::{Condvar, Mutex};

    use crate::idle::Company;

    /// Where a thread parks. Loom's own `park` loses its token to any lock that its thread meets
    /// in between.
    struct Bed {
        token: Mutex<bool>,
        woken: Condvar,
    }

    loom::thread_local! {
        static BED: Arc<Bed> = Arc::new(Bed {
            token: Mutex::new(false),
            woken: Condvar::new(),
        });
    }

    impl Bed {
        fn unpark(&self) {
            *self.token.lock().expect("no model panics under this lock") = true;
            self.woken.notify_one();
        }
    }

    impl Wake for Bed {
        fn wake(self: Arc<Self>) {
            self.unpark();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.unpark();
            // A thread that wakes itself waits for another to go on, and a model lets none go on
            // beside one that spins.
            yield_now();
        }
    }

    /// Calls `use_it` with a waker that unparks the calling thread.
    pub(crate) fn with_waker<R>(use_it: impl FnOnce(&Waker) -> R) -> R {
        use_it(&Waker::from(BED.with(Arc::clone)))
    }

    /// Blocks until the calling thread's waker was woken.
    pub(crate) fn park() {
        let bed = BED.with(Arc::clone);
        let mut token = bed.token.lock().expect("no model panics under this lock");
        while !*token {
            token = bed
                .woken
                .wait(token)
                .expect("no model panics under this lock");
        }
        *token = false;
    }

    /// Time does not pass in a model: a timed wait may end at any moment.
    pub(crate) fn park_timeout(_limit: std::time::Duration) {
        yield_now();
    }

    /// Every caller is the first one: nobody lingers in a model, where time does not pass.
    pub(crate) fn with_company<R>(tell: impl FnOnce(&mut Company) -> R) -> R {
        tell(&mut { Company::NONE })
    }

    /// The same for every thread: the choice of a stripe must repeat from run to run.
    pub(crate) fn stripe() -> usize {
        0
    }
}

/// One lock and condition for all futexes of a run; see [`futex_wait`].
///
/// The kernel compares and queues under a lock of its own, which this one stands for. It adds
/// ordering that the kernel does not promise, so the words themselves carry Acquire and Release.
struct FutexQueue {
    lock: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
}

loom::lazy_static! {
    static ref FUTEX: FutexQueue = FutexQueue {
        lock: loom::sync::Mutex::new(()),
        woken: loom::sync::Condvar::new(),
    };
}

/// Blocks while `word` is `expected`; may return early.
pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32) {
    let guard = FUTEX
        .lock
        .lock()
        .expect("no model panics under the futex lock");
    if word.load(atomic::Ordering::Relaxed) == expected {
        drop(
            FUTEX
                .woken
                .wait(guard)
                .expect("no model panics under the futex lock"),
        );
    }
}

/// Wakes the threads that wait on any word; those of other words find theirs unchanged and wait on.
pub(crate) fn futex_wake_one(_word: &atomic::AtomicU32) {
    if mutated(Mutation::LostWake) {
        return;
    }
    let _guard = FUTEX
        .lock
        .lock()
        .expect("no model panics under the futex lock");
    FUTEX.woken.notify_all();
}

/// Stands between the two halves of a store-then-load edge: see [`super::native`].
pub(crate) fn dekker_fence() {
    if !mutated(Mutation::NoSeqCst) {
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }
}

/// Stands between the two halves of such an edge whose store is a plain one, or whose load is.
pub(crate) fn full_fence() {
    dekker_fence();
}

thread_local! {
    static LIVE_CELLS: Cell<isize> = const { Cell::new(0) };
    static STEPS_ASIDE: Cell<u32> = const { Cell::new(0) };
}

/// Begins the counts of a run anew. Every run has all its threads on the one that asks.
pub(crate) fn begin_run() {
    LIVE_CELLS.set(0);
    STEPS_ASIDE.set(0);
}

/// Cells made less cells dropped in this run: at its end anything but 0 is a leak or a second drop.
pub(crate) fn live_cells() -> isize {
    LIVE_CELLS.get()
}

/// Yields a run may have before it is followed to its end without further branches. Two threads that
/// yield to each other while a third could run have no end, to a model.
const MOST_STEPS_ASIDE: u32 = 8;

pub(crate) fn step_aside() {
    STEPS_ASIDE.set(STEPS_ASIDE.get() + 1);
    if STEPS_ASIDE.get() == MOST_STEPS_ASIDE + 1 {
        loom::skip_branch();
    }
    loom::thread::yield_now();
}

fn count_cells(change: isize) {
    LIVE_CELLS.set(LIVE_CELLS.get() + change);
}

/// Runs code of the user's. Unguarded: loom ends a failed run by panics of its own, and they must
/// arrive.
pub(crate) fn guarded(run: impl FnOnce()) {
    run();
}

/// A cell whose accesses loom checks for races.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        count_cells(1);
        Self(loom::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        self.0.with(read)
    }

    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(write)
    }
}

impl<T> Drop for UnsafeCell<T> {
    fn drop(&mut self) {
        count_cells(-1);
        // A write, to the model: every access must have happened before.
        if !std::thread::panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

pub(crate) use loom::sync::MutexGuard;

/// A lock for the slow paths.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values by key under one lock: loom sees no other.
pub(crate) struct KeyMap<K, V>(Mutex<std::collections::HashMap<K, V>>);

impl<K: Eq + std::hash::Hash + Copy, V: Default> KeyMap<K, V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(std::collections::HashMap::new()))
    }

    pub(crate) fn with<R>(
        &self,
        key: K,
        gone: impl FnOnce(&V) -> bool,
        change: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut map = self.0.lock();
        let value = map.entry(key).or_default();
        let result = change(value);
        if gone(value) {
            map.remove(&key);
        }
        result
    }

    pub(crate) fn for_each(&self, mut change: impl FnMut(&K, &mut V)) {
        let mut map = self.0.lock();
        map.iter_mut().for_each(|(key, value)| change(key, value));
    }

    pub(crate) fn shrink(&self) {
        self.0.lock().shrink_to_fit();
    }
}

impl<K, V> std::fmt::Debug for KeyMap<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeyMap").finish_non_exhaustive()
    }
}
