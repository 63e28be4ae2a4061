//! From an HTTP request to the endpoint that answers it, and back: paths, the bounded body, headers, waiting.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Sim,
    call::{Answer, Call, Refusal, error_body},
    chat, other, response,
    stream::SimBody,
};

/// Largest request body that is read.
const BODY_BYTES_MAX: usize = 64 << 20;
const MODELS: [&str; 2] = ["sim-small", "sim-large"];
/// When the models were made, in Unix seconds: a fixed date, as lists are compared in tests.
const MODELS_CREATED: u64 = 1_735_689_600;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

pub(super) async fn answer(sim: &Sim, request: Request<Incoming>) -> Response<SimBody> {
    let started = Instant::now();
    let id = format!("{:016x}", fastrand::u64(..));
    let answer = match decide(sim, &id, request).await {
        Ok(answer) => answer,
        Err(Refusal::Hang) => std::future::pending().await,
        Err(Refusal::Error { status, code, param, message }) => {
            let body = error_body(status, code, param, &message);
            Answer { status, ..Answer::json(body, std::time::Duration::ZERO) }
        }
    };
    if !answer.wait.is_zero() {
        tokio::time::sleep(answer.wait).await;
    }
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(PROCESSING_MS, HeaderValue::from(started.elapsed().as_millis() as u64));
    headers.insert(REQUEST_ID, HeaderValue::try_from(format!("sim-{id}")).expect("an id is hexadecimal"));
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

async fn decide(sim: &Sim, id: &str, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let path = path.strip_prefix("/v1/").or_else(|| path.strip_prefix('/')).unwrap_or(path);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let call = Call { sim, id, created };
    match head.method {
        Method::GET => look_up(&call, path),
        Method::POST => post(&call, path, &read(body).await?),
        Method::DELETE => match path.strip_prefix("files/") {
            Some(file) => call.sim.shelf.remove(file),
            None => Err(unknown(path)),
        },
        _ => Err(unknown(path)),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The request body exceeds {BODY_BYTES_MAX} bytes."),
        )),
        Err(_) => Err(Refusal::invalid(None, "The request body broke off.")),
    }
}

fn post(call: &Call<'_>, path: &str, body: &Bytes) -> Result<Answer, Refusal> {
    match path {
        "chat/completions" => chat::chat(call, body),
        "completions" => chat::complete(call, body),
        "responses" => response::respond(call, body),
        "embeddings" => other::embed(call, body),
        "moderations" => other::moderate(call, body),
        "rerank" => other::rerank(call, body),
        "images/generations" => other::draw(call, body),
        "audio/speech" => other::speak(call, body),
        "audio/transcriptions" | "audio/translations" => other::transcribe(call, body),
        "files" => call.sim.shelf.add(call, body),
        _ => Err(unknown(path)),
    }
}

fn look_up(call: &Call<'_>, path: &str) -> Result<Answer, Refusal> {
    let value = match path.split_once('/') {
        None if path == "models" => json!({"object": "list", "data": MODELS.map(model)}),
        None if path == "files" => call.sim.shelf.list(),
        Some(("models", id)) if MODELS.contains(&id) => model(id),
        Some(("models", id)) => return Err(Refusal::model_not_found(id)),
        Some(("files", id)) => call.sim.shelf.find(id)?,
        _ => return Err(unknown(path)),
    };
    Ok(Answer::value(&value, std::time::Duration::ZERO))
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": MODELS_CREATED, "owned_by": "tollgate"})
}

fn unknown(path: &str) -> Refusal {
    Refusal::Error {
        status: StatusCode::NOT_FOUND,
        code: Some("unknown_url"),
        param: None,
        message: format!("The simulated vendor does not answer this method at `/{path}`."),
    }
}
