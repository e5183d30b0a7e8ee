//! A pseudo-terminal that a program is started in, and what every screen on it has to be like.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

pub(crate) const PASSWORD: &str = "test-password";
/// Rows of the terminal: so many that nothing scrolls away.
pub(crate) const ROWS: u16 = 60;
/// Nothing takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const PHASES: [&str; 10] = [
    "opening",
    "comparing",
    "planning",
    "restoring",
    "deleting",
    "re-reading",
    "hashing",
    "syncing",
    "listing",
    "verifying",
];

pub(crate) fn with_environment(command: &mut Command) -> &mut Command {
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("KOPIA_PASSWORD", PASSWORD).env("HOME", "/proc/nonexistent").env_remove("TERM")
}

/// A program at a terminal, and what that shows.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    pub(crate) keyboard: File,
    /// The other end of the terminal, which a shell has open, too: what a program changes of it stays.
    _line: OwnedFd,
    pub(crate) screen: Parser,
    /// All rows that ever showed progress.
    pub(crate) rows: BTreeSet<String>,
}

impl Terminal {
    /// Starts the program where all three streams are the terminal; `change` may say otherwise.
    pub(crate) fn start(columns: u16, words: &[String], change: impl FnOnce(&mut Command)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        resize(&ours, columns);
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        // Makes it the terminal that the program is controlled by: Ctrl-C is a signal.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(words);
        let stream = || Stdio::from(theirs.try_clone().unwrap());
        with_environment(&mut command).stdin(stream()).stdout(stream()).stderr(stream());
        change(&mut command);
        let child = command.spawn().unwrap();
        let screen = Parser::new(nonzero(ROWS), nonzero(columns), 0);
        Terminal { child, keyboard: File::from(ours), _line: theirs, screen, rows: BTreeSet::new() }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Tells the program of another width; the screen follows when all is as wide as that.
    pub(crate) fn resize(&mut self, columns: u16) {
        if columns > columns_of(self.screen.screen()) {
            self.screen.screen_mut().set_size(nonzero(ROWS), nonzero(columns));
        }
        resize(&self.keyboard, columns);
        let most = if columns == 0 { 80 } else { usize::from(columns) };
        let is_narrow = |screen: &Screen| check(screen).is_none_or(|row| row.len() < most);
        assert!(is_narrow(self.screen.screen()) || self.until(is_narrow));
        if columns > 0 {
            self.screen.screen_mut().set_size(nonzero(ROWS), nonzero(columns));
        }
    }

    /// Looks on until `found`, or until the program ends: then `false`.
    pub(crate) fn until(&mut self, found: impl Fn(&Screen) -> bool) -> bool {
        self.look(PATIENCE, found).unwrap_or_else(|| {
            self.child.kill().unwrap();
            panic!("nothing happens: {}", self.screen.screen().contents())
        })
    }

    /// Looks on for a time.
    pub(crate) fn look_on(&mut self, time: Duration) {
        self.look(time, |_| false);
    }

    /// `None`: the time is over.
    pub(crate) fn look(&mut self, time: Duration, found: impl Fn(&Screen) -> bool) -> Option<bool> {
        let began = Instant::now();
        let mut bytes = [0; 4096];
        while began.elapsed() < time {
            let mut fds = [PollFd::new(&self.keyboard, PollFlags::IN)];
            let soon = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            // In this order: what was written before the end is read.
            let is_over = self.child.try_wait().unwrap().is_some();
            if poll(&mut fds, Some(&soon)).unwrap() == 0 {
                if is_over {
                    return Some(false);
                }
                continue;
            }
            let n = self.keyboard.read(&mut bytes).unwrap();
            let mut is_found = false;
            for byte in &bytes[..n] {
                self.screen.process(&[*byte]);
                let row = check(self.screen.screen());
                // Drawing ends at the beginning of the line: before that it is half of one and half of the next.
                self.rows.extend(row.filter(|_| self.screen.screen().cursor_position().1 == 0));
                is_found |= found(self.screen.screen());
            }
            if is_found {
                return Some(true);
            }
        }
        None
    }

    /// Looks on to the end: the exit code, and the screen on which no progress may be left.
    pub(crate) fn ends(&mut self) -> (Option<i32>, String) {
        self.until(|_| false);
        let code = self.child.wait().unwrap().code();
        let left = self.screen.screen().contents();
        assert_eq!(check(self.screen.screen()), None, "{left}");
        assert!(!left.contains("[#") && !left.contains("[-"), "{left}");
        (code, left)
    }

    /// Whether progress of this phase was seen with all of these words.
    pub(crate) fn showed(&self, phase: &str, words: &[&str]) -> bool {
        self.rows.iter().any(|row| row.starts_with(phase) && words.iter().all(|word| row.contains(word)))
    }
}

pub(crate) fn resize(terminal: impl AsFd, columns: u16) {
    let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

pub(crate) fn nonzero(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

pub(crate) fn columns_of(screen: &Screen) -> u16 {
    screen.size().1.get()
}

pub(crate) fn rows(screen: &Screen) -> Vec<String> {
    screen.rows(0, columns_of(screen)).map(|row| row.trim_end().to_owned()).collect()
}

pub(crate) fn shows_phase(row: &str) -> bool {
    PHASES
        .iter()
        .any(|phase| row.strip_prefix(phase).is_some_and(|rest| rest.is_empty() || rest.starts_with("  ")))
}

/// Checks what every screen has to be like; returns its line of progress.
#[track_caller]
pub(crate) fn check(screen: &Screen) -> Option<String> {
    let rows = rows(screen);
    let whole = || rows.join("\n");
    let mut shown = rows.iter().enumerate().filter(|(_, row)| shows_phase(row));
    let first = shown.next();
    assert!(shown.next().is_none(), "two lines of progress:\n{}", whole());
    for row in &rows {
        assert!(!row.contains("0 B/1 B"), "{row}");
        // With the space: a random name may end like one of these.
        assert!(![" KiB", " MiB", " GiB"].iter().any(|unit| row.contains(unit)), "{row}");
    }
    let (at, row) = first?;
    assert!(!screen.row_wrapped(at as u16), "wrapped:\n{}", whole());
    assert!(row.len() < usize::from(columns_of(screen)), "the last column is used:\n{}", whole());
    assert!(rows[at + 1..].iter().all(String::is_empty), "something below progress:\n{}", whole());
    Some(row.clone())
}
