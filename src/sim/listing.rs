//! The models on offer, in each vendor's form of a list. Pure.

use serde_json::{Value, json};

use super::voice::Voice;

pub(super) const MODELS: [&str; 2] = ["sim-small", "sim-large"];
/// When the models were made, in Unix seconds and as a time: a fixed date, as lists are compared in tests.
const CREATED: u64 = 1_735_689_600;
const CREATED_AT: &str = "2025-01-01T00:00:00Z";
const WINDOW: usize = 200_000;
const OUTPUT_MAX: usize = 100_000;

pub(super) fn list(voice: Voice) -> Value {
    let each = MODELS.map(|id| model(voice, id));
    match voice {
        Voice::OpenAi => json!({"object": "list", "data": each}),
        Voice::Anthropic => {
            json!({"data": each, "has_more": false, "first_id": MODELS[0], "last_id": MODELS[1]})
        }
        Voice::Gemini | Voice::Cohere | Voice::Ollama => json!({"models": each}),
        Voice::Bedrock => json!({"modelSummaries": each}),
    }
}

pub(super) fn model(voice: Voice, id: &str) -> Value {
    match voice {
        Voice::OpenAi => json!({"id": id, "object": "model", "created": CREATED, "owned_by": "tollgate"}),
        Voice::Anthropic => {
            json!({"type": "model", "id": id, "display_name": id, "created_at": CREATED_AT})
        }
        Voice::Gemini => json!({"name": format!("models/{id}"), "displayName": id, "version": "1",
            "inputTokenLimit": WINDOW, "outputTokenLimit": OUTPUT_MAX,
            "supportedGenerationMethods": ["generateContent", "countTokens"]}),
        Voice::Bedrock => json!({"modelId": id, "modelName": id, "providerName": "tollgate",
            "modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"),
            "inputModalities": ["TEXT", "IMAGE"], "outputModalities": ["TEXT"],
            "responseStreamingSupported": true, "inferenceTypesSupported": ["ON_DEMAND"]}),
        Voice::Cohere => json!({"name": id, "endpoints": ["chat"], "context_length": WINDOW}),
        Voice::Ollama => json!({"name": id, "model": id, "modified_at": CREATED_AT, "size": 1_000_000,
            "digest": "0".repeat(64),
            "details": {"format": "gguf", "family": "sim", "parameter_size": "1B", "quantization_level": "Q4_0"}}),
    }
}
