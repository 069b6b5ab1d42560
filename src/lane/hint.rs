//! The hint word of a lane set: which lanes may hold something, and what else a worker must know before
//! it takes a task.
//!
//! | bits | meaning | written by |
//! |---|---|---|
//! | 0 to 7 | the lane may hold something | submitters set, workers on their way to sleep clear |
//! | 8 to 15 | the lane is paused | the pool's owner |
//! | 29 | some worker is to go | who adds and removes workers |
//! | 30 | tasks may wait in other sets than this | whoever places the first one there |
//! | 31 | nothing more is to be started | the shutdown |
//!
//! The upper ones stand beside the lanes' so that workers pay nothing for them as long as none is set: they ask
//! of the word whether any bit but one is.

use super::pick::{LaneBits, MOST_LANES};

/// How far the bit of a paused lane is from that of the lane.
const PAUSED: usize = MOST_LANES;

/// The lanes of a word.
const LANES: LaneBits = (1 << MOST_LANES) - 1;

/// The value of a set's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint(pub(crate) u32);

impl Hint {
    pub(crate) const LEAVING: u32 = 1 << 29;
    pub(crate) const ELSEWHERE: u32 = 1 << 30;
    pub(crate) const GIVEN_UP: u32 = 1 << 31;

    /// The bits that pause lanes.
    pub(crate) fn pausing(lanes: LaneBits) -> u32 {
        (lanes & LANES) << PAUSED
    }

    /// Whether the word says nothing but, at most, that this lane holds something.
    #[inline(always)]
    pub(crate) fn is_at_most(self, lane: usize) -> bool {
        self.0 & !(1 << lane) == 0
    }

    /// Whether the word says nothing but which lanes may hold something.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & !LANES == 0
    }

    /// The lanes that may hold something, paused ones included.
    #[inline(always)]
    pub(crate) fn lanes(self) -> LaneBits {
        self.0 & LANES
    }

    /// The lanes that are not paused, whatever they hold.
    #[inline(always)]
    pub(crate) fn open(self) -> LaneBits {
        !(self.0 >> PAUSED) & LANES
    }

    pub(crate) fn is_paused(self, lane: usize) -> bool {
        self.0 & Self::pausing(1 << lane) != 0
    }

    #[inline(always)]
    pub(crate) fn is_leaving(self) -> bool {
        self.0 & Self::LEAVING != 0
    }

    #[inline(always)]
    pub(crate) fn is_elsewhere(self) -> bool {
        self.0 & Self::ELSEWHERE != 0
    }

    #[inline(always)]
    pub(crate) fn is_given_up(self) -> bool {
        self.0 & Self::GIVEN_UP != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_lane_is_not_open_whatever_it_holds() {
        let hint = Hint(0b101 | Hint::pausing(0b100) | Hint::ELSEWHERE);
        assert_eq!(hint.lanes() & hint.open(), 0b001);
        assert!(hint.is_paused(2) && !hint.is_paused(0));
        assert!(hint.is_elsewhere() && !hint.is_given_up() && !hint.is_plain());
        assert!(Hint(0xff).is_plain() && !Hint(Hint::pausing(1)).is_plain());
        assert!(!hint.is_at_most(0) && Hint(0b100).is_at_most(2) && Hint(0).is_at_most(2));
        assert!(!Hint(Hint::GIVEN_UP).is_at_most(0));
        assert!(Hint(Hint::LEAVING).is_leaving() && !hint.is_leaving());
        assert!(!Hint(Hint::LEAVING).is_plain() && !Hint(Hint::LEAVING).is_at_most(0));
        assert_eq!(Hint(Hint::pausing(LaneBits::MAX)).open(), 0);
    }
}
