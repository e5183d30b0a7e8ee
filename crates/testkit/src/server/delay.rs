//! Runs an S3 server that is far away: answers and connections take a round trip, each connection has its own speed,
//! and everything is counted.
//!
//! ```text
//! accept ──1 round trip──► (TLS ──1 round trip──►) request ──1 round trip──► answer, at the connection's speed
//! ```
//!
//! Only time passes: any number of connections and requests wait side by side.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use s3s::Body;
use s3s::service::S3Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::TLS13;

/// Time that the timer may be late without slowing a connection down.
const SLACK: Duration = Duration::from_millis(5);

/// The link between a program and the storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Time until an answer begins, and until a connection stands.
    pub round_trip: Duration,
    /// Bytes per second of one connection; `None`: as fast as the machine.
    pub per_connection: Option<u64>,
    /// Whether the link speaks TLS 1.3, with a certificate that [`Far::ca`] has signed.
    pub tls: bool,
}

/// The traffic that went over the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections accepted.
    pub connections: u64,
    /// Requests for a page of a list.
    pub lists: u64,
    /// Requests for an object or a part of one.
    pub gets: u64,
    /// All other requests.
    pub others: u64,
    /// Bytes of answers, without their heads.
    pub bytes: u64,
}

impl Traffic {
    /// Returns the number of requests of every kind.
    pub fn requests(&self) -> u64 {
        self.lists + self.gets + self.others
    }
}

/// A running server; it ends with the runtime that it was started on.
pub struct Far {
    /// The address of the server: `127.0.0.1:port`.
    pub endpoint: String,
    /// The authority that clients have to trust, as PEM; with TLS.
    pub ca: Option<String>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    lists: AtomicU64,
    gets: AtomicU64,
    others: AtomicU64,
    bytes: AtomicU64,
}

impl Far {
    /// Serves behind such a link.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(service: S3Service, link: Link) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let (ca, tls) = if link.tls { Some(certificate()).unzip() } else { (None, None) };
        let counts = Arc::new(Counts::default());
        let served = Served { service, link, counts: Arc::clone(&counts) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (served, tls) = (served.clone(), tls.clone());
                tokio::spawn(async move { served.connection(socket, tls).await });
            }
        });
        Far { endpoint, ca, counts }
    }

    /// Returns what went over the link since the last call.
    pub fn take_traffic(&self) -> Traffic {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Traffic {
            connections: take(&self.counts.connections),
            lists: take(&self.counts.lists),
            gets: take(&self.counts.gets),
            others: take(&self.counts.others),
            bytes: take(&self.counts.bytes),
        }
    }
}

#[derive(Clone)]
struct Served {
    service: S3Service,
    link: Link,
    counts: Arc<Counts>,
}

impl Served {
    async fn connection(self, socket: TcpStream, tls: Option<TlsAcceptor>) {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        let _ = socket.set_nodelay(true);
        self.pass().await;
        let Some(tls) = tls else { return self.requests(socket).await };
        // A client that does not trust the certificate leaves.
        if let Ok(socket) = tls.accept(socket).await {
            self.pass().await;
            self.requests(socket).await;
        }
    }

    async fn requests(self, socket: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let line = Arc::new(Line { speed: self.link.per_connection, free: Mutex::new(Instant::now()) });
        let answer = service_fn(move |request| self.clone().answer(Arc::clone(&line), request));
        let _ = Builder::new(TokioExecutor::new())
            .http1_only()
            .serve_connection(TokioIo::new(socket), answer)
            .await;
    }

    async fn answer(
        self,
        line: Arc<Line>,
        request: Request<Incoming>,
    ) -> Result<Response<Paced>, std::io::Error> {
        let query = request.uri().query().unwrap_or_default();
        let count = match request.method().as_str() {
            "GET" if query.contains("list-type") => &self.counts.lists,
            "GET" if query.is_empty() || query.starts_with("x-id=GetObject") => &self.counts.gets,
            _ => &self.counts.others,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.pass().await;
        let answer = self.service.call(request.map(Body::from)).await;
        let answer = answer.map_err(|e| std::io::Error::other(format!("{e:?}")))?;
        Ok(answer.map(|body| Paced { body, line, counts: self.counts, held: None }))
    }

    async fn pass(&self) {
        if !self.link.round_trip.is_zero() {
            sleep(self.link.round_trip).await;
        }
    }
}

/// The bytes of one connection, one after the other.
struct Line {
    speed: Option<u64>,
    /// The time when everything that was sent has arrived.
    free: Mutex<Instant>,
}

impl Line {
    /// Returns when so many more bytes have arrived; `None`: at once.
    fn arrival(&self, bytes: u64) -> Option<Instant> {
        let time = Duration::from_secs_f64(bytes as f64 / self.speed? as f64);
        let mut free = self.free.lock().unwrap();
        *free = (*free).max(Instant::now() - SLACK) + time;
        Some(*free)
    }
}

/// A body whose parts are counted, and held back until they have arrived.
struct Paced {
    body: Body,
    line: Arc<Line>,
    counts: Arc<Counts>,
    held: Option<(Frame<Bytes>, Pin<Box<Sleep>>)>,
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.held.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            this.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
            match this.line.arrival(bytes) {
                None => return Poll::Ready(Some(Ok(frame))),
                Some(at) => this.held = Some((frame, Box::pin(sleep_until(at)))),
            }
        }
        if let Some((_, sleep)) = &mut this.held {
            ready!(sleep.as_mut().poll(context));
        }
        Poll::Ready(this.held.take().map(|(frame, _)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Only asked before the first part.
        self.body.size_hint()
    }
}

/// Makes a new authority, as PEM, and a server's side with a certificate of it.
fn certificate() -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test authority");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut server = CertificateParams::new(names).unwrap();
    server.distinguished_name.push(DnType::CommonName, "test server");
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (ca_certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}
