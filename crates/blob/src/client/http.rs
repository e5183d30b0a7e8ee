//! The HTTP client that the providers share: one TLS stack, one set of deadlines, one place that counts.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::fingerprint;
use super::http_pool::Pool;
use super::whole::{html_instead, is_html};
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::Usage;

/// Whom to believe.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust<'a> {
    /// File with further authorities, PEM.
    pub(crate) ca_file: Option<&'a Path>,
    /// Further authorities, PEM.
    pub(crate) ca_pem: &'a [u8],
    /// Believe any certificate.
    pub(crate) anyone: bool,
    /// Believe the one certificate that has this SHA-256, and no other; hexadecimal, empty: not so.
    pub(crate) fingerprint: &'a str,
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pool: Arc<Pool>,
    deadlines: Deadlines,
    /// A file of authorities that could not be read; a certificate that is not trusted is then no wonder.
    unread_ca: Option<Arc<PathBuf>>,
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Http {
    /// A client with deadlines for connecting and for silence. A configured authority file that cannot be read is only
    /// warned of; the TLS error, if there is one, names it.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for authorities that are not PEM, and for a fingerprint that is none.
    pub(crate) fn new(trust: Trust<'_>, deadlines: Deadlines) -> Result<Self, BlobError> {
        let (believing, unread_ca) = believe(trust)?;
        let make = move || {
            let builder = Client::builder()
                .connect_timeout(deadlines.connect())
                .read_timeout(deadlines.silence())
                .pool_max_idle_per_host(128)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("rekopia/", env!("CARGO_PKG_VERSION")));
            start(believing(builder))
        };
        let (requests, bytes) = (Arc::default(), Arc::default());
        Ok(Http { pool: Pool::new(make)?, deadlines, unread_ca, requests, bytes })
    }

    /// A request, to be given to [`Self::send`].
    pub(crate) fn request(&self, method: Method, url: impl reqwest::IntoUrl) -> RequestBuilder {
        self.pool.client().request(method, url)
    }

    /// Sends a request and waits for the head of the answer, whatever its status is.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, BlobError> {
        self.try_send(request).await.map_err(|e| self.no_answer(e))
    }

    /// The same with the client's own error.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let pool = self.pool.number();
        let answer = request.send().await;
        if answer.as_ref().is_err_and(|e| e.is_timeout() && !e.is_connect()) {
            self.pool.is_silent(pool);
        }
        answer
    }

    /// The parts of an answer. It ends with an error when it breaks off, when it only drips (silence has a deadline of
    /// its own, a byte a second has not), and when a page of HTML has come in the place of what was asked for.
    pub(crate) fn body(
        &self,
        answer: Response,
    ) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + Sync + use<> {
        let watch = Watch::new(self.deadlines.silence());
        let pool = self.pool.number();
        let start = (answer, watch, self.clone(), true);
        futures::stream::try_unfold(start, move |(mut answer, mut watch, http, first)| async move {
            let part = watch.wait_for(answer.chunk()).await?.map_err(|e| {
                if e.is_timeout() {
                    http.pool.is_silent(pool);
                }
                http.no_answer(e)
            })?;
            let Some(part) = part else { return Ok(None) };
            if first && is_somebody_elses(&answer, &part) {
                return Err(html_instead("the storage's answer"));
            }
            http.bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
            watch.bytes += part.len();
            Ok(Some((part, (answer, watch, http, false))))
        })
    }

    /// An answer to a request for a range, unless it says of no range: nobody knows which bytes these are.
    #[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
    pub(crate) async fn with_range(&self, answer: Response) -> Result<Response, BlobError> {
        if answer.status() != StatusCode::OK || answer.headers().contains_key("content-range") {
            return Ok(answer);
        }
        let mut parts = std::pin::pin!(self.body(answer));
        // Its first part shows when it is somebody else's.
        parts.next().await.transpose()?;
        let what = "the storage ignored the range that it was asked for";
        Err(BlobError::new(BlobErrorKind::Unavailable, what).transient())
    }

    /// The whole of a short answer; `None` when it has more than `most` bytes.
    pub(crate) async fn text(
        &self,
        answer: Response,
        most: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, BlobError> {
        let mut parts = std::pin::pin!(self.body(answer));
        let mut text = Zeroizing::new(Vec::new());
        while let Some(part) = parts.next().await {
            let part = part?;
            if text.len() + part.len() > most {
                return Ok(None);
            }
            text.extend_from_slice(&part);
        }
        Ok(Some(text))
    }

    /// The text of a refusal, if there is one: errors are short, and nobody has to be believed about that.
    #[cfg(any(feature = "b2", feature = "object"))]
    pub(crate) async fn refusal(&self, answer: Response) -> String {
        let text = self.text(answer, 64 * 1024).await.ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A client for the metadata service of the machine: close by or not there at all, and never behind a proxy.
    #[cfg(any(feature = "object", feature = "s3"))]
    pub(crate) fn direct(&self) -> Result<Self, BlobError> {
        let deadlines = self.deadlines;
        let make = move || {
            let builder = Client::builder()
                .connect_timeout(deadlines.connect().min(Duration::from_secs(3)))
                .read_timeout(deadlines.silence())
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none());
            start(builder)
        };
        Ok(Http { pool: Pool::new(make)?, unread_ca: None, ..self.clone() })
    }

    /// Requests sent and bytes received so far.
    pub(crate) fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage { requests: load(&self.requests), bytes: load(&self.bytes), ..Usage::default() }
    }

    fn no_answer(&self, e: reqwest::Error) -> BlobError {
        explained(e, self.unread_ca.as_deref())
    }
}

fn start(builder: ClientBuilder) -> Result<Client, BlobError> {
    builder.build().map_err(|e| wrong("the HTTP client cannot start").because(e))
}

/// Why a request got no answer, in the words of its innermost cause.
fn explained(e: reqwest::Error, unread_ca: Option<&PathBuf>) -> BlobError {
    let e = e.without_url();
    let cause = innermost(&e);
    // Whoever speaks HTTP where TLS is expected will do so the next time, too.
    let tls = ["certificate", "UnknownIssuer", "corrupt message", "handshake", "received fatal alert"];
    // A server that is being restarted, or has too much to do, hangs up in the middle of it.
    let cut = ["handshake eof", "InternalError"].iter().any(|word| cause.contains(word));
    let final_word = e.is_connect() && !cut && tls.iter().any(|word| cause.contains(word));
    let what = if final_word && cause.contains("certificate") {
        match unread_ca {
            Some(file) => {
                let file = file.display();
                format!(
                    "the server's certificate is not trusted: {cause} (authorities in {file} could not be read)"
                )
            }
            None => format!("the server's certificate is not trusted: {cause}"),
        }
    } else if final_word {
        format!("no TLS connection: {cause}")
    } else if e.is_timeout() {
        format!("no answer in time: {cause}")
    } else if e.is_connect() {
        format!("cannot connect: {cause}")
    } else {
        format!("the connection broke: {cause}")
    };
    let error = BlobError::new(BlobErrorKind::Unavailable, what);
    if final_word { error } else { error.transient() }
}

/// What makes a client believe whom it should.
type Believing = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

fn believe(trust: Trust<'_>) -> Result<(Believing, Option<Arc<PathBuf>>), BlobError> {
    if !trust.fingerprint.is_empty() {
        let only = fingerprint::only(trust.fingerprint)?;
        return Ok((Box::new(move |builder| builder.tls_backend_preconfigured(only.clone())), None));
    }
    let mut unread = None;
    let file = trust.ca_file.map(|path| {
        std::fs::read(path).unwrap_or_else(|e| {
            tracing::warn!("cannot read the certificate authorities in {}: {e}", path.display());
            unread = Some(Arc::new(path.to_owned()));
            Vec::new()
        })
    });
    let mut authorities = Vec::new();
    for pem in [file.as_deref().unwrap_or_default(), trust.ca_pem] {
        if pem.is_empty() {
            continue;
        }
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|e| wrong("the certificate authorities are not PEM").because(e))?;
        if certificates.is_empty() {
            return Err(wrong("the certificate authorities are not PEM: there is no certificate in them"));
        }
        authorities.extend(certificates);
    }
    let anyone = trust.anyone;
    let believing = move |mut builder: ClientBuilder| {
        for authority in &authorities {
            builder = builder.add_root_certificate(authority.clone());
        }
        if anyone { builder.tls_danger_accept_invalid_certs(true) } else { builder }
    };
    Ok((Box::new(believing), unread))
}

/// Ends an answer that only drips.
#[derive(Debug)]
struct Watch {
    window: Duration,
    end: Instant,
    bytes: usize,
}

impl Watch {
    /// Fewer bytes in a window are a drip.
    const LEAST: usize = 4096;

    fn new(window: Duration) -> Self {
        Watch { window, end: Instant::now() + window, bytes: 0 }
    }

    async fn wait_for<T>(&mut self, part: impl Future<Output = T>) -> Result<T, BlobError> {
        let mut part = std::pin::pin!(part);
        loop {
            if let Ok(part) = tokio::time::timeout_at(self.end, &mut part).await {
                return Ok(part);
            }
            if self.bytes < Self::LEAST {
                let what = "the answer comes too slowly to be worth waiting for";
                return Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
            }
            *self = Watch::new(self.window);
        }
    }
}

/// Whether a login page or a proxy's own words have come with a success. No storage answers in HTML, but some send the
/// type of a page with whatever they have.
fn is_somebody_elses(answer: &Response, beginning: &[u8]) -> bool {
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_page = kind.trim_start().to_ascii_lowercase().starts_with("text/html");
    answer.status().is_success()
        && is_html(beginning)
        && (is_page || answer.status() != StatusCode::PARTIAL_CONTENT)
}

/// The error of a refusal, worth another try when the server is busy or in trouble.
pub(crate) fn by_status(error: BlobError, status: u16, retry_after: Option<&str>) -> BlobError {
    match status {
        429 | 503 => error.retry_after(wait(retry_after)),
        408 | 500 | 502 | 504..=599 => error.transient(),
        _ => error,
    }
}

/// `Retry-After`: seconds, or the time when; never more than two minutes are waited.
pub(crate) fn wait(text: Option<&str>) -> Duration {
    let seconds = text.and_then(|t| t.trim().parse().ok()).map(Duration::from_secs);
    let until = || {
        let then = jiff::fmt::rfc2822::parse(text?.trim()).ok()?.timestamp();
        Duration::try_from(then.duration_since(jiff::Timestamp::now())).ok()
    };
    seconds.or_else(until).unwrap_or_default().min(Duration::from_secs(120))
}

/// A header of an answer, if it is there and text.
#[cfg(any(feature = "b2", feature = "object", feature = "webdav"))]
pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// A code from an answer is shown only when it looks like one.
#[cfg(any(feature = "b2", feature = "object"))]
pub(crate) fn plain_code(code: &str) -> &str {
    let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain { code } else { "" }
}

/// How many bytes the answer to a request for `wanted` has, when its `Content-Range` says that it is the right one.
pub(crate) fn check_range(wanted: &Range<u64>, given: Option<&str>) -> Result<u64, BlobError> {
    let odd = |what: &str| Err(BlobError::new(BlobErrorKind::Unavailable, what).transient());
    match given.map(parse_content_range) {
        Some(Some((given, _))) if given == *wanted => Ok(wanted.end - wanted.start),
        // Only the blob's own end makes it short: a server that sends less than there is may do better the next time.
        Some(Some((given, total)))
            if given.start == wanted.start
                && given.end < wanted.end
                && total.is_none_or(|total| total <= given.end) =>
        {
            Err(BlobError::new(BlobErrorKind::Truncated, "it ends too early"))
        }
        Some(_) => odd("the storage answered with another range than it was asked for"),
        None => odd("the storage ignored the range that it was asked for"),
    }
}

/// `bytes 5-9/100` → 5..10 of 100
fn parse_content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) =
        text.strip_prefix("bytes ")?.split_once('/').unwrap_or((&text["bytes ".len()..], "*"));
    let (first, last) = range.split_once('-')?;
    let range = first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?;
    Some((range, total.trim().parse().ok()))
}

fn wrong(what: impl Display) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what.to_string())
}

pub(crate) fn innermost(e: &dyn std::error::Error) -> String {
    let mut last = e;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/100"), Some((5..10, Some(100))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5..10, None)));
        assert_eq!(parse_content_range("bytes 5-9"), Some((5..10, None)));
        assert_eq!(parse_content_range("bytes */100"), None);
        assert_eq!(parse_content_range("bytes 0-18446744073709551615/1"), None);
    }

    #[test]
    fn an_answer_has_the_range_that_was_asked_for() {
        let kind = |given| check_range(&(5..10), given).map_err(|e| (e.kind(), e.is_transient()));
        assert_eq!(kind(Some("bytes 5-9/100")), Ok(5));
        assert_eq!(kind(Some("bytes 5-8/9")), Err((BlobErrorKind::Truncated, false)));
        assert_eq!(kind(Some("bytes 5-8/*")), Err((BlobErrorKind::Truncated, false)));
        // A short answer of a blob that is longer is the server's fault, not the blob's.
        let odd =
            ["bytes 4-9/100", "bytes 5-10/100", "bytes 5-10/11", "bytes 5-8/100", "bytes 5-8/10", "5-9"];
        for odd in odd.map(Some).into_iter().chain([None]) {
            assert_eq!(kind(odd), Err((BlobErrorKind::Unavailable, true)), "{odd:?}");
        }
    }

    #[test]
    fn reads_when_to_come_back() {
        assert_eq!(wait(Some("7")), Duration::from_secs(7));
        assert_eq!(wait(Some("99999")), Duration::from_secs(120));
        assert_eq!(wait(Some("soon")), Duration::ZERO);
        assert_eq!(wait(None), Duration::ZERO);
        assert_eq!(wait(Some("Thu, 01 Jan 1970 00:00:07 GMT")), Duration::ZERO);
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
        let soon = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        assert!((Duration::from_secs(15)..=Duration::from_secs(20)).contains(&wait(Some(&soon))));
    }

    #[tokio::test]
    async fn a_handshake_that_is_cut_is_worth_another_try() {
        use std::io::Read;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || listener.accept().unwrap().0.read(&mut [0; 16]).unwrap());
        let http = Http::new(Trust::default(), Deadlines::default()).unwrap();
        let error = http.send(http.request(Method::GET, format!("https://{address}/"))).await.unwrap_err();
        server.join().unwrap();
        assert!(error.is_transient(), "{error}");
    }

    /// A server whose first connections go silent when all of them have answered once.
    #[tokio::test]
    async fn connections_that_are_dead_together_cost_one_try() {
        use std::io::{Read, Write};
        const DEAD: usize = 12;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let together = Arc::new(std::sync::Barrier::new(DEAD));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (mut stream, together) = (stream.unwrap(), Arc::clone(&together));
                std::thread::spawn(move || {
                    let mut answered = 0;
                    while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                        if number < DEAD && answered == 0 {
                            together.wait();
                        }
                        if number >= DEAD || answered == 0 {
                            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                        }
                        answered += 1;
                    }
                });
            }
        });
        let deadlines = Deadlines { patience: Duration::from_millis(900) };
        let http = Http::new(Trust::default(), deadlines).unwrap();
        let get = async || {
            let answer = http.send(http.request(Method::GET, format!("http://{address}/"))).await?;
            http.text(answer, 10).await
        };
        let all = futures::future::join_all((0..DEAD).map(|_| get())).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert!(get().await.is_err(), "the first one finds a dead connection");
        assert_eq!(get().await.unwrap().unwrap().as_slice(), b"ok");
    }

    #[tokio::test]
    async fn a_drip_ends_and_a_slow_answer_does_not() {
        let moment = async || tokio::time::sleep(Duration::from_millis(5)).await;
        let window = Duration::from_millis(40);
        let mut watch = Watch::new(window);
        while watch.wait_for(moment()).await.is_ok() {
            watch.bytes += 1;
            assert!(watch.bytes < 1000, "it never ends");
        }
        let mut watch = Watch::new(window);
        for _ in 0..50 {
            watch.bytes += Watch::LEAST;
            watch.wait_for(moment()).await.unwrap();
        }
    }
}
