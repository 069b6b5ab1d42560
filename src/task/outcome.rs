//! How a task can end.

/// The end of an accepted task. Every one has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Outcome {
    /// The service returned a response.
    Completed,
    /// The service returned an error.
    Failed,
    /// The service panicked.
    Panicked,
    /// Its deadline passed before it was started, or would have before its answer.
    Expired,
    /// Its caller went away before it was started.
    Cancelled,
    /// An overflow policy dropped it.
    Shed,
    /// The pool ended before the task did.
    Abandoned,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Outcome; 7] = [
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Panicked,
        Outcome::Expired,
        Outcome::Cancelled,
        Outcome::Shed,
        Outcome::Abandoned,
    ];

    /// The outcome's place in [`Outcome::ALL`].
    #[inline]
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_list() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index);
        }
    }
}
