//! The simulated vendor over real sockets, at full speed unless the pace is the point.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use super::*;

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod openai;

struct Vendor {
    address: std::net::SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The body ended as announced.
    whole: bool,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What follows `data: ` in each event.
    fn events(&self) -> Vec<&str> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    fn chunks(&self) -> Vec<Value> {
        let events = self.events();
        assert!(self.whole && events.last() == Some(&"[DONE]"), "{events:?}");
        events[..events.len() - 1].iter().map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

fn fast() -> SimOptions {
    SimOptions { first_token_ms: 0, tokens_per_s: 0, ..SimOptions::default() }
}

impl Vendor {
    async fn start(options: SimOptions, http2: bool) -> Self {
        options.validate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Self { address, client, server: tokio::spawn(serve(listener, options)) }
    }

    async fn fast() -> Self {
        Self::start(fast(), false).await
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Got {
        self.send_as("x-plain", method, path, body).await
    }

    /// With a header that says whose client it is.
    async fn send_as(&self, header: &str, method: Method, path: &str, body: impl Into<Bytes>) -> Got {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri).header(header, "2023-06-01");
        let request = request.body(Full::new(body.into())).unwrap();
        let (head, mut incoming) = self.client.request(request).await.unwrap().into_parts();
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else {
                // A reset HTTP/2 stream repeats its error for as long as it is asked.
                whole = false;
                break;
            };
            body.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        Got { status: head.status, headers: head.headers, body, whole }
    }

    async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, "").await
    }
}

fn ask(model: &str, more: Value) -> Value {
    let mut ask = json!({"model": model, "messages": [{"role": "user", "content": "plum \"jam\"\nünd"}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

fn streamed(model: &str, more: Value) -> Value {
    let mut ask = ask(model, more);
    ask["stream"] = true.into();
    ask
}

fn content(chunks: &[Value], index: usize) -> String {
    let choices = chunks.iter().filter_map(|it| it["choices"].get(0)).filter(|it| it["index"] == index);
    choices.filter_map(|it| it["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says_and_ends_with_usage() {
    let vendor = Vendor::fast().await;
    let whole = vendor.post("/chat/completions", ask("m", json!({}))).await;
    assert!(whole.headers["x-request-id"].to_str().unwrap().starts_with("sim-"));
    assert!(
        whole.headers.contains_key("openai-processing-ms") && whole.headers.contains_key("content-length")
    );
    let whole = whole.json();
    let said = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.contains("you said: plum \"jam\" ünd Hello"), "{said}");
    assert_eq!(said.split(' ').count(), 40);

    let got = vendor
        .post("/v1/chat/completions", streamed("m", json!({"stream_options": {"include_usage": true}})))
        .await;
    let chunks = got.chunks();
    assert_eq!(content(&chunks, 0), said);
    assert_eq!(chunks.len(), 1 + 40 + 1 + 1);
    let (last, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|it| it.as_object().unwrap()["usage"].is_null()));
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
    let prompt_bytes = ask("m", json!({}))["messages"].to_string().len();
    assert_eq!(last["usage"]["prompt_tokens"], prompt_bytes.div_ceil(4));
    assert_eq!(last["usage"]["completion_tokens"], 40);
    assert_eq!(others.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_stream_without_the_option_has_no_usage_and_choices_are_numbered() {
    let vendor = Vendor::fast().await;
    let got =
        vendor.post("/chat/completions", streamed("m:tokens-500", json!({"n": 2, "max_tokens": 3}))).await;
    let chunks = got.chunks();
    assert!(chunks.iter().all(|it| it.get("usage").is_none()));
    assert_eq!(content(&chunks, 1), "Hello from the");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
    let refused = vendor.post("/chat/completions", ask("m", json!({"n": 9}))).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &json!("n")));
}

#[tokio::test]
async fn two_tools_are_called_at_once_with_arguments_that_fit() {
    let vendor = Vendor::fast().await;
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "required": ["city", "days", "warm"], "properties": {
                "city": {"type": "string"}, "days": {"type": "integer"}, "warm": {"type": "boolean"},
                "note": {"type": "string"}}}}})
    };
    let tools = json!([tool("weather"), tool("forecast"), tool("third")]);
    let got = vendor.post("/chat/completions", ask("m", json!({"tools": tools}))).await.json();
    let choice = &got["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &Value::Null)
    );
    assert_eq!(choice["message"]["tool_calls"].as_array().unwrap().len(), 2);

    let got = vendor.post("/chat/completions", streamed("m", json!({"tools": tools}))).await;
    let (mut names, mut arguments) = (vec![], [String::new(), String::new()]);
    for chunk in got.chunks() {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            names.extend(call["function"]["name"].as_str().map(str::to_owned));
            arguments[call["index"].as_u64().unwrap() as usize] +=
                call["function"]["arguments"].as_str().unwrap();
        }
    }
    assert_eq!(names, ["weather", "forecast"]);
    for arguments in arguments {
        let arguments: Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!(arguments, json!({"city": "text", "days": 1, "warm": true}));
    }

    let mut answered = ask("m", json!({"tools": tools}));
    let calls = json!([{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]);
    answered["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        json!({"role": "tool", "tool_call_id": "c1", "content": "12"}),
    ]);
    for body in [answered, ask("m", json!({"tools": tools, "tool_choice": "none"}))] {
        assert_eq!(
            vendor.post("/chat/completions", body).await.json()["choices"][0]["finish_reason"],
            "stop"
        );
    }
}

#[tokio::test]
async fn a_json_schema_is_filled_through_references_and_recursion_ends() {
    let vendor = Vendor::fast().await;
    let schema = json!({"type": "object", "properties": {
            "step": {"$ref": "#/$defs/step"}, "kind": {"enum": ["a", "b"]},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "number"}]}},
        "$defs": {"step": {"type": "object", "properties": {
            "next": {"type": "array", "items": {"$ref": "#/$defs/step"}}}}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
    let got = vendor.post("/chat/completions", streamed("m", json!({"response_format": format}))).await;
    let said: Value = serde_json::from_str(&content(&got.chunks(), 0)).unwrap();
    assert_eq!((&said["kind"], &said["maybe"]), (&json!("a"), &json!(1.5)));
    assert!(said["step"]["next"].is_array());
    let format = json!({"response_format": {"type": "json_object"}});
    let got = vendor.post("/chat/completions", ask("m", format)).await.json();
    let said: Value =
        serde_json::from_str(got["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(said["answer"].as_str().unwrap().contains("plum"));
}

#[tokio::test]
async fn models_names_and_shares_let_calls_fail() {
    let vendor = Vendor::fast().await;
    for (model, status, code) in [
        ("m:fail-503", 503, Value::Null),
        ("m:slow:fail-429", 429, json!("rate_limit_exceeded")),
        ("missing-one", 404, json!("model_not_found")),
        ("ft:m:acme", 200, Value::Null),
        ("m:fail-200", 200, Value::Null),
    ] {
        let got = vendor.post("/chat/completions", ask(model, json!({}))).await;
        assert_eq!(got.status.as_u16(), status, "{model}");
        assert_eq!(got.json()["error"]["code"], code, "{model}");
        assert_eq!(got.headers.contains_key("retry-after"), status == 429, "{model}");
    }
    let broken = vendor.send(Method::POST, "/v1/chat/completions", "{").await;
    assert_eq!(
        (broken.status.as_u16(), &broken.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert_eq!(vendor.post("/v1/nothing", json!({})).await.status, StatusCode::NOT_FOUND);
    let failing = SimOptions { fail_share: 1.0, fail_status: 500, ..fast() };
    let vendor = Vendor::start(failing, false).await;
    assert_eq!(vendor.post("/embeddings", json!({"model": "m", "input": "a"})).await.status.as_u16(), 500);
    assert_eq!(vendor.get("/v1/models").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_cut_stream_delivers_its_events_and_then_breaks_on_both_versions_of_http() {
    for http2 in [false, true] {
        let vendor = Vendor::start(SimOptions { cut_share: 1.0, ..fast() }, http2).await;
        let got = vendor.post("/chat/completions", streamed("m:cut", json!({}))).await;
        assert_eq!((got.whole, got.events().len()), (false, 3), "http2: {http2}");
        let got = vendor.post("/chat/completions", streamed("m", json!({}))).await;
        assert_eq!((got.whole, got.events().len()), (false, 43 / 2), "http2: {http2}");
        assert!(vendor.post("/chat/completions", ask("m:cut", json!({}))).await.whole);
    }
}

#[tokio::test]
async fn tokens_come_at_their_pace_and_a_hanging_call_never_answers() {
    let options = SimOptions { first_token_ms: 30, tokens_per_s: 100, tokens: 6, ..fast() };
    let vendor = Vendor::start(options, true).await;
    for body in [ask("m", json!({})), streamed("m", json!({}))] {
        let started = std::time::Instant::now();
        vendor.post("/chat/completions", body).await;
        assert!(started.elapsed() >= Duration::from_millis(30 + 5 * 10));
    }
    let hanging = vendor.post("/chat/completions", ask("m:hang", json!({})));
    assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err());
}

#[tokio::test]
async fn embeddings_in_base64_are_the_same_numbers() {
    let vendor = Vendor::fast().await;
    let list = json!({"model": "m", "input": ["a", "b", "a"], "dimensions": 3});
    let got = vendor.post("/embeddings", list).await.json();
    let numbers: Vec<Vec<f32>> =
        (0..3).map(|at| serde_json::from_value(got["data"][at]["embedding"].clone()).unwrap()).collect();
    assert!(numbers[0] == numbers[2] && numbers[0] != numbers[1] && numbers[0].len() == 3);
    let one = json!({"model": "m", "input": "a", "dimensions": 3, "encoding_format": "base64"});
    let got = vendor.post("/embeddings", one).await.json();
    let bytes = decoded(got["data"][0]["embedding"].as_str().unwrap());
    let floats: Vec<f32> = bytes.chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
    assert_eq!(floats, numbers[0]);
    let tokens = vendor.post("/embeddings", json!({"model": "m", "input": [[1, 2], [3]]})).await.json();
    assert_eq!(tokens["data"][1]["embedding"].as_array().unwrap().len(), 8);
}

fn decoded(text: &str) -> Vec<u8> {
    let digit = |it: char| match it {
        'A'..='Z' => it as u32 - 65,
        'a'..='z' => it as u32 - 71,
        '0'..='9' => it as u32 + 4,
        '+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.trim_end_matches('=').chars().map(digit).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | group.get(at).unwrap_or(&0));
        let [_, bytes @ ..] = u32::to_be_bytes(bits);
        bytes.into_iter().take(group.len() - 1)
    });
    groups.collect()
}

#[tokio::test]
async fn a_response_streams_the_documented_events_in_numbered_order() {
    let vendor = Vendor::fast().await;
    let ask = json!({"model": "m", "stream": true, "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "quince"}]}]});
    let got = vendor.post("/v1/responses", ask).await;
    let events: Vec<Value> = got.events().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(events.iter().zip(0..).all(|(it, number)| it["sequence_number"] == number));
    assert_eq!(events.len(), 4 + 40 + 4);
    let said: String = events.iter().filter_map(|it| it["delta"].as_str()).collect();
    let done = &events.last().unwrap()["response"];
    assert_eq!((&events[0]["type"], &done["status"]), (&json!("response.created"), &json!("completed")));
    assert_eq!(done["output"][0]["content"][0]["text"], said);
    assert!(said.contains("quince"));
    let short = |limit: u8| json!({"model": "m", "input": "hi", "max_output_tokens": limit});
    let got = vendor.post("/responses", short(16)).await.json();
    assert_eq!((&got["status"], &got["usage"]["output_tokens"]), (&json!("incomplete"), &json!(16)));
    assert_eq!(vendor.post("/responses", short(15)).await.json()["error"]["param"], "max_output_tokens");
}

#[tokio::test]
async fn files_and_sounds_are_read_from_forms() {
    let vendor = Vendor::fast().await;
    let form = |model: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.wav\"\r\n\r\n1\r\n--2\r\n--b--\r\n"
        )
    };
    let file = vendor.send(Method::POST, "/v1/files", form("m")).await.json();
    assert_eq!(
        (&file["bytes"], &file["filename"], &file["purpose"]),
        (&json!(6), &json!("x.wav"), &json!("batch"))
    );
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    assert_eq!(vendor.get(&path).await.json(), file);
    assert_eq!(vendor.get("/v1/files").await.json()["data"], json!([file]));
    assert_eq!(vendor.send(Method::DELETE, &path, "").await.json()["deleted"], true);
    assert_eq!(vendor.get(&path).await.status, StatusCode::NOT_FOUND);
    let heard = vendor.send(Method::POST, "/v1/audio/transcriptions", form("m")).await.json();
    assert!(heard["text"].as_str().unwrap().ends_with(" 6 bytes"));
    let failed = vendor.send(Method::POST, "/v1/audio/translations", form("m:fail-500")).await;
    assert_eq!(failed.status.as_u16(), 500);
}

#[tokio::test]
async fn the_remaining_endpoints_answer_in_their_forms() {
    let vendor = Vendor::fast().await;
    let old = vendor.post("/v1/completions", json!({"model": "m", "prompt": "plum", "stream": true})).await;
    let said: String = old.chunks().iter().filter_map(|it| it["choices"][0]["text"].as_str()).collect();
    let old = vendor.post("/v1/completions", json!({"model": "m", "prompt": "plum"})).await.json();
    assert_eq!(old["choices"][0]["text"], said);
    let verdict = vendor.post("/v1/moderations", json!({"input": ["a", "b"]})).await.json();
    assert_eq!(verdict["results"][1]["categories"]["violence/graphic"], false);
    let ranked = json!({"model": "m", "query": "red plum", "documents": ["a plum", {"text": "red plums"}]});
    let ranked = vendor.post("/v1/rerank", ranked).await.json();
    assert_eq!(
        (&ranked["results"][0]["index"], &ranked["results"][1]["relevance_score"]),
        (&json!(1), &json!(0.5))
    );
    let drawn = vendor.post("/v1/images/generations", json!({"prompt": "p", "n": 2})).await.json();
    let image = decoded(drawn["data"][1]["b64_json"].as_str().unwrap());
    assert!(image.starts_with(b"\x89PNG") && image.ends_with(b"IEND\xaeB`\x82"));
    let wav = vendor.post("/v1/audio/speech", json!({"model": "m", "input": "a", "voice": "v"})).await;
    assert_eq!((wav.body.len(), &wav.body[..4]), (60, b"RIFF".as_slice()));
    assert_eq!(vendor.get("/v1/models/sim-large").await.json()["id"], "sim-large");
    assert_eq!(vendor.get("/models/other").await.status, StatusCode::NOT_FOUND);
}

#[test]
fn options_out_of_range_are_named() {
    for (options, name) in [
        (SimOptions { tokens: 0, ..fast() }, "tokens"),
        (SimOptions { fail_status: 200, ..fast() }, "fail_status"),
        (SimOptions { cut_share: f64::NAN, ..fast() }, "cut_share"),
        (SimOptions { first_token_ms: u64::MAX, ..fast() }, "first_token_ms"),
    ] {
        assert!(options.validate().unwrap_err().starts_with(name));
    }
}
