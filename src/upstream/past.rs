//! The history of a call's session, as it goes before the client's messages: as much of it as the window of a target holds,
//! in words its vendor understands. Called for each attempt by `upstream::asked`; `upstream::bill` and `edge::talk` ask
//! how much that was.

use std::sync::{Arc, Mutex, PoisonError};

use crate::names::UpstreamId;
use crate::route::target::Target;
use crate::session::history::{Fitted, History};

/// Share of a window that is left for the answer where nobody bounds it: one in so many.
const ANSWER_SHARE: u64 = 8;

/// What was said before a call.
pub struct Past {
    /// None of a session that begins.
    pub history: Option<History>,
    /// Where in the client's body it goes.
    pub at: usize,
    /// What stands before it there and behind it.
    pub around: (&'static str, &'static str),
    /// The client brought no system messages: the session's go first.
    pub with_system: bool,
    /// Estimated tokens of the client's own body.
    pub fresh_tokens: u64,
    /// The client's bound on the answer, in tokens.
    pub output_max: Option<u64>,
    /// The upstream that knows all of it itself by the id that the call names: it gets the call as it is.
    pub kept_at: Option<UpstreamId>,
    /// The last fitting, for a call is seldom sent to more than one kind of target.
    pub last: LastFitting,
}

/// What a call was last fitted to.
#[derive(Default)]
pub struct LastFitting(Mutex<Option<(Fit, Arc<Fitted>)>>);

/// By what a fitting differs from another.
#[derive(Clone, PartialEq)]
struct Fit {
    maker: String,
    tokens_max: Option<u64>,
}

impl Past {
    /// Estimated tokens of all of it.
    pub fn tokens(&self) -> u64 {
        self.history.as_ref().map_or(0, |it| it.tokens(self.with_system))
    }

    pub fn has_images(&self) -> bool {
        self.history.as_ref().is_some_and(History::has_images)
    }

    /// As much as goes to `model` at `target`.
    pub fn fitted(&self, target: &Target, model: &str) -> Arc<Fitted> {
        let fit = Fit { maker: target.maker().to_owned(), tokens_max: self.tokens_max(target, model) };
        let mut last = self.last.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fitted)) = last.as_ref().filter(|(it, _)| *it == fit) {
            return Arc::clone(fitted);
        }
        let fitted = self.history.as_ref().map(|it| it.fitted(&fit.maker, self.with_system, fit.tokens_max));
        let fitted = Arc::new(fitted.unwrap_or_default());
        *last = Some((fit, Arc::clone(&fitted)));
        fitted
    }

    /// Tokens left for history in the target's window; None: it is not known.
    fn tokens_max(&self, target: &Target, model: &str) -> Option<u64> {
        let facts = target.facts(model);
        let window = facts.context?;
        let usual = facts.output.unwrap_or(window).min(window / ANSWER_SHARE);
        let answer = self.output_max.map_or(usual, |it| it.min(window / 2));
        Some(window.saturating_sub(self.fresh_tokens).saturating_sub(answer))
    }
}
