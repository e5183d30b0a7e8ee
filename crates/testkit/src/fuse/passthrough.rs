//! Does the kernel's requests in the folder behind.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::faults::{Faults, Op};
use super::nodes::{Nodes, Open, by_inode, folded, list};

#[derive(Debug)]
pub(super) struct Passthrough {
    faults: Faults,
    nodes: Mutex<Nodes>,
}

/// Nothing is remembered by the kernel, so that a fault is felt at once.
const TTL: Duration = Duration::ZERO;
const ACCESS: OFlags = OFlags::WRONLY.union(OFlags::RDWR);

impl Passthrough {
    pub(super) fn new(backing: &Path, faults: &Faults) -> Result<Self, Errno> {
        Ok(Passthrough { faults: faults.clone(), nodes: Mutex::new(Nodes::new(backing)?) })
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation on a name in a directory: the directory, and the name as it is spelled there.
    fn at(&self, op: Op, parent: INodeNo, name: &OsStr) -> Result<(Arc<OwnedFd>, OsString), Errno> {
        self.faults.enter(op, &name.to_string_lossy())?;
        let held = self.nodes().held(parent.0)?;
        let name = if self.faults.folds_names() { folded(&held, name) } else { name.to_owned() };
        Ok((held, name))
    }

    /// Begins an operation on an inode.
    fn of(&self, op: Op, inode: INodeNo) -> Result<Arc<OwnedFd>, Errno> {
        let (held, name) = {
            let nodes = self.nodes();
            let node = nodes.get(inode.0)?;
            (Arc::clone(&node.held), node.name.clone())
        };
        self.faults.enter(op, &name)?;
        Ok(held)
    }

    fn found(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let stat = self.nodes().find(parent.0, name)?;
        Ok(self.shown(&stat))
    }

    /// Gives what was made to the user who asked for it.
    fn made(&self, req: &Request, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let held = self.nodes().held(parent.0)?;
        let owner = (Some(Uid::from_raw(req.uid())), Some(Gid::from_raw(req.gid())));
        rustix::fs::chownat(&held, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        self.found(parent, name)
    }

    fn shown(&self, stat: &Stat) -> FileAttr {
        let time = |sec: i64, nsec: u64| {
            let nsec = if self.faults.has_whole_seconds() { 0 } else { nsec };
            let whole = Duration::from_secs(sec.unsigned_abs());
            let at = if sec < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
            at + Duration::from_nanos(nsec)
        };
        let kind = kind(rustix::fs::FileType::from_raw_mode(stat.st_mode));
        let (uid, gid) = self.faults.owner().unwrap_or((stat.st_uid, stat.st_gid));
        let perm = match (self.faults.modes(), kind) {
            (Some((of_files, _)), FileType::RegularFile) => of_files,
            (Some((_, of_directories)), FileType::Directory) => of_directories,
            _ => stat.st_mode & 0o7777,
        };
        FileAttr {
            ino: INodeNo(self.nodes().number(stat.st_ino)),
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            crtime: UNIX_EPOCH,
            kind,
            perm: perm as u16,
            nlink: stat.st_nlink as u32,
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn timespec(&self, time: Option<TimeOrNow>) -> Timespec {
        let mut spec = match time {
            None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
            Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(UNIX_EPOCH) {
                Ok(after) => {
                    Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) }
                }
                Err(before) => {
                    let ns = -(before.duration().as_nanos() as i64);
                    let (tv_sec, tv_nsec) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
                    Timespec { tv_sec, tv_nsec }
                }
            },
        };
        if self.faults.has_whole_seconds() && spec.tv_nsec < 1_000_000_000 {
            spec.tv_nsec = 0;
        }
        spec
    }

    fn open_file(&self, op: Op, inode: INodeNo, flags: OFlags) -> Result<u64, Errno> {
        let held = self.of(op, inode)?;
        let flags = flags.intersection(ACCESS) | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, by_inode(&held), flags, Mode::empty())?;
        Ok(self.nodes().keep_open(Open::File(Arc::new(file))))
    }
}

impl Filesystem for Passthrough {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.at(Op::Lookup, parent, name).and_then(|(_, name)| self.found(parent, &name));
        entry(reply, found);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.nodes().forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let stat = self.of(Op::Getattr, ino).and_then(rustix::fs::fstat);
        attributes(reply, stat.map(|stat| self.shown(&stat)));
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let held = self.of(Op::Setattr, ino)?;
            if (uid.is_some() || gid.is_some()) && self.faults.owner().is_none() {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                rustix::fs::chownat(&held, "", uid, gid, AtFlags::EMPTY_PATH)?;
            }
            if let Some(mode) = mode.filter(|_| self.faults.modes().is_none()) {
                rustix::fs::chmod(by_inode(&held), Mode::from_raw_mode(mode & 0o7777))?;
            }
            if let Some(size) = size {
                match fh {
                    Some(fh) => rustix::fs::ftruncate(self.nodes().file(fh.0)?, size)?,
                    None => {
                        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                        let file = rustix::fs::openat(CWD, by_inode(&held), flags, Mode::empty())?;
                        rustix::fs::ftruncate(file, size)?;
                    }
                }
            }
            if atime.is_some() || mtime.is_some() {
                let times =
                    Timestamps { last_access: self.timespec(atime), last_modification: self.timespec(mtime) };
                rustix::fs::utimensat(CWD, by_inode(&held), &times, AtFlags::empty())?;
            }
            Ok(self.shown(&rustix::fs::fstat(&held)?))
        };
        attributes(reply, set());
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.of(Op::Readlink, ino);
        bytes(reply, target.and_then(|held| Ok(rustix::fs::readlinkat(held, "", Vec::new())?.into_bytes())));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let made = self.at(Op::Mkdir, parent, name).and_then(|(held, name)| {
            rustix::fs::mkdirat(&held, &name, Mode::from_raw_mode(mode & !umask))?;
            self.made(req, parent, &name)
        });
        entry(reply, made);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.at(Op::Unlink, parent, name);
        empty(reply, done.and_then(|(held, name)| rustix::fs::unlinkat(held, name, AtFlags::empty())));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.at(Op::Rmdir, parent, name);
        empty(reply, done.and_then(|(held, name)| rustix::fs::unlinkat(held, name, AtFlags::REMOVEDIR)));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self.at(Op::Symlink, parent, name).and_then(|(held, name)| {
            rustix::fs::symlinkat(target, &held, &name)?;
            self.made(req, parent, &name)
        });
        entry(reply, made);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let done = self.at(Op::Rename, parent, name).and_then(|(from, name)| {
            let to = self.nodes().held(newparent.0)?;
            let newname = if self.faults.folds_names() { folded(&to, newname) } else { newname.to_owned() };
            let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
            rustix::fs::renameat_with(from, name, to, &newname, flags)?;
            self.nodes().renamed(newparent.0, &newname);
            Ok(())
        });
        empty(reply, done);
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let made = self.at(Op::Link, newparent, newname).and_then(|(to, name)| {
            let held = self.nodes().held(ino.0)?;
            rustix::fs::linkat(CWD, by_inode(&held), to, &name, AtFlags::SYMLINK_FOLLOW)?;
            self.found(newparent, &name)
        });
        entry(reply, made);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.at(Op::Create, parent, name).and_then(|(held, name)| {
            let wanted = OFlags::from_bits_retain(flags as u32);
            let flags = wanted.intersection(ACCESS | OFlags::EXCL) | OFlags::CREATE | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&held, &name, flags, Mode::from_raw_mode(mode & !umask))?;
            let attr = self.made(req, parent, &name)?;
            Ok((attr, self.nodes().keep_open(Open::File(Arc::new(file)))))
        });
        match made {
            Ok((attr, handle)) => {
                let (handle, flags) = (FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO);
                reply.created(&TTL, &attr, Generation(0), handle, flags);
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(Op::Open, ino, OFlags::from_bits_retain(flags.0 as u32)) {
            // Every read comes here, so that it can fail.
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.of(Op::Read, ino).and_then(|_| {
            let file = self.nodes().file(fh.0)?;
            let mut buffer = vec![0; size as usize];
            let n = rustix::io::pread(file, &mut buffer[..], offset)?;
            buffer.truncate(n);
            Ok(buffer)
        });
        bytes(reply, read);
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.of(Op::Write, ino).and_then(|_| {
            let file = self.nodes().file(fh.0)?;
            rustix::io::pwrite(file, data, offset)
        });
        match written {
            Ok(n) => reply.written(n as u32),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn flush(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        empty(reply, self.of(Op::Flush, ino).map(|_| ()));
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.nodes().closed(fh.0);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        // What is behind is never lost: there is nothing to do.
        empty(reply, self.of(Op::Fsync, ino).map(|_| ()));
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let handle = self.nodes().keep_open(Open::Listing(Arc::default()));
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.of(Op::Readdir, ino).and_then(|held| {
            let mut nodes = self.nodes();
            if offset == 0 {
                nodes.listing(fh.0, Open::Listing(Arc::new(list(&held)?)));
            }
            match nodes.opened(fh.0)? {
                Open::Listing(names) => Ok(names),
                Open::File(_) => Err(Errno::NOTDIR),
            }
        });
        match listed {
            Ok(names) => {
                for (at, (inode, file_type, name)) in names.iter().enumerate().skip(offset as usize) {
                    let number = INodeNo(self.nodes().number(*inode));
                    if reply.add(number, at as u64 + 1, kind(*file_type), name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.nodes().closed(fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.of(Op::Statfs, ino).and_then(rustix::fs::fstatvfs) {
            Ok(vfs) => reply.statfs(
                vfs.f_blocks,
                vfs.f_bfree,
                vfs.f_bavail,
                vfs.f_files,
                vfs.f_ffree,
                vfs.f_bsize as u32,
                vfs.f_namemax as u32,
                vfs.f_frsize as u32,
            ),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let set = self.of(Op::Xattr, ino).and_then(|held| {
            let flags = XattrFlags::from_bits_retain(flags as u32);
            rustix::fs::setxattr(by_inode(&held), name, value, flags)
        });
        empty(reply, set);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.of(Op::Xattr, ino).and_then(|held| {
            let mut buffer = vec![0; 64 << 10];
            let n = rustix::fs::getxattr(by_inode(&held), name, &mut buffer[..])?;
            buffer.truncate(n);
            Ok(buffer)
        });
        xattr(reply, size, value);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.of(Op::Xattr, ino).and_then(|held| {
            let mut buffer = vec![0; 64 << 10];
            let n = rustix::fs::listxattr(by_inode(&held), &mut buffer[..])?;
            buffer.truncate(n);
            Ok(buffer)
        });
        xattr(reply, size, names);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.of(Op::Xattr, ino);
        empty(reply, done.and_then(|held| rustix::fs::removexattr(by_inode(&held), name)));
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        empty(reply, self.of(Op::Fallocate, ino).and(Err(Errno::OPNOTSUPP)));
    }
}

fn kind(file_type: rustix::fs::FileType) -> FileType {
    match file_type {
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        rustix::fs::FileType::Fifo => FileType::NamedPipe,
        rustix::fs::FileType::Socket => FileType::Socket,
        rustix::fs::FileType::CharacterDevice => FileType::CharDevice,
        rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

fn errno(e: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(e.raw_os_error())
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(e) => reply.error(errno(e)),
    }
}

fn attributes(reply: ReplyAttr, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(e) => reply.error(errno(e)),
    }
}

fn bytes(reply: ReplyData, found: Result<Vec<u8>, Errno>) {
    match found {
        Ok(bytes) => reply.data(&bytes),
        Err(e) => reply.error(errno(e)),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(errno(e)),
    }
}

fn xattr(reply: ReplyXattr, size: u32, value: Result<Vec<u8>, Errno>) {
    match value {
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(errno(Errno::RANGE)),
        Ok(value) => reply.data(&value),
        Err(e) => reply.error(errno(e)),
    }
}
