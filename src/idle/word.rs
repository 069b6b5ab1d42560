//! The searchers and the sleepers of a group of workers in one number.

/// Workers of a group: a bit each.
pub(super) const GROUP: usize = 48;

const SEARCHER: u64 = 1 << GROUP;

/// The low 48 bits: which workers sleep. Above them: how many search. The top bit: this is not the only
/// group. So a word of nothing says that there is nobody to wake and nobody who need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdleWord(pub(super) u64);

impl IdleWord {
    /// What to add when one more searches.
    pub(super) const ONE_SEARCHER: u64 = SEARCHER;

    /// The first of several groups, all of whose workers are awake and none searches.
    pub(super) const MORE_GROUPS: u64 = 1 << 63;

    /// Whether nobody sleeps or searches, here or in any other group.
    #[inline(always)]
    pub(super) fn is_nobody(self) -> bool {
        self.0 == 0
    }

    /// The bit of a worker by its number in the group.
    #[inline]
    pub(super) fn bit(member: usize) -> u64 {
        1 << member
    }

    /// What to add when a searcher lies down to sleep: its bit, less one searcher.
    #[inline]
    pub(super) fn lie_down(member: usize) -> u64 {
        Self::bit(member).wrapping_sub(SEARCHER)
    }

    #[inline]
    pub(super) fn searchers(self) -> u64 {
        (self.0 & !Self::MORE_GROUPS) >> GROUP
    }

    #[inline]
    pub(super) fn sleepers(self) -> u64 {
        self.0 & (SEARCHER - 1)
    }

    #[inline]
    pub(super) fn sleeps(self, member: usize) -> bool {
        self.0 & Self::bit(member) != 0
    }

    /// The sleeper with the lowest number.
    #[inline]
    pub(super) fn first_sleeper(self) -> Option<usize> {
        let sleepers = self.sleepers();
        (sleepers != 0).then(|| sleepers.trailing_zeros() as usize)
    }

    /// After a sleeper was woken; `searches` if it counts as searcher at once.
    #[inline]
    pub(super) fn woken(self, member: usize, searches: bool) -> Self {
        Self((self.0 & !Self::bit(member)) + if searches { SEARCHER } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lying_down_and_waking_are_inverse() {
        for member in [0, 1, GROUP - 1] {
            let searching = IdleWord(3 * SEARCHER + IdleWord::bit(7));
            let asleep = IdleWord(searching.0.wrapping_add(IdleWord::lie_down(member)));
            assert_eq!(asleep.searchers(), 2);
            assert!(asleep.sleeps(member) && asleep.sleeps(7));
            assert_eq!(asleep.woken(member, true), searching);
            assert_eq!(asleep.woken(member, false).searchers(), 2);
        }
        assert_eq!(IdleWord(5 * SEARCHER).first_sleeper(), None);
    }

    #[test]
    fn other_groups_are_neither_searchers_nor_sleepers() {
        let word = IdleWord(IdleWord::MORE_GROUPS);
        assert_eq!((word.searchers(), word.sleepers()), (0, 0));
        assert!(!word.is_nobody() && IdleWord(0).is_nobody());
        let asleep = IdleWord((word.0 + SEARCHER).wrapping_add(IdleWord::lie_down(5)));
        assert_eq!((asleep.searchers(), asleep.first_sleeper()), (0, Some(5)));
        assert_eq!(asleep.woken(5, false), word);
    }
}
