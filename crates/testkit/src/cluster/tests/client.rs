//! A client that takes answers as they come.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::ApiServer;

/// A request that is not sent yet.
pub(super) struct Ask<'a> {
    pub(super) server: &'a ApiServer,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'a str, &'a str)>,
}

/// A whole answer; an error when the connection ended before it did.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Bytes, hyper::Error>,
}

/// The lines of an open watch.
pub(super) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Ask<'_> {
    async fn send(self) -> hyper::Response<Incoming> {
        let address = self.server.url().replace("http://", "");
        let socket = TcpStream::connect(&address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(self.path).header("host", address);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
    }

    pub(super) async fn whole(self) -> Got {
        let (head, body) = self.send().await.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        Got { status: head.status.as_u16(), headers: head.headers, body }
    }
}

pub(super) fn ask<'a>(server: &'a ApiServer, path: &'a str) -> Ask<'a> {
    Ask { server, method: "GET", path, headers: vec![("authorization", "Bearer test-token")] }
}

/// Status and JSON of an answer.
pub(super) async fn get(server: &ApiServer, path: &str) -> (u16, Value) {
    let got = ask(server, path).whole().await;
    (got.status, got.json())
}

pub(super) async fn watch(server: &ApiServer, path: &str) -> Lines {
    let answer = ask(server, path).send().await;
    assert_eq!(answer.status(), 200);
    Lines { body: answer.into_body(), buffer: Vec::new() }
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.as_ref().unwrap().to_vec()).unwrap()
    }
}

impl Lines {
    /// Returns the next line; `None`: the watch has ended as it should; an error: in the middle.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, hyper::Error> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            let frame = timeout(Duration::from_secs(20), self.body.frame()).await.expect("a line in time");
            let Some(frame) = frame.transpose()? else {
                assert!(self.buffer.is_empty(), "the watch ended well in the middle of a line");
                return Ok(None);
            };
            self.buffer.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// Returns the next line that is no periodic bookmark.
    pub(super) async fn event(&mut self) -> Value {
        loop {
            let line = self.next().await.unwrap().expect("another line");
            if line["type"] != "BOOKMARK" || line["object"]["metadata"]["annotations"].is_object() {
                return line;
            }
        }
    }
}
