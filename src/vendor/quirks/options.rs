//! How a quirk is written: the same in `quirks.yaml`, built in, and under an upstream's `quirks` in gateway.yaml.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::pattern::is_like;
use crate::dialect::Dialect;
use crate::dialect::tool_names::NameRule;

/// Where some models of a vendor differ from OpenAI's chat completions, and what is done about it. All entries for a
/// model apply in order; where two say different things of one field, the later one wins.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuirkOptions {
    /// Models it is for, by the vendor's names; `*` stands for any text. Default: all.
    pub models: Vec<String>,
    /// Models it is not for, though `models` has them. Default: none.
    pub except: Vec<String>,
    /// Calls it is for. Default: all.
    pub when: WhenOptions,
    /// Fields by another name.
    pub rename: BTreeMap<String, String>,
    /// Fields that are not sent; a client that used one is told, or refused, as the upstream's `unsupported` says.
    pub drop: Vec<String>,
    /// Fields that are not sent, without a word.
    pub drop_quietly: Vec<String>,
    /// Fields of which nothing holds that earlier entries say.
    pub keep: Vec<String>,
    /// Bounds of numbers: what is beyond becomes the bound, and the client is told.
    pub clamp: BTreeMap<String, ClampOptions>,
    /// Texts that name somebody or something: a longer one becomes a hash of it, always the same; nobody is told.
    pub texts: BTreeMap<String, TextOptions>,
    /// Bounds of lists: of a longer one the first elements are sent, and the client is told.
    pub lists: BTreeMap<String, ListOptions>,
    /// Fields that are always sent so.
    pub set: BTreeMap<String, Value>,
    /// Fields that are sent so where the client says nothing.
    pub default: BTreeMap<String, Value>,
    /// Other values for a field, by its text or by the `type` of its object: what comes nearest, and the client is told.
    /// `null` leaves the field out.
    pub map: BTreeMap<String, BTreeMap<String, Value>>,
    /// The same for values that mean the same in the vendor's words; nobody is told.
    pub respell: BTreeMap<String, BTreeMap<String, Value>>,
    /// How the model is told to think. Replaces what earlier entries say. Default: as the client writes it.
    pub reasoning: Option<ReasoningOptions>,
    /// What is done to messages.
    pub messages: MessageOptions,
    /// What is done to tools.
    pub tools: ToolOptions,
    /// Whether the model puts its thoughts into the content, as `<think>…</think>` at its beginning. Default false.
    pub think_tags: Option<bool>,
    /// What holds where the vendor is asked in a dialect of its own.
    pub native: NativeOptions,
}

/// Conditions on a call; all of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhenOptions {
    /// Fields that the client sent. Default: none needed.
    pub has: Vec<String>,
    /// Fields that it did not send. Default: none.
    pub lacks: Vec<String>,
    /// Fields and their values, or the `type` of their objects. Default: none.
    pub is: BTreeMap<String, Value>,
    /// Fields that are numbers below these. Default: none.
    pub below: BTreeMap<String, f64>,
    /// Whether the model is going to think. Default: either.
    pub thinking: Option<bool>,
}

/// Both bounds may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClampOptions {
    /// The least. Default: none. -1,000,000 to 1,000,000.
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub min: Option<f64>,
    /// The most. Default: none. -1,000,000 to 1,000,000.
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub max: Option<f64>,
}

/// The bound of a text.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextOptions {
    /// Most characters. 8 to 10,000.
    #[schemars(range(min = 8, max = 10_000))]
    pub max: usize,
}

/// The bound of a list.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListOptions {
    /// Most elements. 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub max: usize,
}

/// How a model is told to think, whatever spelling the client used.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReasoningOptions {
    /// The field that says it. Default effort.
    pub spelling: SpellingName,
    /// The vendor's words for efforts (`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`). Default: the same.
    pub efforts: BTreeMap<String, String>,
    /// The vendor's words for the `type` under `thinking` (`enabled`, `disabled`), and others that it knows, by
    /// themselves (`auto: auto`). Default: the same two.
    pub types: BTreeMap<String, String>,
    /// Tokens of thought that stand for an effort, where the vendor knows no efforts but budgets. Default: none.
    pub budgets: BTreeMap<String, u64>,
    /// Whether `thinking` may hold a budget. Default false.
    pub budget: bool,
    /// Whether `reasoning_effort` may stand beside `thinking`. Default false.
    pub effort_beside: bool,
    /// Whether the model can be told not to think. Default allowed.
    pub off: OffName,
    /// Whether it thinks where nobody says. Default true.
    pub by_default: bool,
    /// The one effort that is possible; it is always sent. Default: none.
    pub pin: Option<String>,
}

impl Default for ReasoningOptions {
    fn default() -> Self {
        Self {
            spelling: SpellingName::Effort,
            efforts: BTreeMap::new(),
            types: BTreeMap::new(),
            budgets: BTreeMap::new(),
            budget: false,
            effort_beside: false,
            off: OffName::Allowed,
            by_default: true,
            pin: None,
        }
    }
}

impl ReasoningOptions {
    /// The efforts it names, and under which option.
    fn efforts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let words = self.efforts.keys().map(|it| ("efforts", it.as_str()));
        words.chain(self.budgets.keys().map(|it| ("budgets", it.as_str())))
    }
}

/// The field by which a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpellingName {
    /// `reasoning_effort`.
    Effort,
    /// `thinking: { type }`.
    Thinking,
    /// `enable_thinking` and `thinking_budget`.
    EnableThinking,
    /// `reasoning: { effort, max_tokens, enabled }`.
    Openrouter,
    /// `chat_template_kwargs: { enable_thinking }`.
    ChatTemplate,
    /// None: it is not told.
    None,
}

/// Whether a model can be told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffName {
    /// It can.
    Allowed,
    /// It thinks, or refuses the call: the wish is not sent, or as the word that `efforts` has for `none`.
    Forbidden,
}

/// What is done to messages. A rule that is not named stays as earlier entries have it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageOptions {
    /// Of the fields that vendors add to OpenAI's messages (`reasoning_content`, `cache_control` …), those that are
    /// sent. Default: all.
    pub extensions: Option<Vec<String>>,
    /// Fields of messages that are not sent. Default: none.
    pub drop: Option<Vec<String>>,
    /// Fields of messages by another name. Default: none.
    pub rename: Option<BTreeMap<String, String>>,
    /// What ids of tool calls look like. Default any.
    pub tool_ids: Option<ToolIdName>,
    /// Whether an assistant's message that calls tools must have `reasoning_content`: it gets what else it has of
    /// reasoning, or a space. Default false.
    pub echo_reasoning: Option<bool>,
    /// Whether a tool call must have a signature of its thought (Gemini): it gets the word that stands for none.
    /// Default false.
    pub thought_signatures: Option<bool>,
    /// Whether content that is only text must be a string and not parts. Default false.
    pub text_content: Option<bool>,
    /// Whether an assistant's message that comes last must say `prefix: true`. Default false.
    pub last_assistant_prefix: Option<bool>,
    /// Whether the role `developer` is taken; else it is `system`. Default false.
    pub developer: Option<bool>,
    /// Whether results of tools may hold pictures, documents and recordings; else what clients of other dialects send so
    /// goes into a user's message behind the results. Default false.
    pub tool_media: Option<bool>,
    /// Whether a user may not speak directly behind a tool: an assistant's word goes between. Default false.
    pub tools_answered: Option<bool>,
    /// Whether there must be a user's message: where there is none, the last system message becomes one. Default false.
    pub user_needed: Option<bool>,
    /// Whether the system's word may only come first: later ones are joined to it. Default false.
    pub system_first: Option<bool>,
    /// Whether users and assistants must take turns: neighbours of one role are joined. Default false.
    pub alternate: Option<bool>,
}

/// What ids of tool calls look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolIdName {
    /// Like anything.
    Any,
    /// Nine letters and digits; others get one that is made of theirs.
    NineAlphanumerics,
}

/// What is done to tools. A rule that is not named stays as earlier entries have it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolOptions {
    /// Whether custom tools are sent as such; else they are functions of one text, and calls of them the client's custom
    /// ones again. Default false.
    pub custom: Option<bool>,
    /// What names of tools may be: those that clients of other dialects have otherwise become such as are taken, and the
    /// client's again in the answer. Holds in every dialect. Default: 64 letters, digits, `_` and `-`.
    pub names: Option<NameRule>,
    /// Kinds of tools that are sent; others are dropped and the client told. Default: all.
    pub kinds: Option<Vec<String>>,
    /// Fields of tools and of their functions that are not sent. Default: none.
    pub drop: Option<Vec<String>>,
    /// Whether a tool that `tool_choice` names is sent alone, for the vendor takes no names there; what is sent as
    /// `tool_choice` then, `respell` or `map` says by the word `function`. Default false.
    pub named_alone: Option<bool>,
}

/// What holds where the vendor is asked in a dialect of its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NativeOptions {
    /// The dialect that chat completions are put into where the vendor speaks it: for models, or calls, that it does not
    /// serve by chat completions. Default: none.
    pub dialect: Option<Dialect>,
    /// Whether legacy completions are asked as such, where the vendor has them; else they are asked by chat. Default true.
    pub completions: Option<bool>,
    /// How the model is told to think. Default usual.
    pub thinking: Option<ThinkingName>,
    /// Other efforts for those that the model does not know (`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`);
    /// `none` is where it cannot be told not to think: of budgets that is the least one. Default: none.
    pub efforts: Option<BTreeMap<String, String>>,
    /// Bounds of a budget of thought, where it is told one. Default: none.
    pub budget: Option<BudgetOptions>,
    /// Whether it refuses `temperature`, `top_p` and `top_k`. Default false.
    pub fixed_sampling: Option<bool>,
    /// Whether the vendor knows ids of tool calls in Gemini's dialect. Default true.
    pub call_ids: Option<bool>,
    /// Whether it takes the tiers `flex` and `priority` there. Default true.
    pub service_tiers: Option<bool>,
}

impl NativeOptions {
    fn faults(&self) -> Vec<QuirkFault> {
        let mut faults: Vec<QuirkFault> = Vec::new();
        for (name, instead) in self.efforts.iter().flatten() {
            let wrong = [name, instead].into_iter().find(|it| !EFFORTS.contains(&it.as_str()));
            let wrong = wrong.or(Some(instead).filter(|it| *it == "none"));
            if let Some(wrong) = wrong {
                let path = vec!["native".into(), "efforts".into(), name.clone()];
                faults.push((
                    path,
                    format!("`{wrong}` is no effort here; these are {}", EFFORTS[1..].join(", ")),
                ));
            }
        }
        if self.budget.is_some_and(|it| it.min > it.max) {
            faults.push((vec!["native".into(), "budget".into()], "`min` must not be above `max`".into()));
        }
        faults
    }
}

/// Bounds of a budget of thought, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetOptions {
    /// The least, where it is to think at all. Default 0. 0 to 1,000,000.
    #[schemars(range(max = 1_000_000))]
    pub min: u64,
    /// The most. Default 1,000,000. 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u64,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { min: 0, max: 1_000_000 }
    }
}

/// How a model is told to think in a dialect that has several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingName {
    /// As the newest models of the dialect are.
    Usual,
    /// By an effort.
    Effort,
    /// By a budget of tokens.
    Budget,
    /// Not at all.
    Never,
}

/// Fields without which a request is none, or by which the gateway reads the answer.
const FIXED: [&str; 3] = ["messages", "model", "stream"];

/// The names of efforts, and of there being none.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// What is wrong with an entry: where in it, and what.
pub type QuirkFault = (Vec<String>, String);

impl QuirkOptions {
    /// What no schema can say is wrong with it.
    pub fn faults(&self) -> Vec<QuirkFault> {
        let keys = |option: &'static str, names: Vec<&String>| {
            names.into_iter().map(move |it| (option, it.clone())).collect::<Vec<_>>()
        };
        let maps = [
            keys("rename", self.rename.keys().collect()),
            keys("clamp", self.clamp.keys().collect()),
            keys("texts", self.texts.keys().collect()),
            keys("lists", self.lists.keys().collect()),
            keys("set", self.set.keys().collect()),
            keys("default", self.default.keys().collect()),
            keys("map", self.map.keys().collect()),
            keys("respell", self.respell.keys().collect()),
        ];
        let mut faults: Vec<QuirkFault> = Vec::new();
        for (option, name) in maps.into_iter().flatten().filter(|(_, name)| FIXED.contains(&name.as_str())) {
            faults
                .push((vec![option.into(), name.clone()], format!("`{name}` cannot be changed by a quirk")));
        }
        for (option, names) in [("drop", &self.drop), ("drop_quietly", &self.drop_quietly)] {
            for (index, name) in names.iter().enumerate().filter(|(_, it)| FIXED.contains(&it.as_str())) {
                faults.push((vec![option.into(), index.to_string()], format!("`{name}` cannot be left out")));
            }
        }
        for (name, bounds) in &self.clamp {
            if matches!((bounds.min, bounds.max), (Some(min), Some(max)) if min > max) {
                faults.push((vec!["clamp".into(), name.clone()], "`min` must not be above `max`".into()));
            }
        }
        for (option, name) in self.reasoning.iter().flat_map(|it| it.efforts()) {
            if !EFFORTS.contains(&name) {
                let path = vec!["reasoning".into(), option.into(), name.to_owned()];
                faults.push((path, format!("`{name}` is no effort; these are {}", EFFORTS.join(", "))));
            }
        }
        faults.extend(self.native.faults());
        faults
    }

    /// Whether it is for `model`.
    pub fn covers(&self, model: &str) -> bool {
        let fits = |patterns: &[String]| patterns.iter().any(|it| is_like(it, model));
        (self.models.is_empty() || fits(&self.models)) && !fits(&self.except)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_come_before_the_rule() {
        let quirk = QuirkOptions {
            models: vec!["gpt-5*".into()],
            except: vec!["*-chat*".into()],
            ..Default::default()
        };
        assert!(quirk.covers("gpt-5.4") && !quirk.covers("gpt-5-chat-latest") && !quirk.covers("gpt-4"));
        assert!(QuirkOptions::default().covers("any"));
    }
}
