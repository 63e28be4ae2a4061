//! Whose API a path belongs to. Every vendor's paths are answered below one address, with the versions, projects and
//! deployments that they put before the endpoint, or without; where two vendors have the same path, its first segment
//! may name one (`/cohere/v1/models`). Pure.

use percent_encoding::percent_decode_str;

use super::voice::Voice;

const VERSIONS: [&str; 5] = ["v1", "v1beta", "v1beta1", "v1alpha", "v2"];
/// What Google writes behind a model's name, and its Claude.
const GOOGLE_VERBS: [&str; 3] = ["generateContent", "streamGenerateContent", "countTokens"];
const CLAUDE_VERBS: [&str; 2] = ["rawPredict", "streamRawPredict"];

#[derive(Debug, PartialEq)]
pub(super) struct Place {
    pub voice: Voice,
    /// The endpoint, without what stands before it.
    pub rest: String,
    /// The model, where the path names it.
    pub model: Option<String>,
    /// What is behind the model: `generateContent`, `converse`.
    pub verb: String,
    /// It is one of OpenAI's own, which refuses fields that it does not know.
    pub is_openais: bool,
    /// It is a path of Azure's deployments, which want a version in the query.
    pub is_deployment: bool,
    /// It is a path of Vertex, whose Gemini knows less than AI Studio's.
    pub is_vertex: bool,
}

impl Place {
    pub fn of(path: &str) -> Self {
        let mut rest = path.trim_start_matches('/');
        let mut voice = None;
        for (name, named) in [
            ("anthropic", Voice::Anthropic),
            ("gemini", Voice::Gemini),
            ("bedrock", Voice::Bedrock),
            ("cohere", Voice::Cohere),
        ] {
            if let Some(behind) = behind(rest, name) {
                (rest, voice) = (behind, Some(named));
            }
        }
        let openais = behind(rest, "openai");
        rest = openais.unwrap_or(rest);
        if let Some((deployment, endpoint)) = behind(rest, "deployments").and_then(|it| it.split_once('/')) {
            return Self {
                is_openais: true,
                is_deployment: true,
                ..Self::plain(Voice::OpenAi, endpoint, Some(deployment))
            };
        }
        while let Some(version) = VERSIONS.iter().find(|it| behind(rest, it).is_some()) {
            rest = behind(rest, version).unwrap_or_default();
            if version.starts_with("v1beta") {
                voice = voice.or(Some(Voice::Gemini));
            }
        }
        let is_vertex = behind(rest, "projects").or(behind(rest, "publishers")).is_some();
        let rest = without_project(rest);
        Self { is_openais: openais.is_some(), is_vertex, ..Self::endpoint(rest, voice) }
    }

    fn endpoint(rest: &str, voice: Option<Voice>) -> Self {
        if let Some((model, verb)) = rest.strip_prefix("models/").and_then(|it| it.rsplit_once(':')) {
            for (verbs, named) in
                [(GOOGLE_VERBS.as_slice(), Voice::Gemini), (CLAUDE_VERBS.as_slice(), Voice::Anthropic)]
            {
                if verbs.contains(&verb) {
                    return Self { verb: verb.to_owned(), ..Self::plain(named, "models", Some(model)) };
                }
            }
        }
        if let Some((model, verb)) = rest.strip_prefix("model/").and_then(|it| it.rsplit_once('/')) {
            return Self { verb: verb.to_owned(), ..Self::plain(Voice::Bedrock, "model", Some(model)) };
        }
        let voice = match rest {
            "messages" | "messages/count_tokens" => Voice::Anthropic,
            "chat" => Voice::Cohere,
            "foundation-models" => Voice::Bedrock,
            _ if rest.starts_with("api/") => Voice::Ollama,
            _ => voice.unwrap_or(Voice::OpenAi),
        };
        Self::plain(voice, rest, None)
    }

    fn plain(voice: Voice, rest: &str, model: Option<&str>) -> Self {
        let model = model.map(|it| percent_decode_str(it).decode_utf8_lossy().into_owned());
        Self {
            voice,
            rest: rest.to_owned(),
            model,
            verb: String::new(),
            is_openais: false,
            is_deployment: false,
            is_vertex: false,
        }
    }
}

/// What stands behind a first segment of that name.
fn behind<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    path.strip_prefix(name)?.strip_prefix('/')
}

/// Vertex: `projects/…/locations/…/publishers/google/`, or `…/endpoints/openapi/`.
fn without_project(path: &str) -> &str {
    let inner = match behind(path, "projects") {
        Some(project) => project.splitn(4, '/').nth(3).unwrap_or_default(),
        None => path,
    };
    if let Some(publisher) = behind(inner, "publishers") {
        return publisher.split_once('/').map_or(publisher, |it| it.1);
    }
    behind(inner, "endpoints").and_then(|it| behind(it, "openapi")).unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_vendor_are_told_apart() {
        let check = |path: &str, voice: Voice, rest: &str, model: Option<&str>, verb: &str| {
            let place = Place::of(path);
            let model = model.map(str::to_owned);
            assert_eq!(
                (place.voice, &*place.rest, place.model, &*place.verb),
                (voice, rest, model, verb),
                "{path}"
            );
        };
        check("/v1/chat/completions", Voice::OpenAi, "chat/completions", None, "");
        check("/responses", Voice::OpenAi, "responses", None, "");
        check("/openai/v1/chat/completions", Voice::OpenAi, "chat/completions", None, "");
        check("/openai/deployments/d/chat/completions", Voice::OpenAi, "chat/completions", Some("d"), "");
        check("/v1/messages", Voice::Anthropic, "messages", None, "");
        check("/anthropic/v1/models", Voice::Anthropic, "models", None, "");
        check(
            "/v1beta/models/m:cut:generateContent",
            Voice::Gemini,
            "models",
            Some("m:cut"),
            "generateContent",
        );
        check("/v1beta/models", Voice::Gemini, "models", None, "");
        check("/v1/models/m", Voice::OpenAi, "models/m", None, "");
        let vertex = "/v1/projects/p/locations/l/publishers";
        let google = format!("{vertex}/google/models/m:streamGenerateContent");
        check(&google, Voice::Gemini, "models", Some("m"), "streamGenerateContent");
        let claude = format!("{vertex}/anthropic/models/m:rawPredict");
        check(&claude, Voice::Anthropic, "models", Some("m"), "rawPredict");
        let openai = "/v1/projects/p/locations/l/endpoints/openapi/chat/completions";
        check(openai, Voice::OpenAi, "chat/completions", None, "");
        check("/model/us.m%3A0/converse-stream", Voice::Bedrock, "model", Some("us.m:0"), "converse-stream");
        check("/v2/chat", Voice::Cohere, "chat", None, "");
        check("/cohere/v1/models", Voice::Cohere, "models", None, "");
        check("/api/tags", Voice::Ollama, "api/tags", None, "");
        assert!(Place::of("/openai/deployments/d/embeddings").is_deployment);
        assert!(Place::of(&google).is_vertex && !Place::of("/v1beta/models/m:generateContent").is_vertex);
        assert!(Place::of("/openai/v1/chat/completions").is_openais);
        assert!(!Place::of("/v1/chat/completions").is_openais);
    }
}
