//! Runs WebDAV servers, as Debian packages them, over a directory.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::skip::has_programs;

/// The user who may read.
pub const USER: &str = "me";
/// The password of [`USER`]: tests look for it in everything that is printed.
pub const PASSWORD: &str = "canary-webdav-password";

/// A running server; it ends when it is dropped.
pub struct WebdavServer {
    child: Child,
    /// The address of the server: `127.0.0.1:port`.
    pub address: String,
    _dir: tempfile::TempDir,
}

impl Drop for WebdavServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WebdavServer {
    /// Runs `rclone serve webdav` over `root`; `None`, said aloud, where it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn rclone(root: &Path) -> Option<Self> {
        if !has_programs("WebDAV of rclone", &["rclone"]) {
            return None;
        }
        let address = free_address();
        let mut command = Command::new("rclone");
        command.args(["serve", "webdav", "--read-only", "--addr", &address]).arg(root);
        command.env("RCLONE_USER", USER).env("RCLONE_PASS", PASSWORD).env("RCLONE_CONFIG", "/dev/null");
        Some(Self::start(command, address, tempfile::tempdir().unwrap()))
    }

    /// Runs nginx with its module for PROPFIND, over `root`; `None`, said aloud, where either is not installed.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn nginx(root: &Path) -> Option<Self> {
        if !has_programs("WebDAV of nginx", &["nginx"]) {
            return None;
        }
        let address = free_address();
        let dir = tempfile::tempdir().unwrap();
        // The worker of nginx may have another user than this test.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n")).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", at(kind)))
            .concat();
        let user =
            if std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
                "user root;"
            } else {
                ""
            };
        let config = format!(
            "daemon off; master_process off; {user} pid {pid}; error_log {log};
            load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
            events {{ worker_connections 512; }}
            http {{ access_log off; {temporary}
                server {{ listen {address}; root \"{root}\";
                    location / {{ auth_basic repository; auth_basic_user_file {users};
                        dav_ext_methods PROPFIND OPTIONS; }} }} }}",
            pid = at("pid"),
            log = at("log"),
            users = at("users"),
            root = root.display(),
        );
        std::fs::write(at("conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["-c", &at("conf"), "-p", dir.path().to_str().unwrap(), "-e", &at("log")]);
        Some(Self::start(command, address, dir))
    }

    fn start(mut command: Command, address: String, dir: tempfile::TempDir) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut server = WebdavServer { child, address, _dir: dir };
        for _ in 0..200 {
            if TcpStream::connect(&server.address).is_ok() {
                return server;
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                let log = std::fs::read_to_string(server._dir.path().join("log")).unwrap_or_default();
                panic!("{command:?} ended: {status}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{command:?} does not listen");
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
