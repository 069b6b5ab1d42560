//! What the figures were taken on.

use std::{fs, process::Command, thread};

/// Processor, CPUs that this process may use, load, and compiler, on one line.
#[must_use]
pub fn description() -> String {
    let cpus = thread::available_parallelism()
        .map_or_else(|_| "unknown".to_owned(), |cpus| cpus.to_string());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!(
        "{}; usable CPUs: {cpus}; load before the run: {load}; {}",
        processor(),
        compiler()
    )
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model(&text).unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The first processor's name in the text of `/proc/cpuinfo`.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The compiler that `cargo bench` uses here. The executable does not know what built it, so this asks.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    match Command::new(rustc).arg("--version").output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown compiler".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(
            model("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n"),
            Some("AMD EPYC")
        );
        assert_eq!(model("processor\t: 0\n"), None);
    }

    #[test]
    fn the_description_is_one_line() {
        let text = description();
        assert!(
            text.contains("usable CPUs") && !text.contains('\n'),
            "{text}"
        );
    }
}
