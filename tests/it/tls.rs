//! TLS on both sides: the gateway's own certificate, the vendors' certificates, and proxies on the way to them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Authority, Gateway, Identity, Reply, Steady, Vendor, within};

/// A TLS connection to `to`, which must be `name`.
async fn shake_hands(
    authority: &Authority,
    to: SocketAddr,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within("a handshake", TlsConnector::from(authority.client(alpn)).connect(name, tcp)).await
}

fn protocol(io: &TlsStream<TcpStream>) -> String {
    String::from_utf8_lossy(io.get_ref().1.alpn_protocol().unwrap_or_default()).into_owned()
}

fn models(scheme: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{scheme}/v1/models")).header("host", "localhost").body(Full::default()).unwrap()
}

async fn secured(authority: &Authority, identity: &Identity) -> Gateway {
    let files =
        [("cert.pem", identity.cert.as_str()), ("key.pem", &identity.key), ("ca.pem", &authority.pem)];
    Gateway::start_among("tls: { cert: cert.pem, key: key.pem }\n", &[], &files).await
}

#[tokio::test]
async fn calls_are_served_over_tls_by_the_protocol_the_client_prefers() {
    let authority = Authority::new();
    let gateway = secured(&authority, &authority.vouch("localhost")).await;
    let io = shake_hands(&authority, gateway.calls, "localhost", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(protocol(&io), "h2");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await;
    let (mut sender, driver) = handshake.unwrap();
    let driver = tokio::spawn(driver);
    let answer = sender.send_request(models("https://localhost")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    driver.abort();
    for alpn in [&["http/1.1"][..], &[]] {
        let io = shake_hands(&authority, gateway.calls, "localhost", alpn).await.unwrap();
        assert_eq!(protocol(&io), alpn.concat());
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
        let driver = tokio::spawn(driver);
        let answer = sender.send_request(models("")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        driver.abort();
    }
    assert!(shake_hands(&authority, gateway.calls, "elsewhere.example", &[]).await.is_err());
}

#[tokio::test]
async fn cleartext_on_the_tls_port_is_not_answered_in_cleartext() {
    let authority = Authority::new();
    let gateway = secured(&authority, &authority.vouch("localhost")).await;
    let mut raw = gateway.raw().await;
    raw.write("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(!raw.rest().await.contains("HTTP/1.1"));
    // Another one's handshake is not held up by it.
    shake_hands(&authority, gateway.calls, "localhost", &[]).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let gateway = secured(&old, &old.vouch("localhost")).await;
    let io = shake_hands(&old, gateway.calls, "localhost", &["http/1.1"]).await.unwrap();
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    let driver = tokio::spawn(driver);
    let identity = new.vouch("localhost");
    gateway.write_file("cert.pem", &identity.cert);
    gateway.write_file("key.pem", &identity.key);
    gateway.wait_for_log(|it| it["event"] == "config_reloaded").await;
    shake_hands(&new, gateway.calls, "localhost", &[]).await.expect("the new certificate is shown");
    assert!(shake_hands(&old, gateway.calls, "localhost", &[]).await.is_err());
    let answer = sender.send_request(models("")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let _ = answer.into_body().collect().await;
    driver.abort();
}

#[tokio::test]
async fn a_certificate_without_its_key_changes_nothing() {
    let authority = Authority::new();
    let gateway = secured(&authority, &authority.vouch("localhost")).await;
    gateway.write_file("cert.pem", &authority.vouch("localhost").cert);
    let told = gateway.event_line("config_refused").await;
    assert!(told["fault"].as_str().unwrap().contains("tls"), "{told}");
    shake_hands(&authority, gateway.calls, "localhost", &[]).await.expect("the old one still serves");
}

/// A gateway with one upstream `v` at `base_url`, the authority beside it in `ca.pem`.
async fn calling(base_url: &str, more: &str, authority: &Authority, identity: Option<&Identity>) -> Gateway {
    let yaml = format!(
        "upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{base_url}\", key: vendor-key{more} }}\n"
    );
    let none = Identity { cert: String::new(), key: String::new() };
    let identity = identity.unwrap_or(&none);
    let files =
        [("ca.pem", authority.pem.as_str()), ("cert.pem", &identity.cert), ("key.pem", &identity.key)];
    Gateway::start_among(&yaml, &[], &files).await
}

/// The call is refused before anything is sent, and the client learns no address.
async fn refuses(gateway: &Gateway, vendor: &Steady) {
    let answer = gateway.chat("v/m").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()["code"].as_str()),
        (502, Some("upstream_unreachable"))
    );
    assert!(!answer.text().contains(&vendor.address.port().to_string()), "{}", answer.text());
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_vendor_is_called_over_tls_if_it_is_who_it_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let vendor = Steady::over_tls("secure", authority.server(&authority.vouch("127.0.0.1"), false)).await;
    let url = format!("https://{}/v1", vendor.address);
    for http2 in ["", ", http2: 1"] {
        let gateway = calling(&url, &format!(", ca_file: ca.pem{http2}"), &authority, None).await;
        assert_eq!(gateway.chat("v/m").await.content(), "secure");
    }
    assert_eq!(vendor.seen().len(), 2);
    assert!(vendor.seen().iter().all(|it| it.header("authorization") == Some("Bearer vendor-key")));
    let vendor = Steady::over_tls("secure", authority.server(&authority.vouch("127.0.0.1"), false)).await;
    let url = format!("https://{}/v1", vendor.address);
    refuses(&calling(&url, "", &authority, None).await, &vendor).await;
    refuses(&calling(&url, ", ca_file: ca.pem", &stranger, None).await, &vendor).await;
    let by_name = url.replace("127.0.0.1", "localhost");
    refuses(&calling(&by_name, ", ca_file: ca.pem", &authority, None).await, &vendor).await;
}

#[tokio::test]
async fn a_vendor_that_speaks_no_tls_is_never_called_in_cleartext() {
    let authority = Authority::new();
    let vendor = Steady::start("clear").await;
    let url = format!("https://{}/v1", vendor.address);
    refuses(&calling(&url, ", ca_file: ca.pem", &authority, None).await, &vendor).await;
}

#[tokio::test]
async fn a_vendor_that_asks_for_a_certificate_gets_the_configured_one() {
    let authority = Authority::new();
    let vendor = Steady::over_tls("known", authority.server(&authority.vouch("127.0.0.1"), true)).await;
    let url = format!("https://{}/v1", vendor.address);
    let without = calling(&url, ", ca_file: ca.pem", &authority, None).await;
    assert_eq!(without.chat("v/m").await.status, 502);
    assert!(vendor.seen().is_empty());
    let own = authority.vouch("gateway.example");
    let more = ", ca_file: ca.pem, client_cert: cert.pem, client_key: key.pem";
    let with = calling(&url, more, &authority, Some(&own)).await;
    assert_eq!(with.chat("v/m").await.content(), "known");
}

#[tokio::test]
async fn a_new_authority_file_takes_effect() {
    let (old, new) = (Authority::new(), Authority::new());
    let vendor = Steady::over_tls("secure", new.server(&new.vouch("127.0.0.1"), false)).await;
    let gateway = calling(&format!("https://{}/v1", vendor.address), ", ca_file: ca.pem", &old, None).await;
    refuses(&gateway, &vendor).await;
    gateway.write_file("ca.pem", &new.pem);
    gateway.wait_for_log(|it| it["event"] == "config_reloaded").await;
    assert_eq!(gateway.chat("v/m").await.content(), "secure");
}

/// A proxy that tunnels every CONNECT to one place, and notes what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn to(place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let notes = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut tunnels = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(tunnel(client, place, Arc::clone(&notes)));
            }
        });
        Self { address, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tunnel(mut client: TcpStream, place: SocketAddr, notes: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let is_tunnel = head.starts_with("CONNECT ");
    notes.lock().unwrap().push(head.clone());
    let mut vendor = TcpStream::connect(place).await.unwrap();
    match is_tunnel {
        true => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap(),
        false => vendor.write_all(head.as_bytes()).await.unwrap(),
    }
    let _ = copy_bidirectional(&mut client, &mut vendor).await;
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_no_key() {
    let authority = Authority::new();
    let vendor =
        Steady::over_tls("behind", authority.server(&authority.vouch("vendor.example"), false)).await;
    let proxy = Proxy::to(vendor.address).await;
    let more = format!(", ca_file: ca.pem, proxy: \"http://user:word@{}\"", proxy.address);
    let gateway = calling("https://vendor.example:4443/v1", &more, &authority, None).await;
    assert_eq!(gateway.chat("v/m").await.content(), "behind");
    assert_eq!(gateway.chat("v/m").await.content(), "behind");
    assert_eq!(vendor.seen()[0].header("host"), Some("vendor.example:4443"));
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one tunnel serves many calls");
    assert!(asked[0].starts_with("CONNECT vendor.example:4443 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk"), "{asked:?}");
    assert!(!asked[0].contains("vendor-key"));
}

/// A cleartext call has no place for the proxy's password but a tunnel; it was sent without, and refused.
#[tokio::test]
async fn a_proxy_with_a_password_gets_it_for_a_cleartext_upstream_as_well() {
    let vendor = Steady::start("behind").await;
    let proxy = Proxy::to(vendor.address).await;
    let authority = Authority::new();
    let more = format!(", proxy: \"http://user:word@{}\"", proxy.address);
    let gateway = calling("http://vendor.example:4480/v1", &more, &authority, None).await;
    assert_eq!(gateway.chat("v/m").await.content(), "behind");
    let asked = proxy.asked();
    assert!(asked[0].starts_with("CONNECT vendor.example:4480 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk"), "{asked:?}");
    assert!(!asked[0].contains("vendor-key"));
    let seen = vendor.only();
    assert_eq!(
        (seen.header("host"), seen.target.as_str()),
        (Some("vendor.example:4480"), "/v1/chat/completions")
    );
    assert_eq!(seen.header("proxy-authorization"), None);
    // One that wants none is asked for the call itself.
    let open = Proxy::to(vendor.address).await;
    let more = format!(", proxy: \"http://{}\"", open.address);
    let gateway = calling("http://vendor.example:4480/v1", &more, &authority, None).await;
    assert_eq!(gateway.chat("v/m").await.content(), "behind");
    let asked = open.asked();
    assert!(
        asked[0].starts_with("POST http://vendor.example:4480/v1/chat/completions HTTP/1.1\r\n"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_environments_proxy_is_used_but_where_it_may_not() {
    let authority = Authority::new();
    let vendor =
        Steady::over_tls("behind", authority.server(&authority.vouch("vendor.example"), false)).await;
    let (proxy, near) = (Proxy::to(vendor.address).await, Steady::start("near").await);
    let url = format!("http://{}", proxy.address);
    // The same place by a name that is not loopback's.
    let here = near.url().replace("127.0.0.1", "0.0.0.0");
    let upstream = |id: &str, base_url: &str, more: &str| {
        format!("  {id}: {{ vendor: openai-compatible, base_url: \"{base_url}\", ca_file: ca.pem{more} }}\n")
    };
    let yaml = ["upstreams:\n".to_owned(), upstream("far", "https://vendor.example/v1", "")]
        .into_iter()
        .chain([
            upstream("near", &near.url(), ""),
            upstream("kept", &here, ""),
            upstream("off", &here, ", proxy: off"),
        ])
        .collect::<String>();
    let environment = [("HTTPS_PROXY", url.as_str()), ("HTTP_PROXY", &url), ("NO_PROXY", "0.0.0.0")];
    let gateway = Gateway::start_among(&yaml, &environment, &[("ca.pem", &authority.pem)]).await;
    assert_eq!(gateway.chat("far/m").await.content(), "behind");
    for id in ["near", "kept", "off"] {
        assert_eq!(gateway.chat(&format!("{id}/m")).await.content(), "near");
    }
    assert_eq!(proxy.asked().len(), 1, "{:?}", proxy.asked());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_failure_to_connect() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let proxy = Vendor::with([Reply::raw(refusal)]).await;
    let authority = Authority::new();
    let more = format!(", proxy: \"http://{}\"", proxy.address);
    let gateway = calling("https://vendor.example/v1", &more, &authority, None).await;
    assert_eq!(gateway.chat("v/m").await.error()["code"], "upstream_unreachable");
    assert_eq!(proxy.request(0).await.method, "CONNECT");
}
