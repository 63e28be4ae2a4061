//! Answers operators and orchestrators, on a port and a thread of its own: probes answer while the calls' threads are busy.
//! `/livez` and `/readyz` never depend on vendors: an outage there must not take the gateway out of service.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::edge::ask::{Caller, tags};
use crate::edge::body::Body;
use crate::edge::explain::explain_body;
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::rescue;
use crate::error::{Error, Kind, Origin};
use crate::health::{CircuitState, KeyState};
use crate::names::ClientName;
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::upstream::Upstream;

/// The configured client as which `/admin/explain` looks: conversations are each client's own.
const X_TOLLGATE_CLIENT: HeaderName = HeaderName::from_static("x-tollgate-client");

/// An `/admin/explain` body is read up to here, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Time for such a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Serves one request of the admin port. `loopback`: the port cannot be reached from other machines.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>, loopback: bool) -> Response<Body> {
    let serving = gateway.serving();
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let answered = match path.as_str() {
        "/livez" if read => Ok(text(StatusCode::OK, "ok\n")),
        "/readyz" if read => Ok(ready(&gateway)),
        "/metrics" if read => Ok(metrics(&gateway, &serving)),
        _ if path.starts_with("/admin/") => match permitted(&serving, &request, loopback) {
            Ok(()) => administer(&gateway, &serving, &path, request).await,
            Err(error) => Err(error),
        },
        _ => Err(unknown(&path)),
    };
    answered.unwrap_or_else(|error| rescue::bare(&error))
}

fn unknown(path: &str) -> Error {
    let shown: String = path.chars().take(64).collect();
    Error::bad_request(format!(
        "The admin port does not know `{shown}`; it has /livez, /readyz, /metrics, /admin/upstreams, /admin/config, /admin/sessions and /admin/explain."
    ))
    .status(StatusCode::NOT_FOUND)
}

fn ready(gateway: &Gateway) -> Response<Body> {
    if gateway.is_stopping() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let faults = gateway.last_faults.load();
    match faults.is_empty() {
        true => text(StatusCode::OK, "ready\n"),
        false => {
            text(StatusCode::OK, &format!("ready, but the last reload was refused:\n{}\n", faults.join("\n")))
        }
    }
}

fn metrics(gateway: &Gateway, serving: &Serving) -> Response<Body> {
    let now = Instant::now();
    for upstream in &serving.snapshot.upstreams {
        upstream.show_state(now);
    }
    let mut response = Response::new(Body::plain(gateway.metrics.render()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// With a key, the key opens; without one, only a port that other machines cannot reach is open.
fn permitted(serving: &Serving, request: &Request<Incoming>, loopback: bool) -> Result<(), Error> {
    let Some(key) = &serving.admin_key else {
        return match loopback {
            true => from_here(request),
            false => Err(forbidden("Set `admin_key` to use /admin/ beyond loopback.", "admin_key_not_set")),
        };
    };
    let shown = request.headers().get(header::AUTHORIZATION).and_then(bearer).unwrap_or_default();
    // Digests are compared, so that the time it takes tells nothing about the key.
    match Sha256::digest(shown) == Sha256::digest(key.reveal()) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Unauthorized,
            Origin::Client,
            "Send the admin key as `Authorization: Bearer <key>`.",
        )),
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, key) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

fn forbidden(message: &str, code: &str) -> Error {
    Error::new(Kind::Unauthorized, Origin::Client, message).status(StatusCode::FORBIDDEN).code(code)
}

/// A web page in a browser of this machine reaches loopback too: under a name of its own that leads here (DNS
/// rebinding), or by a form whose answer it does not need to read. Either shows in the headers.
fn from_here<B>(request: &Request<B>) -> Result<(), Error> {
    if request.headers().contains_key(header::ORIGIN) {
        let message = "Web pages may not use /admin/ while `admin_key` is not set.";
        return Err(forbidden(message, "origin_not_allowed"));
    }
    let named = request.headers().get_all(header::HOST).iter();
    let named = named.map(|it| Authority::try_from(it.as_bytes()).ok());
    let mut named = named.chain(request.uri().authority().cloned().map(Some));
    match named.all(|it| it.is_some_and(|it| is_loopback(it.host()))) {
        true => Ok(()),
        false => {
            let message = "While `admin_key` is not set, /admin/ is answered under 127.0.0.1, [::1] and localhost only.";
            Err(forbidden(message, "host_not_allowed"))
        }
    }
}

/// Whether a host as URLs spell it can only be this machine.
fn is_loopback(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || v6.and_then(|it| it.parse::<Ipv6Addr>().ok()).is_some_and(|it| it.is_loopback())
}

async fn administer(
    gateway: &Gateway,
    serving: &Serving,
    path: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Error> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let posted = *request.method() == Method::POST;
    match path.strip_prefix("/admin/").unwrap_or_default() {
        "upstreams" if read => Ok(json_answer(&upstreams(serving))),
        "config" if read => {
            let mut about = serde_json::to_value(&serving.about).expect("plain data always serialises");
            about["last_faults"] = json!(gateway.last_faults.load().as_slice());
            about["off"] =
                serving.snapshot.off.iter().map(|(id, why)| (id.to_string(), json!(why))).collect();
            Ok(json_answer(&about))
        }
        "sessions" if read => Ok(json_answer(&sessions(serving))),
        "explain" if posted => explained(serving, request).await,
        other if posted => switch(serving, other).ok_or_else(|| unknown(path)),
        _ => Err(unknown(path)),
    }
}

/// Where sessions are kept, and what waits for that.
fn sessions(serving: &Serving) -> Value {
    let state = serving.sessions.state();
    json!({
        "store": state.store,
        "away": state.is_away,
        "waiting_turns": state.waiting_turns,
        "waiting_bytes": state.waiting_bytes,
    })
}

async fn explained(serving: &Serving, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let client =
        request.headers().get(X_TOLLGATE_CLIENT).and_then(|it| it.to_str().ok()).map(ClientName::from);
    let tags = tags(request.headers())?;
    let body = read(request.into_body()).await?;
    let depth_max = serving.limits.json_depth_max;
    let caller = Caller { client: client.as_ref(), tags, ..Caller::default() };
    explain_body(&serving.snapshot, &body, depth_max, caller, Instant::now()).map(|it| json_answer(&it))
}

/// A whole body, if it is neither too long nor too slow.
async fn read<B>(body: B) -> Result<Bytes, Error>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => {
            let message = format!("The body is longer than {BODY_BYTES_MAX} bytes.");
            Err(Error::bad_request(message).status(StatusCode::PAYLOAD_TOO_LARGE).code("request_too_large"))
        }
        Ok(Err(_)) => Err(Error::bad_request("The body broke off.")),
        Err(_) => {
            let message = format!("The body did not arrive within {} s.", BODY_TIME.as_secs());
            Err(Error::bad_request(message).status(StatusCode::REQUEST_TIMEOUT).code("timeout"))
        }
    }
}

/// `upstreams/{id}/drain` and `upstreams/{id}/enable`.
fn switch(serving: &Serving, path: &str) -> Option<Response<Body>> {
    let (id, action) = path.strip_prefix("upstreams/")?.rsplit_once('/')?;
    let drained = match action {
        "drain" => true,
        "enable" => false,
        _ => return None,
    };
    let upstream = serving.snapshot.upstream(id)?;
    upstream.health.set_drained(drained);
    tracing::info!(event = if drained { "upstream_drained" } else { "upstream_enabled" }, upstream = id);
    Some(json_answer(&upstream_state(upstream, Instant::now())))
}

fn upstreams(serving: &Serving) -> Value {
    let now = Instant::now();
    let states: Vec<Value> = serving.snapshot.upstreams.iter().map(|it| upstream_state(it, now)).collect();
    let off: Vec<Value> =
        serving.snapshot.off.iter().map(|(id, why)| json!({"id": id.as_str(), "reason": why})).collect();
    json!({"upstreams": states, "off": off})
}

fn upstream_state(upstream: &Upstream, now: Instant) -> Value {
    let health = &upstream.health;
    let circuit = match health.circuit(now) {
        CircuitState::Closed => "closed",
        CircuitState::HalfOpen => "half_open",
        CircuitState::Open => "open",
    };
    let keys: Vec<&str> = health
        .key_states(now)
        .into_iter()
        .map(|it| match it {
            KeyState::Usable => "usable",
            KeyState::Cooling => "cooling",
            KeyState::Refused => "refused",
        })
        .collect();
    json!({
        "id": upstream.spec.id.as_str(),
        "vendor": upstream.spec.vendor,
        "circuit": circuit,
        "drained": health.is_drained(),
        "probe": if health.is_probe_failed() { "failed" } else { "passed" },
        "keys": if upstream.spec.keys.is_empty() { Vec::new() } else { keys },
        "models_listed": upstream.listed.load().len(),
    })
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::plain(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::plain(format!("{value:#}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// A body of which nothing ever comes.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[test]
    fn without_a_key_only_loopback_names_are_answered() {
        let check = |host: &str, fine: bool| {
            let request = Request::get("/admin/config").header("host", host).body(()).unwrap();
            let code = from_here(&request).err().and_then(|it| it.code.clone());
            assert_eq!(code, (!fine).then(|| "host_not_allowed".to_owned()), "{host}");
        };
        for host in ["localhost", "LocalHost:8081", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:8081"] {
            check(host, true);
        }
        for host in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "::1",
            "",
        ] {
            check(host, false);
        }
        let absolute = Request::get("http://evil.example/admin/config").header("host", "localhost").body(());
        assert!(from_here(&absolute.unwrap()).is_err());
        assert!(from_here(&Request::get("/admin/config").body(()).unwrap()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_ten_seconds() {
        let begun = tokio::time::Instant::now();
        let error = read(Silent).await.unwrap_err();
        assert_eq!((error.status, begun.elapsed()), (StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10)));
    }
}
