//! Channels, used without waiting.

use super::Numbers;

pub(super) struct Kanal(kanal::Sender<u64>, kanal::Receiver<u64>);

impl Numbers for Kanal {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = kanal::bounded(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).unwrap_or(false)
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok().flatten()
    }
}

pub(super) struct Crossfire(
    crossfire::MTx<crossfire::mpmc::Array<u64>>,
    crossfire::MRx<crossfire::mpmc::Array<u64>>,
);

impl Numbers for Crossfire {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = crossfire::mpmc::bounded_blocking(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}

pub(super) struct Crossbeam(
    crossbeam_channel::Sender<u64>,
    crossbeam_channel::Receiver<u64>,
);

impl Numbers for Crossbeam {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}

pub(super) struct Flume(flume::Sender<u64>, flume::Receiver<u64>);

impl Numbers for Flume {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = flume::bounded(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}

pub(super) struct AsyncChannel(async_channel::Sender<u64>, async_channel::Receiver<u64>);

impl Numbers for AsyncChannel {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = async_channel::bounded(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}

pub(super) struct Tokio(
    tokio::sync::mpsc::Sender<u64>,
    tokio::sync::mpsc::Receiver<u64>,
);

impl Numbers for Tokio {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = tokio::sync::mpsc::channel(capacity);
        Self(sender, receiver)
    }

    #[inline]
    fn push(&mut self, number: u64) -> bool {
        self.0.try_send(number).is_ok()
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.1.try_recv().ok()
    }
}
