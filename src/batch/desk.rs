//! Where workers wait whose batches linger, and how submitters bring them on.
//!
//! **Linger.** A worker whose batch is to have more requests than there are 1. writes how many it wants into
//! its cell; 2. looks at the lanes once more; 3. sleeps until its time is up or it is roused; 4. takes its wish
//! back. It is not among the sleepers of the idle protocol: to whoever searches and sleeps it is at work.
//!
//! **Rouse.** A submitter that has put a task into a lane looks at the cells. If as many wait as a worker wants,
//! or the task cannot wait, it wakes that worker. As long as those who linger want all that waits, nobody else
//! is woken, so that one batch gets full instead of two half so.
//!
//! # Orderings
//!
//! - `linger-dekker`: a worker writes its wish, then loads the tails; a submitter claims a tail, then loads the
//!   number of those who linger. So either the submitter sees the wish or the worker sees the task. The
//!   time limit of a batch bounds what an error here would cost, but a batch is to be on time for better reasons.
//!
//! # Progress
//!
//! Lock-free, but for the waker's cell, whose lock is held for a few instructions.

use std::task::{Context, Poll};

use crossbeam_utils::CachePadded;

use crate::clock::Clock;
use crate::idle::waker_cell::WakerCell;
use crate::lane::pick::LaneBits;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{dekker_fence, full_fence};

/// Set in a wish when its worker has been roused.
const ROUSED: usize = 1 << (usize::BITS - 1);

#[derive(Debug)]
struct Cell {
    /// How many requests the worker's batch lacks, and [`ROUSED`]; 0 while it does not linger. The worker writes
    /// it; who rouses it sets the bit.
    wish: AtomicUsize,
    bed: WakerCell,
    lanes: LaneBits,
}

/// The cells of all workers.
#[derive(Debug)]
pub(crate) struct Desk {
    cells: Box<[CachePadded<Cell>]>,
    /// How many linger. Those who do so write it.
    lingering: CachePadded<AtomicUsize>,
}

impl Desk {
    /// For workers that take tasks of these lanes.
    pub(crate) fn new(lanes: impl IntoIterator<Item = LaneBits>) -> Self {
        let cell = |lanes| {
            CachePadded::new(Cell {
                wish: AtomicUsize::new(0),
                bed: WakerCell::new(),
                lanes,
            })
        };
        Self {
            cells: lanes.into_iter().map(cell).collect(),
            lingering: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// The worker wants so many requests more, at least 1. It looks at the lanes once more after this.
    pub(crate) fn begin(&self, worker: usize, wanted: usize) {
        // ORDERING(linger-dekker): SeqCst, before the loads of the tails.
        self.cells[worker]
            .wish
            .store(wanted.max(1), Ordering::SeqCst);
        // ORDERING(linger-dekker): SeqCst, as above: this is what submitters look at first.
        self.lingering.fetch_add(1, Ordering::SeqCst);
        // Whether others run, which is looked at next, they write plainly.
        full_fence();
    }

    /// The worker does not linger any more.
    pub(crate) fn end(&self, worker: usize) {
        let cell = &self.cells[worker];
        // ORDERING(linger-dekker): SeqCst, as all changes of a wish.
        self.lingering.fetch_sub(1, Ordering::SeqCst);
        cell.wish.store(0, Ordering::SeqCst);
        // Who still saw the wish had pushed before, and what it pushed is seen from here on.
        dekker_fence();
        // A token that comes late ends the next sleep at once, which does no harm.
        cell.bed.take_token();
    }

    /// How many linger.
    pub(crate) fn lingering(&self) -> usize {
        // Relaxed: a gauge.
        self.lingering.load(Ordering::Relaxed)
    }

    /// Ready when the worker was roused or the clock shows `until_ns`.
    pub(crate) fn poll(
        &self,
        worker: usize,
        clock: &Clock,
        until_ns: u64,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if self.cells[worker].bed.poll_park(context.waker()).is_ready() {
            return Poll::Ready(());
        }
        clock.poll_until(until_ns, context)
    }

    /// After a push: wakes one who lingers if what waits is enough for it, or a task is `pressing`. `waiting`
    /// counts the tasks of all lanes that nobody has claimed. Returns whether those who linger want all of them,
    /// so that nobody else is needed.
    pub(crate) fn rouse(
        &self,
        lane: usize,
        pressing: bool,
        waiting: impl FnOnce() -> usize,
    ) -> bool {
        dekker_fence();
        // ORDERING(linger-dekker): SeqCst, after the claim of the tail.
        if self.lingering.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let waiting = waiting().max(1);
        let mut wanted = 0;
        for cell in self
            .cells
            .iter()
            .filter(|cell| cell.lanes & (1 << lane) != 0)
        {
            // ORDERING(linger-dekker): SeqCst, as above.
            let wish = cell.wish.load(Ordering::SeqCst);
            if wish == 0 {
                continue;
            }
            wanted += wish & !ROUSED;
            let enough = pressing || waiting >= wanted;
            if wish & ROUSED == 0 && enough && cell.rouse(wish) {
                break;
            }
        }
        waiting <= wanted
    }

    /// After a push to the lanes of one worker, which nobody else takes from.
    pub(crate) fn rouse_one(&self, worker: usize) {
        dekker_fence();
        let cell = &self.cells[worker];
        // ORDERING(linger-dekker): SeqCst, as in `rouse`.
        let wish = cell.wish.load(Ordering::SeqCst);
        if wish != 0 && wish & ROUSED == 0 {
            cell.rouse(wish);
        }
    }

    /// Wakes everybody: the pool is closed, or has nothing else to do.
    pub(crate) fn rouse_all(&self) {
        // Who begins to linger later sees what the caller did before, be it by plain stores. A read-modify-write would
        // do that as well, and take the line from every submitter.
        full_fence();
        // ORDERING(linger-dekker): SeqCst, after what the caller did.
        if self.lingering.load(Ordering::SeqCst) == 0 {
            return;
        }
        (0..self.cells.len()).for_each(|worker| self.rouse_one(worker));
    }
}

impl Cell {
    /// Wakes the worker, unless its wish has changed meanwhile.
    fn rouse(&self, wish: usize) -> bool {
        let roused = wish | ROUSED;
        // ORDERING(linger-dekker): SeqCst, as all changes of a wish.
        let exchanged =
            self.wish
                .compare_exchange(wish, roused, Ordering::SeqCst, Ordering::Relaxed);
        if exchanged.is_ok() {
            self.bed.unpark();
        }
        exchanged.is_ok()
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_lingers_is_roused_once_when_enough_waits() {
        let desk = Desk::new([LaneBits::MAX; 2]);
        assert!(!desk.rouse(0, true, || 9), "nobody lingers");
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        let (clock, hands) = Clock::manual();
        let until_ns = clock.now_ns() + 1_000;
        let mut poll = || desk.poll(1, &clock, until_ns, &mut context);

        desk.begin(1, 3);
        assert!(poll().is_pending());
        assert!(desk.rouse(0, false, || 2) && bell.0.load(Relaxed) == 0);
        assert!(desk.rouse(0, false, || 3) && bell.0.load(Relaxed) == 1);
        assert!(!desk.rouse(0, false, || 4) && bell.0.load(Relaxed) == 1);
        assert!(poll().is_ready());
        desk.end(1);

        desk.begin(1, 3);
        assert!(poll().is_pending());
        assert!(desk.rouse(0, true, || 1) && bell.0.load(Relaxed) == 2);
        desk.end(1);

        desk.begin(1, 3);
        assert!(poll().is_pending());
        hands.advance(Duration::from_nanos(999));
        assert!(poll().is_pending());
        hands.advance(Duration::from_nanos(1));
        assert!(poll().is_ready());
        assert!(bell.0.load(Relaxed) >= 4, "each advance rings");
    }
}
