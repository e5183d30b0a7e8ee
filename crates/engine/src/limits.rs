//! How much a run may take: memory by default, less where the machine or its container has less; open files.

use std::path::Path;

/// The budget for data in flight when none is given.
const DEFAULT_BYTES: u64 = 80 << 20;

/// 80 MiB, or a third of the memory limit of this process's control group.
pub fn memory_bytes() -> u64 {
    limit().map_or(DEFAULT_BYTES, |limit| DEFAULT_BYTES.min(limit / 3))
}

/// A quarter of the memory limit of this process's control group; 0 when there is none.
pub fn index_memory_bytes() -> u64 {
    limit().map_or(0, |limit| limit / 4)
}

/// Lets this process have as many open files as it may. A restore has hundreds: directories, files, packs.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused the old limit is what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn limit() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    // "0::/path" is the unified hierarchy; "n:memory:/path" the old one.
    let unified = own
        .lines()
        .find_map(|l| l.strip_prefix("0::"))
        .map(|p| limit_below("/sys/fs/cgroup", p, "memory.max"));
    let old = own.lines().find_map(|l| l.split_once(":memory:"));
    let old = old.map(|(_, p)| limit_below("/sys/fs/cgroup/memory", p, "memory.limit_in_bytes"));
    [unified, old].into_iter().flatten().flatten().min()
}

/// The least limit of a group and those above it; inside a container only the root may be visible.
fn limit_below(root: &str, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(root).join(group.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|g| g.starts_with(root));
    groups.filter_map(|g| std::fs::read_to_string(g.join(file)).ok()?.trim().parse().ok()).min()
}
