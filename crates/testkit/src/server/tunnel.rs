//! Proxies any protocol: passes bytes on, counts connections, and breaks those that it is told to break.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The fate of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The connection is closed after so many bytes of the server's.
    Cut(u64),
    /// The connection goes silent after so many bytes of the server's, and stays as long as the server does.
    Stall(u64),
    /// The connection drips after so many bytes of the server's: another one comes every now and then.
    Drip(u64),
}

type Decide = Arc<dyn Fn(usize) -> Option<Break> + Send + Sync>;

/// A running proxy; it ends with the runtime that it was started on.
pub struct Tunnel {
    /// The port on the loopback address.
    pub port: u16,
    decide: Arc<Mutex<Decide>>,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicU64>,
}

impl Tunnel {
    /// Starts a proxy in front of the server at `port`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Arc::new(|_| None)));
        let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let tunnel = Tunnel {
            port,
            decide: Arc::clone(&decide),
            connections: Arc::clone(&connections),
            bytes: Arc::clone(&bytes),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let fate = Arc::clone(&decide.lock().unwrap())(number);
                let bytes = Arc::clone(&bytes);
                tokio::spawn(async move {
                    // A server that is gone, or leaves, ends the connection.
                    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        _ = pass(from_client, to_server, None, None) => {}
                        _ = pass(from_server, to_client, fate, Some(&bytes)) => {}
                    }
                });
            }
        });
        tunnel
    }

    /// Decides what happens to the connection of this number, from 0.
    ///
    /// # Panics
    /// Never, in practice.
    pub fn break_connections(&self, decide: impl Fn(usize) -> Option<Break> + Send + Sync + 'static) {
        *self.decide.lock().unwrap() = Arc::new(decide);
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the server's that were passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    fate: Option<Break>,
    count: Option<&AtomicU64>,
) -> std::io::Result<()> {
    let mut left = match fate {
        Some(Break::Cut(n) | Break::Stall(n) | Break::Drip(n)) => n,
        None => u64::MAX,
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            match fate {
                Some(Break::Stall(_)) => {
                    while from.read(&mut buffer).await? > 0 {}
                    return Ok(());
                }
                Some(Break::Drip(_)) => {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    left = 1;
                    continue;
                }
                _ => return Ok(()),
            }
        }
        let n = from.read(&mut buffer[..most]).await?;
        if n == 0 {
            return Ok(());
        }
        left = left.saturating_sub(n as u64);
        to.write_all(&buffer[..n]).await?;
        if let Some(count) = count {
            count.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}
