//! The machine: std's atomics and threads, and the futex through `atomic-wait`.

use std::hash::Hash;

use dashmap::Entry;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

pub(crate) mod hint {
    pub(crate) use std::hint::spin_loop;

    /// Pauses `count` times: the processor yields to its sibling, the thread keeps running.
    pub(crate) fn pause(count: u32) {
        for _ in 0..count {
            spin_loop();
        }
    }
}

/// How often to try a thing that only gets likelier with time: as often as asked. Never, in a model.
pub(crate) const fn patience(times: u32) -> u32 {
    times
}

pub(crate) mod thread {
    pub(crate) use std::thread::{
        Builder, JoinHandle, Thread, current, park, park_timeout, yield_now,
    };

    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use crate::idle::Company;

    /// Wakes a thread that parks itself.
    struct Unparker(Thread);

    impl Wake for Unparker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Calls `use_it` with a waker that unparks the calling thread; it is made once a thread.
    pub(crate) fn with_waker<R>(use_it: impl FnOnce(&Waker) -> R) -> R {
        thread_local!(static WAKER: Waker = Waker::from(Arc::new(Unparker(current()))));
        // A thread that is shutting down has lost its own and gets another.
        match WAKER.try_with(Waker::clone) {
            Ok(waker) => use_it(&waker),
            Err(_) => use_it(&Waker::from(Arc::new(Unparker(current())))),
        }
    }

    /// Tells who called on this thread lately.
    #[inline]
    pub(crate) fn with_company<R>(tell: impl FnOnce(&mut Company) -> R) -> R {
        thread_local!(static COMPANY: Cell<Company> = const { Cell::new(Company::NONE) });
        COMPANY.with(|company| {
            let mut now = company.get();
            let result = tell(&mut now);
            company.set(now);
            result
        })
    }

    /// A small number that differs between threads, for spreading them over stripes.
    pub(crate) fn stripe() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
        MINE.with(|mine| {
            if mine.get() == usize::MAX {
                // Relaxed: only the numbers' difference matters.
                mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            mine.get()
        })
    }
}

/// Blocks while `word` is `expected`; may return early.
pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32) {
    atomic_wait::wait(word, expected);
}

/// Wakes one thread that waits on `word`.
pub(crate) fn futex_wake_one(word: &atomic::AtomicU32) {
    atomic_wait::wake_one(word);
}

/// Stands between the two halves of a store-then-load edge.
///
/// Nothing on the machine: there both halves are `SeqCst` accesses, which is enough. Loom treats
/// those as `AcqRel`, so a model needs a fence to see the same guarantee.
#[inline(always)]
pub(crate) fn dekker_fence() {}

/// Stands between the two halves of such an edge whose store is a plain one, or whose load is.
#[inline(always)]
pub(crate) fn full_fence() {
    std::sync::atomic::fence(atomic::Ordering::SeqCst);
}

/// Runs code of the user's that must not take the engine down with it: a panic ends there.
pub(crate) fn guarded(run: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        crate::panics::discard(panic);
    }
}

/// A cell whose accesses a model can check; here a plain one.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands out a pointer for reading.
    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Hands out a pointer for writing.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

pub(crate) use std::sync::MutexGuard;

/// A lock for the slow paths. A panic under it leaves data that is still valid, so it ignores
/// poisoning.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// What is inside, for whoever has the lock to himself.
    fn get_mut(&mut self) -> &mut T {
        self.0
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values by key, some keys to a lock. For state that is off the hot path.
///
/// Each value lies in a mutex that is never locked: nobody has a value but through the map's own lock, and
/// the map would share it only if it could be shared without one.
pub(crate) struct KeyMap<K, V>(dashmap::DashMap<K, Mutex<V>>);

impl<K: Eq + Hash + Copy, V: Default> KeyMap<K, V> {
    pub(crate) fn new() -> Self {
        Self(dashmap::DashMap::new())
    }

    /// Changes the value of a key under its lock; one that is not there is the default, and one that is
    /// `gone` afterwards is removed. `change` must not touch the map.
    pub(crate) fn with<R>(
        &self,
        key: K,
        gone: impl FnOnce(&V) -> bool,
        change: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut entry = match self.0.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Mutex::default()),
        };
        let value = entry.get_mut().get_mut();
        let result = change(value);
        if gone(value) {
            entry.remove();
        }
        result
    }

    /// Changes every value, each under its lock. `change` must not touch the map.
    pub(crate) fn for_each(&self, mut change: impl FnMut(&K, &mut V)) {
        self.0.iter_mut().for_each(|mut entry| {
            let (key, value) = entry.pair_mut();
            change(key, value.get_mut());
        });
    }

    /// Gives back the memory of keys that were removed.
    pub(crate) fn shrink(&self) {
        self.0.shrink_to_fit();
    }
}

impl<K: Eq + Hash, V> std::fmt::Debug for KeyMap<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeyMap").finish_non_exhaustive()
    }
}
