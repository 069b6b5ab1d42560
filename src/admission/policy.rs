//! What a full lane means.

/// What happens to a task whose lane is full.
///
/// The ways in whose names begin with `try_` never wait, whatever the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// The submitter waits for room: back-pressure.
    #[default]
    Wait,
    /// The submitter gets the request back at once in
    /// [`SubmitError::Full`](crate::SubmitError::Full).
    Reject,
}
