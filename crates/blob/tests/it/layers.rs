//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    // The words that all others use.
    ("setters", ""),
    ("error", ""),
    ("deadlines", "setters"),
    ("coalesce", ""),
    ("reader", "error setters"),
    // Where a repository is. No module of it knows how to get there.
    ("settings", "error setters"),
    // What the providers share.
    ("client::whole", "error"),
    ("client::collect", "error"),
    ("client::credentials", "error"),
    ("client::fingerprint", "error"),
    ("client::trust", "error client::fingerprint"),
    ("client::answers", "error"),
    ("client::http_pool", "error"),
    ("client::http", "error deadlines reader client"),
    ("client", ""),
    ("folders::names", "reader"),
    ("folders::shape", ""),
    ("folders::sharded", "error reader folders::names folders::shape"),
    ("folders::elsewhere", "error folders::shape folders::sharded"),
    ("folders::far", "error reader folders"),
    ("folders", ""),
    // A room stands for each kind of storage; rclone is WebDAV to us.
    ("provider::filesystem", "error reader folders"),
    ("provider::b2", "error deadlines reader settings client folders"),
    ("provider::object", "error deadlines reader settings client folders"),
    ("provider::s3", "error deadlines reader settings client folders"),
    ("provider::sftp", "error deadlines reader settings folders"),
    ("provider::webdav", "error deadlines reader settings client folders"),
    ("provider::rclone", "error deadlines reader settings provider::webdav"),
    ("provider", ""),
    // What stands around a provider knows none of them.
    ("layer::health", "error"),
    ("layer::cache", "error reader setters"),
    ("layer::options", "deadlines setters layer::cache"),
    ("layer::limit", "error reader layer::options"),
    ("layer::retry", "error deadlines reader layer::health"),
    ("layer", "deadlines reader layer"),
    // The roof.
    ("connect", "error reader settings provider layer"),
    ("nearby", "deadlines provider settings"),
    ("", "connect deadlines error layer nearby reader settings"),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
