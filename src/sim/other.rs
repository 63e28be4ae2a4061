//! The endpoints that answer in one go: embeddings, moderations, rerank, images and audio.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Refusal},
    file::form_field,
    stream::{Segment, SimBody, Stream},
};

const INPUTS_MAX: usize = 2_048;
const DIMENSIONS: usize = 8;
const DIMENSIONS_MAX: usize = 3_072;
const IMAGES_MAX: usize = 10;
/// A grey PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";
/// Silence of eight samples: mono, 16 bits, 8 kHz.
const SILENCE_BYTES: usize = 16;
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    input: Inputs,
    dimensions: Option<usize>,
    #[serde(borrow)]
    encoding_format: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

impl Inputs {
    fn into_bytes(self) -> Vec<Vec<u8>> {
        let flat = |tokens: Vec<u32>| tokens.into_iter().flat_map(u32::to_le_bytes).collect();
        match self {
            Self::Text(text) => vec![text.into_bytes()],
            Self::Texts(texts) => texts.into_iter().map(String::into_bytes).collect(),
            Self::Tokens(tokens) => vec![flat(tokens)],
            Self::TokenLists(lists) => lists.into_iter().map(flat).collect(),
        }
    }
}

pub(super) fn embed(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Embedding = serde_json::from_slice(body)?;
    let pace = call.admit(&ask.model)?;
    let dimensions = within("dimensions", ask.dimensions.unwrap_or(DIMENSIONS), DIMENSIONS_MAX)?;
    let inputs = ask.input.into_bytes();
    within("input", inputs.len(), INPUTS_MAX)?;
    let in_base64 = ask.encoding_format.as_deref() == Some("base64");
    let vectors: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if in_base64 {
                base64(&vector.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>()).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = inputs.iter().map(Vec::len).sum::<usize>().div_ceil(4);
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let list = json!({"object": "list", "data": vectors, "model": ask.model, "usage": usage});
    Ok(Answer::value(&list, pace.first))
}

/// A vector of length one that depends on the input alone: FNV-1a seeds the random numbers.
fn vector(input: &[u8], dimensions: usize) -> Vec<f32> {
    let seed = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, it| (hash ^ u64::from(*it)).wrapping_mul(0x100_0000_01b3));
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
    let norm = raw.iter().map(|it| it * it).sum::<f32>().sqrt().max(f32::EPSILON);
    raw.into_iter().map(|it| it / norm).collect()
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*group.get(at).unwrap_or(&0)));
        for place in 0..4 {
            let digit = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

#[derive(Deserialize)]
struct Moderation {
    #[serde(default)]
    model: Option<String>,
    input: Value,
}

pub(super) fn moderate(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Moderation = serde_json::from_slice(body)?;
    let model = ask.model.as_deref().unwrap_or("sim-small");
    let pace = call.admit(model)?;
    // A list of strings is judged one by one; a list of parts is one input.
    let inputs = ask.input.as_array().filter(|it| it.iter().all(Value::is_string)).map_or(1, Vec::len);
    within("input", inputs, INPUTS_MAX)?;
    let each = |value: Value| CATEGORIES.iter().map(|it| (*it, value.clone())).collect::<Value>();
    let result = json!({
        "flagged": false, "categories": each(json!(false)), "category_scores": each(json!(0.0)),
        "category_applied_input_types": each(json!(["text"])),
    });
    let verdict = json!({"id": format!("modr-{}", call.id), "model": model, "results": vec![result; inputs]});
    Ok(Answer::value(&verdict, pace.first))
}

#[derive(Deserialize)]
struct Rerank {
    model: String,
    query: String,
    documents: Vec<Document>,
    top_n: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Text(String),
    Object { text: String },
}

/// Scores a document by the share of the query's words that it contains.
pub(super) fn rerank(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Rerank = serde_json::from_slice(body)?;
    let pace = call.admit(&ask.model)?;
    within("documents", ask.documents.len(), INPUTS_MAX)?;
    let query: Vec<&str> = ask.query.split_whitespace().collect();
    let mut scored: Vec<(f64, usize)> = Vec::with_capacity(ask.documents.len());
    let mut bytes = ask.query.len();
    for (index, document) in ask.documents.iter().enumerate() {
        let (Document::Text(text) | Document::Object { text }) = document;
        bytes += text.len();
        let found = query.iter().filter(|word| text.contains(**word)).count();
        scored.push((found as f64 / query.len().max(1) as f64, index));
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let kept = scored.iter().take(ask.top_n.unwrap_or(usize::MAX));
    let results: Vec<Value> =
        kept.map(|(score, index)| json!({"index": index, "relevance_score": score})).collect();
    let usage = json!({"total_tokens": bytes.div_ceil(4)});
    let id = format!("rerank-{}", call.id);
    Ok(Answer::value(&json!({"id": id, "model": ask.model, "results": results, "usage": usage}), pace.first))
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    model: Option<String>,
    n: Option<usize>,
}

pub(super) fn draw(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Named = serde_json::from_slice(body)?;
    let pace = call.admit(ask.model.as_deref().unwrap_or_default())?;
    let images = within("n", ask.n.unwrap_or(1), IMAGES_MAX)?;
    let data = vec![json!({"b64_json": PIXEL}); images];
    Ok(Answer::value(&json!({"created": call.created, "data": data}), pace.first))
}

pub(super) fn speak(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Named = serde_json::from_slice(body)?;
    let pace = call.admit(ask.model.as_deref().unwrap_or_default())?;
    let mut wav =
        b"RIFF\x34\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x10\0\0\0"
            .to_vec();
    wav.resize(wav.len() + SILENCE_BYTES, 0);
    let mut sound = Bytes::from(wav);
    let head = sound.split_to(sound.len() - SILENCE_BYTES);
    let segments = vec![Segment::Token(head), Segment::Token(sound)];
    let body = SimBody::Stream(Box::new(Stream::new(segments, &pace)));
    Ok(Answer { content_type: "audio/wav", body, ..Answer::json(Bytes::new(), std::time::Duration::ZERO) })
}

pub(super) fn transcribe(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let model = form_field(body, "model").map_or(b"".as_slice(), |(_, value)| value);
    let pace = call.admit(&String::from_utf8_lossy(model))?;
    let Some((_, sound)) = form_field(body, "file") else {
        return Err(Refusal::invalid(Some("file"), "The form has no field `file`."));
    };
    let text = format!("The simulated vendor heard {} bytes", sound.len());
    Ok(Answer::value(&json!({"text": text}), pace.first))
}

fn within(param: &'static str, asked: usize, most: usize) -> Result<usize, Refusal> {
    if (1..=most).contains(&asked) {
        return Ok(asked);
    }
    Err(Refusal::invalid(Some(param), format!("`{param}` must be within 1 and {most}, not {asked}.")))
}
