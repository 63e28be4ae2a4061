//! Requests that two servers could read differently: none becomes two, and none that is unclear reaches a vendor.
//! Over raw sockets, for no HTTP client would send them.

use crate::support::{Gateway, Steady, within};

/// What a request of ours names, and what a smuggled one would ask for.
const BODY: &str = r#"{"model":"v/m"}"#;
const SMUGGLED: &str = "GET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";

/// A gateway whose idle connections end soon, so that each attack can be read to its end.
struct Range {
    gateway: Gateway,
    vendor: Steady,
}

impl Range {
    async fn start() -> Self {
        let vendor = Steady::start("served").await;
        let yaml = format!(
            "default_upstream: v\nlimits: {{ header_read_ms: 500, body_read_ms: 500, keepalive_ms: 100 }}\n\
             upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\" }}\n",
            vendor.url()
        );
        Self { gateway: Gateway::start(&yaml).await, vendor }
    }

    /// Sends `bytes` and gives the statuses of all answers until the connection's end.
    async fn attack(&self, bytes: &[u8]) -> Vec<u16> {
        let mut raw = self.gateway.raw().await;
        // The other side may close before it has taken all of it.
        let _ = within("a write", tokio::io::AsyncWriteExt::write_all(&mut raw.stream, bytes)).await;
        let came = raw.rest().await;
        let heads = came.split("HTTP/1.").skip(1);
        heads.map(|it| it.get(2..5).and_then(|it| it.parse().ok()).unwrap_or(0)).collect()
    }

    /// Each is refused, or the connection ends without a word; nothing reaches the vendor.
    async fn refuses(&self, attacks: Vec<(String, Vec<u8>)>) {
        let tries = attacks.iter().map(|(name, bytes)| async move { (name, self.attack(bytes).await) });
        for (name, statuses) in join_all(tries).await {
            assert!(statuses.len() <= 1 && statuses.iter().all(|it| *it == 400), "{name}: {statuses:?}");
        }
        assert!(self.vendor.seen().is_empty(), "{:#?}", self.vendor.seen());
    }

    /// Each is one request at most, and the connection ends with it.
    async fn takes_for_one(&self, attacks: Vec<(String, Vec<u8>)>) {
        for (name, bytes) in &attacks {
            let before = self.vendor.seen().len();
            let statuses = self.attack(bytes).await;
            assert!(statuses.len() <= 1, "{name}: {statuses:?}");
            let seen = self.vendor.seen();
            assert!(seen.len() - before <= 1, "{name} became two: {seen:#?}");
            assert!(seen.iter().all(|it| !it.target.contains("smuggled")), "{name}: {seen:#?}");
        }
    }
}

async fn join_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|it| (Box::pin(it), None)).collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (future, done) in &mut pending {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}

/// A POST with these header lines and this body.
fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("{POST}{headers}\r\n{body}").into_bytes()
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

fn length() -> String {
    format!("Content-Length: {}\r\n", BODY.len())
}

fn named(names: &[&str], attack: impl Fn(&str) -> Vec<u8>) -> Vec<(String, Vec<u8>)> {
    names.iter().map(|it| (format!("{it:?}"), attack(it))).collect()
}

#[tokio::test]
async fn a_clear_request_is_served_and_so_is_one_behind_it() {
    let range = Range::start().await;
    let both = [post(&length(), BODY), post("Transfer-Encoding: chunked\r\n", &chunked(BODY))].concat();
    assert_eq!(range.attack(&both).await, [200, 200]);
    assert_eq!(range.vendor.seen().len(), 2);
    assert!(range.vendor.seen().iter().all(|it| it.text() == r#"{"model":"m"}"#));
}

#[tokio::test]
async fn a_request_without_one_plain_host_is_refused_with_400() {
    let range = Range::start().await;
    let hosts = [
        "",
        "Host: localhost\r\nHost: b\r\n",
        "Host: localhost\r\nhost: a\r\n",
        "Host: a#b\r\n",
        "Host: a/../b\r\n",
    ];
    let more = ["Host: a b\r\n", "Host: user@a\r\n", "Host: a,b\r\n", "Host: a?b\r\n", "Host: <a>\r\n"];
    for host in hosts.iter().chain(&more) {
        let bytes = format!("POST /v1/chat/completions HTTP/1.1\r\n{host}{}\r\n{BODY}", length());
        assert_eq!(range.attack(bytes.as_bytes()).await, [400], "{host:?}");
    }
    let user = "GET http://user@a/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(range.attack(user.as_bytes()).await, [400]);
    assert!(range.vendor.seen().is_empty());
}

#[tokio::test]
async fn a_target_in_absolute_form_chooses_no_host() {
    let range = Range::start().await;
    let bytes = b"GET http://elsewhere.example:81/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(range.attack(bytes).await, [200]);
    let seen = range.vendor.only();
    assert_eq!(seen.target, "/v1/files");
    assert_eq!(seen.header("host"), Some(range.vendor.address.to_string().as_str()));
}

#[tokio::test]
async fn two_framings_at_once_are_one_request_at_most() {
    let range = Range::start().await;
    let whole = chunked(BODY) + SMUGGLED;
    let long = format!("Content-Length: {}\r\n", whole.len());
    let te = "Transfer-Encoding: chunked\r\n";
    let attacks = vec![
        ("CL over all, then TE".to_owned(), post(&(long.clone() + te), &whole)),
        ("TE, then CL over all".to_owned(), post(&(te.to_owned() + &long), &whole)),
        ("CL over a part, then TE".to_owned(), post(&format!("Content-Length: 4\r\n{te}"), &whole)),
        ("TE, then CL over a part".to_owned(), post(&format!("{te}Content-Length: 4\r\n"), &whole)),
        ("TE, then CL 0".to_owned(), post(&format!("{te}Content-Length: 0\r\n"), &whole)),
    ];
    range.takes_for_one(attacks).await;
}

#[tokio::test]
async fn a_length_that_is_no_plain_number_is_refused() {
    let range = Range::start().await;
    let n = BODY.len();
    let values = [
        format!("+{n}"),
        format!("-{n}"),
        format!("{n},{n}"),
        format!("{n}, {n}"),
        format!("0x{n:x}"),
        format!("{n};a"),
        format!("\"{n}\""),
        "99999999999999999999".to_owned(),
        "18446744073709551616".to_owned(),
        "1 5".to_owned(),
        String::new(),
        format!("{n}\r\nContent-Length: 4"),
        format!("4\r\nContent-Length: {n}"),
    ];
    let names: Vec<&str> = values.iter().map(String::as_str).collect();
    range
        .refuses(named(&names, |it| post(&format!("Content-Length: {it}\r\n"), &format!("{BODY}{SMUGGLED}"))))
        .await;
}

#[tokio::test]
async fn a_coding_that_is_not_chunked_last_and_alone_is_refused() {
    let range = Range::start().await;
    let values = [
        "xchunked",
        "chunked, identity",
        "identity",
        "\"chunked\"",
        "chunked;q=1",
        "\u{b}chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "chunked\r\nTransfer-Encoding: x",
        "x: chunked",
    ];
    let attack = |it: &str| {
        post(&format!("Transfer-Encoding: {it}\r\nContent-Length: 4\r\n"), &(chunked(BODY) + SMUGGLED))
    };
    range.refuses(named(&values, attack)).await;
    let names = [
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer\0-Encoding: chunked\r\n",
    ];
    range.refuses(named(&names, |it| post(&format!("{it}{}", length()), &(chunked(BODY) + SMUGGLED)))).await;
    let old = POST.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n" + &chunked(BODY);
    range.refuses(vec![("chunked in HTTP/1.0".into(), old.into_bytes())]).await;
}

#[tokio::test]
async fn a_chunk_that_is_not_framed_to_the_letter_is_refused() {
    let range = Range::start().await;
    let n = BODY.len();
    let bodies = [
        format!("0x{n:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("+{n:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("-1\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{n:x}_0\r\n{BODY}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n"),
        format!(" {n:x}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("\r\n{BODY}\r\n0\r\n\r\n"),
        format!("g\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{n:x}\n{BODY}\n0\n\n"),
        format!("{n:x}\r\n{BODY}XX0\r\n\r\n"),
        format!("{n:x};a\nb\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{n:x};{}\r\n{BODY}\r\n0\r\n\r\n", "a".repeat(40_000)),
    ];
    let names: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let attack = |it: &str| post("Transfer-Encoding: chunked\r\n", &format!("{it}{SMUGGLED}"));
    let attacks =
        named(&names, attack).into_iter().map(|(name, bytes)| (name.chars().take(40).collect(), bytes));
    range.refuses(attacks.collect()).await;
}

#[tokio::test]
async fn a_header_that_two_servers_could_split_differently_is_refused() {
    let range = Range::start().await;
    let lines = [
        "X-A: b\r\n folded",
        "X-A: b\r\n\tContent-Length: 4",
        "X-A: b\0c",
        "X-A: b\rc",
        "X\0A: b",
        "X A: b",
        "X-A",
        ": b",
        "X-\u{e9}: b",
    ];
    let attack = |it: &str| post(&format!("{}{it}\r\n", length()), &format!("{BODY}{SMUGGLED}"));
    range.refuses(named(&lines, attack)).await;
    let targets = ["/v1/a b", "/v1/\0", "/v1/a\u{7f}", "v1/files", ""];
    let attack = |it: &str| format!("GET {it} HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes();
    range.refuses(named(&targets, attack)).await;
    let versions = ["HTTP/2.0", "HTTP/1.2", "HTTP/1", "http/1.1", "HTTP/1.1 x"];
    range
        .refuses(named(&versions, |it| {
            format!("GET /v1/files {it}\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes()
        }))
        .await;
}

#[tokio::test]
async fn what_is_not_http_at_all_is_refused_with_400() {
    let range = Range::start().await;
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], b"hello\r\n\r\n", b"GET / X\r\n\r\n"]
    {
        assert_eq!(range.attack(bytes).await, [400], "{bytes:?}");
    }
    // The answer to bad framing must come through as well, though bytes that cannot be read lie behind it.
    let bad = post(&format!("Content-Length: +{}\r\n", BODY.len()), BODY);
    assert_eq!(range.attack(&bad).await, [400]);
}

#[tokio::test]
async fn methods_that_turn_a_gateway_into_something_else_are_refused() {
    let range = Range::start().await;
    let connect = "CONNECT elsewhere.example:80 HTTP/1.1\r\nHost: elsewhere.example:80\r\n\r\n";
    assert_eq!(range.attack(connect.as_bytes()).await, [405]);
    let trace = "TRACE /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(range.attack(trace.as_bytes()).await, [405]);
    assert!(range.vendor.seen().is_empty());
}

#[tokio::test]
async fn a_method_that_http_does_not_define_is_refused() {
    let range = Range::start().await;
    for method in ["FOO", "PROPFIND", "get"] {
        let bytes = format!("{method} /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(range.attack(bytes.as_bytes()).await, [405], "{method}");
    }
    assert!(range.vendor.seen().is_empty(), "{:#?}", range.vendor.seen());
}

#[tokio::test]
async fn an_upgrade_never_opens_a_way_through() {
    let range = Range::start().await;
    let socket =
        "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(range.attack(socket.as_bytes()).await, [501]);
    assert!(range.vendor.seen().is_empty());
    // Offers of other protocols are ignored (RFC 9110, section 7.8), and their headers stay here.
    let h2c = "GET /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, x-team\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAAQ\r\nX-Team: a\r\n\r\n";
    assert_eq!(range.attack(h2c.as_bytes()).await, [200]);
    let seen = range.vendor.only();
    for name in ["upgrade", "connection", "http2-settings", "x-team"] {
        assert_eq!(seen.header(name), None, "{seen:#?}");
    }
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_stays_a_body() {
    let range = Range::start().await;
    let head =
        format!("GET /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", SMUGGLED.len());
    assert_eq!(range.attack(format!("{head}{SMUGGLED}").as_bytes()).await, [200]);
    let seen = range.vendor.only();
    assert_eq!((seen.target.as_str(), seen.text()), ("/v1/files", SMUGGLED));
}
