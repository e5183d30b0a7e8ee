//! Shows what a repository is.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use rekopia::{ErrorKind, Observer, RepositoryInfo};
use serde_json::{Value, json};

use crate::args::Global;
use crate::progress::Display;
use crate::say::output;
use crate::{exit, text};

pub(super) async fn run(global: &Global) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, false);
    let repository = crate::connect::open(global, &observer).await?;
    let info = repository.info();
    let damage: Vec<String> = repository.index_damage().iter().map(|e| e.chain()).collect();
    let code = if damage.is_empty() { 0 } else { exit::code(ErrorKind::Corrupt) };
    let mut out = output();
    if global.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&document(info, &damage))?)?;
        return Ok(code);
    }
    let ecc = match info.ecc.as_str() {
        "" => "none".to_owned(),
        name => format!("{name}, {} % overhead", info.ecc_overhead_percent),
    };
    let index = format!("{} contents in {}", info.contents, text::count(info.index_blobs, "index blob"));
    for (what, value) in [
        ("Repository", info.location.clone()),
        ("Unique ID", info.unique_id.clone()),
        ("Format version", info.version.to_string()),
        ("Hash", info.hash.clone()),
        ("Encryption", info.encryption.clone()),
        ("Error correction", ecc),
        ("Key derivation", info.key_algorithm.clone()),
        ("Splitter", info.splitter.clone()),
        ("Largest pack", text::size(info.max_pack_bytes)),
        ("Retention lock", info.retention_mode.clone().unwrap_or_else(|| "none".into())),
        ("Index", index),
        ("Packs", info.packs.to_string()),
        ("Index memory", text::size(info.index_bytes)),
        ("Index file", text::size(info.index_file_bytes)),
    ] {
        writeln!(out, "{what:<18} {value}")?;
    }
    for what in damage {
        writeln!(out, "{:<18} {}", "Damage", text::line(&what))?;
    }
    out.flush()?;
    Ok(code)
}

fn document(info: &RepositoryInfo, damage: &[String]) -> Value {
    json!({
        "version": 1,
        "location": info.location,
        "uniqueIDHex": info.unique_id,
        "contentFormat": {
            "hash": info.hash,
            "encryption": info.encryption,
            "ecc": info.ecc,
            "eccOverheadPercent": info.ecc_overhead_percent,
            "version": info.version,
            "maxPackSize": info.max_pack_bytes,
            "indexVersion": info.index_version,
            "epochsEnabled": info.epochs_enabled,
            "enablePasswordChange": info.enable_password_change,
        },
        "objectFormat": {"splitter": info.splitter},
        "keyDerivation": info.key_algorithm,
        "blobRetention": {"retentionMode": info.retention_mode},
        "index": {"blobs": info.index_blobs, "contents": info.contents, "packs": info.packs,
            "bytes": info.index_bytes, "fileBytes": info.index_file_bytes,
            "damage": damage},
    })
}
