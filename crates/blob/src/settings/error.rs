//! Makes the error of settings that cannot work.

use crate::error::{BlobError, BlobErrorKind};

pub(super) fn settings_error(what: impl Into<String>) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}
