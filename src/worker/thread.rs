//! A worker that is a thread: runs a sync service and sleeps on a futex.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::shift::Shift;
use crate::cpus;
use crate::engine::Engine;
use crate::idle::Search;
use crate::idle::pace::{self, Cadence, Yielding};
use crate::panics;
use crate::service::Service;
use crate::sync::{hint, thread};

/// How long a worker of a closed pool waits before it looks again whether anything came for it.
const NAP: Duration = Duration::from_micros(100);

/// Works until the pool is closed and empty, or the service cannot make new state.
pub(crate) fn work<Q, S: Service<Q>>(
    service: &S,
    mut state: S::State,
    mut shift: Shift<Q, S::Response, S::Error>,
) {
    let mut searcher = Searcher::new(Arc::clone(&shift.engine));
    loop {
        let serving = || serve(service, &mut state, &mut shift, &mut searcher);
        // Unwind safety: after a panic the state is made anew, and what the shift and the searcher
        // hold is valid between any two of their steps.
        let Err(panic) = catch_unwind(AssertUnwindSafe(serving)) else {
            break;
        };
        shift.panicked(&panics::message(panic));
        match renew(service, state, shift.worker) {
            Ok(fresh) => state = fresh,
            Err(message) => {
                shift.reason = Some(format!(
                    "the service panicked while it made new state: {message}"
                ));
                return;
            }
        }
    }
    panics::discard(state);
}

/// Works until the pool is closed and empty. A panic of the service leaves its task in hand.
#[inline]
pub(crate) fn serve<Q, S: Service<Q>>(
    service: &S,
    state: &mut S::State,
    shift: &mut Shift<Q, S::Response, S::Error>,
    searcher: &mut Searcher<Q, S::Response, S::Error>,
) {
    while shift.has_next() || searcher.find(shift) {
        if let Some(request) = shift.begin() {
            let result = service.call(state, request, shift.context());
            shift.finish(result);
        }
    }
}

/// Replaces the state after a panic.
pub(super) fn renew<Q, S: Service<Q>>(
    service: &S,
    spoilt: S::State,
    worker: usize,
) -> Result<S::State, String> {
    panics::discard(spoilt);
    make_state_of(|| service.state(worker))
}

/// Makes a state.
///
/// # Errors
/// The message of the service's panic.
pub(crate) fn make_state_of<T>(make: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(make)).map_err(panics::message)
}

/// How a thread without a task looks for one, and sleeps when there is none.
pub(crate) struct Searcher<Q, R, E> {
    /// Its own: a count of references would be written each time by each worker.
    engine: Arc<Engine<Q, R, E>>,
    yielding: Yielding,
    cadence: Cadence,
}

impl<Q, R, E> Searcher<Q, R, E> {
    pub(crate) fn new(engine: Arc<Engine<Q, R, E>>) -> Self {
        Self {
            engine,
            yielding: Yielding::default(),
            cadence: Cadence::default(),
        }
    }

    /// Brings the next task to the worker's hand, after any amount of sleep. Returns `false` when the
    /// pool is closed and empty, or somebody has to keep the time of batches.
    ///
    /// # Blocking
    /// Until there is a task or the pool closes.
    #[inline(never)]
    pub(crate) fn find(&mut self, shift: &mut Shift<Q, R, E>) -> bool {
        let idle_since_ns = shift.went_idle();
        let mut search = self.engine.roster.begin_search(shift.worker);
        let mut found = self.watch(shift, idle_since_ns);
        let engine = &*self.engine;
        loop {
            if found || engine.wants_keeper() || shift.is_over() {
                engine.roster.found(search, |lanes| engine.to_do(lanes));
                return found;
            }
            (search, found) = lie_down(engine, shift, search);
        }
    }

    /// Polls the lanes: with pauses if nobody else does, then between yields.
    fn watch(&mut self, shift: &mut Shift<Q, R, E>, now_ns: u64) -> bool {
        let engine = &*self.engine;
        let woken = shift.take_woken();
        // A single caller, who comes seldom.
        let was_rare = self.cadence.is_sparse(now_ns) && woken == 1;
        // Whoever was just woken may need this CPU.
        if woken == 0 && engine.roster.may_spin(shift.worker, cpus::usable()) {
            for _ in 0..pace::worker_spins() {
                if engine.shards.any_ready(shift.seat) {
                    return shift.has_next();
                }
                hint::spin_loop();
            }
        }
        shift.stays_idle();
        let flood = shift.runs_are_longest();
        let wanted = match flood {
            true => pace::YIELDS_AFTER_LONG_RUN,
            false => pace::YIELDS,
        };
        let yields = self.yielding.allowance(wanted);
        if yields == 0 && !was_rare {
            // On a loaded host a yield gives the CPU away for long, and to sleep does so too.
            for _ in 0..pace::loaded_spins() {
                if engine.shards.any_ready(shift.seat) {
                    return shift.has_next();
                }
                hint::spin_loop();
            }
        }
        for _ in 0..yields {
            if engine.shards.any_ready(shift.seat) {
                return shift.has_next();
            }
            // One searcher is enough, but in a flood it would be woken again at once.
            let needless = !flood && !engine.roster.searches_alone(shift.worker);
            if needless || self.yielding.yield_once() {
                break;
            }
        }
        shift.has_next()
    }
}

/// Announces, looks once more, and sleeps unless something stirs. Searching again afterwards.
fn lie_down<Q, R, E>(
    engine: &Engine<Q, R, E>,
    shift: &mut Shift<Q, R, E>,
    search: Search,
) -> (Search, bool) {
    engine.shards.refresh_hints(shift.seat);
    let announced = engine.roster.announce(search);
    if !engine.any_stirs(shift.seat) {
        let search = engine.roster.sleep(announced);
        return (search, shift.has_next());
    }
    let search = engine.roster.withdraw(announced);
    let found = shift.has_next();
    if !found && engine.shards.shared.is_closed() {
        // What is left waits behind a task of its key that another worker runs, perhaps for long.
        thread::park_timeout(NAP);
    } else if !found {
        // Claimed by a submitter that was interrupted before it could publish: let it run.
        thread::yield_now();
    }
    (search, found)
}
