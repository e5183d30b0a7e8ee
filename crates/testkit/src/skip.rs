//! Skips tests that cannot run: said aloud, named once more at the end, and red where nothing may be skipped.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Skips a test that cannot run here for want of something that could be installed or allowed.
///
/// # Panics
/// With `REKOPIA_TESTS_MUST_RUN=1` in the environment, as the gate has it.
#[track_caller]
pub fn must_run(what: &str, reason: &str) {
    let must = std::env::var_os("REKOPIA_TESTS_MUST_RUN").is_some_and(|v| v == "1");
    assert!(!must, "{what} cannot run: {reason}");
    note(&format!("{what}: {reason}"));
}

/// Skips a test that cannot run here for want of something in the kernel, which nobody can install.
pub fn kernel_lacks(what: &str) {
    note(&format!("what needs {what}: the kernel has it not"));
}

/// Whether these programs are installed; names those that are not, with the test that needs them.
///
/// # Panics
/// As [`must_run`].
#[track_caller]
pub fn has_programs(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !is_installed(program)).collect();
    if !missing.is_empty() {
        must_run(test, &format!("{} not installed", missing.join(", ")));
    }
    missing.is_empty()
}

/// Returns where a program is that tests start: also where only administrators look.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn is_installed(name: &str) -> bool {
    match name {
        // Not programs, but they are installed in the same way.
        "azurite" => program("node").is_some() && azurite().exists(),
        "nginx" => {
            program("nginx").is_some()
                && Path::new("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so").exists()
        }
        _ => program(name).is_some(),
    }
}

/// Returns the emulator of Azure's storage, which `.ci/test` installs.
pub(crate) fn azurite() -> PathBuf {
    target().join("emulators/azurite/node_modules/azurite/dist/src/blob/main.js")
}

/// Returns the folder beside the builds: the one folder of the checkout that is not looked after by git.
fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")))
}

fn list() -> PathBuf {
    target().join("not-run.txt")
}

fn note(what: &str) {
    eprintln!("skipped: {what}");
    let target = std::fs::create_dir_all(target());
    let file = target.and_then(|()| File::options().append(true).create(true).open(list()));
    // A list that cannot be written must not fail a test that was skipped for a reason.
    let _ = file.and_then(|mut file| writeln!(file, "{}\t{what}", run()));
}

/// Returns what this run of `cargo test` could not run so far, each once; forgotten afterwards.
pub fn take_not_run() -> Vec<String> {
    let file = list();
    let list = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = std::fs::remove_file(file);
    let run = run().to_string();
    let lines = list.lines().filter_map(|line| line.split_once('\t'));
    let mut found: Vec<String> =
        lines.filter(|(of, _)| *of == run).map(|(_, what)| what.to_owned()).collect();
    found.sort();
    found.dedup();
    found
}

/// Returns which run this is: the process of `cargo` above us, which starts one test program after the other.
fn run() -> u32 {
    let mut process = std::process::id();
    let mut nearest = None;
    // "PID (NAME) STATE PARENT …"; a name may hold anything.
    while let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) {
        let Some((name, rest)) = stat.rsplit_once(") ") else { break };
        if name.ends_with("(cargo") {
            return process;
        }
        let Some(parent) = rest.split(' ').nth(1).and_then(|parent| parent.parse().ok()) else { break };
        nearest = nearest.or(Some(parent));
        process = parent;
    }
    nearest.unwrap_or(0)
}
