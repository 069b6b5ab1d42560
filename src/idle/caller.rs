//! How a thread waits for something that wakes a waker, and how long an async caller stays.

use std::task::{Context, Poll};
use std::time::Instant;

use super::Attention;
use super::pace::{self, Luck};
use crate::sync::{hint, thread};

/// What the callers of one kind have found about polling for their answers.
#[derive(Debug)]
pub(crate) struct CallerLuck {
    with_awake: Luck,
    with_woken: Luck,
}

impl CallerLuck {
    pub(crate) fn new() -> Self {
        Self {
            with_awake: Luck::new(),
            with_woken: Luck::new(),
        }
    }
}

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

/// Polls for a while before the caller parks, if that has paid lately.
#[inline]
pub(crate) fn spin(luck: &CallerLuck, attention: Attention, done: impl Fn() -> bool) {
    match attention {
        Attention::Woken => spin_for(pace::arrival_spins(), &luck.with_woken, done),
        _ => spin_for(pace::caller_spins(), &luck.with_awake, done),
    }
}

/// Polls for a while before an async caller gives its thread to others, if it seems to have that to itself and it has
/// paid lately: to be woken costs twenty times what a quick answer does. From workers that are all busy none is
/// expected. To be called once for each request, so that it is known who calls here.
#[inline]
pub(crate) fn linger(
    luck: &CallerLuck,
    context: &Context<'_>,
    attention: Attention,
    done: impl Fn() -> bool,
) {
    let caller = address_of(context);
    if !thread::with_company(|company| company.comes(caller)) {
        return;
    }
    match attention {
        Attention::Searching => spin_for(pace::linger_spins(), &luck.with_awake, done),
        Attention::Woken => spin_for(pace::arrival_spins(), &luck.with_woken, done),
        Attention::Busy => {}
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
    fn looks(context: &Context<'_>, attention: Attention) -> u32 {
        let looks = Cell::new(0);
        linger(&CallerLuck::new(), context, attention, || {
            looks.set(looks.get() + 1);
            true
        });
        looks.get()
    }

    #[test]
    fn who_has_the_thread_to_itself_lingers_unless_all_are_busy() {
        use Attention::{Busy, Searching, Woken};

        let spins = u32::from(pace::linger_spins() > 0);
        let [one, other] = [(); 2].map(|()| Waker::from(Arc::new(Bell)));
        let [one, other] = [&one, &other].map(Context::from_waker);
        assert_eq!(looks(&one, Searching), 0);
        gives_way(&one);
        let of_one = [Busy, Searching, Woken].map(|attention| looks(&one, attention));
        assert_eq!(of_one, [0, spins, spins]);
        assert_eq!((looks(&other, Woken), looks(&one, Searching)), (0, 0));
    }

    #[test]
    fn what_one_finds_of_woken_workers_says_nothing_of_others() {
        let luck = CallerLuck::new();
        let polls = |attention| {
            let polls = Cell::new(0);
            spin(&luck, attention, || {
                polls.set(polls.get() + 1);
                false
            });
            polls.get()
        };
        assert_eq!(polls(Attention::Woken), pace::arrival_spins());
        // That was a miss, so the next try of its kind is skipped, and that one alone.
        assert_eq!(polls(Attention::Searching), pace::caller_spins());
        assert_eq!(polls(Attention::Woken), 0);
    }
}
