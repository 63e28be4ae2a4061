//! Asks upstreams whether they live, at no cost of tokens, and learns which models they list. One task per upstream,
//! started by `app` for each snapshot; pre-warming is the same question asked several times at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use crate::upstream::Upstream;
use crate::upstream::call::{add_headers, uri};
use crate::upstream::payload::{Outgoing, Payload};

/// A listing is read up to here, in bytes; the longest seen is OpenRouter's, at half a megabyte.
const LISTING_BYTES_MAX: usize = 8 << 20;

/// Models of one upstream that are remembered.
const LISTED_MAX: usize = 10_000;

/// Checks `upstream` for as long as it is polled. Returns at once for one that has nothing to ask.
pub async fn watch(upstream: Arc<Upstream>) {
    prewarm(&upstream).await;
    let options = upstream.spec.probe.clone();
    let Some(path) = upstream.spec.probe_path.clone() else { return };
    if options.interval_ms == 0 {
        return;
    }
    let (mut passed, mut failed) = (0_u32, 0_u32);
    loop {
        let alive = probe(&upstream, &path).await;
        upstream.metrics.probed(alive);
        (passed, failed) = if alive { (passed + 1, 0) } else { (0, failed + 1) };
        if alive && passed >= options.up_after && upstream.health.set_probe_failed(false) {
            tracing::info!(event = "probe_up", upstream = %upstream.spec.id);
        }
        if !alive && failed >= options.down_after && upstream.health.set_probe_failed(true) {
            tracing::warn!(event = "probe_down", upstream = %upstream.spec.id);
        }
        tokio::time::sleep(jittered(options.interval_ms)).await;
    }
}

/// ± 20 %, so that gateways and upstreams do not fall into step.
fn jittered(interval_ms: u64) -> Duration {
    Duration::from_millis(fastrand::u64(interval_ms * 4 / 5..=interval_ms * 6 / 5))
}

async fn prewarm(upstream: &Arc<Upstream>) {
    let path = upstream.spec.probe_path.clone().unwrap_or_else(|| "/models".into());
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..upstream.spec.prewarm {
        let (upstream, path) = (Arc::clone(upstream), path.clone());
        asked.spawn(async move { probe(&upstream, &path).await });
    }
    asked.join_all().await;
}

/// One check. An answer of any kind but 5xx shows life; 401, 402 and 403 show a key that will not do.
async fn probe(upstream: &Upstream, path: &str) -> bool {
    let limit = Duration::from_millis(upstream.spec.probe.timeout_ms);
    timeout(limit, ask(upstream, path)).await.unwrap_or(false)
}

async fn ask(upstream: &Upstream, path: &str) -> bool {
    let Some(request) = request(upstream, path) else { return false };
    let Ok(answer) = upstream.connections.send(request, || None).await else { return false };
    let status = answer.response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN) {
        tracing::warn!(event = "probe_key_refused", upstream = %upstream.spec.id, status = status.as_u16());
    }
    let body = Limited::new(answer.response.into_body(), LISTING_BYTES_MAX).collect().await;
    if status.is_success()
        && let Ok(body) = body
    {
        learn(upstream, &body.to_bytes());
    }
    !status.is_server_error()
}

fn request(upstream: &Upstream, path: &str) -> Option<Request<Outgoing>> {
    let mut request = Request::new(Payload::held(Vec::new()).outgoing());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri(upstream, path).ok()?;
    let mut headers = HeaderMap::new();
    add_headers(&mut headers, upstream, 0);
    *request.headers_mut() = headers;
    Some(request)
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
struct Listing {
    data: Vec<Listed>,
}

/// Remembers the models of `{"data":[{"id"}]}` or of a bare list; anything else teaches nothing.
fn learn(upstream: &Upstream, body: &Bytes) {
    let list = serde_json::from_slice::<Listing>(body)
        .map(|it| it.data)
        .or_else(|_| serde_json::from_slice::<Vec<Listed>>(body));
    if let Ok(list) = list {
        let ids: Vec<String> = list.into_iter().map(|it| it.id).take(LISTED_MAX).collect();
        upstream.listed.store(Arc::new(ids));
    }
}
