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
use crate::upstream::credential;
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
        if let Some(alive) = probe(&upstream, &path).await {
            upstream.metrics.probed(alive);
            (passed, failed) = if alive { (passed + 1, 0) } else { (0, failed + 1) };
            if alive && passed >= options.up_after && upstream.health.set_probe_failed(false) {
                tracing::info!(event = "probe_up", upstream = %upstream.spec.id);
            }
            if !alive && failed >= options.down_after && upstream.health.set_probe_failed(true) {
                tracing::warn!(event = "probe_down", upstream = %upstream.spec.id);
            }
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

/// One check. An answer of any kind but 5xx shows life; 401, 402 and 403 show a key that will not do. None where there are
/// no credentials to ask with: whether it lives is then not known, and once there are some it is used at once.
async fn probe(upstream: &Upstream, path: &str) -> Option<bool> {
    if let Some(credential) = &upstream.credential {
        credential.first().await;
    }
    let request = request(upstream, path)?;
    let limit = Duration::from_millis(upstream.spec.probe.timeout_ms);
    Some(timeout(limit, ask(upstream, request)).await.unwrap_or(false))
}

async fn ask(upstream: &Upstream, request: Request<Outgoing>) -> bool {
    let Ok(answer) = upstream.connections.send(request, || None).await else { return false };
    let status = answer.response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN) {
        tracing::warn!(event = "probe_key_refused", upstream = %upstream.spec.id, status = status.as_u16());
    }
    let body = Limited::new(answer.response.into_body(), LISTING_BYTES_MAX).collect().await;
    if status.is_success()
        && upstream.spec.manners.probe_lists
        && let Ok(body) = body
    {
        learn(upstream, &body.to_bytes());
    }
    !status.is_server_error()
}

fn request(upstream: &Upstream, path: &str) -> Option<Request<Outgoing>> {
    let payload = Payload::held(Vec::new());
    let mut request = Request::new(payload.outgoing());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri(upstream, path).ok()?;
    let mut headers = HeaderMap::new();
    add_headers(&mut headers, upstream, 0);
    *request.headers_mut() = headers;
    credential::show(upstream, &mut request, &payload).ok()?;
    Some(request)
}

/// A listing in one of the forms that vendors have: OpenAI's, Anthropic's and most others' `data`; Ollama's, Google's and
/// Cohere's `models`; Vertex' `publisherModels`; what Bedrock calls summaries.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Listing {
    #[serde(alias = "models", alias = "publisherModels")]
    data: Option<Vec<Listed>>,
    #[serde(alias = "inferenceProfileSummaries")]
    model_summaries: Option<Vec<Listed>>,
}

/// One model, by whichever name it has; of two the first that is given.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: Option<String>,
    /// Ollama's, the same as its `name`.
    model: Option<String>,
    name: Option<String>,
    model_id: Option<String>,
    inference_profile_id: Option<String>,
}

impl Listed {
    /// As calls name it: Google lists `models/gemini-…`, Vertex `publishers/google/models/gemini-…`.
    fn into_id(self) -> Option<String> {
        if let Some(id) = self.id.or(self.model_id).or(self.inference_profile_id).or(self.model) {
            return Some(id);
        }
        let name = self.name?;
        let listed = name.strip_prefix("models/").or_else(|| name.split_once("/models/").map(|(_, it)| it));
        Some(listed.unwrap_or(&name).to_owned())
    }
}

/// Remembers the models of a listing, or of a bare list; anything else teaches nothing.
fn learn(upstream: &Upstream, body: &Bytes) {
    if let Some(ids) = listed(body) {
        upstream.listed.store(Arc::new(ids));
    }
}

fn listed(body: &[u8]) -> Option<Vec<String>> {
    let list = match body.trim_ascii_start().first()? {
        b'[' => serde_json::from_slice::<Vec<Listed>>(body).ok()?,
        _ => {
            let listing = serde_json::from_slice::<Listing>(body).ok()?;
            listing.data.or(listing.model_summaries)?
        }
    };
    Some(list.into_iter().filter_map(Listed::into_id).take(LISTED_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_all_vendors_are_read() {
        let check = |body: &str, ids: Option<&[&str]>| {
            let ids = ids.map(|it| it.iter().map(|it| it.to_string()).collect());
            assert_eq!(listed(body.as_bytes()), ids, "{body}");
        };
        check(
            r#"{"object":"list","data":[{"id":"gpt-x"},{"id":"gpt-y","owned_by":1}]}"#,
            Some(&["gpt-x", "gpt-y"]),
        );
        check(r#"[{"id":"a/b"}]"#, Some(&["a/b"]));
        check(
            r#"{"data":[{"type":"model","id":"claude-x","display_name":"X"}],"has_more":false}"#,
            Some(&["claude-x"]),
        );
        check(r#"{"models":[{"name":"qwen3:4b","model":"qwen3:4b","size":1}]}"#, Some(&["qwen3:4b"]));
        check(r#"{"models":[{"name":"llama3:latest"}]}"#, Some(&["llama3:latest"]));
        check(r#"{"models":[{"name":"models/gemini-x","displayName":"X"}]}"#, Some(&["gemini-x"]));
        check(r#"{"publisherModels":[{"name":"publishers/google/models/gemini-x"}]}"#, Some(&["gemini-x"]));
        check(r#"{"models":[{"name":"command-a","endpoints":["chat"]}]}"#, Some(&["command-a"]));
        check(
            r#"{"modelSummaries":[{"modelArn":"arn:…","modelId":"amazon.nova-x","modelName":"X"}]}"#,
            Some(&["amazon.nova-x"]),
        );
        check(
            r#"{"inferenceProfileSummaries":[{"inferenceProfileId":"us.amazon.nova-x"}]}"#,
            Some(&["us.amazon.nova-x"]),
        );
        check(r#"{"models":[]}"#, Some(&[]));
        for nothing in ["", "{}", r#"{"data":1}"#, r#"{"data":null}"#, "ok", "1"] {
            check(nothing, None);
        }
    }
}
