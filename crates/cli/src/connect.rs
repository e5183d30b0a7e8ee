//! Opens the repository that options and environment name.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rekopia::{Observer, OpenOptions, Password, Repository};
use rekopia_blob::{
    BlobError, BlobErrorKind, BlobReader, CacheOptions, KopiaConfig, LayerOptions, Limits, Settings, Token,
};
use rekopia_format::format_blob::FormatBlob;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::{CommandError, Stopped};
use crate::say::aside;

/// Opens the repository that the options name, or the one that `kopia` is connected to.
pub(crate) async fn open(global: &Global, observer: &Arc<dyn Observer>) -> Result<Repository> {
    let attempt = async |blobs, password: &Password, options: &OpenOptions| {
        Repository::open(blobs, password, options, Arc::clone(observer)).await
    };
    open_by(global, attempt).await
}

/// Returns what `attempt` gives for the storage and the password that the options name.
pub(crate) async fn open_by<T>(
    global: &Global,
    attempt: impl AsyncFn(Arc<dyn BlobReader>, &Password, &OpenOptions) -> rekopia::Result<T>,
) -> Result<T> {
    let Place { mut settings, config_path, limits, .. } = place(global)?;
    let layers = layers(global, limits);
    let options = OpenOptions::default()
        .ignore_upgrade_lock(global.ignore_upgrade_lock)
        .index_memory_bytes(global.index_memory.unwrap_or_else(rekopia::index_memory_bytes))
        .index_dir(cache(global))
        .salvage(global.salvage)
        .salvage_index(salvage_index(global)?)
        .format_blob(global.format_blob.as_deref().map(format_blob).transpose()?);
    let connect =
        async |settings: &Settings| rekopia_blob::connect_with(settings, &layers).await.map_err(unreachable);
    let open = async |blobs: &Arc<dyn BlobReader>, password: &Password| {
        attempt(Arc::clone(blobs), password, &options).await
    };
    let mut blobs = connect(&settings).await?;
    let password = match known_password(global, config_path.as_deref())? {
        Some(known) => known,
        None => {
            // Nobody is asked for the password of nothing.
            match (Repository::find(&blobs).await, settings.in_folder()) {
                (Err(e), Some(_)) if e.kind() == rekopia::ErrorKind::NoRepository => {}
                (found, _) => found?,
            }
            typed_password().await?
        }
    };
    let mut opened = open(&blobs, &password.meant).await;
    if opened.as_ref().is_err_and(|e| e.is_from_storage(BlobErrorKind::Denied))
        && let Some(other) = settings.with_trimmed_password()
    {
        settings = other;
        blobs = connect(&settings).await?;
        opened = open(&blobs, &password.meant).await;
    }
    if let (Err(e), Some(as_it_is)) = (&opened, &password.as_it_is)
        && e.kind() == rekopia::ErrorKind::InvalidPassword
    {
        opened = open(&blobs, as_it_is).await;
    }
    match (opened, settings.in_folder()) {
        // `s3://bucket/name` may mean the folder `name/`: Kopia's prefixes are put before names as they are.
        (Err(e), Some(folder)) if e.kind() == rekopia::ErrorKind::NoRepository => {
            let inside = open(&connect(&folder).await?, &password.meant).await;
            Ok(inside.map_err(|second| match second.kind() {
                rekopia::ErrorKind::NoRepository => e,
                _ => second,
            })?)
        }
        (opened, _) => Ok(opened?),
    }
}

/// Returns where a salvage keeps what it has read.
fn salvage_index(global: &Global) -> Result<Option<PathBuf>> {
    if global.salvage_index.is_some() && !global.salvage {
        bail!(CommandError::usage("--salvage-index says where --salvage keeps what it has read: give both"));
    }
    Ok(global.salvage_index.clone())
}

/// Returns the bytes of a copy of the format blob; real ones have about a kilobyte.
fn format_blob(path: &Path) -> Result<Vec<u8>> {
    const LONGEST: u64 = 1 << 20;
    let name = path.display();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|e| CommandError::usage(format!("cannot read {name}: {e}")))?;
    if FormatBlob::parse(&bytes).is_err() {
        bail!(CommandError::usage(format!("{name} is no copy of a format blob")));
    }
    if bytes.len() as u64 > LONGEST {
        bail!(CommandError::usage(format!("{name} is no copy of a format blob: it is longer than 1 MiB")));
    }
    Ok(bytes)
}

/// Returns what stands around the storage: the limits of the options and of Kopia's configuration, and the cache.
fn layers(global: &Global, limits: Limits) -> LayerOptions {
    let own = Limits::default()
        .bandwidth(global.limit_download.filter(|rate| *rate > 0))
        .in_flight(global.parallel.map(usize::from));
    let limits = own.and(limits);
    LayerOptions::default()
        .in_flight(limits.in_flight)
        .bandwidth(limits.bandwidth)
        .requests_per_second(limits.requests_per_second)
        .cache(global.cache.clone().map(CacheOptions::new))
}

/// Returns the files and folders that reading the repository itself uses: a restore never deletes or overwrites them.
pub(crate) fn files(global: &Global) -> Result<Vec<PathBuf>> {
    let Place { settings, config_path, .. } = place(global)?;
    let mut files = settings.files();
    files.extend(config_path.as_deref().map(saved_password_path));
    files.extend(config_path);
    let named = [&global.password_file, &global.token_file, &global.format_blob, &global.salvage_index];
    files.extend(named.into_iter().flatten().cloned());
    files.extend(cache(global));
    Ok(files)
}

/// Returns the user and host that connected Kopia, where its configuration is what says where the repository is.
pub(crate) fn identity(global: &Global) -> Result<Option<(String, String)>> {
    Ok(place(global)?.identity)
}

/// The place of the repository, and the configuration that says so.
struct Place {
    settings: Settings,
    config_path: Option<PathBuf>,
    identity: Option<(String, String)>,
    limits: Limits,
}

impl Place {
    fn of(settings: Settings, limits: Limits) -> Self {
        Place { settings, config_path: None, identity: None, limits }
    }
}

fn place(global: &Global) -> Result<Place> {
    let mut place = match (&global.repo, &global.token_file) {
        (Some(repo), _) => Place::of(Settings::parse(repo).map_err(unreachable)?, Limits::default()),
        (None, Some(path)) => {
            let token = token_at(path)?;
            Place::of(token.settings, token.limits)
        }
        (None, None) => {
            let path = config_path(global)?;
            let config = KopiaConfig::read(&path).map_err(unreachable)?;
            let known = !config.username.is_empty() && !config.hostname.is_empty();
            let identity = known.then_some((config.username, config.hostname));
            Place { settings: config.settings, config_path: Some(path), identity, limits: config.limits }
        }
    };
    let variable = |name: &str| std::env::var(name).ok();
    place.settings = place.settings.with_environment(&variable).map_err(unreachable)?;
    Ok(place)
}

/// Makes an error of the engine, by its rule for the class, also where the storage was not even reached.
fn unreachable(e: BlobError) -> rekopia::Error {
    rekopia::Error::from_storage(e, "cannot reach the repository")
}

/// Returns where metadata is kept, and where an index goes that is too large for memory.
fn cache(global: &Global) -> Option<PathBuf> {
    let usual = || Some(user_folder("XDG_CACHE_HOME", ".cache")?.join("rekopia"));
    global.cache.clone().or_else(usual)
}

/// Returns the folder that a variable of the XDG specification names, or its usual place below the home.
fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(below_home));
    std::env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from).or_else(home)
}

fn token_at(path: &Path) -> Result<Token> {
    let named = |e: BlobError| CommandError::usage(format!("token file {}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|e| CommandError::usage(format!("cannot read the token file {}: {e}", path.display())))?;
    Ok(Token::parse(&text).map_err(named)?)
}

/// Returns the path of Kopia's configuration by Kopia's rule: a bare file name is looked up in Kopia's own folder,
/// anything with a directory is used as it is.
fn config_path(global: &Global) -> Result<PathBuf> {
    let named = global.config.as_deref();
    if let Some(path) = named
        && path.components().count() > 1
    {
        return Ok(path.to_owned());
    }
    let Some(folder) = user_folder("XDG_CONFIG_HOME", ".config") else {
        bail!(CommandError::usage("no repository: name one with --repo or --config"));
    };
    let path = folder.join("kopia").join(named.unwrap_or(Path::new("repository.config")));
    if named.is_none() && !path.exists() {
        let what =
            format!("no repository: name one with --repo (kopia is not connected: no {})", path.display());
        bail!(CommandError::usage(what));
    }
    Ok(path)
}

/// A password, and what else it may be.
struct Known {
    meant: Password,
    /// The password with the white space that a variable has around it.
    as_it_is: Option<Password>,
}

impl From<Password> for Known {
    fn from(meant: Password) -> Self {
        Known { meant, as_it_is: None }
    }
}

/// Returns the password from `--password-file`, then `KOPIA_PASSWORD`, then what Kopia saved beside its configuration.
fn known_password(global: &Global, config_path: Option<&Path>) -> Result<Option<Known>> {
    if let Some(path) = &global.password_file {
        let bytes = std::fs::read(path).map_err(|e| {
            CommandError::usage(format!("cannot read the password file {}: {e}", path.display()))
        });
        let mut bytes = Zeroizing::new(bytes?);
        strip_line_end(&mut bytes);
        return Ok(Some(Password::new(bytes.to_vec()).into()));
    }
    if let Some(path) = &global.token_file
        && let Some(password) = token_at(path)?.password
    {
        return Ok(Some(Password::new(password.expose()).into()));
    }
    if let Ok(password) = std::env::var("KOPIA_PASSWORD").map(Zeroizing::new)
        && !password.trim().is_empty()
    {
        let as_it_is = (password.trim() != *password).then(|| Password::new(password.as_str()));
        return Ok(Some(Known { meant: Password::new(password.trim()), as_it_is }));
    }
    Ok(config_path.map(saved_password).transpose()?.flatten().map(Known::from))
}

/// Asks for the password at the terminal, last of all. A signal is not kept waiting for it.
async fn typed_password() -> Result<Known> {
    if !std::io::stdin().is_terminal() {
        bail!(CommandError::usage("no password: use --password-file or KOPIA_PASSWORD"));
    }
    let _keys = Keys::now();
    let asked = tokio::task::spawn_blocking(|| aside(|| rpassword::prompt_password("Repository password: ")));
    let typed = match asked.await? {
        // Ctrl-C is a key here; the signal that it stands for is on its way.
        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => bail!(Stopped),
        typed => typed.context("cannot ask for a password")?,
    };
    Ok(Password::new(Zeroizing::new(typed).as_str()).into())
}

/// The terminal's settings for keys, put back at the end: a signal leaves the question behind, which shows no keys.
struct Keys(Option<Termios>);

impl Keys {
    fn now() -> Self {
        Keys(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn saved_password(config_path: &Path) -> Result<Option<Password>> {
    let encoded = match std::fs::read(saved_password_path(config_path)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => Zeroizing::new(other.context("cannot read the password that Kopia saved")?),
    };
    let decoded = BASE64_STANDARD.decode(encoded.trim_ascii());
    let decoded = decoded.map_err(|_| CommandError::usage("the password that Kopia saved is not base64"))?;
    Ok(Some(Password::new(Zeroizing::new(decoded).to_vec())))
}

fn saved_password_path(config_path: &Path) -> PathBuf {
    let mut path = config_path.as_os_str().to_owned();
    path.push(".kopia-password");
    path.into()
}

/// Drops exactly one trailing LF or CRLF.
fn strip_line_end(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_line_end_is_dropped() {
        let strip = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            strip_line_end(&mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(strip("pass word \r\n"), "pass word ");
        assert_eq!(strip("p\n\n"), "p\n");
        assert_eq!(strip("p\r"), "p\r");
        assert_eq!(strip(""), "");
    }
}
