//! What a vendor's words say about the cause of a failure, where its status does not: a prompt that does not fit, content
//! that is not served, a key that is refused with 400, a status that an error inside a 200 would have had.
//! Codes and sentences come from the vendors' lists of errors and from what they were seen to answer.

use crate::error::Kind;
use crate::vendor::failure::Said;

/// Codes and types that mean: the prompt, or prompt and answer together, do not fit the model's window.
const CONTEXT_CODES: [&str; 9] = [
    "context_length_exceeded",
    "string_above_max_length",
    "model_max_prompt_tokens_exceeded",
    // llama.cpp
    "exceed_context_size_error",
    // Qianfan
    "tokens_too_long",
    "characters_too_long",
    "prompt_too_long",
    "context_window_exceeded",
    // GLM
    "1261",
];

/// The same in sentences, in small letters.
const CONTEXT_WORDS: [&str; 26] = [
    // OpenAI, DeepSeek, OpenRouter, vLLM, Mistral
    "maximum context length",
    "context length exceeded",
    "exceeds the context length",
    "context window",
    // SGLang
    "model's context length",
    // llama.cpp
    "available context size",
    // Anthropic, Bedrock
    "prompt is too long",
    "input is too long",
    "too many input tokens",
    "too many tokens",
    // Qianfan, GLM
    "prompt tokens too long",
    "prompt 超长",
    "max input characters",
    // Gemini
    "input token count",
    // Kimi
    "input token length",
    "model token limit",
    // Azure
    "input tokens exceed",
    // DashScope
    "range of input length should be",
    // Bedrock Mantle
    "exceed model maximum",
    "exceeds the model's maximum",
    // Mistral, Perplexity
    "too large for model",
    "length of all messages is too long",
    // xAI
    "maximum prompt length",
    // Embeddings
    "maximum input length",
    // Ark
    "exceed max message tokens",
    // Groq
    "reduce the length of the messages",
];

/// Parts of codes and types that mean: the content is not served.
const FILTER_CODES: [&str; 9] = [
    "content_filter",
    "content_policy",
    "moderation",
    // DashScope, in both its spellings
    "data_inspection_failed",
    "datainspectionfailed",
    // Azure
    "responsibleaipolicyviolation",
    // Ark, Qianfan's resellers
    "sensitive",
    "riskdetection",
    // Qianfan
    "unsafe",
];

/// GLM's code for the same, and MiniMax's for what came in and what would go out.
const FILTER_NUMBERS: [&str; 3] = ["1301", "1026", "1027"];

/// The same in sentences, in small letters.
const FILTER_WORDS: [&str; 8] = [
    "content management policy",
    "content policy",
    "usage guidelines",
    "inappropriate content",
    // DeepSeek
    "content exists risk",
    // Kimi
    "considered high risk",
    // OpenRouter
    "input was flagged",
    "content was flagged",
];

/// Sentences of a 400 that is about our key, its account, or where it is used from.
const KEY_WORDS: [&str; 6] = [
    // Google, xAI
    "api key not valid",
    "api key not found",
    "incorrect api key",
    "user location is not supported",
    // Anthropic
    "credit balance is too low",
    "organization has been disabled",
];

/// Codes of the same: Google's for a wrong key, DashScope's for an account in arrears.
const KEY_CODES: [&str; 2] = ["API_KEY_INVALID", "Arrearage"];

/// The cause that another target may not share, if the words name one. `status`: the vendor's, or the one that an error
/// inside a 200 would have had.
pub fn of_content(said: &Said, status: u16) -> Option<Kind> {
    // Where the client is told to wait or its key is at fault, "too many tokens" is about a minute and not about a prompt.
    if matches!(status, 401 | 402 | 404 | 429) {
        return None;
    }
    let codes = || said.codes().map(str::to_ascii_lowercase);
    if codes().any(|it| CONTEXT_CODES.contains(&it.as_str())) {
        return Some(Kind::ContextLength);
    }
    // StepFun's status for the content it does not serve.
    let is_filter =
        |it: &str| FILTER_NUMBERS.contains(&it) || FILTER_CODES.iter().any(|part| it.contains(part));
    if status == 451 || codes().any(|it| is_filter(&it)) {
        return Some(Kind::ContentFilter);
    }
    // What a server that broke says of its insides is no word about the prompt.
    if !matches!(status, 200 | 400 | 403 | 413 | 422) {
        return None;
    }
    let message = said.message.as_deref()?.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|it| message.contains(it));
    if says(&FILTER_WORDS) {
        return Some(Kind::ContentFilter);
    }
    says(&CONTEXT_WORDS).then_some(Kind::ContextLength)
}

/// Whether a 400 says that the key is wrong, or its account without credit.
pub fn is_about_the_key(said: &Said) -> bool {
    let message = said.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    said.codes().any(|it| KEY_CODES.contains(&it)) || KEY_WORDS.iter().any(|it| message.contains(it))
}

/// Whether a 403 withholds one model only: Bedrock of a model that is not enabled, or that no policy of the role allows,
/// and Vertex of one that the account may not ask.
pub fn is_about_a_model(said: &Said) -> bool {
    let message = said.message.as_deref().unwrap_or_default();
    let all = |words: [&str; 2]| words.iter().all(|it| message.contains(it));
    message.contains("access to the model")
        || all(["not authorized to perform", ":foundation-model/"])
        || all(["not authorized to perform", ":inference-profile/"])
        || all(["denied on resource", "/models/"])
}

/// The status that goes with an error's type, for errors whose own status says nothing: inside a 200 or a stream, and AWS's,
/// which throttles with 400.
pub fn status_of_type(said: &Said) -> Option<u16> {
    said.codes().find_map(|word| {
        Some(match word.rsplit('#').next().unwrap_or_default() {
            "authentication_error"
            | "UNAUTHENTICATED"
            | "UnrecognizedClientException"
            | "ExpiredTokenException" => 401,
            "billing_error" => 402,
            "permission_error" | "PERMISSION_DENIED" | "AccessDeniedException" => 403,
            "not_found_error" | "NOT_FOUND" | "ResourceNotFoundException" => 404,
            "rate_limit_error"
            | "rate_limit_exceeded"
            // Cerebras
            | "too_many_requests_error"
            | "RESOURCE_EXHAUSTED"
            | "insufficient_quota"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "ServiceQuotaExceededException"
            // GLM: in arrears, and too much at once, in a while, in a day.
            | "1113"
            | "1302"
            | "1303"
            | "1304"
            | "1305" => 429,
            "api_error" | "INTERNAL" | "InternalServerException" | "ModelErrorException" => 500,
            "UNAVAILABLE" | "ServiceUnavailableException" | "ModelNotReadyException" => 503,
            "timeout_error" | "DEADLINE_EXCEEDED" | "ModelTimeoutException" => 504,
            "overloaded_error" => 529,
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests;
