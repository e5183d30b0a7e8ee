//! Reads the keys of known servers: the text of a `known_hosts` file, as sshd(8) describes it (pure).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey};

use crate::error::{BlobError, BlobErrorKind};

/// Lines that say which server has which key.
#[derive(Debug)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
    /// The place that the lines come from, for messages.
    place: String,
}

#[derive(Debug)]
struct Line {
    number: usize,
    mark: Mark,
    hosts: String,
    key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Revoked,
    Authority,
}

impl KnownHosts {
    /// Reads the lines; `place` names where they stand. Lines that are no keys say nothing.
    pub(super) fn parse(text: &str, place: String) -> Self {
        let lines = text.lines().enumerate().filter_map(|(at, line)| Line::parse(at + 1, line));
        KnownHosts { lines: lines.collect(), place }
    }

    /// Whether the server at this address has this key.
    ///
    /// # Errors
    /// [`BlobErrorKind::Untrusted`], with what to do, when it is not known, is another one, or is revoked.
    pub(super) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), BlobError> {
        let (name, bare) = (name(host, port), host.to_ascii_lowercase());
        let shown = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        let untrusted = |what: String| Err(BlobError::new(BlobErrorKind::Untrusted, what));
        let place = &self.place;
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        let mut revoked = self.of(&name, Mark::Revoked).chain(self.of(&bare, Mark::Revoked));
        if let Some(line) = revoked.find(same) {
            return untrusted(format!("its host key {shown} is revoked by line {} of {place}", line.number));
        }
        let known: Vec<_> = self.of(&name, Mark::None).collect();
        // For ssh, too, a key that is known for the host alone is as good when none is known for this port.
        let is_of_host = || known.is_empty() && self.of(&bare, Mark::None).any(|line| same(&line));
        if known.iter().any(same) || is_of_host() {
            return Ok(());
        }
        let key_line = format!("{name} {}", key.to_openssh().unwrap_or_default());
        let only_if = "only when you know that this is its key";
        if let Some(line) =
            known.iter().find(|line| line.key.algorithm() == key.algorithm()).or(known.first())
        {
            return untrusted(format!(
                "its host key {shown} is not the one in line {} of {place}: it was set up anew, or somebody stands \
                 between it and you; replace the line by \"{key_line}\" {only_if}",
                line.number
            ));
        }
        let authorities = match self.of(&name, Mark::Authority).next() {
            Some(_) => " (host certificates are read by ssh only, see externalSSH)",
            None => "",
        };
        untrusted(format!(
            "its host key {shown} is not known{authorities}; add the line \"{key_line}\" to {place} {only_if}"
        ))
    }

    /// Returns what to ask the server for, so that it shows a key that is known if it has one: `all`, the known ones
    /// first.
    pub(super) fn prefer(&self, host: &str, port: u16, all: &[Algorithm]) -> Vec<Algorithm> {
        let kinds = |name: &str| self.of(name, Mark::None).map(|line| line.key.algorithm()).collect();
        let mut known: Vec<_> = kinds(&name(host, port));
        if known.is_empty() {
            known = kinds(&host.to_ascii_lowercase());
        }
        // Many kinds of signatures belong to one kind of RSA key.
        let is_rsa = |a: &Algorithm| matches!(a, Algorithm::Rsa { .. });
        let is_known = |a: &&Algorithm| known.iter().any(|k| k == *a || (is_rsa(k) && is_rsa(a)));
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().partition(is_known);
        first.extend(rest);
        first.into_iter().cloned().collect()
    }

    fn of<'a>(&'a self, name: &'a str, mark: Mark) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.mark == mark && matches(&line.hosts, name))
    }
}

impl Line {
    fn parse(number: usize, text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().peekable();
        let mark = match *words.peek()? {
            "@revoked" => Mark::Revoked,
            "@cert-authority" => Mark::Authority,
            word if word.starts_with(['#', '@']) => return None,
            _ => Mark::None,
        };
        if mark != Mark::None {
            words.next();
        }
        let (hosts, _kind, key) = (words.next()?, words.next()?, words.next()?);
        let key = russh::keys::parse_public_key_base64(key).ok()?;
        Some(Line { number, mark, hosts: hosts.to_owned(), key })
    }
}

/// Returns how a server is called in such a file.
fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Whether a list of patterns matches; one that is negated and matches ends it.
fn matches(hosts: &str, name: &str) -> bool {
    let mut found = false;
    let like = |pattern: &str| is_like(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if like(not) => return false,
            Some(_) => {}
            None => found |= hashed(pattern, name).unwrap_or_else(|| like(pattern)),
        }
    }
    found
}

/// Compares a name with `|1|salt|HMAC-SHA1 of the name`; `None`: not of this form.
fn hashed(pattern: &str, name: &str) -> Option<bool> {
    let (salt, hash) = pattern.strip_prefix("|1|")?.split_once('|')?;
    let (salt, hash) = (BASE64_STANDARD.decode(salt).ok()?, BASE64_STANDARD.decode(hash).ok()?);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Some(hmac::verify(&key, name.as_bytes(), &hash).is_ok())
}

/// Whether the pattern matches: `*` stands for anything, `?` for one character.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when it turns out that the last `*` stands for one character more.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after_star, next)) => {
                    (p, n) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE";

    fn check(text: &str, host: &str, port: u16) -> Result<(), String> {
        let key = russh::keys::parse_public_key_base64(ED).unwrap();
        let checked = KnownHosts::parse(text, "known_hosts".into()).check(host, port, &key);
        checked.map_err(|e| {
            assert_eq!(e.kind(), BlobErrorKind::Untrusted);
            e.to_string()
        })
    }

    #[test]
    fn a_known_key_is_known_in_every_form() {
        for (hosts, host, port) in [
            ("nas", "nas", 22),
            ("NAS", "nas", 22),
            ("other,nas", "Nas", 22),
            ("[nas]:2222", "nas", 2222),
            ("[::1]:2222", "::1", 2222),
            // The port is not in the line, the key is the same: ssh takes it.
            ("nas", "nas", 2222),
            ("*.example.test", "nas.example.test", 22),
            ("n?s", "nas", 22),
            ("[*]:2222", "nas", 2222),
            // The form in which `ssh-keygen -H` writes "nas".
            ("|1|c2FsdHNhbHRzYWx0c2FsdHNhbHQ=|U1luycNaL5VazZYLHdOlNbreMZk=", "nas", 22),
        ] {
            let text = format!("# comment\n\n{hosts} ssh-ed25519 {ED} me@there\n");
            assert_eq!(check(&text, host, port), Ok(()), "{hosts}");
        }
    }

    #[test]
    fn another_key_is_told_from_an_unknown_one() {
        let unknown = check("", "nas", 2222).unwrap_err();
        assert!(
            unknown.contains("not known") && unknown.contains(&format!("\"[nas]:2222 ssh-ed25519 {ED}\""))
        );
        let changed = check(&format!("\nnas ssh-ed25519 {OTHER}\n"), "nas", 22).unwrap_err();
        assert!(changed.contains("line 2 of known_hosts") && changed.contains("SHA256:"), "{changed}");
        let revoked = format!("* ssh-ed25519 {ED}\n@revoked * ssh-ed25519 {ED}\n");
        assert!(check(&revoked, "nas", 22).unwrap_err().contains("revoked by line 2"));
        // A revoked key is refused for every port, and in each form.
        for (known, revoked) in [("nas", "nas"), ("[nas]:2222", "nas"), ("nas", "[nas]:2222")] {
            let text = format!("{known} ssh-ed25519 {ED}\n@revoked {revoked} ssh-ed25519 {ED}\n");
            assert!(check(&text, "nas", 2222).unwrap_err().contains("revoked by line 2"), "{text}");
        }
        // Another server may answer at another port: what is known of that one counts.
        let other_port = format!("nas ssh-ed25519 {ED}\n[nas]:2222 ssh-ed25519 {OTHER}\n");
        assert!(check(&other_port, "nas", 2222).unwrap_err().contains("line 2 of known_hosts"));
        assert_eq!(check(&other_port, "nas", 22), Ok(()));
        let authority = format!("@cert-authority * ssh-ed25519 {ED}\n");
        assert!(check(&authority, "nas", 22).unwrap_err().contains("certificates"));
        for text in [
            format!("!nas,* ssh-ed25519 {ED}"),
            format!("nas.other ssh-ed25519 {ED}"),
            format!("[nas]:2222 ssh-ed25519 {ED}"),
            "nas ssh-ed25519 no-key".to_owned(),
            "nas".to_owned(),
        ] {
            assert!(check(&text, "nas", 22).unwrap_err().contains("not known"), "{text}");
        }
    }

    #[test]
    fn known_kinds_are_asked_for_first() {
        let rsa_256 = Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
        let all = [rsa_256.clone(), Algorithm::Ed25519];
        let hosts = KnownHosts::parse(&format!("nas ssh-ed25519 {ED}"), String::new());
        assert_eq!(hosts.prefer("nas", 22, &all), [Algorithm::Ed25519, rsa_256.clone()]);
        assert_eq!(hosts.prefer("nas", 2222, &all), [Algorithm::Ed25519, rsa_256]);
        assert_eq!(hosts.prefer("other", 22, &all), all);
    }

    #[test]
    fn patterns_are_matched_without_haste() {
        assert!(is_like(b"*a*b", b"xaxbxb") && !is_like(b"*a*b", b"xaxbx") && is_like(b"**", b""));
        assert!(!is_like(&b"*a".repeat(200), &b"a".repeat(4000)[..199]));
    }
}
