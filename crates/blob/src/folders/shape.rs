//! Describes a layout of blobs below a root, as it was seen (§1.3).

use rekopia_format::BlobId;

/// A way in which blobs have been seen to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Lengths of the folders' names.
    pub(crate) lens: Vec<usize>,
    /// Whether names end with `.f`.
    pub(crate) suffix: bool,
}

impl Shape {
    /// Returns the path below the root; `None` where such a name has no place in this layout.
    pub(crate) fn path(&self, id: &BlobId) -> Option<String> {
        let (mut path, mut rest) = (String::new(), id.as_str());
        for len in &self.lens {
            let Some((folder, after)) = rest.split_at_checked(*len).filter(|(_, after)| !after.is_empty())
            else {
                break;
            };
            if folder.is_empty() || folder.bytes().all(|b| b == b'.') {
                return None;
            }
            path.push_str(folder);
            path.push('/');
            rest = after;
        }
        path.push_str(rest);
        path.push_str(if self.suffix { ".f" } else { "" });
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_gives_the_path_that_it_was_seen_in() {
        let id = |text: &str| BlobId::parse(text).unwrap();
        let path = |lens: &[usize], suffix, text: &str| Shape { lens: lens.to_vec(), suffix }.path(&id(text));
        let pack = "p81411ac55c280560319f34a78147f19e";
        assert_eq!(path(&[], false, pack).unwrap(), pack);
        assert_eq!(path(&[1, 3], true, pack).unwrap(), "p/814/11ac55c280560319f34a78147f19e.f");
        assert_eq!(path(&[3, 3], false, pack).unwrap(), "p81/411/ac55c280560319f34a78147f19e");
        assert_eq!(path(&[3, 3], true, "xe1").unwrap(), "xe1.f");
        assert_eq!(path(&[2], true, "..x"), None);
    }
}
