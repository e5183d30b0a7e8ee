//! The HTTP client that the providers share: one TLS stack, one set of deadlines, one place that counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::http_pool::Pool;
use super::trust::{Trust, believe};
use super::whole::{html_instead, is_html};
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::Usage;

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pool: Arc<Pool>,
    deadlines: Deadlines,
    /// The file of authorities that could not be read; a certificate that is not trusted is then no wonder.
    unread_ca: Option<Arc<PathBuf>>,
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Http {
    /// Makes a client with deadlines for connecting and for silence. A configured authority file that cannot be read is
    /// only warned of; the TLS error, if there is one, names it.
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

    /// Makes a request, to be given to [`Self::send`].
    pub(crate) fn request(&self, method: Method, url: impl reqwest::IntoUrl) -> RequestBuilder {
        self.pool.client().request(method, url)
    }

    /// Sends a request and waits for the head of the answer, whatever its status is.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, BlobError> {
        self.try_send(request).await.map_err(|e| self.no_answer(e))
    }

    /// Sends as [`Self::send`] does; fails with the client's own error.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let pool = self.pool.number();
        let answer = request.send().await;
        if answer.as_ref().is_err_and(|e| e.is_timeout() && !e.is_connect()) {
            self.pool.is_silent(pool);
        }
        answer
    }

    /// Returns the parts of an answer. It ends with an error when it breaks off, when it only drips (silence has a
    /// deadline of its own, a byte a second has not), and when a page of HTML has come in the place of what was asked
    /// for.
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

    /// Refuses an answer to a request for a range that says of no range: nobody knows which bytes these are.
    #[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
    pub(crate) async fn with_range(&self, answer: Response) -> Result<Response, BlobError> {
        if answer.status() != StatusCode::OK || answer.headers().contains_key("content-range") {
            return Ok(answer);
        }
        let mut parts = std::pin::pin!(self.body(answer));
        // The first part shows when the answer is somebody else's.
        parts.next().await.transpose()?;
        let what = "the storage ignored the range that it was asked for";
        Err(BlobError::new(BlobErrorKind::Unavailable, what).transient())
    }

    /// Reads the whole of a short answer; `None` when it has more than `most` bytes.
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

    /// Returns the text of a refusal, if there is one: errors are short, and nobody has to be believed about that.
    #[cfg(any(feature = "b2", feature = "object"))]
    pub(crate) async fn refusal(&self, answer: Response) -> String {
        let text = self.text(answer, 64 * 1024).await.ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Makes a client for the metadata service of the machine: close by or not there at all, and never behind a proxy.
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

    /// Returns the requests sent and bytes received so far.
    pub(crate) fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage { requests: load(&self.requests), bytes: load(&self.bytes), ..Usage::default() }
    }

    fn no_answer(&self, e: reqwest::Error) -> BlobError {
        explained(e, self.unread_ca.as_deref())
    }
}

fn start(builder: ClientBuilder) -> Result<Client, BlobError> {
    let failed = |e| BlobError::new(BlobErrorKind::Settings, "the HTTP client cannot start").because(e);
    builder.build().map_err(failed)
}

/// Makes the error that says why a request got no answer, in the words of its innermost cause.
fn explained(e: reqwest::Error, unread_ca: Option<&PathBuf>) -> BlobError {
    let e = e.without_url();
    let cause = innermost(&e);
    // A server that speaks HTTP where TLS is expected will do so the next time, too.
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

/// Ends an answer that only drips.
#[derive(Debug)]
struct Watch {
    window: Duration,
    end: Instant,
    bytes: usize,
}

impl Watch {
    /// Bytes in a window below which an answer only drips.
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

/// Returns the words of the cause behind all others.
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
