//! A client that sees every byte: a connection per call, which ends when the call is dropped, as a caller's would.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::gateway::Gateway;
use super::within;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended as its framing said, and did not break off.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// The `error` object of the body.
    pub fn error(&self) -> Value {
        self.json()["error"].clone()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }

    /// The upstream that answered, and how many were asked.
    pub fn served_by(&self) -> (&str, &str) {
        (self.header("x-tollgate-upstream").unwrap_or("-"), self.header("x-tollgate-attempts").unwrap_or("-"))
    }

    /// The content of a chat completion.
    pub fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }
}

/// An answer that is coming in. Dropping it hangs up.
pub struct Open {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// What has come so far.
    pub so_far: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Open {
    /// Reads on until `text` has come.
    pub async fn read_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.so_far).contains(text) {
            let came = String::from_utf8_lossy(&self.so_far).into_owned();
            let frame = within(&format!("{text:?} behind {came:?}"), self.body.frame()).await;
            let Some(Ok(frame)) = frame else { panic!("the answer ended before {text:?}: {came:?}") };
            self.so_far.extend_from_slice(frame.data_ref().map_or(&[][..], |it| it));
        }
    }

    /// Reads to the end.
    pub async fn rest(mut self) -> Answer {
        let mut whole = true;
        while let Some(frame) = within("the end of an answer", self.body.frame()).await {
            let Ok(frame) = frame else {
                whole = false;
                break;
            };
            self.so_far.extend_from_slice(frame.data_ref().map_or(&[][..], |it| it));
        }
        let (status, headers) = (self.status, std::mem::take(&mut self.headers));
        Answer { status, headers, body: std::mem::take(&mut self.so_far).into(), whole }
    }
}

/// Sends a request on a connection of its own; comes back with the answer's head.
pub async fn open(to: SocketAddr, request: Request<Full<Bytes>>) -> Open {
    within("the head of an answer", async {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move { drop(driver.await) });
        let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
        Open { status: head.status, headers: head.headers, body, so_far: Vec::new(), connection }
    })
    .await
}

/// A request as most clients write it.
pub fn request(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

impl Gateway {
    /// Calls the gateway, and waits for the whole answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        open(self.calls, request(self.calls, method, path, headers, body)).await.rest().await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Method::POST, path, &[JSON], body).await
    }

    /// Asks for a chat completion of `model`.
    pub async fn chat(&self, model: &str) -> Answer {
        self.post("/v1/chat/completions", chat_body(model, false)).await
    }

    /// Asks for a stream of `model` and reads it to its end.
    pub async fn stream(&self, model: &str) -> Answer {
        self.open_stream(model).await.rest().await
    }

    /// Asks for a stream of `model`; comes back with its head.
    pub async fn open_stream(&self, model: &str) -> Open {
        self.open_post("/v1/chat/completions", chat_body(model, true)).await
    }

    /// Posts JSON; comes back with the answer's head.
    pub async fn open_post(&self, path: &str, body: impl Into<Bytes>) -> Open {
        open(self.calls, request(self.calls, Method::POST, path, &[JSON], body)).await
    }

    /// A connection for bytes as the test writes them.
    pub async fn raw(&self) -> Raw {
        Raw::open(self.calls).await
    }

    pub async fn admin_get(&self, path: &str) -> Answer {
        self.admin(Method::GET, path, &[], "").await
    }

    pub async fn admin_post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.admin(Method::POST, path, &[JSON], body).await
    }

    pub async fn admin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        open(self.admin, request(self.admin, method, path, headers, body)).await.rest().await
    }

    /// An upstream as /admin/upstreams shows it.
    pub async fn upstream(&self, id: &str) -> Value {
        let shown = self.admin_get("/admin/upstreams").await.json();
        let found = shown["upstreams"].as_array().unwrap().iter().find(|it| it["id"] == id);
        found.unwrap_or_else(|| panic!("no upstream {id} in {shown:#}")).clone()
    }
}

pub fn chat_body(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#)
}

/// A connection without any HTTP in between. Dropping it hangs up.
pub struct Raw {
    pub stream: TcpStream,
    /// What has come so far.
    pub so_far: Vec<u8>,
}

impl Raw {
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, so_far: Vec::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads on until `text` has come.
    pub async fn read_until(&mut self, text: &str) {
        while !self.text().contains(text) {
            let came = self.text();
            let what = format!("{text:?} behind {came:?}");
            let read = within(&what, self.stream.read_buf(&mut self.so_far)).await;
            assert!(read.unwrap_or(0) > 0, "the connection ended before {text:?}: {came:?}");
        }
    }

    /// Reads until the other side closes, and gives all that came.
    pub async fn rest(&mut self) -> String {
        while let Ok(1..) = within("the end", self.stream.read_buf(&mut self.so_far)).await {}
        self.text()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.so_far).into_owned()
    }
}
