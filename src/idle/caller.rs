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

/// Polls for a moment before an async caller gives its thread to others, if nobody else called on this
/// thread meanwhile and it has paid lately: to be woken costs twenty times what a quick answer does.
/// Whoever comes back again and again makes way at times: `Pending` with its waker woken.
pub(crate) fn linger(luck: &Luck, context: &mut Context<'_>, done: impl Fn() -> bool) -> Poll<()> {
    const CALLS_IN_A_ROW: u32 = 128;
    // The address of what an executor wakes stands for the task. Where it differs from poll to poll
    // nobody lingers.
    let caller = context.waker().data().addr();
    match thread::calls_in_a_row(caller) {
        0 => {}
        calls if calls.is_multiple_of(CALLS_IN_A_ROW) => {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        _ => spin_for(pace::linger_spins(), luck, done),
    }
    Poll::Ready(())
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

    /// Lingers once with this waker. Returns how often it looked, and whether it made way.
    fn linger_once(waker: &Waker) -> (u32, bool) {
        let looks = Cell::new(0);
        let (luck, mut context) = (Luck::new(), Context::from_waker(waker));
        let lingered = linger(&luck, &mut context, || {
            looks.set(looks.get() + 1);
            true
        });
        (looks.get(), lingered.is_pending())
    }

    #[test]
    fn only_who_called_last_lingers_and_makes_way_at_times() {
        let spins = u32::from(pace::linger_spins() > 0);
        let [one, other] = [(); 2].map(|()| Waker::from(Arc::new(Bell)));
        assert_eq!(linger_once(&one), (0, false));
        assert_eq!(linger_once(&other), (0, false));
        for call in 1..300 {
            let makes_way = call % 128 == 0;
            let looks = if makes_way { 0 } else { spins };
            assert_eq!(linger_once(&other), (looks, makes_way), "call {call}");
        }
        assert_eq!(linger_once(&one), (0, false));
    }
}
