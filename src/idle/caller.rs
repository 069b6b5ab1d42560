//! How a thread waits for something that wakes a waker, and how long an async caller stays.

use std::task::{Context, Poll};
use std::time::Instant;

use super::pace::{self, Luck};
use crate::sync::{hint, thread};

/// Polls until ready, parking in between; `None` when the deadline passes first.
///
/// # Blocking
/// Until ready or the deadline.
pub(crate) fn wait<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    thread::with_waker(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(value) = poll(&mut context) {
                return Some(value);
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    if left.is_zero() {
                        return None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    })
}

/// Polls for a moment before the caller parks, if that has paid lately.
#[inline]
pub(crate) fn spin(luck: &Luck, done: impl Fn() -> bool) {
    spin_for(pace::caller_spins(), luck, done);
}

/// Polls for a moment before an async caller gives its thread to others, if it seems to have that to itself and it has
/// paid lately: to be woken costs twenty times what a quick answer does. `is_quick` says whether somebody looks for
/// work. To be called once for each request, so that it is known who calls here.
#[inline]
pub(crate) fn linger(luck: &Luck, context: &Context<'_>, is_quick: bool, done: impl Fn() -> bool) {
    let caller = address_of(context);
    if thread::with_company(|company| company.comes(caller)) && is_quick {
        spin_for(pace::linger_spins(), luck, done);
    }
}

/// An async caller gives its thread to others.
#[inline]
pub(crate) fn gives_way(context: &Context<'_>) {
    let caller = address_of(context);
    thread::with_company(|company| company.gives_way(caller));
}

/// The address of what an executor wakes stands for the task. Where it differs from poll to poll nobody lingers.
fn address_of(context: &Context<'_>) -> usize {
    context.waker().data().addr()
}

#[inline]
fn spin_for(spins: u32, luck: &Luck, done: impl Fn() -> bool) {
    if !luck.is_with_us() {
        return;
    }
    for _ in 0..spins {
        if done() {
            luck.note(true);
            return;
        }
        hint::spin_loop();
    }
    if spins > 0 {
        luck.note(false);
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::*;

    struct Bell;

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {}
    }

    /// Comes with a request. Returns how often the caller looked for its answer.
    fn looks(context: &Context<'_>, is_quick: bool) -> u32 {
        let looks = Cell::new(0);
        linger(&Luck::new(), context, is_quick, || {
            looks.set(looks.get() + 1);
            true
        });
        looks.get()
    }

    #[test]
    fn who_has_the_thread_to_itself_lingers_while_somebody_looks_for_work() {
        let spins = u32::from(pace::linger_spins() > 0);
        let [one, other] = [(); 2].map(|()| Waker::from(Arc::new(Bell)));
        let [one, other] = [&one, &other].map(Context::from_waker);
        assert_eq!(looks(&one, true), 0);
        gives_way(&one);
        assert_eq!((looks(&one, false), looks(&one, true)), (0, spins));
        assert_eq!((looks(&other, false), looks(&one, true)), (0, 0));
    }
}
