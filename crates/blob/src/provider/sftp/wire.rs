//! Speaks version 3 of the SFTP protocol, as far as a reader needs it (draft-ietf-secsh-filexfer-02, pure).
//!
//! Handles and names are bytes: servers number their handles in binary, and names of other people's files may be in any
//! encoding.

use bytes::{Buf, BufMut, Bytes};

/// Bytes of the longest packet: longer ones are refused before anything is allocated.
pub(super) const MAX_PACKET: u32 = 1 << 20;
/// The status of a read that begins behind the end, and of a folder that has no more members.
pub(super) const EOF: u32 = 1;
/// The status `SSH_FX_NO_SUCH_FILE`.
pub(super) const NO_SUCH_FILE: u32 = 2;
/// The status `SSH_FX_PERMISSION_DENIED`.
pub(super) const PERMISSION_DENIED: u32 = 3;
/// The status `SSH_FX_FAILURE`.
pub(super) const FAILURE: u32 = 4;
/// The statuses `SSH_FX_NO_CONNECTION` and `SSH_FX_CONNECTION_LOST`.
pub(super) const NO_CONNECTION: std::ops::RangeInclusive<u32> = 6..=7;

/// A question of a reader.
#[derive(Debug, Clone)]
pub(super) enum Ask<'a> {
    Open(&'a str),
    Close(&'a [u8]),
    Read { handle: &'a [u8], offset: u64, len: u32 },
    Fstat(&'a [u8]),
    Stat(&'a str),
    OpenFolder(&'a str),
    ReadFolder(&'a [u8]),
    Limits,
}

/// An answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Status {
        code: u32,
        message: String,
    },
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<Named>),
    Attributes(Attributes),
    /// The answer to `limits@openssh.com`: the longest read.
    Extended(Bytes),
}

/// A member of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Bytes,
    pub(super) attributes: Attributes,
}

/// The facts about a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) len: Option<u64>,
    /// The mode, with the bits of the file's kind.
    pub(super) mode: Option<u32>,
    /// The modification time, in seconds since 1970.
    pub(super) modified: Option<u32>,
}

/// The reason why a packet is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("a packet ends too early")]
    Short,
    #[error("a packet of an unknown kind")]
    Kind,
}

impl Attributes {
    const KIND: u32 = 0o170_000;

    pub(super) fn is_folder(&self) -> Option<bool> {
        self.mode.map(|mode| mode & Self::KIND == 0o040_000)
    }

    /// Whether the file is known to be neither a file nor a folder: a pipe, a device, a socket.
    pub(super) fn is_special(&self) -> bool {
        self.mode.is_some_and(|mode| !matches!(mode & Self::KIND, 0o100_000 | 0o040_000 | 0))
    }

    /// Whether the file leads elsewhere, or its kind is not said.
    pub(super) fn is_unclear(&self) -> bool {
        self.mode.is_none_or(|mode| matches!(mode & Self::KIND, 0o120_000 | 0))
    }

    pub(super) fn modified_ns(&self) -> i64 {
        self.modified.map_or(0, |seconds| i64::from(seconds) * 1_000_000_000)
    }

    fn parse(from: &mut Bytes) -> Result<Self, Error> {
        let flags = from.try_get_u32().map_err(|_| Error::Short)?;
        let mut number = |flag: u32| match flags & flag {
            0 => Ok(None),
            _ => from.try_get_u32().map(Some).map_err(|_| Error::Short),
        };
        // A length is two numbers.
        let (high, low) = (number(1)?, number(1)?);
        let len = high.zip(low).map(|(high, low)| u64::from(high) << 32 | u64::from(low));
        let _owner = (number(2)?, number(2)?);
        let mode = number(4)?;
        let (_accessed, modified) = (number(8)?, number(8)?);
        for _ in 0..number(0x8000_0000)?.unwrap_or(0) {
            let _extension = (string(from)?, string(from)?);
        }
        Ok(Attributes { len, mode, modified })
    }
}

/// Returns the first packet of a session.
pub(super) fn hello() -> Vec<u8> {
    vec![0, 0, 0, 5, 1, 0, 0, 0, 3]
}

/// Reads the server's first packet, without its length; returns its version, and whether it says how long a read may
/// be.
pub(super) fn parse_hello(mut packet: Bytes) -> Result<(u32, bool), Error> {
    if packet.try_get_u8() != Ok(2) {
        return Err(Error::Kind);
    }
    let version = packet.try_get_u32().map_err(|_| Error::Short)?;
    let mut limits = false;
    while packet.has_remaining() {
        let (name, _value) = (string(&mut packet)?, string(&mut packet)?);
        limits |= &name[..] == b"limits@openssh.com";
    }
    Ok((version, limits))
}

impl Ask<'_> {
    /// Returns the packet, with its length.
    pub(super) fn packet(&self, id: u32) -> Vec<u8> {
        let mut packet = vec![0; 4];
        let kind = match self {
            Ask::Open(_) => 3,
            Ask::Close(_) => 4,
            Ask::Read { .. } => 5,
            Ask::Fstat(_) => 8,
            Ask::OpenFolder(_) => 11,
            Ask::ReadFolder(_) => 12,
            Ask::Stat(_) => 17,
            Ask::Limits => 200,
        };
        packet.put_u8(kind);
        packet.put_u32(id);
        let mut put = |text: &[u8]| {
            packet.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
            packet.put_slice(text);
        };
        match self {
            Ask::Open(path) => {
                put(path.as_bytes());
                // For reading; no attributes.
                packet.put_u64(1 << 32);
            }
            Ask::Read { handle, offset, len } => {
                put(handle);
                packet.put_u64(*offset);
                packet.put_u32(*len);
            }
            Ask::Close(handle) | Ask::Fstat(handle) | Ask::ReadFolder(handle) => put(handle),
            Ask::Stat(path) | Ask::OpenFolder(path) => put(path.as_bytes()),
            Ask::Limits => put(b"limits@openssh.com"),
        }
        let len = u32::try_from(packet.len() - 4).unwrap_or(u32::MAX);
        packet[..4].copy_from_slice(&len.to_be_bytes());
        packet
    }
}

/// Reads a packet without its length; returns what was asked, and the answer.
pub(super) fn parse(mut packet: Bytes) -> Result<(u32, Answer), Error> {
    let from = &mut packet;
    let kind = from.try_get_u8().map_err(|_| Error::Short)?;
    let id = from.try_get_u32().map_err(|_| Error::Short)?;
    let answer = match kind {
        101 => {
            let code = from.try_get_u32().map_err(|_| Error::Short)?;
            // Old servers say nothing more.
            let message = string(from).unwrap_or_default();
            Answer::Status { code, message: plain(&message) }
        }
        102 => Answer::Handle(string(from)?),
        103 => Answer::Data(string(from)?),
        104 => {
            let count = from.try_get_u32().map_err(|_| Error::Short)?;
            let mut names = Vec::new();
            for _ in 0..count {
                let (name, _long_name) = (string(from)?, string(from)?);
                // A slice would keep the whole packet, however short the name is.
                let name = Bytes::copy_from_slice(&name);
                names.push(Named { name, attributes: Attributes::parse(from)? });
            }
            Answer::Names(names)
        }
        105 => Answer::Attributes(Attributes::parse(from)?),
        201 => Answer::Extended(packet),
        _ => return Err(Error::Kind),
    };
    Ok((id, answer))
}

/// Reads the answer to [`Ask::Limits`]; returns the longest read; 0: it does not say.
pub(super) fn longest_read(mut limits: Bytes) -> u64 {
    limits.try_get_u64().and_then(|_longest_packet| limits.try_get_u64()).unwrap_or(0)
}

fn string(from: &mut Bytes) -> Result<Bytes, Error> {
    let len = from.try_get_u32().map_err(|_| Error::Short)? as usize;
    if from.len() < len {
        return Err(Error::Short);
    }
    Ok(from.split_to(len))
}

/// Returns a server's or program's words, fit for a line of ours.
pub(super) fn plain(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    fn text(text: &[u8]) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
    }

    #[test]
    fn asks_as_the_draft_says() {
        let read = Ask::Read { handle: &[0, 0, 0, 200], offset: 1 << 33, len: 7 }.packet(9);
        let expected: &[u8] =
            &[0, 0, 0, 25, 5, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 200, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(read, expected);
        let open = Ask::Open("/x").packet(1);
        assert_eq!(open[..15], [0, 0, 0, 19, 3, 0, 0, 0, 1, 0, 0, 0, 2, b'/', b'x']);
        assert_eq!(open[15..], [0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn names_and_attributes_are_read_whatever_else_comes_with_them() {
        let attributes = [
            &0x8000_000f_u32.to_be_bytes()[..],
            &5_u64.to_be_bytes(),
            &[0; 8],
            &0o100_644_u32.to_be_bytes(),
            &[0; 4],
            &7_u32.to_be_bytes(),
            &1_u32.to_be_bytes(),
            &text(b"acl"),
            &text(b"none"),
        ]
        .concat();
        let two = packet(&[
            &[104, 0, 0, 0, 3, 0, 0, 0, 2],
            &text(b"\xff\xfe"),
            &text(b"-rw- \xff"),
            &attributes,
            &text(b"plain"),
            &text(b""),
            &[0; 4],
        ]);
        let Ok((3, Answer::Names(names))) = parse(two.clone()) else { panic!() };
        let known = names[0].attributes;
        assert_eq!(
            (known.len, known.is_folder(), known.modified_ns()),
            (Some(5), Some(false), 7_000_000_000)
        );
        assert!(!known.is_unclear() && names[1].attributes.is_unclear());
        assert_eq!((&names[0].name[..], &names[1].name[..]), (&b"\xff\xfe"[..], &b"plain"[..]));
        // Names do not hold what came with them.
        assert!(two.is_unique());
        for short in 1..two.len() {
            assert_eq!(parse(two.slice(..short)), Err(Error::Short), "{short}");
        }
    }

    /// A count or length that is not there costs nothing.
    #[test]
    fn lies_about_lengths_are_refused() {
        assert_eq!(parse(packet(&[&[104, 0, 0, 0, 3, 255, 255, 255, 255]])), Err(Error::Short));
        assert_eq!(parse(packet(&[&[103, 0, 0, 0, 3, 255, 255, 255, 255, 1]])), Err(Error::Short));
        assert_eq!(parse(packet(&[&[77, 0, 0, 0, 3]])), Err(Error::Kind));
        let status = packet(&[&[101, 0, 0, 0, 3, 0, 0, 0, 4], &text(b"bad\x1b[2J\nthing")]);
        let Ok((_, Answer::Status { code: FAILURE, message })) = parse(status) else { panic!() };
        assert_eq!(message, "bad [2J thing");
        let silent = Answer::Status { code: EOF, message: String::new() };
        assert_eq!(parse(packet(&[&[101, 0, 0, 0, 3, 0, 0, 0, 1]])), Ok((3, silent)));
    }

    #[test]
    fn a_server_says_what_it_can() {
        let hello = packet(&[&[2, 0, 0, 0, 3], &text(b"limits@openssh.com"), &text(b"1")]);
        assert_eq!(parse_hello(hello), Ok((3, true)));
        assert_eq!(parse_hello(packet(&[&[2, 0, 0, 0, 3]])), Ok((3, false)));
        assert_eq!(parse_hello(packet(&[b"Welcome!"])), Err(Error::Kind));
        let limits = [262_144_u64, 261_120, 261_120, 1019].map(u64::to_be_bytes).concat();
        assert_eq!(longest_read(limits.into()), 261_120);
        assert_eq!(longest_read(Bytes::new()), 0);
    }
}
