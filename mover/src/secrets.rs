//! Keeps secrets of an environment out of texts that leave the library.
//!
//! The storage's own messages hold none. This is for what somebody put where no secret belongs (a key in a URL), and
//! for servers that repeat what they were sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The length below which values are not looked for: they would be found in every other word.
const SHORTEST: usize = 8;
/// The length below which a word of lower-case letters may be one of the message itself, such as `password`.
const SHORTEST_WORD: usize = 12;

/// The text that stands in place of a secret.
const HIDDEN: &str = "***";

/// The secret values of an environment, the longest first.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Finds the values that the names of variables, members and URLs show to be secret.
    pub(crate) fn of(variables: &BTreeMap<String, String>) -> Self {
        let mut found = BTreeSet::new();
        for (name, value) in variables {
            if let Some(user_info) = user_info(value) {
                found.insert(user_info.to_owned());
                found.extend(user_info.split_once(':').map(|(_, password)| password.to_owned()));
                // A slash that is not escaped ends the host for whoever reads the URL.
                found.extend(user_info.split('/').map(str::to_owned));
            }
            match serde_json::from_str(value) {
                Ok(document @ Value::Object(_)) => members(&document, &mut found),
                _ if is_secret(name, value) || name == "RCLONE_CONFIG" => texts(value, &mut found),
                _ => {}
            }
        }
        let mut found: Vec<String> = found.into_iter().filter(|text| is_findable(text)).collect();
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Secrets(found)
    }

    /// Returns a text without the secrets.
    pub(crate) fn hidden(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

fn is_findable(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_lowercase());
    text.len() >= if is_word { SHORTEST_WORD } else { SHORTEST }
}

/// Whether a value of that name is secret. The path of a file that holds one is not.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if (name.ends_with("FILE") || name.ends_with("CREDENTIALS")) && value.starts_with('/') {
        return false;
    }
    ["PASSWORD", "SECRET", "KEY", "TOKEN", "SAS", "CREDENTIAL"].iter().any(|part| name.contains(part))
}

/// Adds a value, and of a text of several lines each line and what is assigned in it.
fn texts(value: &str, found: &mut BTreeSet<String>) {
    for line in value.lines().map(str::trim) {
        found.extend(line.split_once('=').map(|(_, assigned)| assigned.trim().to_owned()));
        found.insert(line.to_owned());
    }
    found.insert(value.trim().to_owned());
}

/// Adds the members of a document that are named like secrets.
fn members(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    // An address such as `token_uri` is needed to understand an error.
                    Value::String(text) if is_secret(name, text) && !text.contains("://") => {
                        texts(text, found)
                    }
                    Value::Number(number) if is_secret(name, "") => texts(&number.to_string(), found),
                    other => members(other, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| members(value, found)),
        _ => {}
    }
}

/// Returns `user:password` of a URL. Keys of buckets hold slashes.
fn user_info(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let end = if scheme.starts_with("http") { rest.find(['/', '?', '#']) } else { None };
    let (user_info, _) = rest[..end.unwrap_or(rest.len())].rsplit_once('@')?;
    user_info.contains(':').then_some(user_info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(variables: &[(&str, &str)], text: &str) -> String {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Secrets::of(&owned.collect()).hidden(text)
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for (name, value, text, rest) in [
            (
                "AWS_SECRET_ACCESS_KEY",
                "abc/DEF+123\n",
                "key \"abc/DEF+123\" is refused",
                "key \"***\" is refused",
            ),
            (
                "KOPIA_REPOSITORY",
                "s3://AKIA99:very/bad@bucket/x",
                "\"AKIA99:very\" is none",
                "\"***\" is none",
            ),
            (
                "KOPIA_REPOSITORY",
                "s3://AKIA99:very-bad@bucket/x",
                "\"AKIA99:very-bad@bucket\" is none",
                "\"***@bucket\" is none",
            ),
            ("SFTP_PASSWORD", "12345678", "is 12345678 right?", "is *** right?"),
            ("WEBDAV_URL", "https://me:pass-word@host/x", "refused: pass-word", "refused: ***"),
            (
                "RCLONE_CONFIG",
                "[r]\ntype = sftp\npass = obscured-9\n",
                "line 3: pass = obscured-9",
                "line 3: ***",
            ),
            ("GOOGLE_APPLICATION_CREDENTIALS", r#"{"private_key": "AAAA\nBBBBBBBB1"}"#, "BBBBBBBB1", "***"),
            (
                "KOPIA_STRUCTURED_REPOSITORY_CONFIG",
                r#"{"storage":{"config":{"secretAccessKey":1234567890,"bucket":"my-bucket"}}}"#,
                "integer `1234567890` of my-bucket",
                "integer `***` of my-bucket",
            ),
        ] {
            assert_eq!(hidden(&[(name, value)], text), rest, "{name}");
        }
    }

    #[test]
    fn words_of_the_message_stay() {
        let variables = [
            ("KOPIA_PASSWORD", "password"),
            ("SFTP_PASSWORD", "a"),
            ("SFTP_HOST", "storage.example"),
            ("SFTP_KEY_FILE", "/credentials/sftp_key"),
            ("WEBDAV_URL", "https://host:8443/files/me@example"),
        ];
        let text =
            "invalid repository password at storage.example or https://host:8443: /credentials/sftp_key";
        assert_eq!(hidden(&variables, text), text);
    }
}
