//! `KOPIA_ADDITIONAL_ARGS`: those of Kopia's restore options that make sense here (contract §2.8).

use rekopia::{OnError, Overwrite, OwnerPolicy, RestoreOptions, SyncMode};

use crate::settings::Settings;

/// Between two arguments.
pub(crate) const SEPARATOR: &str = "|VOLSYNC_ARG_SEP|";

/// Options with a value, which may follow as an argument of its own.
const WITH_VALUE: [&str; 4] = ["parallel", "mode", "shallow", "shallow-minsize"];

/// Of Kopia's global options those about its screen and its logs: a set-up that has them restores with the stock mover.
const ABOUT_OUTPUT: [&str; 8] = [
    "progress",
    "progress-update-interval",
    "progress-estimation-type",
    "log-level",
    "file-log-level",
    "json-log-console",
    "json-log-file",
    "disable-color",
];

/// Kopia's restore options that are taken, for whoever mistypes one.
const TAKEN: [&str; 14] = [
    "parallel",
    "skip-existing",
    "skip-owners",
    "skip-permissions",
    "skip-times",
    "ignore-errors",
    "ignore-permission-errors",
    "write-sparse-files",
    "delete-extra",
    "flush-files",
    "write-files-atomically",
    "overwrite-files",
    "overwrite-directories",
    "overwrite-symlinks",
];

/// Applies the arguments to a restore's options and to the settings.
///
/// # Errors
/// A sentence that names the argument.
pub(crate) fn apply(text: &str, options: &mut RestoreOptions, settings: &mut Settings) -> Result<(), String> {
    let mut arguments = text.split(SEPARATOR).map(str::trim).filter(|a| !a.is_empty());
    while let Some(argument) = arguments.next() {
        let named = |what: &str| format!("KOPIA_ADDITIONAL_ARGS: {argument:?} {what}{}", nearest(argument));
        let name = argument.strip_prefix("--").ok_or_else(|| named("is not an option"))?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None if WITH_VALUE.contains(&name) => (name, arguments.next()),
            None => (name, None),
        };
        one(name, value, options, settings).map_err(named)?;
    }
    Ok(())
}

fn one(
    name: &str,
    value: Option<&str>,
    options: &mut RestoreOptions,
    settings: &mut Settings,
) -> Result<(), &'static str> {
    let (name, on) = match name.strip_prefix("no-") {
        Some(bare) => (bare, false),
        None => (name, true),
    };
    if ABOUT_OUTPUT.contains(&name) {
        return Ok(());
    }
    let on = match value {
        Some("false") => !on,
        None | Some("true") => on,
        // An option that is unknown as well is named as such below.
        Some(_) => on,
    };
    match name {
        "parallel" => {
            let number = value.and_then(|v| v.parse::<u16>().ok()).filter(|n| *n > 0);
            options.parallel = number.ok_or("needs a number")?.into();
        }
        "skip-existing" => options.overwrite = if on { Overwrite::SkipExisting } else { Overwrite::Always },
        "skip-owners" => options.owner = if on { OwnerPolicy::Skip } else { OwnerPolicy::Keep },
        "skip-permissions" => options.modes = !on,
        "skip-times" => options.times = !on,
        // Kopia ends in 0 then, whatever is missing.
        "ignore-errors" if on => {
            options.on_error = OnError::Continue;
            settings.accept_missing = true;
        }
        "ignore-errors" => options.on_error = OnError::Stop,
        "ignore-permission-errors" => options.strict_attributes = !on,
        "write-sparse-files" => options.sparse = on,
        "delete-extra" => options.delete_extra = on,
        // What is restored is flushed once, at the end, whatever is said of single files.
        "flush-files" => options.sync = SyncMode::End,
        // Files always appear whole, and what is right already is kept: both say nothing new.
        "write-files-atomically" => {}
        "overwrite-files" => options.refuse_existing.files = !on,
        "overwrite-directories" => options.refuse_existing.directories = !on,
        "overwrite-symlinks" => options.refuse_existing.symlinks = !on,
        "mode" if matches!(value, Some("auto" | "local")) => {}
        "mode" => return Err("is not possible: a volume is always restored as files"),
        "shallow" | "shallow-minsize" => return Err("is not possible: a volume is always restored whole"),
        _ => return Err("is not an option of a restore; remove it from additionalArgs"),
    }
    Ok(())
}

/// The option that was probably meant: with at most two letters more, fewer or other than an unknown one.
fn nearest(argument: &str) -> String {
    let typed = argument.trim_start_matches('-').split('=').next().unwrap_or_default();
    let typed = typed.strip_prefix("no-").unwrap_or(typed);
    let near =
        TAKEN.iter().map(|name| (distance(typed, name), name)).filter(|(far, _)| (1..=2).contains(far));
    near.min().map_or(String::new(), |(_, name)| format!(" (the nearest is --{name})"))
}

/// How many letters have to be added, removed or changed (Levenshtein). What is long is no mistyped option.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 40 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let other = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = other.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(arguments: &[&str]) -> Result<RestoreOptions, String> {
        let mut options = RestoreOptions::default();
        apply(&arguments.join(SEPARATOR), &mut options, &mut Settings::default()).map(|()| options)
    }

    #[test]
    fn options_are_applied() {
        let options = applied(&["--parallel=16", "--skip-existing", "--no-ignore-errors"]).unwrap();
        assert_eq!((options.parallel, options.overwrite), (16, Overwrite::SkipExisting));
        assert_eq!(options.on_error, OnError::Stop);
        let options =
            applied(&["--parallel", "4", "--skip-owners", "--skip-permissions", "--skip-times"]).unwrap();
        assert_eq!((options.parallel, options.owner), (4, OwnerPolicy::Skip));
        assert!(!options.modes && !options.times);
        let options = applied(&["--delete-extra", "--write-sparse-files", "--no-overwrite-files"]).unwrap();
        assert!(options.delete_extra && options.sparse && options.refuse_existing.files);
        assert!(applied(&["--no-ignore-permission-errors"]).unwrap().strict_attributes);
        for harmless in [
            "--no-progress",
            "--log-level=debug",
            "--mode=local",
            "--write-files-atomically",
            "--no-write-files-atomically",
            "--overwrite-directories",
            "--overwrite-symlinks",
            "--flush-files",
        ] {
            assert!(applied(&[harmless]).is_ok(), "{harmless}");
        }
    }

    #[test]
    fn ignored_errors_are_accepted_losses() {
        let accepted = |arguments: &str| {
            let mut settings = Settings::default();
            apply(arguments, &mut RestoreOptions::default(), &mut settings).unwrap();
            settings.accept_missing
        };
        assert!(accepted("--ignore-errors") && accepted("--ignore-errors=true"));
        assert!(!accepted("--no-ignore-errors") && !accepted("--skip-owners"));
    }

    #[test]
    fn a_mistyped_option_names_the_nearest() {
        let said = |argument: &str| applied(&[argument]).err().unwrap();
        assert!(said("--skip-owner").ends_with("(the nearest is --skip-owners)"), "{}", said("--skip-owner"));
        assert!(said("--no-delete-extras=true").ends_with("(the nearest is --delete-extra)"));
        assert!(said("--paralel=4").ends_with("(the nearest is --parallel)"));
        assert!(said("skip-owners").ends_with("is not an option"));
        for other in ["--all", "--parallel=x", "--description=skip-time", &format!("--{}", "x".repeat(9999))]
        {
            assert!(!said(other).contains("nearest"), "{other}");
        }
        for name in TAKEN {
            assert!(
                applied(&[&format!("--{name}"), "4"][..if name == "parallel" { 2 } else { 1 }]).is_ok(),
                "{name}"
            );
        }
        assert_eq!((distance("", "ab"), distance("kitten", "sitting"), distance("a", "a")), (2, 3, 0));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for argument in [
            "--description=Steam_Game",
            "--shallow=1",
            "--shallow-minsize=1",
            "--mode=zip",
            "--parallel=x",
            "--parallel",
            "--snapshot-time=latest",
            "--all",
            "x",
        ] {
            let error = applied(&[argument]).err().unwrap();
            assert!(error.contains("KOPIA_ADDITIONAL_ARGS") && error.contains(argument), "{error}");
        }
    }
}
