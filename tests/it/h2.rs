//! A client that takes nothing over HTTP/2: its connection is alive, and only its window is shut. What it holds up must
//! end all the same, or a few such clients hold every call the gateway may serve.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::client::chat_body;
use crate::support::{Gateway, Reply, Vendor, delta, over, role, until, within};

const STALL: &str = "limits: { write_stall_ms: 300 }\n";

/// A client over HTTP/2 whose streams take `window` bytes, and no more unless it reads them.
struct Shut {
    /// Held and not read: dropping it would cancel the stream.
    _response: Response<Incoming>,
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Shut {
    async fn call(gateway: &Gateway, window: u32, stream: bool) -> Self {
        let tcp = TcpStream::connect(gateway.calls).await.unwrap();
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (mut sender, driver) = builder.handshake(TokioIo::new(tcp)).await.unwrap();
        let driver = tokio::spawn(async move { drop(driver.await) });
        let request = Request::post(format!("http://{}/v1/chat/completions", gateway.calls))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(chat_body("smart", stream))));
        let response = within("a head", sender.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { _response: response, sender, driver }
    }

    /// Whether the connection still stands: the call was ended, not its client's other calls.
    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn check_given_up(gateway: &Gateway, client: &Shut) {
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"client_gone".into(), &"a".into()), "{line}");
    until("no call in flight", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0).await;
    assert!(client.is_open());
    // The vendor did nothing wrong.
    assert_eq!(line["failed"], serde_json::Value::Null, "{line}");
    assert_eq!(gateway.upstream("a").await["circuit"], "closed");
}

/// hyper asks a stream's body for nothing while its window is shut, so that no timer in the body is looked at.
#[tokio::test]
async fn a_stream_whose_window_is_shut_is_given_up_and_its_vendor_hung_up_on() {
    for window in [0, 1, 500] {
        let endless = Reply::stream([role(), delta("par")]).flood(&delta(&"x".repeat(4_000)), 256 << 20);
        let a = Vendor::with([endless]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], STALL)).await;
        let client = Shut::call(&gateway, window, true).await;
        a.client_gone(0).await;
        check_given_up(&gateway, &client).await;
    }
}

/// An answer that is held whole is hyper's at once, and occupies no place while its client thinks about taking it.
#[tokio::test]
async fn a_whole_answer_that_nobody_takes_is_no_call_in_flight() {
    for window in [0, 500] {
        let a = Vendor::with([Reply::chat(&"x".repeat(100_000))]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], STALL)).await;
        let _client = Shut::call(&gateway, window, false).await;
        until("no call in flight", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0)
            .await;
        gateway.call_line(0).await;
    }
}

/// While comments tell it to wait, nothing has come from the vendor yet; the search is given up with the client.
#[tokio::test]
async fn a_client_that_takes_no_comment_is_given_up_while_the_search_goes_on() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::start().await);
    let more = format!("{STALL}failover: {{ waiting_comment_ms: 100 }}\n");
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], &more)).await;
    let client = Shut::call(&gateway, 0, true).await;
    a.client_gone(0).await;
    check_given_up(&gateway, &client).await;
}

/// Bytes that are passed on unread, such as a file.
#[tokio::test]
async fn a_file_whose_window_is_shut_is_given_up_as_well() {
    for window in [0, 500] {
        let long =
            Reply::chunked(200, "application/json", ["[".to_owned()]).flood(&"1,".repeat(2_000), 256 << 20);
        let a = Vendor::with([long]).await;
        let limits = "limits: { write_stall_ms: 300, answer_bytes_max: 10000 }\n";
        let gateway = Gateway::start(&over(&[("a", &a.url())], limits)).await;
        let client = Shut::call(&gateway, window, false).await;
        a.client_gone(0).await;
        check_given_up(&gateway, &client).await;
    }
}
