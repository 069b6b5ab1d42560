//! The progress bar. It is drawn on standard error, and only if that is a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A bar that counts files.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `files` files with a word for what is done to them.
    pub(crate) fn new(what: &'static str, files: usize) -> Self {
        let style = ProgressStyle::with_template(
            "{msg:>9} [{bar:40}] {pos}/{len} files, {rate}/s, {eta} left",
        )
        .expect("the template is valid")
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            // The bar has nowhere to report that a number could not be written.
            let _ = write!(out, "{:.0}", state.per_sec());
        })
        .progress_chars("=> ");
        // Indicatif itself looks whether standard error is a terminal.
        Self(
            ProgressBar::new(files as u64)
                .with_style(style)
                .with_message(what),
        )
    }

    /// Counts a file.
    pub(crate) fn file_done(&self) {
        self.0.inc(1);
    }

    /// Takes the bar off the screen, to make room for the report.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        let progress = Progress::new("importing", 2);
        progress.file_done();
        assert_eq!((progress.0.position(), progress.0.length()), (1, Some(2)));
        progress.clear();
    }
}
