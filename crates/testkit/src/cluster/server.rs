//! The API server: an HTTP server in the test's own process, on threads of its own.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::answers::Answer;
use super::recording::{Logs, Stage};
use super::route::{Reply, TOKEN, reply};
use super::state::{Fault, Shared};
use super::watch::Watch;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes from which on an answer is compressed, if the client takes that: as the real server does it.
const COMPRESSED_FROM: usize = 128 * 1024;

/// An API server over plain HTTP that holds the objects that it is shown; it stops when it is dropped.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts a server of an empty cluster on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port or no thread can be had.
    pub async fn start() -> ApiServer {
        Self::start_blocking()
    }

    /// Starts a server as [`ApiServer::start`] does, for tests without a runtime.
    ///
    /// # Panics
    /// When no port or no thread can be had.
    pub fn start_blocking() -> ApiServer {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new());
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, Arc::clone(&shared), stopped);
        // With threads of its own it answers even while the test's only thread waits for a program.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(serving));
        ApiServer { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the server's URL: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the text of a kubeconfig for this server, with the token that it knows.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster:\n    server: {}\n\
             contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n\
             users:\n- name: test\n  user:\n    token: {TOKEN}\n",
            self.url()
        )
    }

    /// Makes the cluster hold exactly these objects and logs; open watches are told what differs.
    ///
    /// Each object needs `apiVersion`, `kind` and a name. Its version is replaced by one of the server's own; an object
    /// that differs in nothing else keeps the version that it had. One with another UID is deleted and added.
    ///
    /// # Panics
    /// When an object lacks what it needs.
    pub fn show(&self, objects: &[Value], logs: &Logs) {
        self.shared.lock().show(objects, logs);
        self.shared.tick();
    }

    /// Makes the cluster hold what it held at this stage of a recording.
    pub fn show_stage(&self, stage: &Stage) {
        self.show(&stage.objects, &stage.logs);
    }

    /// Returns all requests so far, in order: `GET /api/v1/pods?limit=500`, as they were sent.
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }

    /// Forgets all requests so far.
    pub fn forget_requests(&self) {
        self.shared.lock().requests.clear();
    }

    /// Returns how many watches are open at this moment.
    pub fn open_watches(&self) -> usize {
        self.shared.open_watches.load(Ordering::Relaxed)
    }

    /// Refuses a resource with 403, everywhere: `pods`, `pods/log`, `replicationdestinations`.
    ///
    /// The group may follow: `events.events.k8s.io`. Without it, resources of this name are refused in all groups.
    pub fn refuse(&self, resource: &str) {
        self.shared.lock().refused.insert(resource.to_owned());
    }

    /// Refuses lists and watches of a resource over all namespaces with 403; those of one namespace work.
    pub fn refuse_cluster_wide(&self, resource: &str) {
        self.shared.lock().refused_cluster_wide.insert(resource.to_owned());
    }

    /// Allows again what was refused under this name.
    pub fn allow(&self, resource: &str) {
        let mut state = self.shared.lock();
        state.refused.remove(resource);
        state.refused_cluster_wide.remove(resource);
    }

    /// Answers as a cluster in which nobody has installed this API group: 404 in plain text.
    pub fn without_group(&self, group: &str) {
        self.shared.lock().hidden_groups.insert(group.to_owned());
    }

    /// Fails in this way from now on; other faults that were set before stay.
    pub fn behave(&self, fault: Fault) {
        self.shared.lock().behave(fault);
        self.shared.tick();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).unwrap();
    // Dropped with this function: no connection outlives the server.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let _ = socket.set_nodelay(true);
                connections.spawn(connection(Arc::clone(&shared), socket));
                while connections.try_join_next().is_some() {}
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, socket: TcpStream) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let builder = hyper::server::conn::http1::Builder::new();
    // A client may end a connection at any time, and a fault does.
    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let pause = {
        let mut state = shared.lock();
        state.requests.push(format!("{} {path}", head.method));
        state.pause()
    };
    body.collect().await?;
    tokio::time::sleep(pause).await;
    let takes_gzip = head.headers.get(ACCEPT_ENCODING).and_then(|encodings| encodings.to_str().ok());
    let takes_gzip = takes_gzip.is_some_and(|encodings| encodings.contains("gzip"));
    Ok(match reply(&shared, &head) {
        Reply::Whole(answer) => whole(answer, takes_gzip),
        Reply::Cut(body) => cut(body),
        Reply::Watch(watch) => watching(*watch),
    })
}

fn whole(answer: Answer, takes_gzip: bool) -> Response<Body> {
    let (mut head, mut body) = answer.into_parts();
    if takes_gzip && head.status.is_success() && body.len() >= COMPRESSED_FROM {
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&body).unwrap();
        body = packed.finish().unwrap().into();
    }
    Response::from_parts(head, Full::new(body).map_err(|e: Infallible| match e {}).boxed_unsync())
}

/// Sends half of a body whose length nobody has announced, as the real server sends long lists.
fn cut(body: Bytes) -> Response<Body> {
    let half = body.slice(..body.len() / 2);
    let breaks = async {
        // A moment later, so that what was sent before is on its way.
        tokio::time::sleep(Duration::from_millis(30)).await;
        Err(io::Error::other("broken on command"))
    };
    streamed(stream::iter([Ok(half)]).chain(stream::once(breaks)))
}

fn watching(watch: Watch) -> Response<Body> {
    streamed(stream::unfold(watch, Watch::next))
}

fn streamed(parts: impl stream::Stream<Item = Result<Bytes, io::Error>> + Send + 'static) -> Response<Body> {
    let mut answer = Response::new(StreamBody::new(parts.map(|part| part.map(Frame::data))).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
