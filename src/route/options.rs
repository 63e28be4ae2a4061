//! What an operator may say about routing: which model names go to which targets.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::names::{ModelName, UpstreamId};
use crate::price::options::{Amount, PriceOptions};
use crate::route::cause::FallbackOptions;
use crate::route::hedge::HedgeOptions;
use crate::session::options::WhenStoreDown;
use crate::vendor::models::FactOptions;

/// One route: a model name or prefix and the targets that serve it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteOptions {
    /// The exact name clients use: an alias. Either this or `prefix`.
    pub model: Option<ModelName>,
    /// The beginning of the names clients use; the longest one wins.
    pub prefix: Option<String>,
    /// How targets are ordered. Default `priority`.
    pub policy: PolicyName,
    /// Where the call may go: `upstream/model`, `upstream` (the client's model name is kept), or a map.
    pub targets: Vec<TargetOptions>,
    /// Body fields filled in where the client said nothing, such as `temperature`.
    pub defaults: Map<String, Value>,
    /// System prompt put before the client's messages.
    pub system: Option<String>,
    /// What price and speed weigh under `policy: balanced`.
    pub balance: BalanceOptions,
    /// Share of calls that go first to a target whose speed is not known, under `fastest` and `balanced`, in per cent.
    /// Default 2; 0 to 50.
    #[schemars(range(max = 50))]
    pub explore_percent: u32,
    /// Targets at which this call is expected to cost more are left out, in USD per call. Default: no bound.
    pub max_price: Option<Amount>,
    /// Targets that are known to take longer to their first content are left out, in milliseconds, unless no other is
    /// left. Default: no bound; 1 to 3,600,000.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub max_first_token_ms: Option<u64>,
    /// Tags that a target must have to serve this route, such as a region.
    pub tags: Vec<String>,
    /// A share of the calls that goes to another target first.
    pub canary: Option<CanaryOptions>,
    /// Whether identical calls of one client that are in flight at the same time share one upstream call: embeddings, and
    /// chat and legacy completions at `temperature: 0`. Default false.
    pub single_flight: bool,
    /// Where a share of the calls is mirrored to, with the answer thrown away. Default: nowhere.
    pub shadow: Option<ShadowOptions>,
    /// The slowest pace of a stream that is good enough while another target is left. Default: any is.
    pub throughput: Option<ThroughputOptions>,
    /// What a call gets that names a session while the store cannot be asked. Default: as `sessions` says.
    pub when_store_down: Option<WhenStoreDown>,
    /// Whether a streamed chat completion that breaks off after content goes on at another target, from what was said.
    /// Default false.
    pub continue_cut_streams: bool,
    /// Where a call goes on that this route's targets could not serve, by why. Default: nowhere.
    pub on: FallbackOptions,
    /// Asking a second target when the first one's answer is late. Default: never.
    pub hedge: Option<HedgeOptions>,
}

impl RouteOptions {
    /// What the route is called by: its `model` or its `prefix`.
    pub fn name(&self) -> Option<&str> {
        self.model.as_ref().map(ModelName::as_str).or(self.prefix.as_deref())
    }
}

/// Calls mirrored to a target that is to be tried.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowOptions {
    /// `upstream/model`, or `upstream` for the model the client named. Its answers are paid for like any other's.
    pub target: TargetOptions,
    /// Share of the route's calls, in per cent. Default 1; 0 to 100. At most 64 are under way at once, beyond that they
    /// are left out.
    #[serde(default = "one")]
    #[schemars(range(max = 100))]
    pub percent: u32,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            model: None,
            prefix: None,
            policy: PolicyName::Priority,
            targets: Vec::new(),
            defaults: Map::new(),
            system: None,
            balance: BalanceOptions::default(),
            explore_percent: 2,
            max_price: None,
            max_first_token_ms: None,
            tags: Vec::new(),
            canary: None,
            single_flight: false,
            shadow: None,
            throughput: None,
            when_store_down: None,
            continue_cut_streams: false,
            on: FallbackOptions::default(),
            hedge: None,
        }
    }
}

/// The weights of `policy: balanced`. A target's score is
/// `price × (its cost ÷ the lowest cost) + latency × (its time ÷ the shortest time)`; the lowest score is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BalanceOptions {
    /// Weight of the expected cost. Default 1; 0 to 1,000.
    #[schemars(range(max = 1_000))]
    pub price: u32,
    /// Weight of the expected time until the answer is whole. Default 1; 0 to 1,000.
    #[schemars(range(max = 1_000))]
    pub latency: u32,
}

impl Default for BalanceOptions {
    fn default() -> Self {
        Self { price: 1, latency: 1 }
    }
}

/// A target on trial.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryOptions {
    /// Where these calls go first; the route's own targets take over when it fails.
    pub target: TargetOptions,
    /// Share of calls, in per cent; a conversation stays on its side. 0 to 100.
    #[schemars(range(max = 100))]
    pub percent: u32,
}

/// The slowest pace of a stream's content, measured from its first content on. A slower stream moves on to the next
/// target as long as the client has seen none of it; later, or with no target left, it is only noted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughputOptions {
    /// Tokens a second, estimated from the length of the text. 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub tokens_per_s_min: u64,
    /// Time over which the pace is taken, in milliseconds: a stream is held back until it brought the tokens of this time,
    /// and no longer than it. Default 2,000; 100 to 60,000.
    #[serde(default = "two_seconds")]
    #[schemars(range(min = 100, max = 60_000))]
    pub window_ms: u64,
}

fn two_seconds() -> u64 {
    2_000
}

/// The order in which a route's healthy targets are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// As written.
    #[default]
    Priority,
    /// At random, in proportion to `weight`.
    Weighted,
    /// The lowest expected cost of this very call first, and of the next turn where a conversation goes on; unknown prices
    /// come last.
    Cheapest,
    /// The shortest expected time to this call's whole answer first.
    Fastest,
    /// Price and speed together, by `balance`.
    Balanced,
}

impl PolicyName {
    pub fn as_str(self) -> &'static str {
        match self {
            PolicyName::Priority => "priority",
            PolicyName::Weighted => "weighted",
            PolicyName::Cheapest => "cheapest",
            PolicyName::Fastest => "fastest",
            PolicyName::Balanced => "balanced",
        }
    }
}

/// One target of a route.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(with = "TargetShape")]
pub struct TargetOptions {
    pub upstream: UpstreamId,
    /// The vendor's name for the model; absent: the client's name is kept.
    pub model: Option<ModelName>,
    pub weight: u32,
    pub tags: Vec<String>,
    pub facts: Option<FactOptions>,
    pub price: Option<PriceOptions>,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self { upstream: "".into(), model: None, weight: 1, tags: Vec::new(), facts: None, price: None }
    }
}

/// How a target is written: text or map.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "never made")]
#[expect(dead_code, reason = "describes the accepted shapes to editors")]
enum TargetShape {
    /// `upstream/model`, or `upstream` alone.
    Text(String),
    Map(TargetFields),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TargetFields {
    /// The upstream's name.
    upstream: UpstreamId,
    /// The vendor's name for the model. Default: the client's name is kept.
    model: Option<ModelName>,
    /// Share of calls under `policy: weighted`. Default 1; 0 to 1,000,000 (0: only when the others are out).
    #[serde(default = "one")]
    #[schemars(range(max = 1_000_000))]
    weight: u32,
    /// What the route and callers may ask for by name, besides the upstream's own tags.
    #[serde(default)]
    tags: Vec<String>,
    /// What the model can do, where the catalogue does not know or is wrong.
    #[serde(default)]
    facts: Option<FactOptions>,
    /// What it costs, over everything said elsewhere.
    #[serde(default)]
    price: Option<PriceOptions>,
}

fn one() -> u32 {
    1
}

/// A visitor instead of an untagged enum, which would lose the line and column of a fault.
impl<'de> Deserialize<'de> for TargetOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetVisitor;
        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = TargetOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target: `upstream/model`, `upstream`, or {upstream, model, weight, price}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TargetOptions, E> {
                let (upstream, model) = match text.split_once('/') {
                    Some((upstream, model)) => (upstream, Some(model)),
                    None => (text, None),
                };
                if upstream.is_empty() || model.is_some_and(str::is_empty) {
                    return Err(E::custom(format!("`{text}` is not `upstream/model`")));
                }
                let (upstream, model) = (upstream.into(), model.map(Into::into));
                Ok(TargetOptions { upstream, model, ..TargetOptions::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TargetOptions, A::Error> {
                let TargetFields { upstream, model, weight, tags, facts, price } =
                    TargetFields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(TargetOptions { upstream, model, weight, tags, facts, price })
            }
        }
        deserializer.deserialize_any(TargetVisitor)
    }
}
