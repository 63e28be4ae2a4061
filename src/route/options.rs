//! What an operator may say about routing: which model names go to which targets.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::names::{ModelName, UpstreamId};
use crate::price::options::PriceOptions;

/// One route: a model name or prefix and the targets that serve it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
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
}

/// One target of a route.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(with = "TargetShape")]
pub struct TargetOptions {
    pub upstream: UpstreamId,
    /// The vendor's name for the model; absent: the client's name is kept.
    pub model: Option<ModelName>,
    pub weight: u32,
    /// What its calls cost; it comes before all else that is known.
    pub price: Option<PriceOptions>,
}

/// How a target is written: text or map.
#[derive(JsonSchema)]
#[serde(untagged)]
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
    /// What its calls cost. Default: what the upstream says, else what is known of the model.
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
                let model = model.map(Into::into);
                Ok(TargetOptions { upstream: upstream.into(), model, weight: 1, price: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TargetOptions, A::Error> {
                let fields = TargetFields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let TargetFields { upstream, model, weight, price } = fields;
                Ok(TargetOptions { upstream, model, weight, price })
            }
        }
        deserializer.deserialize_any(TargetVisitor)
    }
}
