//! Processes that keep the machine busy.

use std::{
    hint::black_box,
    io::Read,
    process::{Child, Command, ExitCode, Stdio, exit},
    thread,
};

use lanepool_bench::Result;

/// Spins until standard input ends, which it does when whoever started this process is gone, however that
/// came about.
pub(crate) fn spin() -> ExitCode {
    thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut [0; 64]), Ok(read) if read > 0) {}
        exit(0);
    });
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

/// Busy processes, until this is dropped: one for each CPU, and at least two.
pub(crate) struct Busy(Vec<Child>);

impl Busy {
    pub(crate) fn start() -> Result<Self> {
        let cpus = thread::available_parallelism()?.get();
        let mut busy = Self(Vec::new());
        for _ in 0..cpus.max(2) {
            busy.0.push(
                Command::new(std::env::current_exe()?)
                    .arg("--busy")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()?,
            );
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Closing its standard input ends the child; this is only quicker, and one that has ended
            // already needs neither.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
