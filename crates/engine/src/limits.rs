//! Limits what a run takes: memory by default, less where the machine or its container has less; open files; threads.

use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime, RuntimeFlavor};
use tokio::signal::unix::{SignalKind, signal};

/// The budget for data in flight when none is given.
const DEFAULT_BYTES: u64 = 80 << 20;

/// Returns the memory for data in flight, in bytes: 80 MiB, or a third of the memory limit of this process's control
/// group.
pub fn memory_bytes() -> u64 {
    limit().map_or(DEFAULT_BYTES, |limit| DEFAULT_BYTES.min(limit / 3))
}

/// Returns the memory for an index, in bytes: a quarter of the memory limit of this process's control group; 0 when
/// there is none.
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

/// Threads that a program has besides its workers: one that drives the runtime, one for its work, a few that may block.
const THREADS: usize = 7;

/// Starts the runtime of a program that restores: one thread, and up to four that may block. Where the limit of processes
/// leaves fewer than seven, nothing but one that may block. Takes less than a millisecond.
///
/// # Errors
/// When not even that one can be started.
pub fn start_runtime() -> io::Result<Runtime> {
    let most = threads_to_be_had();
    if most == 0 {
        let what = "no thread can be started: the limit of processes (ulimit -u, pids.max) is reached";
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
    }
    let is_frugal = most < THREADS;
    let mut builder = if is_frugal { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if !is_frugal {
        builder.worker_threads(1);
    }
    // Each thread costs an arena of the allocator; a local disk keeps no more than a few busy.
    builder.max_blocking_threads(if is_frugal { 1 } else { 4 });
    // Tokio panics where it needs a thread and has none: one that was had is kept.
    let runtime = builder.thread_keep_alive(Duration::from_secs(u64::MAX >> 32)).enable_all().build()?;
    drop(runtime.spawn_blocking(|| ()));
    // A file that is longer than this process may write (ulimit -f) is an error of that file, not the end.
    let _entered = runtime.enter();
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    Ok(runtime)
}

/// Does `work` on a thread that is not the first of the process, where the runtime has threads at all. The kernel hands
/// signals to the first thread, which has to take them also while `work` is stuck in a dead mount.
///
/// # Panics
/// As `work` does.
pub fn off_first_thread<T: Send>(runtime: &Runtime, work: impl FnOnce() -> T + Send) -> T {
    if runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    let work = Mutex::new(Some(work));
    let begin = || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.map(|work| work())
    };
    let done = std::thread::scope(|scope| {
        // A thread has 2 MiB by default; this is what the first thread has.
        let thread = std::thread::Builder::new().name("program".into()).stack_size(8 << 20);
        match thread.spawn_scoped(scope, begin) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => begin(),
        }
    });
    done.expect("the work is taken once")
}

/// Returns how many threads can be started now; what is more than [`THREADS`] is not counted.
fn threads_to_be_had() -> usize {
    let running = || std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let at_first = running();
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let start = |_| {
        let held = held.clone();
        let waits = std::thread::Builder::new().stack_size(64 << 10);
        waits.spawn(move || held.recv()).ok()
    };
    let threads: Vec<_> = (0..THREADS).map_while(start).collect();
    let before = threads.len();
    drop(hold);
    for thread in threads {
        let _ = thread.join();
    }
    // A thread that was joined counts until the kernel has put it away.
    for _ in 0..50 {
        if before == THREADS || running() <= at_first {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    before
}

/// Returns how many threads this process can run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get())
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

/// Returns the least limit of a group and those above it; inside a container only the root may be visible.
fn limit_below(root: &str, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(root).join(group.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|g| g.starts_with(root));
    groups.filter_map(|g| std::fs::read_to_string(g.join(file)).ok()?.trim().parse().ok()).min()
}
