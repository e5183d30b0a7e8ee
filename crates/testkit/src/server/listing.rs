//! Makes pages of a list of objects, as S3 gives them.

use std::collections::BTreeMap;

use s3s::dto;

use super::buckets::Object;

/// An answer to a list request.
#[derive(Default)]
pub(super) struct Page {
    pub(super) objects: Vec<dto::Object>,
    pub(super) folders: Vec<dto::CommonPrefix>,
    /// The place where the next page goes on, when there is one.
    pub(super) next: Option<String>,
}

/// Lists the objects and folders under a prefix, from where an earlier page ended; at most so many.
pub(super) fn list(
    objects: &BTreeMap<String, Object>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
    most: usize,
) -> Page {
    let mut page = Page::default();
    // Some clients say "none" with an empty one.
    let delimiter = delimiter.filter(|d| !d.is_empty());
    let start = after.filter(|after| *after > prefix).unwrap_or(prefix);
    let mut last: Option<&str> = None;
    for (key, object) in objects.range(start.to_owned()..).take_while(|(key, _)| key.starts_with(prefix)) {
        let below = &key[prefix.len()..];
        let folder = delimiter.and_then(|d| below.find(d).map(|at| &key[..prefix.len() + at + d.len()]));
        let name = folder.unwrap_or(key);
        // All objects of a folder are one line, which an earlier page may have had.
        if last == Some(name) || after.is_some_and(|after| name <= after) {
            continue;
        }
        if page.objects.len() + page.folders.len() == most {
            page.next = last.map(str::to_owned);
            break;
        }
        last = Some(name);
        match folder {
            Some(folder) => page.folders.push(dto::CommonPrefix { prefix: Some(folder.to_owned()) }),
            None => page.objects.push(dto::Object {
                key: Some(key.clone()),
                size: i64::try_from(object.len()).ok(),
                last_modified: Some(object.modified().into()),
                e_tag: Some(object.etag()),
                ..Default::default()
            }),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn lists_go_on_where_they_stopped() {
        let object = Object::in_memory(bytes::Bytes::new(), SystemTime::UNIX_EPOCH);
        let keys = ["a", "data/00/x", "data/00/y", "data/01/z", "data2", "index/1", "k"];
        let objects: BTreeMap<String, Object> =
            keys.iter().map(|key| ((*key).to_owned(), object.clone())).collect();
        let all = |prefix: &str, delimiter: Option<&str>, most: usize| {
            let (mut found, mut next) = (Vec::new(), None);
            loop {
                let page = list(&objects, prefix, delimiter, next.as_deref(), most);
                assert!(page.objects.len() + page.folders.len() <= most);
                found.extend(page.objects.into_iter().filter_map(|object| object.key));
                found.extend(page.folders.into_iter().filter_map(|folder| folder.prefix));
                next = page.next;
                if next.is_none() {
                    found.sort();
                    return found;
                }
            }
        };
        for most in [1, 2, 3, 1000] {
            assert_eq!(all("", None, most), keys);
            assert_eq!(all("", Some(""), most), keys);
            assert_eq!(all("", Some("/"), most), ["a", "data/", "data2", "index/", "k"]);
            assert_eq!(all("data/", Some("/"), most), ["data/00/", "data/01/"]);
            assert_eq!(all("data/00", None, most), ["data/00/x", "data/00/y"]);
            assert!(all("z", None, most).is_empty());
        }
    }
}
