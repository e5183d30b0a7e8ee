//! Memory, threads, open files, and what the library does to the process.
//!
//! # Memory
//!
//! A run's peak is 32 MiB + the larger of 64 MiB (key derivation, while opening) and
//! [`memory_bytes`](crate::RestoreOptions::memory_bytes) (80 MiB by default) + the index, however large the snapshot is.
//! The index takes at most 40 bytes for each content; beyond
//! [`index_memory_bytes`](crate::OpenOptions::index_memory_bytes) it goes to a nameless file in
//! [`index_dir`](crate::OpenOptions::index_dir). Two runs at once take two budgets, and share the index.
//! [`memory_bytes()`](crate::memory_bytes) and [`index_memory_bytes()`](crate::index_memory_bytes) give values that fit
//! the control group that the process is in.
//!
//! ```no_run
//! use rekopia::{OpenOptions, RestoreOptions};
//!
//! let open = OpenOptions::default()
//!     .index_memory_bytes(rekopia::index_memory_bytes())
//!     .index_dir(Some("/var/cache/my-program".into()));
//! let restore = RestoreOptions::default().memory_bytes(rekopia::memory_bytes()).threads(4);
//! ```
//!
//! # Threads and runtime
//!
//! A tokio runtime with I/O and time is the caller's; of one thread or of many. Futures are `Send`. Decoding and writing
//! is done by threads of the run itself ([`threads`](crate::RestoreOptions::threads), by default one more than cores),
//! which end with it; file system calls that may take long are done by tokio's blocking threads. Requests in flight:
//! [`parallel`](crate::RestoreOptions::parallel).
//!
//! # The process
//!
//! The library changes nothing that belongs to the whole process: no umask, no limit, no signal handler, no panic hook, no
//! logger, no environment variable. Two functions that programs may call do, and say so:
//! [`raise_open_files`](crate::raise_open_files) raises the soft limit of open files to the hard one (a restore has some
//! 400 open; where fewer are allowed, it gets along with fewer), and [`start_runtime`](crate::start_runtime) also takes
//! SIGXFSZ, so that `ulimit -f` is an error of one file and not the end.
