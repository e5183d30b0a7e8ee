//! Renders the inventory, for a person, a program, and a runbook.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::size;
use super::table::{lay_out, wrap};
use crate::findings::age;
use crate::inventory::{Held, Mark, Orphan, Row};
use crate::text::one_line;
use rekopia_mover::{Backups, Choice};

/// An inventory as it is shown.
pub struct Inventory<'a> {
    /// The time when the inventory was taken.
    pub now: Timestamp,
    /// The sources of the inventory, and what was not looked at and why: a sentence each.
    pub known_from: Vec<String>,
    /// The applications.
    pub rows: &'a [Row<'a>],
    /// The remarks on each application.
    pub marks: &'a [Vec<Mark>],
    /// Identities that no application has.
    pub orphans: &'a [Orphan],
    /// Notes on what could not be read of Git exactly.
    pub notes: Vec<String>,
}

/// The text of a column where nothing is to be said.
const NONE: &str = "-";
/// The columns that are shortened when a line is too long: the state, then the name.
const SHORTENED: [usize; 2] = [5, 0];
/// Notes on Git that a person is shown.
const NOTES: usize = 8;

impl Inventory<'_> {
    /// Writes lines for a terminal.
    #[must_use]
    pub fn to_text(&self, width: usize) -> String {
        let mut text = String::new();
        for known in &self.known_from {
            text.push_str(&wrap(known, 0, width));
        }
        text.push_str(&format!("\n{}", wrap(&self.sentence(), 0, width)));
        if !self.rows.is_empty() {
            let heads = ["APPLICATION", "KNOWN", "RESTORE", "LAST BACKUP", "SIZE", "STATE"];
            let mut cells = vec![heads.map(str::to_owned).to_vec()];
            cells.extend(self.rows.iter().zip(self.marks).map(|(row, marks)| self.cells(row, marks)));
            text.push_str(&format!("\n{}", lay_out(&cells, &SHORTENED, Some(width))));
            text.push_str(&self.remarks(width));
        }
        if !self.orphans.is_empty() {
            text.push_str("\nIn the repositories, and of no application:\n");
            let heads = ["IDENTITY", "LAST BACKUP", "SNAPSHOTS", "SIZE"];
            let mut cells = vec![heads.map(str::to_owned).to_vec()];
            cells.extend(self.orphans.iter().map(|orphan| {
                let (newest, backups) = (orphan.backups.newest.as_ref(), &orphan.backups);
                let count = backups.complete + backups.incomplete;
                vec![clean(&orphan.identity), self.when(newest), count.to_string(), size_of(newest)]
            }));
            text.push_str(&lay_out(&cells, &[0], Some(width)));
        }
        if !self.notes.is_empty() {
            text.push('\n');
            let shown = self.notes.iter().take(NOTES);
            shown.for_each(|note| text.push_str(&wrap(&format!("note: {note}"), 0, width)));
            if self.notes.len() > NOTES {
                text.push_str(&format!("… and {} more notes (-o json has all)\n", self.notes.len() - NOTES));
            }
        }
        text
    }

    /// Returns what the table has no room for.
    fn remarks(&self, width: usize) -> String {
        let mut text = String::new();
        for (row, marks) in self.rows.iter().zip(self.marks) {
            let mut said: Vec<String> = marks.iter().map(Mark::text).collect();
            if let Held::Unknown(why) = &row.held {
                said.push(format!("repository not seen: {why}"));
            }
            if !said.is_empty() {
                let line = format!("{}: {}", name_of(row), said.join("; "));
                text.push_str(&wrap(&one_line(&line, 600), 0, width));
            }
        }
        if text.is_empty() { text } else { format!("\n{text}") }
    }

    /// Writes a table for a runbook.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\nTaken {}. ", self.sentence(), self.now.strftime("%Y-%m-%d %H:%M UTC"));
        text.push_str(&format!("{}\n\n", self.known_from.join(" ")));
        text.push_str("| application | backed up as | schedule | restore | last backup | snapshot | files | size | volume | state |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: | --- |\n");
        for (row, marks) in self.rows.iter().zip(self.marks) {
            let newest = newest(row);
            let cells = [
                name_of(row),
                clean(row.identity().unwrap_or(NONE)),
                clean(row.schedule().unwrap_or(NONE)),
                restore_of(row).to_owned(),
                newest.map_or_else(|| NONE.into(), |newest| minutes_of(&newest.start)),
                newest.map_or_else(|| NONE.into(), |newest| newest.id.clone()),
                newest.map_or_else(|| NONE.into(), |newest| newest.files.to_string()),
                size_of(newest),
                clean(row.capacity.unwrap_or(NONE)),
                state(row, marks),
            ];
            text.push_str(&format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | ")));
        }
        if !self.orphans.is_empty() {
            text.push_str("\n| in a repository, and of no application | last backup | snapshots | size |\n");
            text.push_str("| --- | --- | ---: | ---: |\n");
            for Orphan { identity, backups, repository } in self.orphans {
                let newest = backups.newest.as_ref();
                let when = newest.map_or_else(|| NONE.into(), |newest| minutes_of(&newest.start));
                let count = backups.complete + backups.incomplete;
                let identity = escaped(&clean(identity));
                let repository: String = repository.chars().take(8).collect();
                text.push_str(&format!(
                    "| {identity} (in {repository}…) | {when} | {count} | {} |\n",
                    size_of(newest)
                ));
            }
        }
        for note in &self.notes {
            text.push_str(&format!("\n- {note}"));
        }
        text.trim_end().to_owned() + "\n"
    }

    /// Makes a document, version 1; fields as in `status`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let fine = self.fine();
        json!({
            "version": 1,
            "takenAt": self.now.to_string(),
            "knownFrom": self.known_from,
            "summary": {
                "sentence": self.sentence(),
                "applications": self.rows.len(),
                "fine": fine,
                "orphans": self.orphans.len(),
            },
            "applications": self.rows.iter().zip(self.marks).map(|(row, marks)| application(row, marks)).collect::<Vec<_>>(),
            "orphans": self.orphans.iter().map(|orphan| json!({
                "repository": orphan.repository,
                "identity": orphan.identity,
                "backups": backups(&orphan.backups),
            })).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// Whether nothing is wrong with any of the applications.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.fine() == self.rows.len()
    }

    fn fine(&self) -> usize {
        let is_fine =
            |(row, marks): &(&Row<'_>, &Vec<Mark>)| marks.is_empty() && !matches!(row.held, Held::Unknown(_));
        self.rows.iter().zip(self.marks).filter(is_fine).count()
    }

    fn sentence(&self) -> String {
        let (all, fine) = (self.rows.len(), self.fine());
        if all == 0 && self.orphans.is_empty() {
            return "No application that is backed up or restored is known.".into();
        }
        let unknown = self.unknown().count();
        let but =
            if unknown == 0 { String::new() } else { format!("; of {unknown} the repository was not seen") };
        let plural = if all == 1 { "" } else { "s" };
        format!("{all} application{plural}: {fine} without a remark, {} with one{but}.", all - fine)
    }

    /// Returns the rows whose repository could not be looked at, and why; each reason once.
    fn unknown(&self) -> impl Iterator<Item = (&Row<'_>, &str)> {
        self.rows.iter().filter_map(|row| match &row.held {
            Held::Unknown(why) => Some((row, why.as_str())),
            _ => None,
        })
    }

    fn cells(&self, row: &Row<'_>, marks: &[Mark]) -> Vec<String> {
        let known = match (row.in_git, row.in_cluster) {
            (Some(true), Some(true)) => "both",
            (Some(true), _) => "Git",
            (_, Some(true)) => "cluster",
            _ => NONE,
        };
        vec![
            name_of(row),
            known.to_owned(),
            restore_of(row).to_owned(),
            self.when(newest(row)),
            size_of(newest(row)),
            short(row, marks),
        ]
    }

    fn when(&self, newest: Option<&Choice>) -> String {
        let start = newest.and_then(|newest| newest.start.parse::<Timestamp>().ok());
        start.map_or_else(|| NONE.into(), |start| format!("{} ago", age(self.now, start)))
    }
}

/// Returns what is wrong, in words.
fn state(row: &Row<'_>, marks: &[Mark]) -> String {
    let mut words: Vec<String> = marks.iter().map(|mark| clean(&mark.text())).collect();
    match &row.held {
        Held::Unknown(why) => words.push(format!("repository not seen: {}", clean(why))),
        Held::NotAsked if words.is_empty() => return "not asked".into(),
        _ => {}
    }
    if words.is_empty() { "fine".into() } else { words.join("; ") }
}

/// Returns the claim, and of a second backup its own name.
fn name_of(row: &Row<'_>) -> String {
    let second = row.source.filter(|_| row.is_second).map(|source| format!(" ({})", source.metadata.name));
    clean(&format!("{}/{}{}", row.namespace, row.name, second.unwrap_or_default()))
}

fn restore_of(row: &Row<'_>) -> &'static str {
    match (row.phase, row.destination) {
        _ if row.is_second => NONE,
        (Some(phase), _) => phase.name(),
        (None, Some(_)) => "yes",
        (None, None) => "none",
    }
}

/// Returns a text from a tree that nobody has checked, on one line.
fn clean(text: &str) -> String {
    one_line(text, 300)
}

/// Returns a cell of a table in Markdown.
fn escaped(cell: &str) -> String {
    cell.replace('\\', "\\\\").replace('|', "\\|").replace('`', "'").replace(['<', '>'], "'")
}

/// Returns the names of what is wrong.
fn short(row: &Row<'_>, marks: &[Mark]) -> String {
    let mut names: Vec<&str> = marks.iter().map(Mark::name).collect();
    if matches!(row.held, Held::Unknown(_)) {
        names.push("not-seen");
    }
    if names.is_empty() && row.held == Held::NotAsked {
        return "not asked".into();
    }
    if names.is_empty() { "fine".into() } else { names.join(", ") }
}

fn newest<'a>(row: &'a Row<'_>) -> Option<&'a Choice> {
    row.backups()?.newest.as_ref()
}

fn size_of(newest: Option<&Choice>) -> String {
    newest.map_or_else(|| NONE.into(), |newest| size(newest.bytes))
}

/// Returns `2026-11-30 04:00` of a time in RFC 3339.
fn minutes_of(time: &str) -> String {
    time.parse::<Timestamp>()
        .map_or_else(|_| time.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

fn application(row: &Row<'_>, marks: &[Mark]) -> Value {
    let (repository, held) = match &row.held {
        Held::NotAsked => (None, json!(null)),
        Held::Unknown(why) => (None, json!({ "notSeen": why })),
        Held::Known(repository, held) => (Some(repository), backups(held)),
    };
    json!({
        "namespace": row.namespace,
        "name": row.name,
        "inGit": row.in_git,
        "inCluster": row.in_cluster,
        "phase": row.phase.map(|phase| phase.name()),
        "destination": row.destination.map(|one| one.metadata.name.as_str()),
        "source": row.source.map(|one| one.metadata.name.as_str()),
        "schedule": row.schedule(),
        "capacity": row.capacity,
        "backsUp": row.backs_up,
        "restores": row.restored_identity(),
        "isSecond": row.is_second,
        "drift": row.drift,
        "repository": repository,
        "backups": held,
        "marks": marks.iter().map(|mark| json!({ "mark": mark.name(), "text": mark.text() })).collect::<Vec<_>>(),
    })
}

fn backups(backups: &Backups) -> Value {
    let choice = |choice: &Choice| json!({ "id": choice.id, "startTime": choice.start, "files": choice.files, "bytes": choice.bytes });
    json!({
        "complete": backups.complete,
        "incomplete": backups.incomplete,
        "newest": backups.newest.as_ref().map(choice),
        "endTime": backups.newest.as_ref().map(|_| &backups.ended),
        "errors": backups.errors,
        "fuller": backups.fuller.as_ref().map(choice),
    })
}
