//! One caller that keeps so many requests in flight that a batch always waits.

use std::{
    collections::VecDeque,
    convert::Infallible,
    time::{Duration, Instant},
};

use lanepool::Ticket;
use lanepool_bench::{Result, process};

use crate::{
    service::check,
    shop::{Request, Shop},
};

/// Requests in flight: when half of them are answered, as many again. Half of them are a backlog for
/// several of the largest batches, and take longer than the caller needs to wake up.
pub(crate) const IN_FLIGHT: usize = 512;
const HALF: usize = IN_FLIGHT / 2;

/// How a stretch of time went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Requests that were answered in a second.
    pub(crate) per_s: f64,
    /// Of worker and caller together, for each request: what does not depend on how much of the machine others
    /// leave.
    pub(crate) cpu_us: f64,
}

/// The caller of one pool.
pub(crate) struct Caller {
    pub(crate) shop: Shop,
    flying: VecDeque<(u64, Ticket<u64, Infallible>)>,
    /// One request in so many is given up as soon as it is handed in; none if 0.
    give_up_every: u64,
    asked: u64,
    answered: u64,
    given_up: u64,
}

impl Caller {
    pub(crate) fn of(shop: Shop) -> Self {
        Self {
            shop,
            flying: VecDeque::with_capacity(IN_FLIGHT),
            give_up_every: 0,
            asked: 0,
            answered: 0,
            given_up: 0,
        }
    }

    /// The same, but one in `every` is given up at once.
    pub(crate) fn giving_up(shop: Shop, every: u64) -> Self {
        Self {
            give_up_every: every,
            ..Self::of(shop)
        }
    }

    /// Keeps the load up for about this long.
    pub(crate) fn run(&mut self, time: Duration) -> Result<Pace> {
        self.hand_in()?;
        self.take_half()?;
        self.hand_in()?;
        let before = process::usage()?;
        let (began, answered) = (Instant::now(), self.answered);
        loop {
            self.take_half()?;
            let took = began.elapsed();
            if took >= time {
                let used = process::usage()? - before;
                let answered = (self.answered - answered) as f64;
                return Ok(Pace {
                    per_s: answered / took.as_secs_f64(),
                    cpu_us: used.cpu_ns as f64 / 1000.0 / answered,
                });
            }
            self.hand_in()?;
        }
    }

    /// Waits for the requests in flight.
    pub(crate) fn rest(&mut self) -> Result<()> {
        while let Some((number, ticket)) = self.flying.pop_front() {
            self.take(number, ticket)?;
        }
        Ok(())
    }

    /// Shuts the pool down and checks its books.
    pub(crate) fn close(mut self) -> Result<()> {
        self.rest()?;
        self.shop.close(self.asked, self.given_up, 0)
    }

    fn hand_in(&mut self) -> Result<()> {
        while self.flying.len() < IN_FLIGHT {
            let number = self.asked;
            let ticket = self
                .shop
                .pool
                .submit_blocking(Request::now(number))
                .map_err(|error| error.to_string())?;
            self.asked += 1;
            if self.give_up_every > 0 && number.is_multiple_of(self.give_up_every) {
                self.given_up += 1;
            } else {
                self.flying.push_back((number, ticket));
            }
        }
        Ok(())
    }

    /// Takes the answers of the older half. It sleeps for the last of them, so that it wakes once.
    fn take_half(&mut self) -> Result<()> {
        if let Some((number, ticket)) = self.flying.remove(HALF - 1) {
            self.take(number, ticket)?;
        }
        let older: Vec<_> = self.flying.drain(..HALF - 1).collect();
        older
            .into_iter()
            .try_for_each(|(number, ticket)| self.take(number, ticket))
    }

    fn take(&mut self, number: u64, ticket: Ticket<u64, Infallible>) -> Result<()> {
        let answer = ticket.wait().map_err(|error| error.to_string())?;
        self.answered += 1;
        check(number, answer)
    }
}
