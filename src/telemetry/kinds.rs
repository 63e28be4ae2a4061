//! What may be called and how a call may end: closed sets, so that they may label.

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The client got a whole answer.
    Complete,
    /// The client got an error instead of an answer.
    Failed,
    /// The answer broke off after it had begun.
    Cut,
    /// The client left before the end.
    ClientGone,
    /// The process stopped before the end.
    Drained,
}

impl Ended {
    pub const ALL: [Ended; 5] =
        [Ended::Complete, Ended::Failed, Ended::Cut, Ended::ClientGone, Ended::Drained];

    pub fn as_str(self) -> &'static str {
        match self {
            Ended::Complete => "complete",
            Ended::Failed => "failed",
            Ended::Cut => "cut",
            Ended::ClientGone => "client_gone",
            Ended::Drained => "drained",
        }
    }
}

/// What was called. A closed set, so that it may label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    Chat,
    Completions,
    Embeddings,
    Moderations,
    Images,
    Audio,
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// Google's `generateContent` and `streamGenerateContent`.
    GenerateContent,
    /// How many tokens a prompt has, in either's words.
    CountTokens,
    Rerank,
    Models,
    /// Sessions, conversations and stored completions, where the gateway keeps them.
    Sessions,
    Other,
}

impl EndpointKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EndpointKind::Chat => "chat",
            EndpointKind::Completions => "completions",
            EndpointKind::Embeddings => "embeddings",
            EndpointKind::Moderations => "moderations",
            EndpointKind::Images => "images",
            EndpointKind::Audio => "audio",
            EndpointKind::Responses => "responses",
            EndpointKind::Messages => "messages",
            EndpointKind::GenerateContent => "generate_content",
            EndpointKind::CountTokens => "count_tokens",
            EndpointKind::Rerank => "rerank",
            EndpointKind::Models => "models",
            EndpointKind::Sessions => "sessions",
            EndpointKind::Other => "other",
        }
    }
}

/// What became of a second attempt that was made beside a late one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeResult {
    /// The client got its answer.
    Won,
    /// The late one answered first after all.
    Lost,
    Failed,
}

impl HedgeResult {
    pub(super) const WORDS: [&str; 3] = ["won", "lost", "failed"];

    pub fn as_str(self) -> &'static str {
        match self {
            HedgeResult::Won => "won",
            HedgeResult::Lost => "lost",
            HedgeResult::Failed => "failed",
        }
    }
}

/// Why plans leave targets out.
pub const EXCLUSIONS: [&str; 11] = [
    "drained",
    "keys_refused",
    "keys_cooling",
    "probe_failed",
    "circuit_open",
    "model_missing",
    "context",
    "ability",
    "tag",
    "price",
    "latency",
];
