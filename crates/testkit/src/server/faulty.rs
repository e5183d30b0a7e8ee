//! Proxies HTTP/1.1 to a real server and breaks the answers that it is told to break.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, HeaderValue, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::http::response::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::lies::{self, Lie};

/// The fault of one answer: what comes instead of the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error of this status comes, with this code in its body as S3 has it.
    Status(u16, &'static str),
    /// An error with `Retry-After`, in seconds, comes: status, code, wait.
    Busy(u16, &'static str, u64),
    /// An error with the time in so many seconds as a date comes: status, code, wait.
    BusyUntil(u16, &'static str, u64),
    /// The connection is reset before the answer.
    Reset,
    /// The connection ends in the middle of the answer.
    Cut,
    /// The answer comes a few bytes at a time.
    Drip,
    /// Nothing is answered, and the connection stays.
    Hang,
    /// Half of the answer comes, then nothing, and the connection stays.
    HangMidway,
    /// The answer to a range says that it is another one.
    WrongRange,
    /// The answer to a range is the whole blob, as from a server that does not know ranges.
    WholeBlob,
    /// A byte in the middle of the answer is another one.
    Flipped,
    /// A list says that it goes on, and then begins again.
    PageAgain,
    /// The answer arrives, and is not what was asked for.
    Lie(Lie),
}

/// A request as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The number of the request, from 0, in the order of arrival.
    pub number: usize,
    /// The method: `GET`, …
    pub method: String,
    /// The path, still encoded.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The bytes asked for, `[first, last]`, when it was a part.
    pub range: Option<(u64, u64)>,
}

impl Seen {
    /// Whether the request is about listing.
    pub fn is_list(&self) -> bool {
        self.method == "PROPFIND" || self.query.contains("list-type") || self.query.contains("versions")
    }
}

type Decide = dyn Fn(&Seen) -> Option<Fault> + Send + Sync;
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A running proxy; it ends with the runtime that it was started on.
pub struct Faulty {
    /// The address of the proxy: `127.0.0.1:port`.
    pub address: String,
    state: Arc<State>,
}

struct State {
    upstream: String,
    seen: Mutex<Vec<Seen>>,
    decide: Mutex<Arc<Decide>>,
    delay: Mutex<Duration>,
    host: Mutex<Option<HeaderValue>>,
    refuses_in_json: AtomicBool,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    broken: AtomicUsize,
    sent: AtomicUsize,
}

impl Faulty {
    /// Starts a proxy in front of `upstream`, an address and a port.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(upstream: &str) -> Self {
        Self::serve(upstream, None).await
    }

    /// Starts a proxy that speaks TLS to its clients.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start_tls(upstream: &str, config: rustls::ServerConfig) -> Self {
        Self::serve(upstream, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(upstream: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            seen: Mutex::default(),
            decide: Mutex::new(Arc::new(|_| None)),
            delay: Mutex::default(),
            host: Mutex::default(),
            refuses_in_json: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(state, socket, |socket| socket).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(socket).await else { return };
                            connection(state, stream, |stream| stream.get_ref().0).await;
                        }
                    }
                });
            }
        });
        Faulty { address, state }
    }

    /// Decides what happens to a request.
    pub fn break_answers(&self, decide: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        *self.state.decide.lock().unwrap() = Arc::new(decide);
    }

    /// Holds back every answer for this long: a round trip.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// Tells the server behind this name of a host, in place of the proxy's own.
    ///
    /// # Panics
    /// When it is none.
    pub fn name_host(&self, host: &str) {
        *self.state.host.lock().unwrap() = Some(host.parse().unwrap());
    }

    /// Puts the code of refusals into JSON, as B2 has it.
    pub fn refuse_in_json(&self) {
        self.state.refuses_in_json.store(true, Ordering::Relaxed);
    }

    /// Takes all requests since the last call; numbers start at 0 again.
    pub fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// Returns the number of answers broken so far.
    pub fn broken(&self) -> usize {
        self.state.broken.load(Ordering::Relaxed)
    }

    /// Returns the bytes of bodies sent so far.
    pub fn sent(&self) -> usize {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// Returns the most requests that were being answered at once.
    pub fn most_in_flight(&self) -> usize {
        self.state.most_in_flight.load(Ordering::Relaxed)
    }
}

/// Serves one connection until its client ends it or a fault resets it.
async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    state: Arc<State>,
    stream: S,
    socket: impl Fn(&S) -> &TcpStream,
) {
    let reset = Arc::new(Notify::new());
    let (of_service, resets) = (Arc::clone(&reset), Arc::clone(&reset));
    let service = service_fn(move |request| {
        let (state, reset) = (Arc::clone(&state), Arc::clone(&of_service));
        async move { answer(&state, request, &reset).await }
    });
    let mut serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut serving => {}
        () = resets.notified() => {
            let stream = serving.into_parts().io.into_inner();
            let _ = socket(&stream).set_zero_linger();
        }
    }
}

async fn answer(
    state: &State,
    request: Request<Incoming>,
    reset: &Notify,
) -> Result<Response<Body>, std::io::Error> {
    let seen = note(state, &request);
    let decide = Arc::clone(&state.decide.lock().unwrap());
    let fault = decide(&seen);
    let delay = *state.delay.lock().unwrap();
    let _in_flight = InFlight::new(state);
    tokio::time::sleep(delay).await;
    state.broken.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
    match fault {
        Some(Fault::Reset) => {
            reset.notify_one();
            std::future::pending().await
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Status(status, code)) => Ok(refusal(state, status, code)),
        Some(Fault::Busy(status, code, seconds)) => {
            let mut refusal = refusal(state, status, code);
            refusal.headers_mut().insert(RETRY_AFTER, seconds.into());
            Ok(refusal)
        }
        Some(Fault::BusyUntil(status, code, seconds)) => {
            let mut refusal = refusal(state, status, code);
            let until = std::time::SystemTime::now() + Duration::from_secs(seconds);
            let until = jiff::Timestamp::try_from(until).unwrap();
            let until =
                jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&until).unwrap();
            refusal.headers_mut().insert(RETRY_AFTER, until.parse().unwrap());
            Ok(refusal)
        }
        _ => {
            let (head, body) = pass_on(state, request, fault).await?;
            state.sent.fetch_add(body.len(), Ordering::Relaxed);
            Ok(spoil(head, body, fault))
        }
    }
}

/// A mark of a request in flight, which counts while it lives.
struct InFlight<'a>(&'a State);

impl<'a> InFlight<'a> {
    fn new(state: &'a State) -> Self {
        let now = state.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        state.most_in_flight.fetch_max(now, Ordering::Relaxed);
        InFlight(state)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn note(state: &State, request: &Request<Incoming>) -> Seen {
    let range = request.headers().get(RANGE).and_then(|r| r.to_str().ok());
    let range = range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-'));
    let mut all = state.seen.lock().unwrap();
    let seen = Seen {
        number: all.len(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        range: range.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?))),
    };
    all.push(seen.clone());
    seen
}

async fn pass_on(
    state: &State,
    mut request: Request<Incoming>,
    fault: Option<Fault>,
) -> Result<(Parts, Bytes), std::io::Error> {
    // The signature of S3 covers the range: there it can only be taken out of the answer.
    let signed = request.headers().get(AUTHORIZATION).is_some_and(|a| a.as_bytes().starts_with(b"AWS4"));
    if fault == Some(Fault::WholeBlob) && !signed {
        request.headers_mut().remove(RANGE);
    }
    if let Some(host) = state.host.lock().unwrap().clone() {
        request.headers_mut().insert(HOST, host);
    }
    let stream = TcpStream::connect(&state.upstream).await?;
    stream.set_nodelay(true)?;
    let failed = |e: hyper::Error| std::io::Error::other(e);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    let (mut head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
    // The answer to HEAD has a length and no body.
    let bytes = body.collect().await.map_err(failed)?.to_bytes();
    head.headers.remove(TRANSFER_ENCODING);
    if fault == Some(Fault::WholeBlob) && head.headers.remove(CONTENT_RANGE).is_some() {
        head.status = StatusCode::OK;
    }
    Ok((head, bytes))
}

fn spoil(mut head: Parts, body: Bytes, fault: Option<Fault>) -> Response<Body> {
    let half = body.slice(..body.len() / 2);
    // A moment later, so that what was sent before is on its way.
    let breaks = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        Err(std::io::Error::other("broken on command"))
    };
    let rest: stream::BoxStream<'static, Result<Bytes, std::io::Error>> = match fault {
        Some(Fault::Cut) if body.len() > 1 => stream::iter([Ok(half)]).chain(stream::once(breaks)).boxed(),
        Some(Fault::HangMidway) if body.len() > 1 => {
            stream::iter([Ok(half)]).chain(stream::pending()).boxed()
        }
        Some(Fault::Drip) => {
            let drops: Vec<Bytes> = (0..body.len()).map(|at| body.slice(at..=at)).collect();
            let slowly = |drop| async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Ok(drop)
            };
            stream::iter(drops).then(slowly).boxed()
        }
        _ => {
            let body = changed(&mut head, body, fault);
            return Response::from_parts(head, whole(body));
        }
    };
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, StreamBody::new(rest.map(|part| part.map(Frame::data))).boxed_unsync())
}

fn changed(head: &mut Parts, body: Bytes, fault: Option<Fault>) -> Bytes {
    match fault {
        Some(Fault::Lie(lie)) => lies::tell(lie, head, body),
        Some(Fault::WrongRange) if head.headers.contains_key(CONTENT_RANGE) => {
            let elsewhere = format!("bytes 1000000-{}/9999999", 1_000_000 + body.len().max(1) - 1);
            head.headers.insert(CONTENT_RANGE, elsewhere.parse().unwrap());
            body
        }
        Some(Fault::Flipped) if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            bytes.into()
        }
        Some(Fault::PageAgain) if body.starts_with(b"<?xml") => {
            let text = String::from_utf8_lossy(&body);
            let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>!</NextContinuationToken>";
            let text = text.replace("<IsTruncated>false</IsTruncated>", more);
            if head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, text.len().into());
            }
            text.into()
        }
        _ => body,
    }
}

fn refusal(state: &State, status: u16, code: &str) -> Response<Body> {
    let text = match state.refuses_in_json.load(Ordering::Relaxed) {
        true => format!(r#"{{"status":{status},"code":"{code}","message":"on command"}}"#),
        false => {
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on command</Message></Error>")
        }
    };
    let mut answer = Response::new(whole(text.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|e: Infallible| match e {}).boxed_unsync()
}
