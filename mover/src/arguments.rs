//! `KOPIA_ADDITIONAL_ARGS`: those of Kopia's restore options that make sense here (contract §2.8).

use rekopia::{OnError, Overwrite, OwnerPolicy, RestoreOptions, SyncMode};

/// Between two arguments.
const SEPARATOR: &str = "|VOLSYNC_ARG_SEP|";

/// Applies the arguments to a restore's options.
///
/// # Errors
/// A sentence that names the argument.
pub(crate) fn apply(text: &str, options: &mut RestoreOptions) -> Result<(), String> {
    for argument in text.split(SEPARATOR).map(str::trim).filter(|a| !a.is_empty()) {
        one(argument, options).map_err(|what| format!("KOPIA_ADDITIONAL_ARGS: {argument:?} {what}"))?;
    }
    Ok(())
}

fn one(argument: &str, options: &mut RestoreOptions) -> Result<(), String> {
    let (name, value) = argument.split_once('=').map_or((argument, None), |(n, v)| (n, Some(v)));
    let name = name.strip_prefix("--").ok_or("is not an option")?;
    let (name, on) = match name.strip_prefix("no-") {
        Some(bare) => (bare, false),
        None => (name, true),
    };
    let on = match value {
        None => on,
        Some("true") => on,
        Some("false") => !on,
        Some(_) if matches!(name, "parallel" | "mode" | "shallow" | "shallow-minsize") => on,
        Some(_) => return Err("takes no value".into()),
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
        "ignore-errors" => options.on_error = if on { OnError::Continue } else { OnError::Stop },
        "ignore-permission-errors" => options.strict_attributes = !on,
        "write-sparse-files" => options.sparse = on,
        "delete-extra" => options.delete_extra = on,
        "flush-files" => options.sync = SyncMode::End,
        // Files always appear whole, and what is right already is kept: both say nothing new.
        "write-files-atomically" | "overwrite-directories" => {}
        "overwrite-files" | "overwrite-symlinks" if on => {}
        "overwrite-files" | "overwrite-symlinks" => options.overwrite = Overwrite::Never,
        "mode" if matches!(value, Some("auto" | "local")) => {}
        "mode" => return Err("is not possible: a volume is always restored as files".into()),
        "shallow" | "shallow-minsize" => {
            return Err("is not possible: a volume is always restored whole".into());
        }
        _ => return Err("is not an option of a restore".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_applied_or_named() {
        let mut options = RestoreOptions::default();
        apply(
            "--parallel=16|VOLSYNC_ARG_SEP|--skip-existing|VOLSYNC_ARG_SEP|--no-ignore-errors",
            &mut options,
        )
        .unwrap();
        assert_eq!((options.parallel, options.overwrite), (16, Overwrite::SkipExisting));
        assert_eq!(options.on_error, OnError::Stop);
        for argument in ["--description=Steam_Game", "--shallow=1", "--mode=zip", "--parallel=x", "x"] {
            let error = apply(argument, &mut options).unwrap_err();
            assert!(error.contains("KOPIA_ADDITIONAL_ARGS") && error.contains(argument), "{error}");
        }
    }
}
