//! Names the files of this machine that a storage's settings use.

use std::path::PathBuf;

use super::kinds::Settings;

impl Settings {
    /// Returns the files that reading this storage uses: keys, credentials, authorities, lists of known hosts.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.authorities().cloned().into_iter().collect();
        let named: &[&str] = match self {
            Settings::Gcs(s) => &[&s.credentials_file],
            Settings::Azure(s) => &[&s.azure_federated_token_file],
            Settings::Sftp(s) => &[&s.keyfile, &s.known_hosts_file],
            _ => &[],
        };
        files.extend(named.iter().filter(|path| !path.is_empty()).map(PathBuf::from));
        if let Settings::Rclone(s) = self {
            let arguments = s.rclone_args.iter().flatten();
            files.extend(arguments.filter_map(|a| a.strip_prefix("--config=")).map(PathBuf::from));
        }
        files
    }

    fn authorities(&self) -> Option<&PathBuf> {
        match self {
            Settings::S3(s) => s.ca_file.as_ref(),
            Settings::Gcs(s) => s.ca_file.as_ref(),
            Settings::Azure(s) => s.ca_file.as_ref(),
            Settings::B2(s) => s.ca_file.as_ref(),
            Settings::Webdav(s) => s.ca_file.as_ref(),
            Settings::Filesystem(_) | Settings::Sftp(_) | Settings::Rclone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_the_options_name() {
        for (url, files) in [
            ("sftp://me@host/srv/x?key=/k&known-hosts=/h", &["/k", "/h"][..]),
            ("s3://bucket?ca=/ca.pem", &["/ca.pem"]),
            ("gs://bucket?key=/c.json", &["/c.json"]),
            ("/srv/kopia", &[]),
        ] {
            let named = Settings::parse(url).unwrap().files();
            assert_eq!(named, files.iter().map(PathBuf::from).collect::<Vec<_>>(), "{url}");
        }
    }
}
