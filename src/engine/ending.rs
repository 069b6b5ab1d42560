//! How a worker ends, and how a pool does: [`Engine::close`], then [`Engine::abandon_queued`] and
//! [`Engine::abandon_running`].

use std::time::Duration;

use super::Engine;
use crate::events::PoolEvent;
use crate::lane::LaneSet;
use crate::lane::pick::LaneBits;
use crate::panics;
use crate::schedule::crew::Crew;
use crate::schedule::shards::{Apart, Seat};
use crate::stats::WorkerBlock;
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, thread};
use crate::task::{Filed, Outcome, Task, TaskContext};

/// Whether a pool is closed, and which places have no worker.
#[derive(Debug)]
pub(super) struct Lifecycle {
    closed: bool,
    /// The worker has ended, or there never was one.
    ended: Box<[bool]>,
    /// How many workers are marked as ones that are to go.
    pub(super) leaving: usize,
}

impl Lifecycle {
    pub(super) fn new(places: usize, crew: &Crew) -> Self {
        let mut ended = vec![true; places];
        crew.present().for_each(|worker| ended[worker] = false);
        Self {
            closed: false,
            ended: ended.into(),
            leaving: 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn has_ended(&self, worker: usize) -> bool {
        self.ended[worker]
    }

    pub(super) fn set_ended(&mut self, worker: usize, ended: bool) {
        self.ended[worker] = ended;
    }

    /// The workers that have ended.
    pub(super) fn ended(&self) -> impl Iterator<Item = usize> {
        let ended = self.ended.iter().enumerate().filter(|(_, ended)| **ended);
        ended.map(|(worker, _)| worker)
    }
}

/// A task that no worker started, taken back from its lane.
pub(crate) struct TakenBack<Q> {
    pub(crate) lane: usize,
    pub(crate) request: Q,
    pub(crate) context: TaskContext,
}

impl<Q, R, E> Engine<Q, R, E> {
    /// Accepts nothing more; workers end once the lanes are empty. Whoever waits for room finds out.
    pub(crate) fn close(&self) {
        {
            // Said once, and before anybody closes: a worker that has nothing left to do ends at once, and
            // says so.
            let mut lifecycle = self.lifecycle.lock();
            if !std::mem::replace(&mut lifecycle.closed, true) {
                // What was accepted is run, whatever its lane.
                self.shards.shared.set_paused(LaneBits::MAX, false);
                self.events.emit(PoolEvent::Closed);
            }
        }
        // Without sets apart no task was ever keyed, and none will be.
        if self.shards.apart().is_some() {
            self.strands.close();
        }
        self.shards.close();
        self.roster.wake_all();
        if let Some(batching) = self.batching_if_any() {
            batching.desk.rouse_all();
        }
    }

    /// Whether nothing is left for this worker, now or later: everything that was ever accepted is taken
    /// and nothing more can come.
    pub(crate) fn is_exhausted(&self, seat: Seat) -> bool {
        let is_keyed = self.shards.apart().is_some();
        // In this order: what was announced before the count fell to 0 is in its ring.
        self.shards.shared.is_closed()
            && !(is_keyed && self.strands.is_announcing())
            && self.shards.is_exhausted(seat.lanes)
            && !(is_keyed && self.depends_on(seat))
    }

    /// Whether tasks may still come for this worker that wait behind one of their key. Whoever has that one
    /// goes on with the key, but that may be a worker that does not take the next one's lane, or that is about
    /// to end.
    fn depends_on(&self, seat: Seat) -> bool {
        let mut lanes = 0..self.shards.shared.len();
        lanes.any(|lane| seat.lanes & (1 << lane) != 0 && self.strands.lane(lane).len() > 0)
    }

    /// Takes every task that no worker has claimed, answers its caller, and hands the request on. The
    /// lanes are closed, so that nothing comes after.
    pub(crate) fn abandon_queued(&self, mut take_back: impl FnMut(TakenBack<Q>)) {
        self.abandon_set(&self.shards.shared, &mut take_back);
        let Some(apart) = self.shards.apart() else {
            return;
        };
        for shard in apart.shards.iter() {
            self.abandon_set(&shard.tasks, &mut take_back);
        }
        for (lane, (task, papers)) in self.strands.drain() {
            self.abandon(lane, task, papers.context, &mut take_back);
        }
        self.end_runs(apart);
        if let Some(batching) = self.batching_if_any() {
            while let Some(entry) = batching.waitlist.pop(u64::MAX - 1) {
                self.strands.end_run(entry.key);
            }
        }
    }

    /// Takes the runs of keys whose tasks were abandoned.
    fn end_runs(&self, apart: &Apart<Task<Q, R, E>, Filed>) {
        // A run that is about to come belongs to a submitter that is about to announce it.
        while self.strands.is_announcing() {
            thread::yield_now();
        }
        let of_shards = apart.shards.iter().map(|shard| &shard.runs);
        for runs in of_shards.chain([&apart.runs]) {
            for lane in 0..runs.len() {
                while let Some((key, _)) = runs.pop(lane) {
                    self.strands.end_run(key);
                }
            }
        }
    }

    fn abandon_set(
        &self,
        set: &LaneSet<Task<Q, R, E>, Filed>,
        take_back: &mut impl FnMut(TakenBack<Q>),
    ) {
        for lane in 0..set.len() {
            // A position that is claimed and not yet published belongs to a submitter that is about
            // to publish it.
            while set.lane(lane).ring.has_claims() {
                let Some((task, papers)) = set.pop(lane) else {
                    thread::yield_now();
                    continue;
                };
                let context = papers.map_or(TaskContext::new(), |Filed(papers)| papers.context);
                self.abandon(lane, task, context, take_back);
            }
        }
    }

    fn abandon(
        &self,
        lane: usize,
        task: Task<Q, R, E>,
        context: TaskContext,
        take_back: &mut impl FnMut(TakenBack<Q>),
    ) {
        let Task { request, promise } = task;
        let wanted = promise.is_wanted();
        let outcome = if wanted {
            Outcome::Abandoned
        } else {
            Outcome::Cancelled
        };
        // Counted before it is answered: who has an answer finds it in the statistics.
        self.front.settle(lane, outcome);
        drop(promise);
        if let Some(watch) = &self.watch {
            watch.tell(|monitor| monitor.on_finished(lane, Duration::ZERO, outcome));
        }
        if !wanted {
            panics::discard(request);
        } else {
            take_back(TakenBack {
                lane,
                request,
                context,
            });
        }
    }

    /// Answers everybody whose task a worker still holds, and has the workers start nothing more. The
    /// worker counts the task when it is done.
    pub(crate) fn abandon_running(&self) {
        self.shards.shared.give_up();
        self.slab.abandon_all();
    }

    /// Tasks in workers' hands: started, or claimed and not started yet.
    pub(crate) fn held(&self) -> u64 {
        let lanes = 0..self.shards.shared.len();
        let of_worker =
            |block: &WorkerBlock| lanes.clone().map(|lane| block.held(lane)).sum::<u64>();
        self.blocks_in_use().map(of_worker).sum()
    }

    /// A worker ends. What is left in its lanes the others take; the last one, and the last one that takes
    /// all lanes, leaves nobody waiting.
    pub(crate) fn worker_ends(&self, worker: usize, reason: Option<String>) {
        let lifecycle = self.lifecycle.lock();
        self.sign_off(lifecycle, worker, reason);
    }

    /// Ends a worker, which touches nothing of its place after this.
    pub(super) fn sign_off(
        &self,
        mut lifecycle: MutexGuard<'_, Lifecycle>,
        worker: usize,
        reason: Option<String>,
    ) {
        self.blocks[worker].record_stop(self.clock.now_ns());
        lifecycle.ended[worker] = true;
        self.unmark(&mut lifecycle, worker);
        self.shards.leave(worker);
        self.roster.exits();
        // The lowest lane is taken by those alone who take all, be it that they are kept for its priority.
        let takes_all = |worker: &usize| self.worker_lanes[*worker] & 1 != 0;
        let mut general = (0..self.worker_lanes.len()).filter(takes_all);
        let is_unforeseen = !lifecycle.closed || reason.is_some();
        let leaves_lanes = is_unforeseen && general.all(|worker| lifecycle.ended[worker]);
        // ORDERING(last-worker): AcqRel: the last to end sees what the others left behind.
        let last = self.alive.fetch_sub(1, Ordering::AcqRel) == 1;
        // Under the lock, so that it is told before the start of the next worker in this place.
        self.events
            .emit(PoolEvent::WorkerStopped { worker, reason });
        drop(lifecycle);
        if last || leaves_lanes {
            self.close();
            self.abandon_queued(panics::discard);
        } else if self.shards.apart().is_some() || self.wants_keeper() {
            // It may have left tasks in its lanes, the next one of a key, or batches whose time nobody keeps.
            self.roster.wake_all();
        }
    }

    /// How many workers have not ended.
    pub(crate) fn alive(&self) -> usize {
        // ORDERING(last-worker): Acquire: what an ended worker left behind is seen.
        self.alive.load(Ordering::Acquire)
    }
}
