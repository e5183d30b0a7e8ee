//! Reads the policy's settings: member `rekopia` of `KOPIA_MANUAL_CONFIG`, scoped per identity, and `REKOPIA_*`
//! variables.

use rekopia::{DeleteLimit, Receipting};
use serde_json::{Map, Value};

use crate::env::Env;

/// The settings of the policy: what it may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether a missing repository is accepted: `onNoRepository: continue`.
    pub(crate) continue_without_repository: bool,
    /// Whether an empty repository is a failure: `onEmpty: fail`.
    pub(crate) fail_when_empty: bool,
    /// Whether similar identities are ignored: `onNearMiss: continue`.
    pub(crate) ignore_near_miss: bool,
    /// Whether a snapshot that lost most of its data is restored: `onShrunk: restore`.
    pub(crate) accept_shrunk: bool,
    /// Whether missing entries are accepted: `onMissing: accept`.
    pub(crate) accept_missing: bool,
    /// Globs of paths that may be lost: `acceptMissing`.
    pub(crate) accepted_losses: Vec<String>,
    /// Whether a snapshot that recorded errors when it was taken is refused: `onErrors: refuse`.
    pub(crate) refuse_errors: bool,
    /// Whether, of a damaged repository, what its index does not lead to any more is read, too: `onDamage: salvage`.
    pub(crate) salvage: bool,
    /// How much file deletion may delete: `maxDelete`.
    pub(crate) max_delete: Option<DeleteLimit>,
    /// Whether old may go before new is written, where both do not fit: `deleteFirst`.
    pub(crate) delete_first: bool,
    /// Whether what was restored is read back and hashed, and a receipt of it written: `receipt`.
    pub(crate) receipt: Receipting,
    /// The only repository that will do: `repositoryUniqueID`.
    pub(crate) repository_unique_id: Option<String>,
    /// The memory in bytes: `memory`.
    pub(crate) memory: Option<u64>,
    /// The requests in flight: `parallel`.
    pub(crate) parallel: Option<u16>,
    /// Whether everything is read back: `verify`.
    pub(crate) verify: bool,
}

/// Every member, in the order of the documentation.
const MEMBERS: &[&str] = &[
    "onNoRepository",
    "onEmpty",
    "onNearMiss",
    "onShrunk",
    "onMissing",
    "acceptMissing",
    "onErrors",
    "onDamage",
    "maxDelete",
    "deleteFirst",
    "receipt",
    "repositoryUniqueID",
    "memory",
    "parallel",
    "verify",
];

impl Settings {
    /// Reads the member of the manual configuration, then its part for `identity` (`user@host`), then the variables.
    ///
    /// # Errors
    /// A sentence that names the variable and the member.
    pub(crate) fn read(env: &Env, identity: &str) -> Result<Self, String> {
        let mut settings = Settings::default();
        if let Some(text) = env.text("KOPIA_MANUAL_CONFIG") {
            let wrong = |what: &str| format!("Invalid JSON in KOPIA_MANUAL_CONFIG: {what}");
            let document: Value = serde_json::from_str(text)
                .map_err(|e| wrong(&format!("line {}, column {}", e.line(), e.column())))?;
            let document = document.as_object().ok_or_else(|| wrong("it is not an object"))?;
            if let Some(ours) = document.get("rekopia") {
                let ours = ours.as_object().ok_or_else(|| wrong("member \"rekopia\" is not an object"))?;
                let named = |what: String| format!("KOPIA_MANUAL_CONFIG, member \"rekopia\": {what}");
                settings.take_all(ours, true).map_err(named)?;
                match ours.get("identities") {
                    None => {}
                    Some(Value::Object(identities)) => {
                        for (name, scoped) in identities {
                            let scoped = scoped
                                .as_object()
                                .ok_or_else(|| named(format!("identity {name:?} is not an object")))?;
                            // All are checked, so that a mistake shows before its application needs it.
                            Settings::default().take_all(scoped, false).map_err(named)?;
                            if name == identity {
                                settings.take_all(scoped, false).map_err(named)?;
                            }
                        }
                    }
                    Some(_) => return Err(named("\"identities\" is not an object".into())),
                }
            }
        }
        for member in MEMBERS {
            let variable = variable(member);
            if let Some(text) = env.text(&variable) {
                let value = match *member {
                    "acceptMissing" => text.split(',').map(Value::from).collect(),
                    _ => Value::from(text),
                };
                settings.take(member, &value).map_err(|what| format!("{variable}: {what}"))?;
            }
        }
        Ok(settings)
    }

    fn take_all(&mut self, members: &Map<String, Value>, outermost: bool) -> Result<(), String> {
        for (name, value) in members {
            if !(outermost && name == "identities") {
                self.take(name, value).map_err(|what| format!("{name}: {what}"))?;
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let word = |yes: &str, no: &str| match value.as_str() {
            Some(text) if text == yes => Ok(true),
            Some(text) if text == no => Ok(false),
            _ => Err(format!("{value} is neither {yes:?} nor {no:?}")),
        };
        match name {
            "onNoRepository" => self.continue_without_repository = word("continue", "fail")?,
            "onEmpty" => self.fail_when_empty = word("fail", "continue")?,
            "onNearMiss" => self.ignore_near_miss = word("continue", "fail")?,
            "onShrunk" => self.accept_shrunk = word("restore", "fail")?,
            "onMissing" => self.accept_missing = word("accept", "fail")?,
            "acceptMissing" => {
                let texts =
                    value.as_array().and_then(|a| a.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
                let globs = texts.ok_or("it is not a list of globs")?;
                for glob in &globs {
                    globset::Glob::new(glob).map_err(|_| format!("{glob:?} is not a glob"))?;
                }
                self.accepted_losses = globs.into_iter().map(str::to_owned).collect();
            }
            "onErrors" => self.refuse_errors = word("refuse", "warn")?,
            "onDamage" => self.salvage = word("salvage", "refuse")?,
            "maxDelete" => {
                let text = value.as_u64().map(|n| n.to_string());
                let text = text.or_else(|| value.as_str().map(str::to_owned));
                let limit = text.and_then(|text| text.parse().ok());
                self.max_delete = Some(limit.ok_or("it is neither a number of entries nor \"N%\"")?);
            }
            "deleteFirst" => self.delete_first = flag(value)?,
            "receipt" => self.receipt = receipt(value)?,
            "repositoryUniqueID" => {
                let id = value.as_str().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit()));
                self.repository_unique_id = Some(id.ok_or("it is not hexadecimal")?.to_ascii_lowercase());
            }
            "memory" => self.memory = Some(size(value).ok_or("it is not a size such as 80MiB")?),
            "parallel" => {
                let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| (1..=1024).contains(n));
                self.parallel = Some(number.ok_or("it is not a number from 1 to 1024")?);
            }
            "verify" => self.verify = flag(value)?,
            _ => return Err("there is no such setting".into()),
        }
        Ok(())
    }
}

/// Returns the variable of a member: `onNoRepository` → `REKOPIA_ON_NO_REPOSITORY`.
fn variable(member: &str) -> String {
    let mut name = String::from("REKOPIA_");
    let mut before_upper = true;
    for c in member.chars() {
        if c.is_ascii_uppercase() && !before_upper {
            name.push('_');
        }
        before_upper = c.is_ascii_uppercase();
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn flag(value: &Value) -> Result<bool, String> {
    match (value, value.as_str()) {
        (Value::Bool(yes), _) => Ok(*yes),
        (_, Some("true")) => Ok(true),
        (_, Some("false")) => Ok(false),
        _ => Err(format!("{value} is neither true nor false")),
    }
}

fn receipt(value: &Value) -> Result<Receipting, String> {
    match value.as_str() {
        Some("off") => Ok(Receipting::Off),
        Some("digest") => Ok(Receipting::Digest),
        Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(Receipting::File(path.into())),
        _ => Err(format!("{value} is neither \"off\" nor \"digest\" nor the absolute path of a file")),
    }
}

fn size(value: &Value) -> Option<u64> {
    if let Some(bytes) = value.as_u64() {
        return Some(bytes);
    }
    let text = value.as_str()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "K" | "KiB" | "Ki" => 1 << 10,
        "M" | "MiB" | "Mi" => 1 << 20,
        "G" | "GiB" | "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manual(json: &str) -> Result<Settings, String> {
        Settings::read(&Env::of(&[("KOPIA_MANUAL_CONFIG", json)]), "app@ns")
    }

    #[test]
    fn the_narrower_scope_wins() {
        let json = r#"{"encryption":{},"rekopia":{"onMissing":"accept","memory":"64MiB",
            "identities":{"app@ns":{"onMissing":"fail"},"other@ns":{"parallel":4}}}}"#;
        let settings = manual(json).unwrap();
        assert!(!settings.accept_missing && settings.memory == Some(64 << 20) && settings.parallel.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (json, part) in [
            ("{bad", "Invalid JSON in KOPIA_MANUAL_CONFIG"),
            ("[]", "not an object"),
            (r#"{"rekopia":{"onmissing":"accept"}}"#, "onmissing"),
            (r#"{"rekopia":{"onMissing":"yes"}}"#, "onMissing"),
            (r#"{"rekopia":{"identities":{"x@y":{"colour":1}}}}"#, "colour"),
            (r#"{"rekopia":{"maxDelete":"110%"}}"#, "maxDelete"),
            (r#"{"rekopia":{"maxDelete":-1}}"#, "maxDelete"),
            (r#"{"rekopia":{"deleteFirst":"perhaps"}}"#, "deleteFirst"),
            (r#"{"rekopia":{"onErrors":"fail"}}"#, "onErrors"),
            (r#"{"rekopia":{"receipt":true}}"#, "receipt"),
            (r#"{"rekopia":{"receipt":"receipt.json"}}"#, "receipt"),
            (r#"{"rekopia":{"receipt":"/receipts/"}}"#, "receipt"),
        ] {
            let error = manual(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn deletion_has_its_settings() {
        let settings = manual(r#"{"rekopia":{"maxDelete":"10%","deleteFirst":true}}"#).unwrap();
        assert_eq!((settings.max_delete, settings.delete_first), (Some(DeleteLimit::Percent(10)), true));
        let variables = [("REKOPIA_MAX_DELETE", "25"), ("REKOPIA_ON_ERRORS", "refuse")];
        let settings = Settings::read(&Env::of(&variables), "app@ns").unwrap();
        assert_eq!(settings.max_delete, Some(DeleteLimit::Entries(25)));
        assert!(settings.refuse_errors && !settings.delete_first);
        assert_eq!(
            manual(r#"{"rekopia":{"maxDelete":7}}"#).unwrap().max_delete,
            Some(DeleteLimit::Entries(7))
        );
    }

    #[test]
    fn receipts_have_their_setting() {
        assert_eq!(manual(r#"{"rekopia":{"receipt":"digest"}}"#).unwrap().receipt, Receipting::Digest);
        assert_eq!(manual(r#"{"rekopia":{}}"#).unwrap().receipt, Receipting::Off);
        let variable = Settings::read(&Env::of(&[("REKOPIA_RECEIPT", "/a/b")]), "app@ns").unwrap();
        assert_eq!(variable.receipt, Receipting::File("/a/b".into()));
    }

    #[test]
    fn variables_have_the_members_names() {
        assert_eq!(variable("onNoRepository"), "REKOPIA_ON_NO_REPOSITORY");
        assert_eq!(variable("repositoryUniqueID"), "REKOPIA_REPOSITORY_UNIQUE_ID");
        assert_eq!(variable("maxDelete"), "REKOPIA_MAX_DELETE");
        assert_eq!(variable("deleteFirst"), "REKOPIA_DELETE_FIRST");
    }
}
