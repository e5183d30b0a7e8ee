//! Turns a repository's URL into the fields that Kopia's configuration has (§1.12).

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use super::error::settings_error;
use crate::error::BlobError;

/// The way in which an option's text becomes a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    /// Texts separated by commas.
    Texts,
    /// Numbers separated by commas.
    Numbers,
    /// A secret, which never stands in a URL.
    Secret,
}
use Kind::{Flag, Number, Numbers, Secret, Text, Texts};

/// A scheme of URLs.
struct Scheme {
    /// The name of the scheme, as typed before `://`.
    name: &'static str,
    /// Kopia's name of the storage.
    kind: &'static str,
    /// The fields that may be options: Kopia's name, and how the text is read.
    fields: &'static [(&'static str, Kind)],
    /// Short options and the fields that they stand for.
    short: &'static [(&'static str, &'static str)],
    /// Turns host and path of the URL into fields.
    base: fn(&Parts<'_>, &mut Map<String, Value>) -> Result<(), BlobError>,
}

struct Parts<'a> {
    scheme: &'a str,
    user: Option<String>,
    /// The host and port, or the bucket.
    authority: &'a str,
    /// The path without its leading slash, decoded.
    path: String,
}

/// Returns `(kind, config)` as in the storage part of Kopia's configuration.
pub(super) fn parse(scheme_name: &str, rest: &str) -> Result<(String, Map<String, Value>), BlobError> {
    let scheme = SCHEMES.iter().find(|s| s.name == scheme_name).ok_or_else(|| {
        let known = SCHEMES.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
        settings_error(format!("{scheme_name}:// is not a storage; known are file, {known}"))
    })?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut config = Map::new();
    for option in query.split('&').filter(|o| !o.is_empty()) {
        let (name, text) = option.split_once('=').unwrap_or((option, "true"));
        let (field, value) = scheme.option(name, &decode(text)?)?;
        config.insert(field.to_owned(), value);
    }
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(decode(user)?), host),
        None => (None, authority),
    };
    if user.as_ref().is_some_and(|u| u.contains(':')) {
        return Err(settings_error("a URL must not hold a password: others can see the command line"));
    }
    (scheme.base)(&Parts { scheme: scheme_name, user, authority, path: decode(path)? }, &mut config)?;
    Ok((scheme.kind.to_owned(), config))
}

impl Scheme {
    fn option(&self, name: &str, text: &str) -> Result<(&'static str, Value), BlobError> {
        let plain = |n: &str| n.replace('-', "").to_ascii_lowercase();
        let named =
            self.short.iter().find(|(short, _)| plain(short) == plain(name)).map_or(name, |(_, field)| field);
        let found = self.fields.iter().find(|(field, _)| plain(field) == plain(named));
        let Some((field, kind)) = found else {
            return Err(settings_error(format!("{}:// has no option {name:?}", self.name)));
        };
        let wrong =
            |what: &str| settings_error(format!("option {name} of {}://: {text:?} is not {what}", self.name));
        let number = |t: &str| t.parse::<u64>().map(Value::from).map_err(|_| wrong("a number"));
        let value = match kind {
            Text => Value::from(text),
            Flag => match text {
                "true" | "1" | "yes" | "" => Value::from(true),
                "false" | "0" | "no" => Value::from(false),
                _ => return Err(wrong("true or false")),
            },
            Number => number(text)?,
            Texts => text.split(',').map(Value::from).collect(),
            Numbers => text.split(',').filter(|t| !t.is_empty()).map(number).collect::<Result<_, _>>()?,
            Secret => {
                let what = format!(
                    "option {name}: a URL must not hold a secret; use Kopia's configuration or the environment"
                );
                return Err(settings_error(what));
            }
        };
        Ok((field, value))
    }
}

fn decode(text: &str) -> Result<String, BlobError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| settings_error("the URL is not UTF-8"))
}

fn need<'a>(what: &str, text: &'a str) -> Result<&'a str, BlobError> {
    if text.is_empty() { Err(settings_error(format!("the URL names no {what}"))) } else { Ok(text) }
}

fn bucket(parts: &Parts<'_>, config: &mut Map<String, Value>) -> Result<(), BlobError> {
    config.insert("bucket".into(), need("bucket", parts.authority)?.into());
    config.insert("prefix".into(), parts.path.as_str().into());
    Ok(())
}

fn azure(parts: &Parts<'_>, config: &mut Map<String, Value>) -> Result<(), BlobError> {
    config.insert("container".into(), need("container", parts.authority)?.into());
    config.insert("prefix".into(), parts.path.as_str().into());
    Ok(())
}

fn sftp(parts: &Parts<'_>, config: &mut Map<String, Value>) -> Result<(), BlobError> {
    let host = need("host", parts.authority)?;
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => {
            let port: u16 = port.parse().map_err(|_| settings_error(format!("{port:?} is not a port")))?;
            (name, port)
        }
        _ => (host, 0),
    };
    config.insert("host".into(), host.trim_matches(['[', ']']).into());
    if port != 0 {
        config.insert("port".into(), port.into());
    }
    if let Some(user) = &parts.user {
        config.insert("username".into(), user.as_str().into());
    }
    config.insert("path".into(), format!("/{}", parts.path).into());
    Ok(())
}

fn webdav(parts: &Parts<'_>, config: &mut Map<String, Value>) -> Result<(), BlobError> {
    let host = need("host", parts.authority)?;
    let scheme = if parts.scheme == "webdavs" { "https" } else { "http" };
    let path = utf8_percent_encode(&parts.path, NOT_IN_PATHS);
    config.insert("url".into(), format!("{scheme}://{host}/{path}").into());
    if let Some(user) = &parts.user {
        config.insert("username".into(), user.as_str().into());
    }
    Ok(())
}

fn rclone(parts: &Parts<'_>, config: &mut Map<String, Value>) -> Result<(), BlobError> {
    let slash = if parts.path.is_empty() { "" } else { "/" };
    let remote = format!("{}{slash}{}", need("remote", parts.authority)?, parts.path);
    config.insert("remotePath".into(), remote.into());
    Ok(())
}

/// Characters that would end the path of a URL, or mean something else in it.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

const WEBDAV_FIELDS: &[(&str, Kind)] = &[
    ("username", Text),
    ("password", Secret),
    ("trustedServerCertificateFingerprint", Text),
    ("dirShards", Numbers),
    ("caFile", Text),
    ("doNotVerifyTLS", Flag),
];

const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "s3",
        kind: "s3",
        fields: &[
            ("endpoint", Text),
            ("region", Text),
            ("profile", Text),
            ("style", Text),
            ("anonymous", Flag),
            ("caFile", Text),
            ("rootCA", Text),
            ("doNotUseTLS", Flag),
            ("doNotVerifyTLS", Flag),
            ("accessKeyID", Text),
            ("secretAccessKey", Secret),
            ("sessionToken", Secret),
            ("webIdentityToken", Secret),
            ("webIdentityTokenFile", Text),
            ("roleARN", Text),
            ("sessionName", Text),
            ("duration", Text),
            ("roleEndpoint", Text),
            ("roleRegion", Text),
            ("pointInTime", Text),
        ],
        short: &[("ca", "caFile"), ("insecure", "doNotVerifyTLS")],
        base: bucket,
    },
    Scheme {
        name: "gs",
        kind: "gcs",
        fields: &[
            ("credentialsFile", Text),
            ("credentials", Secret),
            ("pointInTime", Text),
            ("endpoint", Text),
            ("anonymous", Flag),
            ("caFile", Text),
        ],
        short: &[("ca", "caFile"), ("key", "credentialsFile")],
        base: bucket,
    },
    Scheme {
        name: "azblob",
        kind: "azureBlob",
        fields: &[
            ("storageAccount", Text),
            ("storageKey", Secret),
            ("sasToken", Secret),
            ("TenantID", Text),
            ("ClientID", Text),
            ("ClientSecret", Secret),
            ("clientCertificate", Secret),
            ("azureFederatedTokenFile", Text),
            ("storageDomain", Text),
            ("doNotUseTLS", Flag),
            ("pointInTime", Text),
            ("endpoint", Text),
            ("authorityHost", Text),
            ("caFile", Text),
        ],
        short: &[("ca", "caFile"), ("account", "storageAccount")],
        base: azure,
    },
    Scheme {
        name: "b2",
        kind: "b2",
        fields: &[("keyID", Text), ("key", Secret), ("endpoint", Text), ("caFile", Text)],
        short: &[("ca", "caFile")],
        base: bucket,
    },
    Scheme {
        name: "sftp",
        kind: "sftp",
        fields: &[
            ("username", Text),
            ("password", Secret),
            ("keyfile", Text),
            ("keyData", Secret),
            ("knownHostsFile", Text),
            ("knownHostsData", Text),
            ("port", Number),
            ("externalSSH", Flag),
            ("sshCommand", Text),
            ("sshArguments", Text),
            ("dirShards", Numbers),
        ],
        short: &[("key", "keyfile"), ("known-hosts", "knownHostsFile")],
        base: sftp,
    },
    Scheme {
        name: "webdavs",
        kind: "webdav",
        fields: WEBDAV_FIELDS,
        short: &[
            ("ca", "caFile"),
            ("insecure", "doNotVerifyTLS"),
            ("fingerprint", "trustedServerCertificateFingerprint"),
        ],
        base: webdav,
    },
    Scheme { name: "webdav", kind: "webdav", fields: WEBDAV_FIELDS, short: &[], base: webdav },
    Scheme {
        name: "rclone",
        kind: "rclone",
        fields: &[
            ("rcloneExe", Text),
            ("rcloneArgs", Texts),
            ("rcloneEnv", Secret),
            ("startupTimeout", Text),
            ("embeddedConfig", Secret),
            ("dirShards", Numbers),
        ],
        short: &[],
        base: rclone,
    },
];

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    fn path_of(url: &str) -> String {
        match Settings::parse(url).unwrap() {
            Settings::Filesystem(s) => s.path.to_str().unwrap().to_owned(),
            Settings::S3(s) => s.prefix,
            Settings::Gcs(s) => s.prefix,
            Settings::Azure(s) => s.prefix,
            Settings::B2(s) => s.prefix,
            Settings::Sftp(s) => format!("{}|{}", s.username, s.path),
            Settings::Webdav(s) => format!("{}|{}", s.username, s.url),
            Settings::Rclone(s) => s.remote_path,
        }
    }

    /// User, path and options are decoded once; `+` is a plus; a plain path is what it is.
    #[test]
    fn per_cent_signs_are_decoded_once() {
        for (url, expected) in [
            ("/a%20b+c", "/a%20b+c"),
            ("a%2520b", "a%2520b"),
            ("file:///a%20b+c%2520d", "/a b+c%20d"),
            ("filesystem:///a%20b", "/a%20b"),
            ("file:/a%20b", "/a%20b"),
            ("s3://b/p%20q+r%2520/", "p q+r%20/"),
            ("gs://b/p%20q+r%2520/", "p q+r%20/"),
            ("azblob://b/p%20q+r%2520/", "p q+r%20/"),
            ("b2://b/p%20q+r%2520/", "p q+r%20/"),
            ("sftp://a%40b+c@host/p%20q+r%2520", "a@b+c|/p q+r%20"),
            ("webdavs://a%40b@host/p%20q+r%2520", "a@b|https://host/p%20q+r%2520"),
            ("rclone://remote:/p%20q+r%2520", "remote:/p q+r%20"),
            ("s3://b/p\n", "p"),
        ] {
            assert_eq!(path_of(url), expected, "{url}");
        }
        let url = "s3://b?region=a%2Bb+c%252F&endpoint=http%3A%2F%2Fh%3A9";
        let Settings::S3(s3) = Settings::parse(url).unwrap() else { panic!("not S3") };
        assert_eq!((s3.region.as_str(), s3.endpoint.as_str(), s3.do_not_use_tls), ("a+b+c%2F", "h:9", true));
    }

    #[test]
    fn endpoints_of_kopias_configuration_may_have_a_scheme() {
        let of = |endpoint: &str| {
            let config = serde_json::json!({"bucket": "b", "endpoint": endpoint});
            Settings::from_kopia("s3", config).map(|settings| match settings {
                Settings::S3(s3) => (s3.endpoint, s3.do_not_use_tls),
                other => panic!("{other:?}"),
            })
        };
        for (endpoint, expected) in [
            ("h:9", ("h:9", false)),
            ("http://h:9", ("h:9", true)),
            ("HTTPS://h/", ("h", false)),
            ("h:9\n", ("h:9", false)),
        ] {
            assert_eq!(of(endpoint).unwrap(), (expected.0.to_owned(), expected.1), "{endpoint}");
        }
        for bad in ["ftp://h", "https://h/path", "h/path"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
