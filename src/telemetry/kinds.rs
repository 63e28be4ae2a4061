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
    Rerank,
    Models,
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
            EndpointKind::Rerank => "rerank",
            EndpointKind::Models => "models",
            EndpointKind::Other => "other",
        }
    }
}
