//! Cleans settings as people paste them: with line ends, blanks, a byte order mark or quotes around them.

use serde_json::Value;

use super::error::settings_error;
use crate::error::BlobError;

/// Returns the text without white space, line ends and byte order marks around it.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0')
}

/// Returns the text without quotes around it, as they stay where somebody copies a value out of YAML.
pub fn unquoted(text: &str) -> &str {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).map_or(text, trimmed)
}

/// Returns the first control character, where nothing that is sent or opened can hold one.
pub fn control_character(text: &str) -> Option<String> {
    let found = text.chars().find(|c| c.is_control())?;
    let name = match found {
        '\n' | '\r' => "a line end",
        '\t' => "a tabulator",
        _ => "a control character",
    };
    Some(format!("{name} (U+{:04X})", u32::from(found)))
}

/// Fields whose text may have several lines, or is the user's own to the last blank.
const AS_THEY_ARE: [&str; 6] =
    ["password", "keyData", "knownHostsData", "embeddedConfig", "credentials", "clientCertificate"];

/// Trims the texts of a storage's configuration.
///
/// # Errors
/// A field that holds a control character.
pub(super) fn tidy(config: &mut Value) -> Result<(), BlobError> {
    for (field, value) in config.as_object_mut().into_iter().flatten() {
        let Value::String(text) = value else { continue };
        if AS_THEY_ARE.contains(&field.as_str()) {
            continue;
        }
        if trimmed(text).len() < text.len() {
            *text = trimmed(text).to_owned();
        }
        if let Some(what) = control_character(text) {
            return Err(settings_error(format!("field {field:?} holds {what} inside")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_goes_and_what_is_inside_stays() {
        for (pasted, meant) in [
            ("x\n", "x"),
            ("x\r\n", "x"),
            (" \u{a0}x\t", "x"),
            ("\u{feff}x", "x"),
            ("a b\n", "a b"),
            ("\n", ""),
        ] {
            assert_eq!(trimmed(pasted), meant, "{pasted:?}");
        }
        for (pasted, meant) in
            [("\"x\"", "x"), ("'x'", "x"), ("\" x\n\"", "x"), ("\"x'", "\"x'"), ("\"", "\""), ("x", "x")]
        {
            assert_eq!(unquoted(pasted), meant, "{pasted:?}");
        }
        assert_eq!(control_character("a\nb").as_deref(), Some("a line end (U+000A)"));
        assert_eq!(control_character("a b ü"), None);
    }

    #[test]
    fn fields_are_trimmed_unless_they_are_the_users_own() {
        let mut config =
            serde_json::json!({"bucket": " b\n", "password": " p\n", "keyData": "a\nb\n", "n": 7});
        tidy(&mut config).unwrap();
        let expected = serde_json::json!({"bucket": "b", "password": " p\n", "keyData": "a\nb\n", "n": 7});
        assert_eq!(config, expected);
        let mut bad = serde_json::json!({"prefix": "a\nb"});
        assert!(tidy(&mut bad).unwrap_err().to_string().contains("\"prefix\" holds a line end"));
    }
}
