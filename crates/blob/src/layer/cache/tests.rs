//! The cache around a storage in memory that counts.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rekopia_format::Time;

use super::*;

#[derive(Default)]
struct Memory {
    blobs: Mutex<BTreeMap<String, (Vec<u8>, i64)>>,
    reads: AtomicU64,
}

impl BlobReader for Memory {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        _: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let blobs = self.blobs.lock().unwrap();
        let blob = &blobs[id.as_str()].0;
        let range = range.unwrap_or(0..blob.len() as u64);
        let bytes = blob[range.start as usize..range.end as usize].to_vec();
        Box::pin(async { Ok(bytes) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        let blobs = self.blobs.lock().unwrap();
        let found = blobs.iter().filter(|(name, _)| name.starts_with(prefix));
        let info = |(name, (data, time)): (&String, &(Vec<u8>, i64))| BlobInfo {
            id: BlobId::parse(name).unwrap(),
            len: data.len() as u64,
            modified: Time::from_unix_nanos(*time),
        };
        let found: Vec<_> = found.map(info).collect();
        Box::pin(async { Ok(found) })
    }

    fn stat<'a>(&'a self, _: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        panic!("nobody asks")
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.list(prefix).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 4, gap: 0, local: false }
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

struct Setting {
    memory: Arc<Memory>,
    dir: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        Setting { memory: Arc::default(), dir: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, data: &[u8], time: i64) {
        self.memory.blobs.lock().unwrap().insert(name.into(), (data.to_vec(), time));
    }

    fn cache(&self, max_bytes: u64) -> Option<Cache> {
        let inner: Arc<dyn BlobReader> = Arc::clone(&self.memory) as _;
        Cache::around(&inner, &CacheOptions { dir: self.dir.path().join("cache"), max_bytes })
    }

    /// Reads, and says how many of the reads reached the storage.
    async fn reads(&self, cache: &Cache, wanted: &[(&str, Option<Range<u64>>)]) -> u64 {
        let before = self.memory.reads.load(Ordering::Relaxed);
        for (name, range) in wanted {
            let id = BlobId::parse(name).unwrap();
            let got = cache.read(&id, range.clone(), vec![7; 3]).await.unwrap();
            let blobs = self.memory.blobs.lock().unwrap();
            let whole = &blobs[*name].0;
            let range = range.clone().unwrap_or(0..whole.len() as u64);
            assert_eq!(got, whole[range.start as usize..range.end as usize], "{name} {range:?}");
        }
        self.memory.reads.load(Ordering::Relaxed) - before
    }

    /// Returns every file in the cache.
    fn files(&self) -> Vec<PathBuf> {
        fn below(dir: &Path, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { below(&path, into) } else { into.push(path) }
            }
        }
        let mut files = Vec::new();
        below(&self.dir.path().join("cache"), &mut files);
        files.sort();
        files
    }
}

#[tokio::test]
async fn metadata_is_read_once_and_nothing_else_is_kept() {
    let s = Setting::new();
    let (data, all) = ((0..=255).collect::<Vec<u8>>(), |name| (name, None));
    for name in ["xn0_a", "n1", "m2", "q3", "p4", "kopia.repository", "_log"] {
        s.put(name, &data, 5);
    }
    let metadata = [all("xn0_a"), all("n1"), all("m2"), ("q3", Some(10..90))];
    let others = [
        all("q3"),
        all("p4"),
        ("p4", Some(0..9)),
        all("kopia.repository"),
        all("_log"),
        ("xn0_a", Some(1..2)),
    ];
    let cache = s.cache(1 << 20).unwrap();
    assert_eq!(s.reads(&cache, &metadata).await, 4);
    assert_eq!(s.reads(&cache, &metadata).await, 0);
    assert_eq!((s.reads(&cache, &others).await, s.reads(&cache, &others).await), (6, 6));
    // Another process, and parts of what is kept.
    let cache = s.cache(1 << 20).unwrap();
    assert_eq!(s.reads(&cache, &metadata).await, 0);
    assert_eq!(s.reads(&cache, &[("q3", Some(10..11)), ("q3", Some(20..90)), ("q3", Some(10..91))]).await, 1);
    for file in s.files() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    }
}

#[tokio::test]
async fn what_is_damaged_is_read_anew() {
    let s = Setting::new();
    let data = vec![0x55; 1000];
    let wanted = [("xn0_a", None), ("xn0_b", None), ("q3", Some(100..900))];
    wanted.iter().for_each(|(name, _)| s.put(name, &data, 5));
    s.put("xn0_b", &[0x66; 1000], 5);
    s.reads(&s.cache(1 << 20).unwrap(), &wanted).await;
    let kept: Vec<_> = s.files().into_iter().map(|f| (f.clone(), std::fs::read(f).unwrap())).collect();
    assert_eq!(kept.len(), 3);
    type Damage = fn(&Path, &[u8]);
    let damages: [(&str, Damage); 9] = [
        ("emptied", |f, _| std::fs::write(f, "").unwrap()),
        ("cut in its head", |f, d| std::fs::write(f, &d[..20]).unwrap()),
        ("cut", |f, d| std::fs::write(f, &d[..d.len() - 1]).unwrap()),
        ("longer", |f, d| std::fs::write(f, [d, b"x"].concat()).unwrap()),
        ("zeros", |f, d| std::fs::write(f, vec![0; d.len()]).unwrap()),
        ("one bit", |f, d| {
            let mut d = d.to_vec();
            *d.last_mut().unwrap() ^= 1;
            std::fs::write(f, d).unwrap();
        }),
        ("gone", |f, _| std::fs::remove_file(f).unwrap()),
        ("a directory", |f, _| {
            std::fs::remove_file(f).unwrap();
            std::fs::create_dir(f).unwrap();
        }),
        ("a link", |f, d| {
            let aside = f.with_file_name(".aside");
            std::fs::write(&aside, d).unwrap();
            std::fs::remove_file(f).unwrap();
            symlink(aside, f).unwrap();
        }),
    ];
    for (what, damage) in damages {
        kept.iter().for_each(|(file, data)| damage(file, data));
        let reads = s.reads(&s.cache(1 << 20).unwrap(), &wanted).await;
        assert_eq!(reads, 3, "{what}");
        for (file, data) in &kept {
            let _ = std::fs::remove_dir(file);
            let _ = std::fs::remove_file(file);
            std::fs::write(file, data).unwrap();
        }
        assert_eq!(s.reads(&s.cache(1 << 20).unwrap(), &wanted).await, 0, "{what}: it was put back");
    }
    // A blob's bytes stand under another blob's name.
    std::fs::copy(&kept[1].0, &kept[2].0).unwrap();
    assert_eq!(s.reads(&s.cache(1 << 20).unwrap(), &wanted).await, 1);
}

#[tokio::test]
async fn the_listing_has_the_last_word() {
    let s = Setting::new();
    s.put("xn0_a", b"one", 5);
    let cache = s.cache(1 << 20).unwrap();
    cache.list("x").await.unwrap();
    assert_eq!(
        (s.reads(&cache, &[("xn0_a", None)]).await, s.reads(&cache, &[("xn0_a", None)]).await),
        (1, 0)
    );
    for (data, time) in [(b"two".as_slice(), 6), (b"three", 6)] {
        s.put("xn0_a", data, time);
        let cache = s.cache(1 << 20).unwrap();
        cache.list("x").await.unwrap();
        assert_eq!(s.reads(&cache, &[("xn0_a", None)]).await, 1, "a blob that was replaced");
    }
}

#[tokio::test]
async fn it_stays_within_its_bound() {
    let s = Setting::new();
    let names: Vec<String> = (0..200).map(|n| format!("xn0_{n:04}")).collect();
    names.iter().for_each(|name| s.put(name, &[0x33; 1000], 5));
    s.put("xn0_large", &[0x33; 20_000], 5);
    let size = || s.files().iter().map(|f| f.metadata().unwrap().len()).sum::<u64>();
    let cache = s.cache(50_000).unwrap();
    for name in &names {
        s.reads(&cache, &[(name, None), ("xn0_large", None)]).await;
        assert!(size() <= 50_000, "{name}: {}", size());
    }
    assert!(size() > 40_000, "{}", size());
    // The newest are there.
    assert_eq!(s.reads(&cache, &[(&names[199], None), (&names[190], None)]).await, 0);
    // Another process with a smaller bound.
    s.reads(&s.cache(16_000).unwrap(), &[(&names[0], None)]).await;
    assert!(size() <= 16_000, "{}", size());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_only_warned_of() {
    let s = Setting::new();
    s.put("xn0_a", b"one", 5);
    let path = s.dir.path().join("cache");
    std::fs::write(&path, "a file").unwrap();
    assert!(s.cache(1 << 20).is_none());
    std::fs::remove_file(&path).unwrap();
    // Others may write: then anything may be in it.
    let cache = s.cache(1 << 20).unwrap();
    let below = std::fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&below, PermissionsExt::from_mode(0o770)).unwrap();
    assert!(s.cache(1 << 20).is_none());
    // The folder vanishes meanwhile.
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(s.reads(&cache, &[("xn0_a", None), ("xn0_a", None)]).await, 2);
}

#[tokio::test]
async fn what_killed_processes_left_is_removed() {
    let s = Setting::new();
    drop(s.cache(1 << 20).unwrap());
    let below = std::fs::read_dir(s.dir.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    for (name, age_s) in [(".new-1-0", 7200), (".new-2-0", 60)] {
        let file = std::fs::File::create(below.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(age_s)).unwrap();
    }
    drop(s.cache(1 << 20).unwrap());
    assert_eq!(s.files(), [below.join(".new-2-0")], "the other one may still be written");
}
