//! One file per kind of storage.

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "b2")]
pub mod b2;
#[cfg(feature = "b2")]
mod b2_answers;
#[cfg(feature = "http")]
mod collect;
#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
mod credentials;
#[cfg(feature = "webdav")]
mod dav_listing;
mod elsewhere;
#[cfg(any(feature = "http", feature = "sftp"))]
mod far_folders;
pub mod filesystem;
#[cfg(feature = "http")]
mod fingerprint;
#[cfg(feature = "gcp")]
mod gcs;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "http")]
mod http_pool;
mod names;
#[cfg(feature = "object")]
pub mod object;
#[cfg(feature = "object")]
mod object_credentials;
#[cfg(feature = "object")]
mod object_http;
#[cfg(feature = "rclone")]
pub mod rclone;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "s3")]
mod s3_credentials;
#[cfg(feature = "s3")]
mod s3_http;
#[cfg(feature = "s3")]
mod s3_list;
#[cfg(feature = "s3")]
mod s3_region;
#[cfg(feature = "s3")]
mod s3_role;
#[cfg(feature = "sftp")]
pub mod sftp;
#[cfg(feature = "sftp")]
mod sftp_pool;
#[cfg(feature = "sftp")]
mod sftp_session;
#[cfg(feature = "sftp")]
mod sftp_wire;
mod sharded;
#[cfg(feature = "sftp")]
mod ssh;
#[cfg(feature = "sftp")]
mod ssh_external;
#[cfg(feature = "sftp")]
mod ssh_hosts;
#[cfg(feature = "webdav")]
pub mod webdav;
#[cfg(feature = "http")]
mod whole;
