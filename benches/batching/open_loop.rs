//! Requests that come when they come, whatever became of those before.
//!
//! One thread hands each request in when it is due, or at once if that has passed, and looks for answers in
//! between. It sleeps only while nothing is on its way, so an answer is seen as soon as it is there, without the wake
//! of a caller. It has a CPU of its own where there are two.

use std::{
    collections::VecDeque,
    convert::Infallible,
    hint::spin_loop,
    thread,
    time::{Duration, Instant},
};

use lanepool::{ProcessingError, ProcessingTask, SubmitError, Ticket};
use lanepool_bench::{Result, work::PATIENCE};

use crate::{
    service::check,
    shop::{Request, Shop},
};

/// Sleeping ends late by about as much; the rest of a gap is spun.
const SPIN: Duration = Duration::from_micros(150);

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// From when a request was due until its answer was seen, in microseconds.
    pub(crate) latencies_us: Vec<f64>,
    /// Those that the pool accepted.
    pub(crate) accepted: u64,
    /// Accepted ones whose deadline passed before they were run.
    pub(crate) expired: u64,
    /// Answered, but after their deadline.
    pub(crate) late: u64,
    /// Not accepted: too late already, or no room.
    pub(crate) refused: u64,
}

impl Fates {
    /// Requests that were not answered in time.
    pub(crate) fn missed(&self) -> u64 {
        self.expired + self.late + self.refused
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.accepted += other.accepted;
        self.expired += other.expired;
        self.late += other.late;
        self.refused += other.refused;
    }
}

/// What is asked.
#[derive(Clone, Copy)]
struct Asked {
    number: u64,
    due: Instant,
    deadline: Option<Instant>,
}

/// A request on its way.
struct Flying {
    asked: Asked,
    ticket: Ticket<u64, Infallible>,
}

/// By when requests are to be answered.
pub(crate) struct Deadlines<F> {
    /// How long a request of this number has from when it is due; none for as long as it takes.
    pub(crate) lifetime: F,
    /// Whether the pool is told. Otherwise only this side looks whether an answer is late.
    pub(crate) told: bool,
}

/// Requests on their way, in their order. Most are answered in that order; those that are not must not hide the
/// answers of later ones.
#[derive(Default)]
struct Sky {
    flying: VecDeque<Option<Flying>>,
    /// Where it was last looked beyond the first one.
    place: usize,
}

/// How many requests beyond the first one are looked at each time.
const LOOKS: usize = 8;

impl Sky {
    fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    fn pop_answered(&mut self) -> Option<Flying> {
        let is_done = |one: &Option<Flying>| one.as_ref().is_some_and(|one| one.ticket.is_done());
        let mut found = None;
        while found.is_none()
            && self
                .flying
                .front()
                .is_some_and(|one| one.is_none() || is_done(one))
        {
            found = self.flying.pop_front().flatten();
        }
        for _ in 0..LOOKS.min(self.flying.len()) {
            if found.is_some() {
                break;
            }
            self.place = (self.place + 1) % self.flying.len();
            let one = &mut self.flying[self.place];
            if is_done(one) {
                found = one.take();
            }
        }
        found
    }
}

/// Hands a request in at each of these times. Their numbers count up from `first`.
pub(crate) fn run(
    shop: &Shop,
    due: &[Duration],
    first: u64,
    deadlines: &Deadlines<impl Fn(u64) -> Option<Duration>>,
) -> Result<Fates> {
    // With a single CPU, whoever spins here keeps the worker from it.
    let pause = if thread::available_parallelism()?.get() > 1 {
        spin_loop
    } else {
        thread::yield_now
    };
    let mut fates = Fates::default();
    let mut sky = Sky::default();
    // A little later, so that the first one is not late before anything has begun.
    let began = Instant::now() + Duration::from_millis(1);
    let mut arrivals = (first..).zip(due).peekable();
    let mut seen = Instant::now();
    while arrivals.peek().is_some() || !sky.is_empty() {
        let now = Instant::now();
        while let Some(answered) = sky.pop_answered() {
            fates.end(answered, now)?;
            seen = now;
        }
        match arrivals.peek() {
            Some(&(number, &due)) if began + due <= now => {
                arrivals.next();
                let due = began + due;
                let deadline = (deadlines.lifetime)(number).map(|lifetime| due + lifetime);
                let request = Asked {
                    number,
                    due,
                    deadline,
                };
                let flying = fates.begin(shop, request, deadlines.told)?;
                sky.flying.extend(flying.map(Some));
                seen = now;
            }
            _ if now - seen > PATIENCE => {
                let left = sky.flying.iter().flatten().count();
                return Err(format!("{left} requests were not answered in {PATIENCE:?}").into());
            }
            Some(&(_, &due)) if sky.is_empty() && began + due > now + SPIN => {
                // The workload is when requests arrive; the last stretch is spun, to be on time.
                thread::sleep(began + due - now - SPIN);
                seen = Instant::now();
            }
            _ => pause(),
        }
    }
    Ok(fates)
}

impl Fates {
    fn begin(&mut self, shop: &Shop, asked: Asked, told: bool) -> Result<Option<Flying>> {
        let mut task = ProcessingTask::new(Request::now(asked.number));
        if let Some(deadline) = asked.deadline.filter(|_| told) {
            task = task.deadline(deadline);
        }
        match shop.pool.try_submit(task) {
            Ok(ticket) => {
                self.accepted += 1;
                Ok(Some(Flying { asked, ticket }))
            }
            Err(SubmitError::Full(_) | SubmitError::Expired(_)) if asked.deadline.is_some() => {
                self.refused += 1;
                Ok(None)
            }
            Err(error) => Err(error.to_string().into()),
        }
    }

    fn end(&mut self, answered: Flying, now: Instant) -> Result<()> {
        let Flying { asked, ticket } = answered;
        match ticket.wait() {
            Ok(answer) => {
                check(asked.number, answer)?;
                let latency = now - asked.due;
                self.latencies_us.push(latency.as_nanos() as f64 / 1000.0);
                self.late += u64::from(asked.deadline.is_some_and(|deadline| now >= deadline));
            }
            Err(ProcessingError::Expired) if asked.deadline.is_some() => self.expired += 1,
            Err(error) => return Err(error.to_string().into()),
        }
        Ok(())
    }
}
