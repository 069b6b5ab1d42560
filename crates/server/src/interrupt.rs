//! Ctrl-C, and the signals that a system asks a program with to end.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

/// The exit code by which shells know a program that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The user wants it to stop.
    Interrupted,
    /// It has nothing left to do.
    Finished,
}

/// Tells a run that it should stop. The first Ctrl-C asks, the second ends the process.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// Written by the signal handler or [`Interrupter`] alone, once; read between files.
    requested: Arc<AtomicBool>,
    sender: Sender<Wake>,
    receiver: Receiver<Wake>,
}

/// The end that interrupts.
#[derive(Debug, Clone)]
pub(crate) struct Interrupter {
    requested: Arc<AtomicBool>,
    sender: Sender<Wake>,
}

/// Says that a run has finished when it is dropped, a panic of its holder included.
#[derive(Debug)]
pub(crate) struct Finisher(Sender<Wake>);

impl Drop for Finisher {
    fn drop(&mut self) {
        // Nobody listens any more if the run was interrupted, and then nobody needs to know.
        let _ = self.0.send(Wake::Finished);
    }
}

impl Interrupt {
    /// One that only its [`Interrupter`] sets off.
    pub(crate) fn new() -> (Self, Interrupter) {
        let (sender, receiver) = mpsc::channel();
        let requested = Arc::new(AtomicBool::new(false));
        let interrupter = Interrupter {
            requested: Arc::clone(&requested),
            sender: sender.clone(),
        };
        (
            Self {
                requested,
                sender,
                receiver,
            },
            interrupter,
        )
    }

    /// One that Ctrl-C sets off. To be called once in a process.
    ///
    /// # Errors
    /// If the system refuses the handler.
    pub(crate) fn install() -> Result<Self, ctrlc::Error> {
        let (interrupt, interrupter) = Self::new();
        ctrlc::set_handler(move || {
            if !interrupter.interrupt() {
                process::exit(EXIT_INTERRUPTED);
            }
        })?;
        Ok(interrupt)
    }

    /// Whether somebody asked to stop.
    pub(crate) fn requested(&self) -> bool {
        // ORDERING: Relaxed, because the flag guards no other data.
        self.requested.load(Ordering::Relaxed)
    }

    /// What a run holds as long as it has not finished.
    pub(crate) fn finisher(&self) -> Finisher {
        Finisher(self.sender.clone())
    }

    /// Waits until somebody interrupts or the run has finished, whichever is first.
    pub(crate) fn wait(&self) -> Wake {
        self.receiver
            .recv()
            .expect("this struct holds a sender itself")
    }
}

impl Interrupter {
    /// Asks to stop. False if that was asked before.
    pub(crate) fn interrupt(&self) -> bool {
        // ORDERING: Relaxed, because the flag guards no other data.
        let first = !self.requested.swap(true, Ordering::Relaxed);
        if first {
            // A run that ended in the meantime has nothing to stop.
            let _ = self.sender.send(Wake::Interrupted);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_wakes() {
        let (interrupt, interrupter) = Interrupt::new();
        assert!(!interrupt.requested());
        assert!(interrupter.interrupt());
        assert!(interrupt.requested());
        assert_eq!(interrupt.wait(), Wake::Interrupted);
        assert!(
            !interrupter.interrupt(),
            "the second asks for the end of the process"
        );

        let (interrupt, _interrupter) = Interrupt::new();
        drop(interrupt.finisher());
        assert_eq!(interrupt.wait(), Wake::Finished);
        assert!(!interrupt.requested());
    }
}
