//! Holds a string that must not be seen: wiped when dropped, never printed.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A password, key or token. `Debug` shows only whether there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: Zeroizing<String>,
    #[cfg_attr(not(feature = "azure"), allow(dead_code, reason = "only signatures end by themselves"))]
    variable: Option<&'static str>,
}

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Secret { text: Zeroizing::new(text.into()), variable: None }
    }

    /// Takes the text over, out of this variable of the environment.
    pub(crate) fn of_variable(text: String, variable: &'static str) -> Self {
        Secret { text: Zeroizing::new(text), variable: Some(variable) }
    }

    /// Returns where the secret stands, for the person who has to replace it.
    #[cfg(feature = "azure")]
    pub(crate) fn place(&self) -> &'static str {
        self.variable.unwrap_or("the configuration")
    }

    /// Returns the text itself.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether the secret is empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "[secret]" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_printed() {
        assert_eq!(format!("{:?} {:?}", Secret::new("canary"), Secret::default()), "[secret] none");
    }
}
