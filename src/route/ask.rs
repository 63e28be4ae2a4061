//! What one call asks for, as far as routing minds: figures taken from its body once, before its route is planned.

use std::sync::Arc;

use crate::api::usage::ServiceTier;
use crate::health::output::OutputKind;

/// One call as the planner sees it.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The model the client asked of the route.
    pub model: Arc<str>,
    /// Estimated tokens of the prompt.
    pub prompt_tokens: u64,
    /// The client's own bound on the answer, in tokens.
    pub output_max: Option<u64>,
    pub wants: Wants,
    /// A hash of what names the conversation (`prompt_cache_key`, `user`): who serves it again may hold its prefix.
    pub conversation: Option<u64>,
    /// The client wants the conversation to stay at one target whatever that costs (`x-session-affinity`).
    pub sticks: bool,
    /// The part of `prompt_tokens` that is history of a session, and can be left out where a window is too small.
    pub history_tokens: u64,
    pub tier: ServiceTier,
    /// Tags the client asked for (`x-tollgate-tags`).
    pub tags: Vec<String>,
    /// The moment that decides about prices, in Unix seconds.
    pub at: u64,
}

/// What the answering model must be able to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub vision: bool,
    pub tools: bool,
    pub json_schema: bool,
    pub reasoning: bool,
}

impl Ask {
    /// A call of which only the model is known.
    pub fn of_model(model: &str, at: u64) -> Self {
        Self { model: model.into(), at, ..Self::default() }
    }

    /// Which calls' answers tell how long this one's will be.
    pub fn output_kind(&self) -> OutputKind {
        OutputKind::of(self.prompt_tokens, self.output_max, self.wants.tools)
    }
}
