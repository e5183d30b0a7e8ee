//! Holds the providers: a file or folder for each kind of storage.

#[cfg(feature = "b2")]
pub mod b2;
pub mod filesystem;
#[cfg(feature = "object")]
pub mod object;
#[cfg(feature = "rclone")]
pub mod rclone;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sftp")]
pub mod sftp;
#[cfg(feature = "webdav")]
pub mod webdav;
