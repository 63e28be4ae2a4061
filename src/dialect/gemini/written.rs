//! Pieces of an answer as Google's clients get them, whole or in a stream: parts, ends, usage.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::seal;
use crate::api::ink::Ink;
use crate::api::usage::Usage;
use crate::dialect::answer::{Finish, Reason};
use crate::dialect::prompt::{Call, Media, Seal, Source};
use crate::dialect::{Dialect, arguments};

/// Google's words for an end, which stay where a vendor said them.
const FINISHES: &[&str] = &[
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    MALFORMED,
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "NO_IMAGE",
];

/// A call's arguments are no object: the call is not told, and this is why.
pub(super) const MALFORMED: &str = "MALFORMED_FUNCTION_CALL";

/// The signature that a part carries, taken by the first one that is written.
pub(super) type Signature = Option<String>;

pub(super) fn text(text: &str, signature: &mut Signature, out: &mut String) {
    out.open(b'{');
    out.text_field("text", text);
    out.text_if("thoughtSignature", signature.take().as_deref());
    out.close(b'}');
}

/// A thought; `text` is None of one that nobody may read. `seal`: with the thought's id.
pub(super) fn thought(text: Option<&str>, seal: Option<(&Seal, Option<&str>)>, out: &mut String) {
    out.open(b'{');
    out.text_if("text", text);
    out.raw_field("thought", "true");
    out.text_if("thoughtSignature", seal.map(|(it, id)| seal::written(it, id)).as_deref());
    out.close(b'}');
}

/// A seal with no text before it: Google's own goes to the part that comes next, another one stands by itself.
pub(super) fn lone_seal(seal: &Seal, id: Option<&str>, next: &mut Signature, out: &mut String) {
    if seal.dialect == Dialect::Gemini {
        loose(next, out);
        *next = Some(seal.data.clone());
    } else {
        thought((!seal.is_whole).then_some(""), Some((seal, id)), out);
    }
}

/// A signature that nothing follows.
pub(super) fn loose(signature: &mut Signature, out: &mut String) {
    if signature.is_some() {
        text("", signature, out);
    }
}

/// A whole call. False where its arguments are no object: then nothing is written.
pub(super) fn call(call: &Call, signature: &mut Signature, out: &mut String) -> bool {
    let Some(arguments) = arguments::object(call) else { return false };
    out.open(b'{');
    out.key("functionCall").open(b'{');
    out.text_field("id", &call.id);
    out.text_field("name", &call.name);
    out.raw_field("args", &arguments);
    out.close(b'}');
    out.text_if("thoughtSignature", signature.take().as_deref());
    out.close(b'}');
    true
}

pub(super) fn media(media: &Media, signature: &mut Signature, out: &mut String) {
    let (field, media_type, name, value) = match &media.source {
        Source::Data { media_type, base64 } => {
            ("inlineData", Some(media_type.as_str()), "data", base64.clone())
        }
        Source::Text(text) => ("inlineData", Some("text/plain"), "data", BASE64_STANDARD.encode(text)),
        Source::Url { url, media_type } => {
            let media_type = media_type.as_deref().or_else(|| super::media::type_of(url));
            ("fileData", media_type, "fileUri", url.clone())
        }
        Source::File(id) => ("fileData", None, "fileUri", id.clone()),
    };
    out.open(b'{');
    out.key(field).open(b'{');
    out.text_if("mimeType", media_type);
    out.text_field(name, &value);
    out.close(b'}');
    out.text_if("thoughtSignature", signature.take().as_deref());
    out.close(b'}');
}

/// Google's word for an end. `refused`: the model said in words that it would not answer, for which Google has no part.
/// `malformed`: arguments of a call are no object, perhaps for the answer was cut within them.
pub(super) fn finish(finish: &Finish, refused: bool, malformed: bool) -> &str {
    if malformed && !matches!(finish.reason, Reason::Length | Reason::ContentFilter) {
        return MALFORMED;
    }
    let native = finish.native.as_deref().filter(|it| FINISHES.contains(it));
    native.unwrap_or(match finish.reason {
        Reason::Stop if refused => "SAFETY",
        Reason::Stop | Reason::ToolCalls => "STOP",
        Reason::Length => "MAX_TOKENS",
        Reason::ContentFilter => "SAFETY",
    })
}

/// What stands beside the candidates: usage where it is known, model and id.
pub(super) fn envelope(usage: Option<&Usage>, model: &str, id: &str, out: &mut String) {
    if let Some(it) = usage {
        counts(it, out);
    }
    out.text_field("modelVersion", model);
    out.text_field("responseId", id);
}

/// Google counts thoughts beside what the candidates say, and cached tokens within the prompt.
fn counts(usage: &Usage, out: &mut String) {
    out.key("usageMetadata").open(b'{');
    out.number_field("promptTokenCount", usage.input);
    out.number_field("candidatesTokenCount", usage.output.saturating_sub(usage.reasoning));
    out.number_field("totalTokenCount", usage.input.saturating_add(usage.output));
    for (name, count) in
        [("cachedContentTokenCount", usage.cached_input), ("thoughtsTokenCount", usage.reasoning)]
    {
        if count > 0 {
            out.number_field(name, count);
        }
    }
    for (name, all, audio) in [
        ("promptTokensDetails", usage.input, usage.audio_input),
        ("candidatesTokensDetails", usage.output.saturating_sub(usage.reasoning), usage.audio_output),
    ] {
        if audio > 0 {
            let text = all.saturating_sub(audio);
            out.raw_field(name, &format!(
                r#"[{{"modality":"TEXT","tokenCount":{text}}},{{"modality":"AUDIO","tokenCount":{audio}}}]"#
            ));
        }
    }
    out.close(b'}');
}
