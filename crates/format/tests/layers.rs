//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    // The words that all others use.
    ("reader", ""),
    ("time", ""),
    ("json", ""),
    ("json_array", ""),
    ("hkdf", ""),
    ("entry_name", ""),
    ("ids", ""),
    // Where blobs are.
    ("sharding", "ids json"),
    // Stored bytes → plaintext.
    ("hashing", ""),
    ("compression", "reader"),
    ("ecc", ""),
    ("encryption", "hkdf"),
    ("content", "compression ecc encryption hashing ids"),
    // Password → keys → configuration.
    ("key", "encryption::aead hkdf"),
    ("blobcfg", "json"),
    ("format_blob", "json time"),
    // Where contents are.
    ("epoch", "ids"),
    ("index", "ids reader"),
    ("index_blob", "ids json"),
    ("index_cover", "epoch ids index_blob"),
    ("pack", "ids reader"),
    // What contents mean.
    ("directory", "entry_name ids json json_array time"),
    ("object", "directory ids json json_array"),
    ("manifest", "ids json json_array time"),
    ("snapshot", "directory ids json manifest time"),
    ("policy", "json manifest snapshot time"),
    // The roof.
    ("", "content ids time"),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
