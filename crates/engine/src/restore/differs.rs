//! Says in words how an entry on the disk differs from the snapshot's (pure).

use crate::differs::Differs;
use crate::sink::{AttributePolicy, Attributes, ExistingKind};
use crate::text::shown_time;

/// Differences of one entry, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    pub(crate) kinds: Vec<Differs>,
    words: Vec<String>,
}

impl Differences {
    /// Makes the differences of an entry that differs in one way.
    pub(crate) fn one(kind: Differs, words: String) -> Self {
        let mut differences = Differences::default();
        differences.push(kind, words);
        differences
    }

    pub(crate) fn push(&mut self, kind: Differs, words: String) {
        self.kinds.push(kind);
        self.words.push(words);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Returns all differences in one line.
    pub(crate) fn sentence(&self) -> String {
        self.words.join("; ")
    }

    /// Adds what differs of the attributes that the policy wants. A link has no mode of its own.
    pub(crate) fn attributes(
        &mut self,
        found: &Attributes,
        wanted: &Attributes,
        policy: &AttributePolicy,
        is_link: bool,
    ) {
        if let Some((uid, gid)) = policy.owner_of(wanted)
            && (uid, gid) != (found.uid, found.gid)
        {
            self.push(Differs::Owner, format!("owner {}:{} instead of {uid}:{gid}", found.uid, found.gid));
        }
        let (is, mode) = (found.mode & 0o7777, wanted.mode & 0o7777);
        if policy.mode && !is_link && is != mode {
            self.push(Differs::Mode, format!("mode {is:04o} instead of {mode:04o}"));
        }
        if policy.times && found.mtime_ns != wanted.mtime_ns {
            let (is, was) = (shown_time(found.mtime_ns), shown_time(wanted.mtime_ns));
            self.push(Differs::Time, format!("changed {is} instead of {was}"));
        }
    }
}

/// Returns the words for another kind of thing.
pub(crate) fn other_kind(found: ExistingKind, wanted: &str) -> Differences {
    let is = match found {
        ExistingKind::File => "a file",
        ExistingKind::Symlink => "a symbolic link",
        ExistingKind::Directory => "a directory",
        ExistingKind::Special => "a special file",
    };
    Differences::one(Differs::Type, format!("{is} instead of {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::OwnerPolicy;

    const WANTED: Attributes = Attributes { mode: 0o644, uid: 1, gid: 2, mtime_ns: 5 };

    fn found(found: Attributes, is_link: bool) -> (Vec<Differs>, String) {
        let policy = AttributePolicy { owner: OwnerPolicy::Keep, mode: true, times: true };
        let mut differences = Differences::default();
        differences.attributes(&found, &WANTED, &policy, is_link);
        let sentence = differences.sentence();
        (differences.kinds, sentence)
    }

    #[test]
    fn each_attribute_counts() {
        assert!(found(WANTED, false).0.is_empty());
        let all = Attributes { mode: 0o4600, uid: 7, gid: 2, mtime_ns: 6 };
        let (kinds, sentence) = found(all, false);
        assert_eq!(kinds, [Differs::Owner, Differs::Mode, Differs::Time]);
        assert_eq!(
            sentence,
            "owner 7:2 instead of 1:2; mode 4600 instead of 0644; changed 1970-01-01T00:00:00.000000006Z instead of \
             1970-01-01T00:00:00.000000005Z"
        );
        assert_eq!(found(all, true).0, [Differs::Owner, Differs::Time]);
    }
}
