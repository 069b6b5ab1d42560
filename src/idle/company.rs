//! Whether an async caller has its thread to itself. Pure.
//!
//! A caller that stays for its answer keeps the thread from others, whose answers may be there already. So it may stay
//! only once it has given the thread up and come back without anybody else having called there meanwhile; and after some
//! calls it gives the thread up again. To wake itself would not do for that, since a runtime may poll it before the others.

use std::mem;

/// Who called on a thread lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Company {
    /// Who called last.
    last: usize,
    /// For how many calls that one may stay.
    stays: u32,
    /// Whether it has given the thread up since.
    gave_way: bool,
}

impl Company {
    /// Nobody.
    pub(crate) const NONE: Self = Self {
        last: 0,
        stays: 0,
        gave_way: false,
    };

    const CALLS_ALONE: u32 = 128;

    /// A caller comes with a request. Returns whether it may stay for the answer.
    pub(crate) fn comes(&mut self, caller: usize) -> bool {
        if caller != self.last {
            *self = Self {
                last: caller,
                ..Self::NONE
            };
        } else if mem::take(&mut self.gave_way) {
            self.stays = Self::CALLS_ALONE;
        }
        let may_stay = self.stays > 0;
        self.stays = self.stays.saturating_sub(1);
        may_stay
    }

    /// The caller lets others use the thread until it has its answer.
    pub(crate) fn gives_way(&mut self, caller: usize) {
        self.gave_way |= caller == self.last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gave_way_and_found_nobody_stays_for_some_calls() {
        let mut company = Company::NONE;
        assert!(!company.comes(1) && !company.comes(1), "it gave no way yet");
        for _ in 0..2 {
            company.gives_way(1);
            for call in 0..Company::CALLS_ALONE {
                assert!(company.comes(1), "call {call}");
            }
            assert!(!company.comes(1) && !company.comes(1));
        }
    }

    #[test]
    fn who_is_not_alone_does_not_stay() {
        let mut company = Company::NONE;
        company.comes(1);
        company.gives_way(1);
        assert!(!company.comes(2), "another one");
        company.gives_way(1);
        assert!(!company.comes(2), "it was not this one that gave way");
        company.gives_way(2);
        assert!(!company.comes(1) && !company.comes(2));
    }
}
