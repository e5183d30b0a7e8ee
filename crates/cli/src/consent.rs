//! Asks before a restore deletes something.

use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rekopia::{Cancel, Consent, Deletion};

use crate::args::{Global, Restore};
use crate::say::{aside, prompt, say};
use crate::summary::{going, names};

/// Returns who is asked before something is deleted: the person at the terminal, unless the options say that nobody is
/// to be asked.
pub(crate) fn consent(global: &Global, args: &Restore, cancel: &Cancel) -> Option<Consent> {
    let silent = args.yes || args.dry_run || global.json || global.quiet || global.no_progress;
    let terminal = || std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.delete_extra || silent || !terminal() {
        return None;
    }
    let cancel = cancel.clone();
    Some(Consent::new(move |deletion| aside(|| ask(deletion, &cancel))))
}

fn ask(deletion: &Deletion, cancel: &Cancel) -> bool {
    question(deletion).iter().for_each(|line| say(line));
    prompt("Delete them? [y/N] ");
    let answer = answer(cancel).unwrap_or_default();
    if !answer.ends_with('\n') {
        // Nobody has ended the line.
        say("");
    }
    is_yes(&answer)
}

fn question(deletion: &Deletion) -> Vec<String> {
    let mut lines = vec![format!("--delete-extra would delete {}:", going(deletion))];
    lines.extend(names(deletion));
    if deletion.before_writing {
        let why = "There is no room for old and new together, so these go BEFORE anything is written:";
        lines.push(why.into());
        lines.push("if the restore fails after that, they are gone all the same.".into());
    }
    lines
}

/// Reads what is typed; `None` at the end of input, and when a signal asks to stop. The thread that reads cannot be
/// waken, so it is left behind.
fn answer(cancel: &Cancel) -> Option<String> {
    let (typed, answered) = channel();
    let read = move || {
        let mut text = String::new();
        if std::io::stdin().lock().read_line(&mut text).is_ok() {
            let _ = typed.send(text);
        }
    };
    // Without a thread to read there is no answer.
    std::thread::Builder::new().spawn(read).ok()?;
    loop {
        match answered.recv_timeout(Duration::from_millis(50)) {
            Ok(text) => return Some(text),
            Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
            Err(_) => return None,
        }
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "yes\n", "Y\r\n", " yes "] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "yess\n", "ye\n", "j\n", "y y\n", "true\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn the_question_says_what_goes_and_when() {
        let first = vec!["old.txt".to_owned(), "a\u{1b}[2J/".into()];
        let mut deletion = Deletion::default().entries(7).first(first).of(40).before_writing(false);
        let asked = question(&deletion).join("\n");
        assert!(asked.contains("delete 7 of the 40 entries in the target:\n  old.txt\n"), "{asked}");
        assert!(asked.contains("\\u{1b}") && !asked.contains("BEFORE"), "{asked}");
        deletion.before_writing = true;
        let asked = question(&deletion).join("\n");
        assert!(asked.contains("no room for old and new together, so these go BEFORE"), "{asked}");
    }
}
