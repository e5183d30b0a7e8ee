//! Runs an S3 server over a directory that counts requests and breaks answers on command.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

use super::lies::{self, Lie};

/// The fault of one answer: what comes instead of the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error of this status comes, with this code in its body.
    Status(u16, &'static str),
    /// The connection breaks before the answer.
    Reset,
    /// The connection breaks in the middle of the answer.
    Cut,
    /// The right answer, but for another range.
    WrongRange,
    /// The answer arrives, and is not what was asked for.
    Lie(Lie),
}

/// A request as the server saw it: method, path, query.
pub type Seen = (String, String, String);

/// A request with what it was for, when it came, and whether it was too much.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The time when the request came.
    pub at: Instant,
    /// The path, query and range.
    pub what: String,
    /// Whether the request was answered with 503 `SlowDown`, because too many were in flight.
    pub refused: bool,
}

type Decide = Box<dyn Fn(usize, &Seen) -> Option<Fault> + Send>;
type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    decide: Option<Decide>,
    delay: Duration,
    most: Option<usize>,
    in_flight: usize,
    arrivals: Vec<Arrival>,
}

/// A running server; it ends with the runtime that it was started on.
pub struct S3Server {
    /// The address of the server: `127.0.0.1:port`.
    pub endpoint: String,
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

/// The key that the server knows.
pub const ACCESS_KEY: &str = "AKIDTEST";
/// The secret of the key: tests look for it in everything that is printed.
pub const SECRET_KEY: &str = "canary-secret-key";

impl S3Server {
    /// Serves the directories below `root` as buckets.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(root: &Path) -> Self {
        let files = s3s_fs::FileSystem::new(root).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let (service, state) = (service.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let answer =
                        service_fn(move |request| answer(service.clone(), Arc::clone(&state), request));
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), answer)
                        .await;
                });
            }
        });
        S3Server { endpoint, root: root.to_path_buf(), state }
    }

    /// Copies a repository from its directory into `bucket`, each blob under `prefix` and its name.
    ///
    /// # Panics
    /// When a file cannot be copied.
    pub fn upload(&self, repo: &Path, bucket: &str, prefix: &str) {
        let mut blobs = BTreeMap::new();
        collect(repo, "", &mut blobs);
        for (name, file) in blobs {
            let to = self.root.join(bucket).join(format!("{prefix}{name}"));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(file, to).unwrap();
        }
    }

    /// Holds back every answer for this long: a round trip.
    pub fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Decides what happens to the request of this number (from 0) and shape.
    pub fn break_answers(&self, decide: impl Fn(usize, &Seen) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().decide = Some(Box::new(decide));
    }

    /// Refuses requests from now on while so many others are in flight.
    pub fn allow(&self, most: usize) {
        self.state.lock().unwrap().most = Some(most);
    }

    /// Takes all arrivals since the last call.
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.state.lock().unwrap().arrivals)
    }

    /// Takes all requests since the last call.
    pub fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

/// A mark of a request in flight, counted as long as it lives, also when the client goes away.
struct InFlight(Arc<Mutex<State>>);

impl InFlight {
    fn new(state: &Arc<Mutex<State>>) -> Self {
        state.lock().unwrap().in_flight += 1;
        InFlight(Arc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_flight -= 1;
    }
}

pub(super) fn collect(dir: &Path, name: &str, into: &mut BTreeMap<String, PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let whole = format!("{name}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &whole, into);
        } else if let Some(blob) = whole.strip_suffix(".f") {
            into.insert(blob.to_owned(), entry.path());
        }
    }
}

async fn answer(
    service: S3Service,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Answer, std::io::Error> {
    let uri = request.uri().clone();
    let seen =
        (request.method().to_string(), uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let (fault, delay) = {
        let mut state = state.lock().unwrap();
        let number = state.seen.len();
        let fault = state.decide.as_ref().and_then(|decide| decide(number, &seen));
        let refused = state.most.is_some_and(|most| state.in_flight >= most);
        let range = request.headers().get("range").map_or("", |range| range.to_str().unwrap());
        let what = format!("{}?{} {range}", seen.1, seen.2);
        state.arrivals.push(Arrival { at: Instant::now(), what, refused });
        state.seen.push(seen);
        (if refused { Some(Fault::Status(503, "SlowDown")) } else { fault }, state.delay)
    };
    // A refusal takes a round trip too, but nothing of the server.
    let _in_flight = (fault != Some(Fault::Status(503, "SlowDown"))).then(|| InFlight::new(&state));
    tokio::time::sleep(delay).await;
    let broken = || std::io::Error::other("broken on command");
    match fault {
        Some(Fault::Reset) => return Err(broken()),
        Some(Fault::Status(status, code)) => {
            let body = format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on command</Message></Error>"
            );
            let body = Full::new(Bytes::from(body)).map_err(|e: Infallible| match e {}).boxed_unsync();
            let mut answer = Response::new(body);
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            return Ok(answer);
        }
        _ => {}
    }
    let answer = service
        .call(request.map(s3s::Body::from))
        .await
        .map_err(|e| std::io::Error::other(format!("{e:?}")))?;
    let (mut head, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(|e| std::io::Error::other(e.to_string()))?.to_bytes();
    if fault == Some(Fault::WrongRange) && head.headers.contains_key("content-range") {
        head.headers.insert("content-range", "bytes 0-0/1".parse().unwrap());
    }
    let bytes = if let Some(Fault::Lie(lie)) = fault { lies::tell(lie, &mut head, bytes) } else { bytes };
    let body = if fault == Some(Fault::Cut) && bytes.len() > 1 {
        // Length as announced, but only half of it arrives.
        head.headers.insert("content-length", bytes.len().to_string().parse().unwrap());
        let half = Ok(Frame::data(bytes.slice(..bytes.len() / 2)));
        StreamBody::new(stream::iter([half, Err(broken())])).boxed_unsync()
    } else {
        Full::new(bytes).map_err(|e: Infallible| match e {}).boxed_unsync()
    };
    Ok(Response::from_parts(head, body))
}
