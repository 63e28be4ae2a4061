//! What one model at one target wants of its dialect: filled from the catalogue (`vendor::quirks`), so that a dialect
//! needs to know no model by name.

use std::collections::BTreeMap;

use super::prompt::Effort;

/// The model that is asked, and its ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The vendor's name for the model.
    pub model: String,
    /// Most tokens of an answer, where it is known: the bound of dialects that must state one.
    pub output_max: Option<u64>,
    /// How it is told to think.
    pub thinking: Thinking,
    /// It thinks where nobody says: what it thought is to be asked for, so that it can be told again.
    pub thinks_unasked: bool,
    /// The efforts that it knows.
    pub efforts: Efforts,
    /// The least and the most of a budget of thought, in tokens; not thinking is no budget.
    pub budget_min: u64,
    pub budget_max: u64,
    /// It refuses `temperature`, `top_p` and `top_k`.
    pub fixed_sampling: bool,
    /// It keeps to JSON schemas for answers; None: nobody said.
    pub json_schema: Option<bool>,
    /// Its vendor knows ids of calls and of their results, where the dialect could do without: Gemini.
    pub call_ids: bool,
    /// Its vendor takes the tiers `flex` and `priority` in the body.
    pub service_tiers: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            model: String::new(),
            output_max: None,
            thinking: Thinking::default(),
            thinks_unasked: false,
            efforts: Efforts::default(),
            budget_min: 0,
            budget_max: u64::MAX,
            fixed_sampling: false,
            json_schema: None,
            call_ids: true,
            service_tiers: true,
        }
    }
}

/// What a model takes instead of efforts that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Efforts {
    /// Instead of not thinking, where it cannot be told that. None: it can.
    pub off: Option<Effort>,
    instead: Vec<(Effort, Effort)>,
}

impl Efforts {
    /// By the names of efforts, and of `none`; others are none of them.
    pub fn named(names: &BTreeMap<String, String>) -> Self {
        let known = names.iter().filter_map(|(from, to)| Some((Effort::named(from)?, Effort::named(to)?)));
        Self { off: names.get("none").and_then(|it| Effort::named(it)), instead: known.collect() }
    }

    /// The effort that the model takes where this one is wished.
    pub fn of(&self, wished: Effort) -> Effort {
        self.instead.iter().find(|it| it.0 == wished).map_or(wished, |it| it.1)
    }
}

/// How a model is told to think, in dialects that have several ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thinking {
    /// As the newest models of the dialect are.
    #[default]
    Usual,
    /// By an effort: Anthropic's `output_config.effort` with adaptive thinking, Gemini's `thinkingLevel`.
    Effort,
    /// By a budget of tokens: Anthropic's `budget_tokens`, Gemini's `thinkingBudget`.
    Budget,
    /// Not at all: the wish is a loss.
    Never,
}

/// Tokens of an answer, for dialects that must state a bound where neither client nor catalogue does.
pub const OUTPUT_MAX_USUAL: u64 = 8_192;
