//! Storages that are servers: a bucket in this process, and a listener that writes down what it is asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::tls::TlsFront;

use crate::place::Place;
use crate::stock;

/// A running S3 server, and another one behind TLS.
pub(crate) struct Cloud {
    pub(crate) server: S3Server,
    pub(crate) tls: TlsFront,
    // In this order: the server's tasks end with the runtime, then its files go.
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Cloud {
    /// With the captured repository in bucket `backups` under each of these prefixes.
    pub(crate) fn holding(prefixes: &[&str]) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("backups")).unwrap();
        let server = runtime.block_on(S3Server::start(dir.path()));
        let tls = runtime.block_on(TlsFront::start(&server.endpoint));
        for prefix in prefixes {
            server.upload(&stock::repository(), "backups", prefix);
        }
        Cloud { server, tls, runtime, _dir: dir }
    }

    /// Returns where the server's tasks run.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    /// Base D with this URL in place of the directory; the endpoint with its scheme, as people write it.
    pub(crate) fn place(&self, url: &str) -> Place {
        let mut place = Place::with("KOPIA_REPOSITORY", url);
        place.set("AWS_ACCESS_KEY_ID", ACCESS_KEY).set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        place.set("AWS_S3_ENDPOINT", &format!("http://{}", self.server.endpoint));
        place
    }
}

/// Takes one connection after the other, keeps what is said first, and answers always the same.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    heads: mpsc::Receiver<String>,
}

/// Access denied: nobody tries that again.
pub(crate) const DENIED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Listener {
    pub(crate) fn answering(answer: &'static str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (sender, heads) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let (mut head, mut part) = (Vec::new(), [0; 4096]);
                // A TLS hello begins with 0x16 and is no text.
                while head.first() != Some(&0x16) && !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(n) if n > 0 => head.extend_from_slice(&part[..n]),
                        _ => break,
                    }
                }
                let _ = stream.write_all(answer.as_bytes());
                if sender.send(String::from_utf8_lossy(&head).into_owned()).is_err() {
                    return;
                }
            }
        });
        Listener { address, heads }
    }

    /// Returns the first that came.
    #[track_caller]
    pub(crate) fn first(&self) -> String {
        self.heads.recv_timeout(Duration::from_secs(10)).expect("nobody came")
    }

    /// Whether nobody came.
    pub(crate) fn is_quiet(&self) -> bool {
        self.heads.try_recv().is_err()
    }
}

/// Returns an address on which nobody listens.
pub(crate) fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
