//! How many CPUs this process may use: the machine's, less what affinity and cgroups take away.
//!
//! The standard library's answer knows affinity and quotas too, but rounds a quota down: a
//! container with 1.5 CPUs would get one worker and leave a third of what it pays for. So this
//! module reads the kernel's files itself, rounds up, and falls back on the standard library where
//! there are none. A file that is missing or makes no sense is no limit; nothing here fails.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::thread::available_parallelism;

/// The number of CPUs that this process may use, 1 or more. Read once, on the first call.
pub(crate) fn usable() -> usize {
    static USABLE: OnceLock<usize> = OnceLock::new();
    *USABLE.get_or_init(|| {
        let otherwise = available_parallelism().map_or(1, |cpus| cpus.get());
        usable_below(Path::new("/"), otherwise)
    })
}

/// As [`usable`], from the `proc` and `sys` folders below `root`; `otherwise` is the number of CPUs
/// if those do not tell.
fn usable_below(root: &Path, otherwise: usize) -> usize {
    let allowed = allowed_cpus(root).unwrap_or(otherwise);
    let quota = cgroup_quota(root).unwrap_or(usize::MAX);
    allowed.min(quota).max(1)
}

/// The CPUs that are online and that the calling thread may run on.
///
/// The kernel's list of allowed CPUs can name some that are not there, so both lists count.
fn allowed_cpus(root: &Path) -> Option<usize> {
    let status = read(&root.join("proc/thread-self/status"))?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let allowed = cpu_list(allowed)?;
    let online = cpu_list(&read(&root.join("sys/devices/system/cpu/online"))?)?;
    let common = |one: &RangeInclusive<usize>, other: &RangeInclusive<usize>| {
        let end = *one.end().min(other.end());
        end.saturating_add(1)
            .saturating_sub(*one.start().max(other.start()))
    };
    let pairs = allowed
        .iter()
        .flat_map(|one| online.iter().map(move |other| common(one, other)));
    Some(pairs.fold(0, usize::saturating_add)).filter(|cpus| *cpus > 0)
}

/// Reads the kernel's notation, such as `0-3,8`.
fn cpu_list(text: &str) -> Option<Vec<RangeInclusive<usize>>> {
    let range = |part: &str| {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        Some(start.parse().ok()?..=end.parse().ok()?)
    };
    text.trim().split(',').map(range).collect()
}

/// The tightest CPU quota on this process, rounded up to whole CPUs. `None` without one.
fn cgroup_quota(root: &Path) -> Option<usize> {
    let memberships = read(&root.join("proc/self/cgroup"))?;
    memberships
        .lines()
        .filter_map(|line| membership_quota(root, line))
        .min()
}

/// The quota of one line of `/proc/self/cgroup`: `hierarchy:controllers:path`.
fn membership_quota(root: &Path, line: &str) -> Option<usize> {
    let mounts = root.join("sys/fs/cgroup");
    let (hierarchy, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    if hierarchy == "0" && controllers.is_empty() {
        tightest(&mounts, group, quota_v2)
    } else if controllers.split(',').any(|controller| controller == "cpu") {
        // Distributions mount it by the controller's name, by all their names, or both.
        let by_name = tightest(&mounts.join("cpu"), group, quota_v1);
        let by_all = tightest(&mounts.join(controllers), group, quota_v1);
        by_name.into_iter().chain(by_all).min()
    } else {
        None
    }
}

/// The smallest quota of `group` and of the groups around it, up to the mount itself.
///
/// Inside a container the mount may be the container's own group while `group` is its name outside:
/// then the folders on the way do not exist and the mount's own file is the one that counts.
fn tightest(mount: &Path, group: &str, quota: fn(&Path) -> Option<usize>) -> Option<usize> {
    // `..` names a group outside the namespace, which cannot be looked at from here.
    let plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    let group: PathBuf = Path::new(group).components().filter(plain).collect();
    group
        .ancestors()
        .filter_map(|group| quota(&mount.join(group)))
        .min()
}

/// cgroup v2: `cpu.max` holds a quota, or `max`, and a period, both in microseconds.
fn quota_v2(group: &Path) -> Option<usize> {
    let text = read(&group.join("cpu.max"))?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cpus(quota, period)
}

/// cgroup v1: one file each; a quota of -1 is none.
fn quota_v1(group: &Path) -> Option<usize> {
    let quota = read(&group.join("cpu.cfs_quota_us"))?;
    let period = read(&group.join("cpu.cfs_period_us"))?;
    whole_cpus(quota.trim(), period.trim())
}

/// Quota over period, rounded up. Words and numbers that are not positive are no quota.
fn whole_cpus(quota: &str, period: &str) -> Option<usize> {
    let positive = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    usize::try_from(positive(quota)?.div_ceil(positive(period)?)).ok()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use std::process;
    use std::sync::Mutex;

    use super::*;

    /// What the standard library would say in the tests below.
    const OTHERWISE: usize = 64;

    /// A folder that stands for `/`, removed when it goes out of scope.
    struct Root(PathBuf);

    impl Root {
        fn new() -> Self {
            static MADE: Mutex<usize> = Mutex::new(0);
            let mut made = MADE.lock().unwrap();
            *made += 1;
            let name = format!("lanepool-cpus-{}-{made}", process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        /// `allowed` and `online` in the kernel's notation.
        fn cpus(self, allowed: &str, online: &str) -> Self {
            let status = format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\n");
            self.file("proc/thread-self/status", status)
                .file("sys/devices/system/cpu/online", format!("{online}\n"))
        }

        fn usable(&self) -> usize {
            usable_below(&self.0, OTHERWISE)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            // A root without files was never made.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn v2(group: &str) -> Root {
        Root::new().file("proc/self/cgroup", format!("0::{group}\n"))
    }

    fn v1(group: &str) -> Root {
        let lines = format!("9:memory:/m\n4:cpu,cpuacct:{group}\n3:cpuset:/\n0::/\n");
        Root::new().file("proc/self/cgroup", lines)
    }

    #[test]
    fn without_any_file_the_standard_library_decides() {
        assert_eq!(Root::new().usable(), OTHERWISE);
        assert_eq!(usable_below(&Root::new().0, 0), 1);
    }

    #[test]
    fn affinity_counts_the_cpus_that_are_online() {
        for (allowed, online, usable) in [
            ("0-1", "0-1", 2),
            ("3", "0-7", 1),
            ("0-3,8-11", "0-15", 8),
            ("0-127", "0-3", 4),
            ("0,2,4,6", "0-3,6-7", 3),
            (
                "0-18446744073709551615",
                "0-18446744073709551615",
                usize::MAX,
            ),
        ] {
            assert_eq!(
                Root::new().cpus(allowed, online).usable(),
                usable,
                "{allowed} {online}"
            );
        }
    }

    #[test]
    fn an_affinity_that_makes_no_sense_leaves_it_to_the_standard_library() {
        for (allowed, online) in [
            ("", "0-3"),
            ("0-x", "0-3"),
            ("-1", "0-3"),
            ("0-3", "many"),
            ("0,,1", "0-3"),
            ("8", "0-3"),
            ("3-0", "0-3"),
        ] {
            assert_eq!(
                Root::new().cpus(allowed, online).usable(),
                OTHERWISE,
                "{allowed:?}"
            );
        }
        let unnamed = Root::new().file("proc/thread-self/status", "Name:\tx\n");
        assert_eq!(unnamed.usable(), OTHERWISE);
    }

    #[test]
    fn a_v2_quota_is_rounded_up() {
        for (quota, usable) in [
            ("100000 100000", 1),
            ("150000 100000", 2),
            ("400000 100000", 4),
            ("1000 100000", 1),
            ("6400001 100000", OTHERWISE),
        ] {
            let root = v2("/").file("sys/fs/cgroup/cpu.max", format!("{quota}\n"));
            assert_eq!(root.usable(), usable, "{quota}");
        }
    }

    #[test]
    fn a_v2_parent_that_is_tighter_wins() {
        let root = v2("/kube/pod/box")
            .file("sys/fs/cgroup/kube/pod/box/cpu.max", "800000 100000\n")
            .file("sys/fs/cgroup/kube/pod/cpu.max", "250000 100000\n")
            .file("sys/fs/cgroup/kube/cpu.max", "max 100000\n");
        assert_eq!(root.usable(), 3);
    }

    #[test]
    fn a_v2_child_that_is_tighter_wins() {
        let root = v2("/slice/unit")
            .file("sys/fs/cgroup/slice/unit/cpu.max", "200000 100000\n")
            .file("sys/fs/cgroup/slice/cpu.max", "900000 100000\n")
            .file("sys/fs/cgroup/other/cpu.max", "100000 100000\n");
        assert_eq!(root.usable(), 2);
    }

    #[test]
    fn a_group_named_from_outside_the_container_falls_back_on_the_mount() {
        for group in ["/docker/0123abcd", "/../../0123abcd"] {
            let root = v2(group).file("sys/fs/cgroup/cpu.max", "300000 100000\n");
            assert_eq!(root.usable(), 3, "{group}");
        }
    }

    #[test]
    fn a_v1_quota_is_found_under_either_mount() {
        for mount in ["cpu", "cpu,cpuacct"] {
            let root = v1("/box")
                .file(
                    &format!("sys/fs/cgroup/{mount}/box/cpu.cfs_quota_us"),
                    "250000\n",
                )
                .file(
                    &format!("sys/fs/cgroup/{mount}/box/cpu.cfs_period_us"),
                    "100000\n",
                );
            assert_eq!(root.usable(), 3, "{mount}");
        }
    }

    #[test]
    fn a_v1_parent_that_is_tighter_wins() {
        let root = v1("/pod/box")
            .file("sys/fs/cgroup/cpu/pod/box/cpu.cfs_quota_us", "-1\n")
            .file("sys/fs/cgroup/cpu/pod/box/cpu.cfs_period_us", "100000\n")
            .file("sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "50000\n")
            .file("sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", "50000\n");
        assert_eq!(root.usable(), 1);
    }

    #[test]
    fn a_v1_quota_of_minus_one_is_none() {
        let root = v1("/")
            .file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
            .file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        assert_eq!(root.usable(), OTHERWISE);
    }

    #[test]
    fn a_v1_quota_without_its_period_is_none() {
        let root = v1("/").file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
        assert_eq!(root.usable(), OTHERWISE);
    }

    #[test]
    fn a_quota_that_makes_no_sense_is_none() {
        let garbage: [&[u8]; 9] = [
            b"max 100000\n",
            b"",
            b"max",
            b"100000\n",
            b"100000 0\n",
            b"0 100000\n",
            b"-5 100000\n",
            b"99999999999999999999999 100000\n",
            b"\xff\xfe 100000\n",
        ];
        for text in garbage {
            let root = v2("/").file("sys/fs/cgroup/cpu.max", text);
            assert_eq!(root.usable(), OTHERWISE, "{text:?}");
        }
    }

    #[test]
    fn memberships_that_make_no_sense_are_none() {
        for lines in ["", "\n", "0", "0:", "::", "0:cpu", "cpu:/", "x:y:z\n\n7"] {
            let root = Root::new()
                .file("proc/self/cgroup", lines)
                .file("sys/fs/cgroup/cpu.max", "100000 100000\n");
            assert_eq!(root.usable(), OTHERWISE, "{lines:?}");
        }
    }

    #[test]
    fn a_hybrid_tree_takes_the_tighter_of_both_versions() {
        let root = v1("/")
            .cpus("0-7", "0-7")
            .file("sys/fs/cgroup/cpu.max", "500000 100000\n")
            .file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n")
            .file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        assert_eq!(root.usable(), 3);
    }

    #[test]
    fn affinity_and_quota_hold_together() {
        let root = v2("/")
            .cpus("0-1", "0-7")
            .file("sys/fs/cgroup/cpu.max", "300000 100000\n");
        assert_eq!(root.usable(), 2);
    }

    #[test]
    fn this_machine_has_at_least_one() {
        assert!(usable() >= 1);
        assert_eq!(usable(), usable());
    }
}
