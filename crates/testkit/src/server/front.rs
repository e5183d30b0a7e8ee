//! Runs an HTTP server in the test's own process, by itself or before another server, that records requests and breaks
//! answers on command.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use super::lies;
use super::s3::{Fault, Seen};

/// A whole answer.
pub type Answer = Response<Bytes>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Handler = Arc<dyn Fn(Parts, Bytes) -> Answering + Send + Sync>;
type Decide = Box<dyn Fn(usize, &Seen) -> Option<Fault> + Send>;
type Refuse = fn(u16, &str) -> Answer;

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    decide: Option<Decide>,
}

/// A running server; it ends with the runtime that it was started on.
pub struct Front {
    /// The address of the server: `127.0.0.1:port`.
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Front {
    /// Serves what `handler` answers; `refuse` makes the server's own kind of error from a status and a code.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start<F: Future<Output = Answer> + Send + 'static>(
        handler: impl Fn(Parts, Bytes) -> F + Send + Sync + 'static,
        refuse: Refuse,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let handler: Handler = Arc::new(move |head, body| -> Answering { Box::pin(handler(head, body)) });
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (handler, state) = (Arc::clone(&handler), Arc::clone(&shared));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        answer(Arc::clone(&handler), Arc::clone(&state), refuse, request)
                    });
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Front { endpoint, state }
    }

    /// Decides what happens to the request of this number (from 0) and shape.
    pub fn break_answers(&self, decide: impl Fn(usize, &Seen) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().decide = Some(Box::new(decide));
    }

    /// Takes all requests since the last call.
    pub fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

/// A client that passes requests on to `127.0.0.1:port`.
#[derive(Clone)]
pub struct Onward {
    client: reqwest::Client,
    port: u16,
}

impl Onward {
    /// Makes a client of the server at this port.
    ///
    /// # Panics
    /// When no client can be made.
    pub fn to(port: u16) -> Self {
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        // An emulator closes a connection that it has not heard of for a while, at the moment when it is used again.
        let builder = builder.pool_max_idle_per_host(0);
        Onward { client: builder.build().unwrap(), port }
    }

    /// Sends the request there, with `path_and_query`; the name of the host stays what the client asked for.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn pass(&self, head: Parts, body: Bytes, path_and_query: &str) -> Answer {
        let url = format!("http://127.0.0.1:{}{path_and_query}", self.port);
        let request = self.client.request(head.method, url).headers(head.headers).body(body);
        let answer = request.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove("transfer-encoding");
        let mut passed = Response::new(answer.bytes().await.unwrap());
        *passed.status_mut() = status;
        *passed.headers_mut() = headers;
        passed
    }
}

/// Returns an answer of text.
pub fn text(status: u16, kind: &'static str, text: impl Into<String>) -> Answer {
    let mut answer = Response::new(Bytes::from(text.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    if matches!(status, 429 | 503) {
        answer.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    answer
}

/// Returns an error as Azure and Google give it.
pub fn refuse_in_xml(status: u16, code: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on command</Message></Error>");
    text(status, "application/xml", body)
}

async fn answer(
    handler: Handler,
    state: Arc<Mutex<State>>,
    refuse: Refuse,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, std::io::Error>>, std::io::Error> {
    let broken = || std::io::Error::other("broken on command");
    let (head, body) = request.into_parts();
    let uri = head.uri.clone();
    let seen = (head.method.to_string(), uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let fault = {
        let mut state = state.lock().unwrap();
        let number = state.seen.len();
        let fault = state.decide.as_ref().and_then(|decide| decide(number, &seen));
        state.seen.push(seen);
        fault
    };
    let is_head = head.method == hyper::Method::HEAD;
    let body = body.collect().await.map_err(|e| std::io::Error::other(e.to_string()))?.to_bytes();
    let whole = match fault {
        Some(Fault::Reset) => return Err(broken()),
        Some(Fault::Status(status, code)) => refuse(status, code),
        _ => handler(head, body).await,
    };
    let (mut head, bytes) = whole.into_parts();
    if fault == Some(Fault::WrongRange) && head.headers.contains_key("content-range") {
        head.headers.insert("content-range", HeaderValue::from_static("bytes 0-0/1"));
    }
    let bytes = match fault {
        Some(Fault::Lie(lie)) if !is_head => lies::tell(lie, &mut head, bytes),
        _ => bytes,
    };
    let body = if fault == Some(Fault::Cut) && bytes.len() > 1 && !is_head {
        // Length as announced, but only half of it arrives.
        head.headers.insert("content-length", HeaderValue::from(bytes.len()));
        let half = Ok(Frame::data(bytes.slice(..bytes.len() / 2)));
        StreamBody::new(stream::iter([half, Err(broken())])).boxed_unsync()
    } else {
        Full::new(bytes).map_err(|e: Infallible| match e {}).boxed_unsync()
    };
    Ok(Response::from_parts(head, body))
}
