//! Compares the plaintext of contents with their IDs: each is hashed beside those before it.
//!
//! One hash of these families leaves most of a wide register's time unused; four take little longer than one. What is
//! left of the longest waits for the next contents.

use std::collections::VecDeque;

use rekopia_format::ContentId;
use rekopia_format::hashing::{HashStream, KeyedHash};

/// Hashes contents side by side; a `T` comes back with each answer.
pub(crate) struct Verifier<'a, T> {
    hash: &'a KeyedHash,
    held: Vec<Held<T>>,
    /// Pages whose bytes are hashed.
    free: Vec<Page>,
}

/// A content of which a rest is not hashed yet.
struct Held<T> {
    content: ContentId,
    stream: HashStream,
    rest: VecDeque<Page>,
    /// Bytes of the first page that are hashed.
    at: usize,
    /// Bytes that are not hashed yet.
    left: usize,
    token: T,
}

type Page = Box<[u8]>;

/// Bytes of a page: each is given back as soon as it is hashed.
const PAGE: usize = 64 << 10;
/// Contents that wait for others at most.
const MAX_HELD: usize = 3;
/// Bytes that wait at most.
const MAX_BYTES: usize = 6 << 20;

impl<'a, T> Verifier<'a, T> {
    /// Makes a verifier; `None` where contents side by side take as long as one after the other.
    pub(crate) fn new(hash: &'a KeyedHash) -> Option<Self> {
        (hash.width() > MAX_HELD).then(|| Verifier { hash, held: Vec::new(), free: Vec::new() })
    }

    /// Takes the plaintext of a content; calls `answer` for those that are known now, with whether they are right.
    pub(crate) fn push(
        &mut self,
        content: ContentId,
        mut plain: &[u8],
        token: T,
        mut answer: impl FnMut(T, bool),
    ) {
        let mut stream = self.hash.start();
        while !plain.is_empty() && !self.has_room(plain.len()) {
            let done = self.step(Some((&mut stream, plain)), &mut answer);
            plain = plain.get(done..).unwrap_or_default();
        }
        let mut rest = VecDeque::new();
        for piece in plain.chunks(PAGE) {
            let mut page = self.free.pop().unwrap_or_else(|| vec![0; PAGE].into_boxed_slice());
            page[..piece.len()].copy_from_slice(piece);
            rest.push_back(page);
        }
        let new = Held { content, stream, rest, at: 0, left: plain.len(), token };
        if plain.is_empty() { new.answer(&mut answer) } else { self.held.push(new) }
    }

    /// Ends the contents that wait for others.
    pub(crate) fn finish(mut self, mut answer: impl FnMut(T, bool)) {
        while !self.held.is_empty() {
            self.step(None, &mut answer);
        }
    }

    fn has_room(&self, len: usize) -> bool {
        let waiting: usize = self.held.iter().map(|held| held.left).sum();
        self.held.len() < MAX_HELD && waiting.saturating_add(len) <= MAX_BYTES
    }

    /// Hashes a piece of all that wait, and one as long of `beside`; returns its length.
    fn step(&mut self, beside: Option<(&mut HashStream, &[u8])>, answer: &mut impl FnMut(T, bool)) -> usize {
        let pieces = self.held.iter().map(|held| held.left.min(PAGE - held.at));
        let len = pieces.chain(beside.iter().map(|(_, plain)| plain.len())).min().unwrap_or(0);
        let held = self.held.iter_mut().filter_map(|held| {
            let piece = held.rest.front()?.get(held.at..held.at + len)?;
            Some((&mut held.stream, piece))
        });
        HashStream::update_many(held.chain(beside.map(|(stream, plain)| (stream, &plain[..len]))));
        for held in &mut self.held {
            (held.at, held.left) = (held.at + len, held.left - len);
            if held.at == PAGE || held.left == 0 {
                self.free.extend(held.rest.pop_front());
                held.at = 0;
            }
        }
        self.held.extract_if(.., |held| held.left == 0).for_each(|held| held.answer(answer));
        len
    }
}

impl<T> Held<T> {
    fn answer(self, answer: &mut impl FnMut(T, bool)) {
        answer(self.token, self.content.names(&self.stream.finish()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rekopia_format::hashing::HashAlgorithm;

    use super::*;

    /// Returns short lengths, and lengths around that of a page.
    fn lens() -> impl Strategy<Value = usize> {
        prop_oneof![0usize..3000, PAGE - 200..2 * PAGE + 200]
    }

    proptest! {
        #[test]
        fn each_content_is_answered_once_and_truly(
            contents in proptest::collection::vec((lens(), any::<bool>()), 0..30)
        ) {
            let hash = KeyedHash::new(HashAlgorithm::Blake2b256_128, b"key").unwrap();
            let mut verifier = Verifier { hash: &hash, held: Vec::new(), free: Vec::new() };
            let mut answers = Vec::new();
            for (n, (len, is_right)) in contents.iter().enumerate() {
                let plain = vec![n as u8; *len];
                let named = if *is_right { plain.clone() } else { vec![0xff; len + 1] };
                let id = ContentId::new(0, &hash.hash(&named)).unwrap();
                verifier.push(id, &plain, n, |n, is_right| answers.push((n, is_right)));
                prop_assert!(answers.len() + MAX_HELD > n, "too many wait");
                let waiting: usize = verifier.held.iter().map(|held| held.left).sum();
                let pages: usize = verifier.held.iter().map(|held| held.rest.len()).sum();
                prop_assert!(pages * PAGE < waiting + 2 * MAX_HELD * PAGE, "{pages} pages for {waiting} bytes");
            }
            verifier.finish(|n, is_right| answers.push((n, is_right)));
            answers.sort_unstable();
            let expected: Vec<_> = contents.iter().map(|(_, is_right)| *is_right).enumerate().collect();
            prop_assert_eq!(answers, expected);
        }
    }

    #[test]
    fn what_is_too_long_does_not_wait() {
        let hash = KeyedHash::new(HashAlgorithm::Blake2b256_128, b"key").unwrap();
        let mut verifier = Verifier { hash: &hash, held: Vec::new(), free: Vec::new() };
        let long = vec![7; MAX_BYTES + 1];
        let id = ContentId::new(0, &hash.hash(&long)).unwrap();
        let mut answers = Vec::new();
        verifier.push(id, &long, "long", |token, is_right| answers.push((token, is_right)));
        assert_eq!(answers, [("long", true)]);
    }
}
