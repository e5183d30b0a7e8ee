//! One file per kind of storage.

#[cfg(feature = "webdav")]
mod dav_listing;
pub mod filesystem;
#[cfg(feature = "http")]
mod fingerprint;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "rclone")]
pub mod rclone;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "s3")]
mod s3_http;
#[cfg(feature = "s3")]
mod s3_list;
#[cfg(feature = "s3")]
mod s3_role;
mod sharded;
#[cfg(feature = "webdav")]
pub mod webdav;
