//! Strands whose tasks form batches.
//!
//! A strand is *forming* until the batch that its first tasks are is closed, and is announced then: by the submitter
//! whose task completes it, or when its time has come. Only then does it have a run. Whoever takes the run
//! takes as many tasks as the batch is to have, and what is left forms the next one.

use smallvec::SmallVec;

use super::{Strand, Strands};
use crate::batch::{CloseReason, Decision, Entry, Forming, INLINE};
use crate::lane::Refusal;
use crate::panics;
use crate::schedule::Key;
use crate::sync::atomic::Ordering;

/// Whether the tasks of a key are a batch yet.
pub(crate) trait Judge<T> {
    /// A task joins the batch.
    fn join(&self, forming: &mut Forming, lane: usize, task: &T);

    /// Whether the batch closes.
    fn decide(&self, key: Key, forming: &Forming) -> Decision;

    /// The size that a batch of this key is to have.
    fn target(&self, key: Key) -> usize;
}

/// What becomes of the tasks of a key that form a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a strand that is due has to be announced"]
pub(crate) enum Stage {
    /// Nothing changes.
    Same,
    /// Their batch is closed: announce their run in this lane, then call [`Strands::announced`].
    Due(usize),
    /// They linger until then: see to it that [`Strands::ripen`] is called.
    Lingers(Entry),
}

/// Tasks of a key that go with the first one.
#[derive(Debug)]
pub(crate) struct More<T> {
    /// Each with its lane.
    pub(crate) tasks: SmallVec<[(usize, T); INLINE]>,
    /// How many still wait.
    pub(crate) left: usize,
    /// Why their batch was closed, if it formed before.
    pub(crate) reason: Option<CloseReason>,
}

impl<T> Strands<T> {
    /// As [`Strands::admit`], where tasks of a key form batches.
    ///
    /// # Errors
    /// As [`Strands::admit`].
    pub(crate) fn admit_to_batch<M>(
        &self,
        key: Key,
        lane: usize,
        from: M,
        make: impl FnOnce(M, u64) -> T,
        judge: &impl Judge<T>,
    ) -> Result<Stage, (Refusal, M)> {
        // ORDERING(keyed-claim): as in `admit`.
        self.announcing.fetch_add(1, Ordering::AcqRel);
        let stage = self.map.with(key, Self::is_gone, |strand| {
            let is_new = self.append(strand, lane, from, make)?;
            if !is_new && strand.forming.is_none() {
                return Ok(Stage::Same);
            }
            let forming = strand.forming.get_or_insert_default();
            if let Some((lane, task)) = strand.waiting.back() {
                judge.join(forming, *lane, task);
            }
            Ok(Self::judge(key, strand, judge))
        });
        if !matches!(stage, Ok(Stage::Due(_))) {
            self.announced();
        }
        stage
    }

    /// Whether the batch that forms in a strand closes, and if not until when it lingers.
    fn judge(key: Key, strand: &mut Strand<T>, judge: &impl Judge<T>) -> Stage {
        let Some(forming) = &mut strand.forming else {
            return Stage::Same;
        };
        match judge.decide(key, forming) {
            Decision::Close(reason) => {
                strand.forming = None;
                strand.reason = Some(reason);
                Stage::Due(Self::run_lane(strand).unwrap_or(0))
            }
            Decision::LingerUntil(due_ns) if forming.due_ns == 0 || due_ns < forming.due_ns => {
                forming.due_ns = due_ns;
                Stage::Lingers(Entry {
                    due_ns,
                    since_ns: forming.since_ns,
                    key,
                })
            }
            Decision::LingerUntil(_) => Stage::Same,
        }
    }

    /// The time of a batch that lingers has come, or may have.
    pub(crate) fn ripen(&self, entry: &Entry, judge: &impl Judge<T>) -> Stage {
        // ORDERING(keyed-claim): as in `admit`.
        self.announcing.fetch_add(1, Ordering::AcqRel);
        let stage = self.map.with(entry.key, Self::is_gone, |strand| {
            match &mut strand.forming {
                Some(forming) if forming.since_ns == entry.since_ns => forming.due_ns = 0,
                _ => return Stage::Same,
            }
            Self::judge(entry.key, strand, judge)
        });
        if !matches!(stage, Stage::Due(_)) {
            self.announced();
        }
        stage
    }

    /// Whether the batch of an entry does not linger any more.
    pub(crate) fn is_stale(&self, entry: &Entry) -> bool {
        self.map.with(entry.key, Self::is_gone, |strand| {
            let forming = strand.forming.as_ref();
            forming.is_none_or(|forming| forming.since_ns != entry.since_ns)
        })
    }

    /// The tasks that were taken for a batch do not hold the others up any more: what is left forms the next
    /// one.
    pub(crate) fn form_rest(&self, key: Key, judge: &impl Judge<T>) -> Stage {
        // ORDERING(keyed-claim): as in `admit`.
        self.announcing.fetch_add(1, Ordering::AcqRel);
        let stage = self.map.with(key, Self::is_gone, |strand| {
            strand.reason = None;
            if strand.waiting.is_empty() {
                self.end(strand);
                return Stage::Same;
            }
            let mut forming = Box::<Forming>::default();
            for (lane, task) in strand.waiting.iter().take(judge.target(key)) {
                judge.join(&mut forming, *lane, task);
            }
            strand.forming = Some(forming);
            Self::judge(key, strand, judge)
        });
        if !matches!(stage, Stage::Due(_)) {
            self.announced();
        }
        if stage == Stage::Same {
            self.make_small();
        }
        stage
    }

    /// Takes up to so many tasks more of a key whose run was pulled, as long as `takes` has it of their lanes.
    pub(crate) fn take_more(
        &self,
        key: Key,
        most: usize,
        takes: impl Fn(usize) -> bool,
    ) -> More<T> {
        let (tasks, left, reason, crowd) = self.map.with(key, Self::is_gone, |strand| {
            let waiting = strand.waiting.iter().take(most);
            let count = waiting.take_while(|(lane, _)| takes(*lane)).count();
            let more: SmallVec<[_; INLINE]> = strand.waiting.drain(..count).collect();
            let left = strand.waiting.len();
            let is_roomy = |(lane, _): &(usize, T)| left < self.share(*lane).div_ceil(2);
            let crowd = if more.last().is_some_and(is_roomy) {
                std::mem::take(&mut strand.crowd)
            } else {
                Vec::new()
            };
            (more, left, strand.reason, crowd)
        });
        for (lane, _) in &tasks {
            self.lanes[*lane].took(1);
        }
        crowd.into_iter().for_each(panics::wake);
        More {
            tasks,
            left,
            reason,
        }
    }
}
