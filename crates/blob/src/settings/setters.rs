//! Setters of every kind of settings: `S3Settings::default().bucket("photos".into())`.

use std::path::PathBuf;
use std::time::Duration;

use rekopia_format::time::Time;

use super::secret::Secret;
use super::storages::{
    AzureSettings, B2Settings, FilesystemSettings, GcsSettings, RcloneSettings, S3Settings, S3Style,
    SftpSettings, WebdavSettings,
};
use crate::setters;

impl FilesystemSettings {
    setters! {
        path: PathBuf,
        dir_shards: Option<Vec<usize>>,
    }
}

impl S3Settings {
    setters! {
        bucket: String,
        prefix: String,
        endpoint: String,
        do_not_use_tls: bool,
        do_not_verify_tls: bool,
        root_ca: String,
        ca_file: Option<PathBuf>,
        access_key_id: String,
        secret_access_key: Secret,
        session_token: Secret,
        web_identity_token: Secret,
        web_identity_token_file: String,
        role_arn: String,
        session_name: String,
        duration: Option<Duration>,
        role_endpoint: String,
        role_region: String,
        region: String,
        point_in_time: Option<Time>,
        profile: String,
        style: S3Style,
        anonymous: bool,
    }
}

impl GcsSettings {
    setters! {
        bucket: String,
        prefix: String,
        credentials_file: String,
        credentials: Secret,
        point_in_time: Option<Time>,
        endpoint: String,
        ca_file: Option<PathBuf>,
        anonymous: bool,
    }
}

impl AzureSettings {
    setters! {
        container: String,
        prefix: String,
        storage_account: String,
        storage_key: Secret,
        sas_token: Secret,
        tenant_id: String,
        client_id: String,
        client_secret: Secret,
        client_certificate: Secret,
        azure_federated_token_file: String,
        storage_domain: String,
        do_not_use_tls: bool,
        point_in_time: Option<Time>,
        endpoint: String,
        authority_host: String,
        identity_endpoint: String,
        ca_file: Option<PathBuf>,
    }
}

impl B2Settings {
    setters! {
        bucket: String,
        prefix: String,
        key_id: String,
        key: Secret,
        endpoint: String,
        ca_file: Option<PathBuf>,
    }
}

impl SftpSettings {
    setters! {
        path: String,
        host: String,
        port: u16,
        username: String,
        password: Secret,
        keyfile: String,
        key_data: Secret,
        known_hosts_file: String,
        known_hosts_data: String,
        external_ssh: bool,
        ssh_command: String,
        ssh_arguments: String,
        dir_shards: Option<Vec<usize>>,
    }
}

impl WebdavSettings {
    setters! {
        url: String,
        username: String,
        password: Secret,
        trusted_server_certificate_fingerprint: String,
        dir_shards: Option<Vec<usize>>,
        ca_file: Option<PathBuf>,
        do_not_verify_tls: bool,
    }
}

impl RcloneSettings {
    setters! {
        remote_path: String,
        rclone_exe: String,
        rclone_args: Option<Vec<String>>,
        rclone_env: Option<Vec<String>>,
        startup_timeout: Option<Duration>,
        embedded_config: Secret,
        dir_shards: Option<Vec<usize>>,
    }
}
