//! Tests that cannot run: said aloud, and red where nothing may be skipped.

use std::io::Write;
use std::path::Path;

/// A test cannot run here for want of something that could be installed or allowed.
///
/// # Panics
/// With `REKOPIA_TESTS_MUST_RUN=1` in the environment, as the gate has it.
#[track_caller]
pub fn must_run(what: &str, reason: &str) {
    let must = std::env::var_os("REKOPIA_TESTS_MUST_RUN").is_some_and(|v| v == "1");
    assert!(!must, "{what} cannot run: {reason}");
    eprintln!("skipped: {what}: {reason}");
}

/// A test cannot run here for want of something in the kernel, which nobody can install: the gate lists it, no more.
pub fn kernel_lacks(what: &str) {
    eprintln!("skipped: the kernel has no {what}");
    // Beside the builds: the one folder of the checkout that is not looked after by git.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let file = std::fs::create_dir_all(&target).and_then(|()| {
        std::fs::File::options().append(true).create(true).open(target.join("kernel-lacks.txt"))
    });
    // A list that cannot be written must not fail a test that was skipped for a reason.
    let _ = file.and_then(|mut file| writeln!(file, "{what}"));
}
