//! Plaintext of contents against their ids: each is hashed beside the one before it.
//!
//! One hash leaves most of a wide register's time unused, and two take about as long as one. What is left of the longer
//! of two waits for the next content.

use rekopia_format::ContentId;
use rekopia_format::hashing::{HashStream, KeyedHash};

/// Hashes contents in pairs; a `T` comes back with each answer.
pub(crate) struct Verifier<'a, T> {
    hash: &'a KeyedHash,
    held: Option<Held<T>>,
    /// For the next rest.
    buffer: Vec<u8>,
}

/// A content whose beginning is hashed.
struct Held<T> {
    content: ContentId,
    stream: HashStream,
    rest: Vec<u8>,
    /// Bytes of `rest` that are hashed.
    at: usize,
    token: T,
}

/// A longer rest is hashed alone: it would take more memory than it saves time.
const MAX_REST: usize = 8 << 20;

impl<'a, T> Verifier<'a, T> {
    /// `None` where a pair takes twice as long as one.
    pub(crate) fn new(hash: &'a KeyedHash) -> Option<Self> {
        hash.is_faster_in_pairs().then(|| Verifier { hash, held: None, buffer: Vec::new() })
    }

    /// Takes the plaintext of a content; `answer` is told of those that are known now, and whether they are right.
    pub(crate) fn push(
        &mut self,
        content: ContentId,
        plain: &[u8],
        token: T,
        mut answer: impl FnMut(T, bool),
    ) {
        let mut stream = self.hash.start();
        let mut rest = plain;
        if let Some(mut held) = self.held.take() {
            let left = held.rest.get(held.at..).unwrap_or_default();
            let both = left.len().min(plain.len());
            let (beside, alone) = plain.split_at(both);
            let pair = [(&mut held.stream, &left[..both]), (&mut stream, beside)];
            HashStream::update_many(pair.into_iter());
            (held.at, rest) = (held.at + both, alone);
            if held.at < held.rest.len() {
                self.held = Some(held);
            } else {
                self.answer(held, &mut answer);
            }
        }
        let mut new = Held { content, stream, rest: Vec::new(), at: 0, token };
        if rest.len() > MAX_REST {
            HashStream::update_many(std::iter::once((&mut new.stream, rest)));
            rest = &[];
        }
        if rest.is_empty() {
            return self.answer(new, &mut answer);
        }
        new.rest = std::mem::take(&mut self.buffer);
        new.rest.reserve_exact(rest.len());
        new.rest.extend_from_slice(rest);
        self.held = Some(new);
    }

    /// Ends the content that waits for another one.
    pub(crate) fn finish(mut self, mut answer: impl FnMut(T, bool)) {
        if let Some(mut held) = self.held.take() {
            let left = held.rest.get(held.at..).unwrap_or_default();
            HashStream::update_many(std::iter::once((&mut held.stream, left)));
            self.answer(held, &mut answer);
        }
    }

    fn answer(&mut self, held: Held<T>, answer: &mut impl FnMut(T, bool)) {
        if held.rest.capacity() > self.buffer.capacity() {
            self.buffer = held.rest;
            self.buffer.clear();
        }
        answer(held.token, *held.stream.finish() == *held.content.hash());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rekopia_format::hashing::HashAlgorithm;

    use super::*;

    proptest! {
        #[test]
        fn each_content_is_answered_once_and_truly(
            contents in proptest::collection::vec((0usize..3000, any::<bool>()), 0..30)
        ) {
            let hash = KeyedHash::new(HashAlgorithm::Blake2b256_128, b"key").unwrap();
            let mut verifier = Verifier { hash: &hash, held: None, buffer: Vec::new() };
            let mut answers = Vec::new();
            for (n, (len, is_right)) in contents.iter().enumerate() {
                let plain = vec![n as u8; *len];
                let named = if *is_right { plain.clone() } else { vec![0xff; len + 1] };
                let id = ContentId::new(0, &hash.hash(&named)).unwrap();
                verifier.push(id, &plain, n, |n, is_right| answers.push((n, is_right)));
                prop_assert!(answers.len() >= n, "one waits at most");
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
        let mut verifier = Verifier { hash: &hash, held: None, buffer: Vec::new() };
        let long = vec![7; MAX_REST + 1];
        let id = ContentId::new(0, &hash.hash(&long)).unwrap();
        let mut answers = Vec::new();
        verifier.push(id, &long, "long", |token, is_right| answers.push((token, is_right)));
        assert_eq!(answers, [("long", true)]);
    }
}
