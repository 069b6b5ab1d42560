//! What a task's order depends on.

use super::balance;
use crate::task::TaskContext;

/// The data that a task works on, or else the connection that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Given(u64),
    Connection(u64),
    /// Neither, where tasks of a key go together and these do so too.
    Neither,
}

impl Key {
    /// The key of a task with this context, if it has one.
    pub(crate) fn of(context: &TaskContext) -> Option<Self> {
        let given = context.key().map(Self::Given);
        given.or_else(|| context.connection_id().map(Self::Connection))
    }

    /// The key that was given.
    pub(crate) fn given(self) -> Option<u64> {
        match self {
            Self::Given(number) => Some(number),
            Self::Connection(_) | Self::Neither => None,
        }
    }

    /// The connection that stands for one.
    pub(crate) fn connection(self) -> Option<u64> {
        match self {
            Self::Connection(number) => Some(number),
            Self::Given(_) | Self::Neither => None,
        }
    }

    /// A number that depends on the key and spreads well.
    pub(crate) fn spread(self) -> u64 {
        match self {
            Self::Given(number) => balance::scatter(number),
            Self::Connection(number) => balance::scatter(!number),
            Self::Neither => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_before_a_connection_and_is_not_one() {
        let context = TaskContext::new();
        assert_eq!(Key::of(&context), None);
        let context = context.with_connection_id(7);
        assert_eq!(Key::of(&context), Some(Key::Connection(7)));
        assert_eq!(Key::of(&context.with_key(7)), Some(Key::Given(7)));
        assert_ne!(Key::Given(7), Key::Connection(7));
    }
}
