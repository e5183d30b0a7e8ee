//! Owner, then mode, then times; what cannot be set is reported, what is right already is not touched.

use rustix::fs::{Gid, Mode, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::Sink;
use super::error::SinkError;
use super::existing::Existing;
use super::handles::DirHandle;
use super::node::DirNode;
use super::subject::{Link, Opened, Subject};
use super::swallowed::{Done, Kind, Refused};

/// What an entry is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with setuid, setgid and sticky, in the positions of Unix.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Nanoseconds since 1970.
    pub(crate) mtime_ns: i64,
}

/// Owners of restored entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnerPolicy {
    /// As recorded.
    #[default]
    Keep,
    /// Whoever restores.
    Skip,
    /// The same for all.
    Set {
        /// Numeric user ID.
        uid: u32,
        /// Numeric group ID.
        gid: u32,
    },
}

/// Which attributes are set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributePolicy {
    pub(crate) owner: OwnerPolicy,
    pub(crate) mode: bool,
    pub(crate) times: bool,
}

impl AttributePolicy {
    /// The owner that something is to have; `None`: whoever it is.
    pub(super) fn owner_of(&self, wanted: &Attributes) -> Option<(u32, u32)> {
        match self.owner {
            OwnerPolicy::Keep => Some((wanted.uid, wanted.gid)),
            OwnerPolicy::Set { uid, gid } => Some((uid, gid)),
            OwnerPolicy::Skip => None,
        }
    }
}

/// An attribute that could not be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FidelityIssue {
    pub(crate) path: String,
    message: String,
}

impl FidelityIssue {
    pub(super) fn new(path: String, message: String) -> Self {
        FidelityIssue { path, message }
    }
}

impl std::fmt::Display for FidelityIssue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where something is: what its file system makes of attributes is found out once.
type Place = (u64, Kind);

/// Sets the attributes of an open file, which is on the device `dev` and has `now`: equal ones are not touched.
pub(super) fn set_file(
    sink: &Sink,
    dev: u64,
    file: &impl std::os::fd::AsFd,
    wanted: &Attributes,
    now: &Attributes,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    set(sink, (dev, Kind::File), &sink.options.policy, &Opened(file), wanted, Some(now), shown)
}

/// The same for a file that we made in `node`, private at first: it gets a mode whatever is restored.
pub(super) fn set_new_file(
    sink: &Sink,
    node: &DirNode,
    file: &impl std::os::fd::AsFd,
    wanted: &Attributes,
    now: &Attributes,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let policy = AttributePolicy { mode: true, ..sink.options.policy };
    set(sink, (device(node), Kind::File), &policy, &Opened(file), wanted, Some(now), shown)
}

/// The same for a symbolic link.
pub(super) fn set_link(
    sink: &Sink,
    (node, dir): (&DirNode, &DirHandle),
    name: &str,
    wanted: &Attributes,
    existing: Option<&Existing>,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let now = existing.filter(|e| e.kind == super::ExistingKind::Symlink).map(|e| &e.attributes);
    set(sink, (device(node), Kind::Link), &sink.options.policy, &Link(dir, name), wanted, now, shown)
}

/// The device of a directory that was opened.
fn device(node: &DirNode) -> u64 {
    node.opened().map_or(0, |opened| opened.dev)
}

/// The same for a directory that is finished. A root that is not ours is left alone.
pub(super) fn finish_dir(
    sink: &Sink,
    node: &DirNode,
    handle: &DirHandle,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let Some(wanted) = &node.attributes else { return Ok(Vec::new()) };
    let existed = node.opened().and_then(|o| o.existed);
    if node.parent().is_none()
        && let Some(existed) = existed
    {
        let euid = rustix::process::geteuid().as_raw();
        if euid != 0 && euid != existed.uid {
            return Ok(Vec::new());
        }
    }
    let mut now = None;
    if existed.is_some() {
        let stat =
            rustix::fs::fstat(&handle.fd).map_err(|e| SinkError::sys("looking at", &node.path(), e))?;
        now = Some(of_stat(&stat));
    }
    let mut policy = sink.options.policy;
    let mut wanted = *wanted;
    if !policy.mode {
        // Only what we changed ourselves to get in is undone; new directories stay private, as Kopia leaves them.
        match existed {
            Some(existed) => wanted.mode = existed.mode,
            None => wanted.mode = 0o700,
        }
        policy.mode = true;
    }
    // Powers of another may be refused each time: they alone are no change.
    if policy.mode && existed.is_some_and(|existed| (existed.mode ^ wanted.mode) & 0o1777 != 0) {
        sink.changing();
    }
    let place = (device(node), Kind::Directory);
    set(sink, place, &policy, &Opened(&handle.fd), &wanted, now.as_ref(), &|| node.path())
}

/// What a file has now.
#[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
pub(super) fn of_stat(stat: &Stat) -> Attributes {
    let ns = (stat.st_mtime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64);
    Attributes { mode: stat.st_mode as u32 & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime_ns: ns }
}

fn set(
    sink: &Sink,
    place: Place,
    policy: &AttributePolicy,
    subject: &impl Subject,
    wanted: &Attributes,
    now: Option<&Attributes>,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let mut issues = Vec::new();
    let mut mode = wanted.mode & 0o7777;
    let owner = policy.owner_of(wanted);
    let known = sink.swallowing.known(place.0, place.1);
    // What something has of which that is not known, where setting it will tell whether that has an effect.
    let asks_mode = sink.options.policy.mode && place.1 != Kind::Link;
    let mtime_ns = policy.times.then_some(wanted.mtime_ns);
    let to_do = Done { owner, mode: asks_mode.then_some(mode), mtime_ns };
    let looks_before = now.is_none() && known.is_unsure(&to_do);
    let before = if looks_before { subject.stat().ok().map(|stat| of_stat(&stat)) } else { now.copied() };
    let (mut done, mut refused) = (Done::default(), Refused::default());
    if let Some((uid, gid)) = owner.filter(|o| now.is_none_or(|n| (n.uid, n.gid) != *o)) {
        // An ID of all ones means "leave it" to the kernel.
        let valid = uid != u32::MAX && gid != u32::MAX;
        let result =
            if valid { subject.chown(Uid::from_raw(uid), Gid::from_raw(gid)) } else { Err(Errno::INVAL) };
        if tolerate(result, || format!("owner {uid}:{gid}"), &mut issues, "changing the owner of", shown)? {
            done.owner = Some((uid, gid));
            sink.changing();
        } else {
            refused.owner = true;
            // Whoever owns it now must not get somebody else's powers.
            mode &= !0o6000;
        }
    }
    let wanted_mode = if policy.mode { Some(mode) } else { None };
    // The kernel drops setuid and setgid when the owner changes.
    let same_mode = |m: &u32| now.is_some_and(|n| n.mode == *m) && !(done.owner.is_some() && m & 0o6000 != 0);
    if let Some(mode) = wanted_mode.filter(|m| !same_mode(m))
        && let Some(result) = subject.chmod(Mode::from_raw_mode(mode as _))
    {
        if tolerate(result, || format!("mode {mode:04o}"), &mut issues, "changing the mode of", shown)? {
            // A directory may only be closed again; whether it changes is known there.
            if place.1 != Kind::Directory {
                sink.changing();
            }
            // What nobody asked for need not be right.
            done.mode = Some(mode).filter(|_| sink.options.policy.mode);
        } else {
            refused.mode = true;
        }
    }
    if policy.times && now.is_none_or(|n| n.mtime_ns != wanted.mtime_ns) {
        let result = subject.utimes(&times(wanted.mtime_ns));
        if tolerate(result, || "modification time".into(), &mut issues, "changing the time of", shown)? {
            done.mtime_ns = Some(wanted.mtime_ns);
            sink.changing();
        } else {
            refused.time = true;
        }
    }
    if !issues.is_empty() {
        sink.swallowing.refused(place.0, place.1, refused);
    }
    let ignored = if known.is_unsure(&done) {
        let after = subject.stat().map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        sink.swallowing.learn(place, &done, before.as_ref(), &of_stat(&after))
    } else {
        known.ignored(&done)
    };
    issues.extend(ignored.into_iter().map(|message| FidelityIssue { path: shown(), message }));
    Ok(issues)
}

/// Some systems do not let us, or cannot hold the value: worth a remark, not a failure.
fn tolerate(
    result: Result<(), Errno>,
    what: impl Fn() -> String,
    issues: &mut Vec<FidelityIssue>,
    operation: &'static str,
    shown: &impl Fn() -> String,
) -> Result<bool, SinkError> {
    match result {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::OVERFLOW)) => {
            let message = format!("{} could not be set: {}", what(), std::io::Error::from(errno));
            issues.push(FidelityIssue { path: shown(), message });
            Ok(false)
        }
        Err(e) => Err(SinkError::sys(operation, &shown(), e)),
    }
}

fn times(ns: i64) -> Timestamps {
    let time = Timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) as _ };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets the modification time alone.
pub(super) fn set_time(file: &impl std::os::fd::AsFd, ns: i64) -> Result<(), Errno> {
    rustix::fs::futimens(file, &times(ns))
}

/// The mode of a new file whose recorded mode is not wanted: what was private must not become readable for all.
pub(super) const PLAIN_FILE_MODE: u32 = 0o600;
