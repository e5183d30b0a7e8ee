//! Sets owner, then mode, then times; what cannot be set is reported, what is right already is not touched.

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::attributes::{AttributePolicy, Attributes, FidelityIssue};
use super::error::SinkError;
use super::existing::{Existing, ExistingKind};
use super::handles::DirHandle;
use super::node::DirNode;
use super::state::Sink;
use super::subject::{Link, Opened, Subject};
use super::swallowed::{Done, Kind, Refused};

/// The device and kind of an entry: what its file system makes of attributes is found out once for each.
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

/// Sets the attributes of a file that we made in `node`, private at first: it gets a mode whatever is restored.
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

/// Sets the attributes of a symbolic link.
pub(super) fn set_link(
    sink: &Sink,
    (node, dir): (&DirNode, &DirHandle),
    name: &str,
    wanted: &Attributes,
    existing: Option<&Existing>,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let now = existing.filter(|e| e.kind == ExistingKind::Symlink).map(|e| &e.attributes);
    set(sink, (device(node), Kind::Link), &sink.options.policy, &Link(dir, name), wanted, now, shown)
}

/// Returns the device of a directory that was opened.
fn device(node: &DirNode) -> u64 {
    node.opened().map_or(0, |opened| opened.dev)
}

/// Sets the attributes of a directory that is finished. A root that is not ours is left alone.
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
        now = Some(Attributes::of(&stat));
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

fn set(
    sink: &Sink,
    place: Place,
    policy: &AttributePolicy,
    subject: &impl Subject,
    wanted: &Attributes,
    now: Option<&Attributes>,
    shown: &impl Fn() -> String,
) -> Result<Vec<FidelityIssue>, SinkError> {
    let known = sink.swallowing.known(place.0, place.1);
    // What something has of which that is not known, where setting it will tell whether that has an effect.
    let asks_mode = sink.options.policy.mode && place.1 != Kind::Link;
    let to_do = Done {
        owner: policy.owner_of(wanted),
        mode: asks_mode.then_some(wanted.mode & 0o7777),
        mtime_ns: policy.times.then_some(wanted.mtime_ns),
    };
    let looks_before = now.is_none() && known.is_unsure(&to_do);
    let before =
        if looks_before { subject.stat().ok().map(|stat| Attributes::of(&stat)) } else { now.copied() };
    let mut change = Change { sink, place, policy, subject, now, shown, issues: Vec::new() };
    let (done, refused) = change.all(wanted)?;
    let mut issues = change.issues;
    if !issues.is_empty() {
        sink.swallowing.refused(place.0, place.1, refused);
    }
    let ignored = if known.is_unsure(&done) {
        let after = subject.stat().map_err(|e| SinkError::sys("looking at", &shown(), e))?;
        sink.swallowing.learn(place, &done, before.as_ref(), &Attributes::of(&after))
    } else {
        known.ignored(&done)
    };
    issues.extend(ignored.into_iter().map(|message| FidelityIssue::new(shown(), message)));
    Ok(issues)
}

/// A change of attributes while it is made.
struct Change<'a, S, F> {
    sink: &'a Sink,
    place: Place,
    policy: &'a AttributePolicy,
    subject: &'a S,
    now: Option<&'a Attributes>,
    shown: &'a F,
    issues: Vec<FidelityIssue>,
}

impl<S: Subject, F: Fn() -> String> Change<'_, S, F> {
    /// Sets what is not right already: owner, then mode, then time. Returns what was set, and what was refused.
    fn all(&mut self, wanted: &Attributes) -> Result<(Done, Refused), SinkError> {
        let (now, mut done, mut refused) = (self.now, Done::default(), Refused::default());
        let mut mode = wanted.mode & 0o7777;
        let owner = self.policy.owner_of(wanted);
        if let Some((uid, gid)) = owner.filter(|o| now.is_none_or(|n| (n.uid, n.gid) != *o)) {
            if self.owner(uid, gid)? {
                done.owner = Some((uid, gid));
                self.sink.changing();
            } else {
                refused.owner = true;
                // The new owner must not get somebody else's powers.
                mode &= !0o6000;
            }
        }
        let wanted_mode = if self.policy.mode { Some(mode) } else { None };
        // The kernel drops setuid and setgid when the owner changes.
        let same_mode =
            |m: &u32| now.is_some_and(|n| n.mode == *m) && !(done.owner.is_some() && m & 0o6000 != 0);
        if let Some(mode) = wanted_mode.filter(|m| !same_mode(m))
            && let Some(is_set) = self.mode(mode)?
        {
            // What nobody asked for need not be right.
            done.mode = Some(mode).filter(|_| is_set && self.sink.options.policy.mode);
            refused.mode = !is_set;
        }
        if self.policy.times && now.is_none_or(|n| n.mtime_ns != wanted.mtime_ns) {
            let result = self.subject.utimes(&times(wanted.mtime_ns));
            if self.tolerate(result, || "modification time".into(), "changing the time of")? {
                done.mtime_ns = Some(wanted.mtime_ns);
                self.sink.changing();
            } else {
                refused.time = true;
            }
        }
        Ok((done, refused))
    }

    fn owner(&mut self, uid: u32, gid: u32) -> Result<bool, SinkError> {
        // An ID of all ones means "leave it" to the kernel.
        let valid = uid != u32::MAX && gid != u32::MAX;
        let result = match valid {
            true => self.subject.chown(Uid::from_raw(uid), Gid::from_raw(gid)),
            false => Err(Errno::INVAL),
        };
        self.tolerate(result, || format!("owner {uid}:{gid}"), "changing the owner of")
    }

    /// Sets the mode; `None`: the subject has no mode of its own.
    fn mode(&mut self, mode: u32) -> Result<Option<bool>, SinkError> {
        let Some(result) = self.subject.chmod(Mode::from_raw_mode(mode as _)) else { return Ok(None) };
        let is_set = self.tolerate(result, || format!("mode {mode:04o}"), "changing the mode of")?;
        // A directory may only be closed again; whether it changes is known there.
        if is_set && self.place.1 != Kind::Directory {
            self.sink.changing();
        }
        Ok(Some(is_set))
    }

    /// Tolerates a refusal: some systems do not let us, or cannot hold the value: worth a remark, not a failure.
    fn tolerate(
        &mut self,
        result: Result<(), Errno>,
        what: impl Fn() -> String,
        operation: &'static str,
    ) -> Result<bool, SinkError> {
        match result {
            Ok(()) => Ok(true),
            Err(
                errno @ (Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::OVERFLOW),
            ) => {
                let message = format!("{} could not be set: {}", what(), std::io::Error::from(errno));
                self.issues.push(FidelityIssue::new((self.shown)(), message));
                Ok(false)
            }
            Err(e) => Err(SinkError::sys(operation, &(self.shown)(), e)),
        }
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
