//! Reads what a vendor counted.
//!
//! Vendors agree neither on names nor on what lies inside what. [`UsageBody`] takes every spelling; where two meanings
//! are possible, the vendor's own `total_tokens` decides:
//! - As much as prompt and completion together: cached tokens are part of the prompt, reasoning of the completion.
//! - More by just the stated reasoning (xAI), the cached tokens, or both: these stand beside, and are added.
//! - More by anything else: thinking that nobody stated (Gemini's OpenAI form), counted as reasoning.
//!
//! Without a total, Anthropic's words mean that cached tokens stand beside the prompt. And a part larger than its whole
//! is no part: it stands beside, whatever else is said.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::money::Money;
use crate::api::usage::{ServiceTier, Usage};

/// More tokens than this in one count are a vendor's mistake and not believed. So low that no sum here can overflow.
const TOKENS_MAX: u64 = 1 << 40;

/// xAI states costs in ticks of 1e-10 USD.
const PICOS_PER_TICK: u64 = 100;

/// The `usage` object as any vendor spells it. What cannot be read in it is absent; it never hides the rest. Of a
/// value stated twice the larger one counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageBody {
    /// `prompt_tokens` and Gemini's `promptTokenCount`.
    prompt: Option<u64>,
    /// `input_tokens`: OpenAI's responses, and Anthropic without cached ones.
    input: Option<u64>,
    /// Gemini's results of its own tools, read besides the prompt.
    tool_results: u64,
    completion: Option<u64>,
    /// Gemini's thoughts, written besides the candidates.
    thoughts: u64,
    total: Option<u64>,
    cached: u64,
    /// DeepSeek's other part of the prompt.
    missed: u64,
    /// Anthropic's own words for the cache were used.
    anthropic_cache: bool,
    written: u64,
    written_5m: u64,
    written_1h: u64,
    reasoning: u64,
    audio_input: u64,
    audio_output: u64,
    cost: Option<Money>,
    /// OpenRouter's: what the operator's own account at the vendor behind it is charged.
    upstream_cost: Option<Money>,
    own_account: bool,
    tier: Option<ServiceTier>,
}

/// Names of fields; the ones that mean the same are one.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    #[serde(alias = "promptTokenCount")]
    PromptTokens,
    InputTokens,
    #[serde(rename = "toolUsePromptTokenCount")]
    ToolResults,
    #[serde(alias = "output_tokens", alias = "candidatesTokenCount")]
    CompletionTokens,
    #[serde(rename = "thoughtsTokenCount")]
    Thoughts,
    #[serde(alias = "totalTokenCount")]
    TotalTokens,
    #[serde(alias = "prompt_cache_hit_tokens", alias = "cachedContentTokenCount")]
    CachedTokens,
    PromptCacheMissTokens,
    CacheReadInputTokens,
    #[serde(alias = "cache_creation_tokens")]
    CacheWriteTokens,
    CacheCreationInputTokens,
    CacheCreation,
    #[serde(rename = "ephemeral_5m_input_tokens")]
    Written5m,
    #[serde(rename = "ephemeral_1h_input_tokens")]
    Written1h,
    #[serde(alias = "thinking_tokens")]
    ReasoningTokens,
    AudioTokens,
    #[serde(alias = "input_tokens_details", alias = "input_token_details")]
    PromptTokensDetails,
    #[serde(alias = "output_tokens_details", alias = "output_token_details")]
    CompletionTokensDetails,
    #[serde(rename = "promptTokensDetails")]
    PromptModalities,
    #[serde(rename = "candidatesTokensDetails")]
    CandidateModalities,
    Cost,
    TotalCost,
    CostInUsdTicks,
    CostDetails,
    UpstreamInferenceCost,
    IsByok,
    #[serde(alias = "speed", alias = "trafficType")]
    ServiceTier,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for UsageBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut body = Self::default();
        deserializer.deserialize_map(Fields(|field, value: &str| body.note(field, value)))?;
        Ok(body)
    }
}

/// Usage in a shape we do not know is no usage; it must not hide the rest of what it stands in.
pub fn lenient_usage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UsageBody>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|it| serde_json::from_str(it.get()).ok()))
}

impl UsageBody {
    /// The one meaning; the module says how it is found. None: the vendor counted nothing and named no cost.
    pub fn usage(&self) -> Option<Usage> {
        let counted = self.prompt.or(self.input).or(self.completion).or(self.total).is_some();
        let usage = self.counted();
        (counted || usage != Usage::default()).then_some(usage)
    }

    /// Takes in a later count of the same call, which need not repeat what holds still: Anthropic's events.
    pub fn update(&mut self, json: &str) {
        each_field(json, |field, value| self.note(field, value));
    }

    fn counted(&self) -> Usage {
        let (mut input, mut output) = self.sides();
        let written = self.written.max(self.written_5m + self.written_1h);
        let kept = self.cached + written;
        let beside = self.beside(input, output, kept);
        input += if kept > input + beside.input { kept } else { beside.input };
        output += if self.reasoning > output + beside.output { self.reasoning } else { beside.output };
        output += beside.unstated;
        Usage {
            input,
            cached_input: self.cached,
            cache_write: written,
            cache_write_1h: self.written_1h,
            output,
            reasoning: self.reasoning + beside.unstated,
            audio_input: self.audio_input.min(input),
            audio_output: self.audio_output.min(output),
            stated_cost: self.stated_cost(),
            estimated: false,
        }
    }

    /// The tier the usage itself names, as Anthropic's does.
    pub fn service_tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// Input and output as they are named. Embeddings name no output: it is what the total leaves; and where there is
    /// but a total, all of it was read.
    fn sides(&self) -> (u64, u64) {
        let told = self.cached + self.missed;
        let input = self.prompt.max(self.input).or((self.missed > 0).then_some(told));
        let input = input.map(|it| it + self.tool_results);
        let output = self.completion.map(|it| it + self.thoughts);
        match (input, output, self.total) {
            (None, None, Some(total)) => (total, 0),
            (Some(input), None, Some(total)) => (input, total.saturating_sub(input)),
            (None, Some(output), Some(total)) => (total.saturating_sub(output), output),
            _ => (input.unwrap_or(0), output.unwrap_or(self.thoughts)),
        }
    }

    /// What stands beside the named input and output; `kept` is all that the cache gave or took.
    fn beside(&self, input: u64, output: u64, kept: u64) -> Beside {
        let Some(total) = self.total else {
            let apart = self.anthropic_cache && self.prompt.unwrap_or(0) == 0;
            return Beside { input: if apart { kept } else { 0 }, ..Beside::default() };
        };
        let excess = total.saturating_sub(input + output);
        let (cached, reasoning) = (self.cached, self.reasoning);
        let ways = [(0, 0), (0, reasoning), (cached, 0), (kept, 0), (cached, reasoning), (kept, reasoning)];
        match ways.into_iter().find(|(input, output)| input + output == excess) {
            Some((input, output)) => Beside { input, output, unstated: 0 },
            None => Beside { unstated: excess, ..Beside::default() },
        }
    }

    fn stated_cost(&self) -> Option<Money> {
        match (self.cost, self.upstream_cost) {
            // With the operator's own key OpenRouter's `cost` is but its fee.
            (Some(fee), Some(upstream)) if self.own_account => Some(fee.plus(upstream)),
            (cost, _) => cost,
        }
    }

    fn note(&mut self, field: Field, value: &str) {
        let tokens = tokens(value);
        match field {
            Field::PromptTokens => self.prompt = self.prompt.max(tokens),
            Field::InputTokens => self.input = self.input.max(tokens),
            Field::CompletionTokens => self.completion = self.completion.max(tokens),
            Field::TotalTokens => self.total = self.total.max(tokens),
            Field::ToolResults => raise(&mut self.tool_results, tokens),
            Field::PromptCacheMissTokens => raise(&mut self.missed, tokens),
            Field::Thoughts => {
                raise(&mut self.thoughts, tokens);
                raise(&mut self.reasoning, tokens);
            }
            Field::CacheReadInputTokens => {
                self.anthropic_cache = true;
                raise(&mut self.cached, tokens);
            }
            Field::CacheCreationInputTokens => {
                self.anthropic_cache = true;
                raise(&mut self.written, tokens);
            }
            Field::ReasoningTokens => raise(&mut self.reasoning, tokens),
            Field::PromptTokensDetails => each_field(value, |field, value| self.note_input(field, value)),
            Field::CompletionTokensDetails => {
                each_field(value, |field, value| self.note_output(field, value))
            }
            Field::PromptModalities => raise(&mut self.audio_input, audio_in(value)),
            Field::CandidateModalities => raise(&mut self.audio_output, audio_in(value)),
            Field::CachedTokens | Field::CacheCreation => self.note_input(field, value),
            Field::ServiceTier => self.note_tier(value),
            _ => self.note_cost(field, value),
        }
    }

    fn note_input(&mut self, field: Field, value: &str) {
        match field {
            Field::CachedTokens => raise(&mut self.cached, tokens(value)),
            Field::CacheWriteTokens | Field::CacheCreationInputTokens => {
                raise(&mut self.written, tokens(value))
            }
            Field::AudioTokens => raise(&mut self.audio_input, tokens(value)),
            Field::CacheCreation => each_field(value, |field, value| match field {
                Field::Written5m => raise(&mut self.written_5m, tokens(value)),
                Field::Written1h => raise(&mut self.written_1h, tokens(value)),
                _ => {}
            }),
            _ => {}
        }
    }

    fn note_output(&mut self, field: Field, value: &str) {
        match field {
            Field::ReasoningTokens => raise(&mut self.reasoning, tokens(value)),
            Field::AudioTokens => raise(&mut self.audio_output, tokens(value)),
            _ => {}
        }
    }

    fn note_cost(&mut self, field: Field, value: &str) {
        match field {
            // Perplexity states an object with the parts and their sum.
            Field::Cost if value.starts_with('{') => each_field(value, |field, value| {
                if matches!(field, Field::TotalCost) {
                    self.cost = Money::from_usd_decimal(unquoted(value));
                }
            }),
            Field::Cost => self.cost = Money::from_usd_decimal(unquoted(value)),
            Field::CostInUsdTicks => {
                let picos = unquoted(value).parse::<u64>().ok().and_then(|it| it.checked_mul(PICOS_PER_TICK));
                self.cost = picos.map(Money::from_picos);
            }
            Field::CostDetails => each_field(value, |field, value| {
                if matches!(field, Field::UpstreamInferenceCost) {
                    self.upstream_cost = Money::from_usd_decimal(unquoted(value));
                }
            }),
            Field::IsByok => self.own_account = value == "true",
            _ => {}
        }
    }

    /// Of several names the one that is not the default decides: Anthropic's `speed` stands beside its `service_tier`.
    fn note_tier(&mut self, value: &str) {
        let tier = ServiceTier::from_json(value);
        if tier.is_some() && self.tier.is_none_or(|it| it == ServiceTier::Default) {
            self.tier = tier;
        }
    }
}

/// What stands beside the named counts instead of inside them, in tokens.
#[derive(Default)]
struct Beside {
    input: u64,
    output: u64,
    /// Thinking that only the total knows of.
    unstated: u64,
}

fn raise(slot: &mut u64, tokens: Option<u64>) {
    *slot = (*slot).max(tokens.unwrap_or(0));
}

/// Reads a count, also one written as a string or with a fraction. None: no number, negative, or not to be believed.
fn tokens(json: &str) -> Option<u64> {
    let text = unquoted(json);
    let whole = text.parse::<u64>().ok().or_else(|| {
        let number = text.parse::<f64>().ok().filter(|it| (0.0..=TOKENS_MAX as f64).contains(it));
        number.map(|it| it as u64)
    });
    whole.filter(|it| *it <= TOKENS_MAX)
}

fn unquoted(json: &str) -> &str {
    json.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(json)
}

/// The audio part of Gemini's counts by modality.
fn audio_in(json: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part<'a> {
        modality: &'a str,
        #[serde(borrow)]
        token_count: &'a RawValue,
    }
    let parts: Vec<Part> = serde_json::from_str(json).ok()?;
    parts.iter().find(|it| it.modality == "AUDIO").and_then(|it| tokens(it.token_count.get()))
}

/// Hands on the fields of an object; anything else has none.
fn each_field(json: &str, each: impl FnMut(Field, &str)) {
    // What came before a fault has been handed on, and nothing can be read behind it.
    let _ = serde_json::Deserializer::from_str(json).deserialize_map(Fields(each));
}

struct Fields<F>(F);

impl<'de, F: FnMut(Field, &str)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key()? {
            (self.0)(field, map.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}
