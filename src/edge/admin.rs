//! Answers operators and orchestrators, on a port and a thread of its own: probes answer while the calls' threads are busy.
//! `/livez` and `/readyz` never depend on vendors: an outage there must not take the gateway out of service.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::edge::body::Body;
use crate::edge::explain::explain;
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::rescue;
use crate::error::{Error, Kind, Origin};
use crate::health::{CircuitState, KeyState};
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::upstream::Upstream;

/// An `/admin/explain` body is read up to here, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

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
        "The admin port does not know `{shown}`; it has /livez, /readyz, /metrics, /admin/upstreams, /admin/config and /admin/explain."
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
            true => Ok(()),
            false => Err(Error::new(
                Kind::Unauthorized,
                Origin::Client,
                "Set `admin_key` to use /admin/ beyond loopback.",
            )
            .status(StatusCode::FORBIDDEN)
            .code("admin_key_not_set")),
        };
    };
    let shown = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
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
        "explain" if posted => explained(serving, request).await,
        other if posted => switch(serving, other).ok_or_else(|| unknown(path)),
        _ => Err(unknown(path)),
    }
}

#[derive(Deserialize)]
struct ExplainRequest {
    model: String,
}

async fn explained(serving: &Serving, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map(|it| it.to_bytes()).unwrap_or_default();
    let asked: ExplainRequest = serde_json::from_slice(&body)
        .map_err(|fault| Error::bad_request(format!("Send {{\"model\": \"…\"}}: {fault}.")).param("model"))?;
    explain(&serving.snapshot, &asked.model, Instant::now()).map(|it| json_answer(&it))
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
