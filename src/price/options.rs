//! What may be said about prices, in `catalogue.yaml` and in gateway.yaml alike. Amounts stay text until they are read
//! exactly: a float would not hold 0.0375.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// Prices over and beside the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PricesOptions {
    /// Yuan to the US dollar, for prices in `cny`. Default 6.82, from DeepSeek's lists in both; 0.000001 to 1,000,000.
    pub cny_per_usd: Option<Amount>,
    /// Days (`2027-02-09`, in UTC) added to a list that `except` names; `china` is built in.
    pub holidays: BTreeMap<String, Vec<String>>,
    /// Prices of models, each over the built-in ones of the same vendor and model while it is in force.
    pub rows: Vec<PriceRowOptions>,
}

/// A decimal number as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(pub String);

/// Adds to an options struct the amounts that a price is made of.
macro_rules! with_amounts {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($own)*
            /// Input tokens, per million; 0 is a real price. 0 to 1,000,000, with at most six decimals.
            pub input: Amount,
            /// Output tokens, per million; 0 where there are none, as for embeddings. 0 to 1,000,000.
            pub output: Amount,
            /// Input tokens read from the vendor's cache, per million. Default: `input`. 0 to 1,000,000.
            pub cached_input: Option<Amount>,
            /// Input tokens written to the vendor's cache, per million. Default: `input`. 0 to 1,000,000.
            pub cache_write: Option<Amount>,
            /// Those of them kept for an hour, per million. Default: `cache_write`. 0 to 1,000,000.
            pub cache_write_1h: Option<Amount>,
            /// Reasoning tokens where they have a price apart, per million. Default: `output`. 0 to 1,000,000.
            pub reasoning: Option<Amount>,
            /// Audio tokens among the input, per million. Default: `input`. 0 to 1,000,000.
            pub audio_input: Option<Amount>,
            /// Audio tokens among the output, per million. Default: `output`. 0 to 1,000,000.
            pub audio_output: Option<Amount>,
            /// Fee of one request, whatever its tokens. Default 0; 0 to 1,000,000.
            pub per_request: Option<Amount>,
        }

        impl $name {
            pub(super) fn amounts(&self) -> [(&'static str, Option<&Amount>); 9] {
                [
                    ("input", Some(&self.input)),
                    ("output", Some(&self.output)),
                    ("cached_input", self.cached_input.as_ref()),
                    ("cache_write", self.cache_write.as_ref()),
                    ("cache_write_1h", self.cache_write_1h.as_ref()),
                    ("reasoning", self.reasoning.as_ref()),
                    ("audio_input", self.audio_input.as_ref()),
                    ("audio_output", self.audio_output.as_ref()),
                    ("per_request", self.per_request.as_ref()),
                ]
            }
        }
    };
}

with_amounts! {
/// What the calls of an upstream or a target cost, whatever the model and the date.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceOptions {
    /// Currency of the amounts. Default `usd`.
    #[serde(default)]
    pub currency: Currency,
    /// Prices of the whole request under a condition, in place of the ones beside it. Of those that hold, the one with
    /// the highest bound on the prompt counts, and of several the first.
    #[serde(default)]
    pub when: Vec<WhenOptions>,
    /// What the tokens of a service tier cost, as a multiple. A tier not named here costs as the default one.
    #[serde(default)]
    pub service_tiers: ServiceTierOptions,
}
}

with_amounts! {
/// What a model costs, from a date on.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceRowOptions {
    /// Catalogue id of the vendor whose model it is. Either this or `upstream`.
    pub vendor: Option<String>,
    /// Name of the only upstream that it is the price of.
    pub upstream: Option<String>,
    /// The vendor's name for the model.
    pub model: String,
    /// Further names of it. A name that ends in a date, such as `-2026-10-07`, is found without being listed.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// When it begins: a date, or a moment such as `2026-12-01T10:00:00Z`, in UTC. Default: it always was.
    pub from: Option<String>,
    /// When it ends, itself excluded. Default: when the next row of the model begins.
    pub until: Option<String>,
    /// Who says so, shown by `tollgate prices`.
    pub source: Option<String>,
    /// The day on which they said so.
    pub date: Option<String>,
    /// Currency of the amounts. Default `usd`.
    #[serde(default)]
    pub currency: Currency,
    /// Prices of the whole request under a condition, in place of the ones beside it. Of those that hold, the one with
    /// the highest bound on the prompt counts, and of several the first.
    #[serde(default)]
    pub when: Vec<WhenOptions>,
    /// What the tokens of a service tier cost, as a multiple. A tier not named here costs as the default one.
    #[serde(default)]
    pub service_tiers: ServiceTierOptions,
}
}

with_amounts! {
/// Prices under a condition: a long prompt, certain hours, or both.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenOptions {
    /// The prompt has more tokens than this, cached ones included. 0 to 1,000,000,000.
    #[schemars(range(max = 1_000_000_000))]
    pub tokens_above: Option<u64>,
    /// The prompt has this many tokens or more, cached ones included. 0 to 1,000,000,000.
    #[schemars(range(max = 1_000_000_000))]
    pub tokens_from: Option<u64>,
    /// Hours in UTC, such as `01:00-04:00`; the end is excluded, and `24:00` at most. Default: all day.
    #[serde(default)]
    pub utc: Vec<String>,
    /// Days of the week, in UTC. Default: all seven.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// A list of holidays on whose days the condition does not hold, such as `china`.
    pub except: Option<String>,
}
}

/// Money that prices are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Currency {
    #[default]
    Usd,
    Cny,
}

/// Days as calendars shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Multiples of the token prices, with at most three decimals.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceTierOptions {
    /// Calls of a batch. Default 1; 0 to 1,000.
    pub batch: Option<Amount>,
    /// Calls that may wait. Default 1; 0 to 1,000.
    pub flex: Option<Amount>,
    /// Calls served first, `priority` or `fast`. Default 1; 0 to 1,000.
    pub priority: Option<Amount>,
}

/// A visitor, so that numbers come as they were written and quoted ones and variables do as well.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number, such as 0.0375")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.trim().to_owned()))
            }
        }
        deserializer.deserialize_str(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"], "minimum": 0, "maximum": 1_000_000})
    }
}
