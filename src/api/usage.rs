//! Token counts of one call, in one meaning whoever counted them, and the tier of service they are priced at.

mod body;
#[cfg(test)]
mod tests;

pub use body::{UsageBody, lenient_usage};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::money::Money;

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens read, `cached_input`, `cache_write` and `audio_input` included.
    pub input: u64,
    /// The part of `input` that came out of the vendor's prompt cache.
    pub cached_input: u64,
    /// The part of `input` that was put into it, however long it stays.
    pub cache_write: u64,
    /// The part of `cache_write` that is kept for an hour rather than minutes.
    pub cache_write_1h: u64,
    /// All tokens written, `reasoning` and `audio_output` included.
    pub output: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    /// What the vendor says it charged, in USD.
    pub stated_cost: Option<Money>,
    /// Nobody counted: these are our own estimates.
    pub estimated: bool,
}

impl Usage {
    /// Whether anything was counted or charged: some servers state nothing but zeros.
    pub fn says_something(&self) -> bool {
        self.input > 0 || self.output > 0 || self.stated_cost.is_some()
    }

    /// The tokens of two calls that made one answer.
    pub fn plus(self, other: Self) -> Self {
        let cost = match (self.stated_cost, other.stated_cost) {
            (Some(own), Some(other)) => Some(own.plus(other)),
            (own, other) => own.or(other),
        };
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            stated_cost: cost,
            estimated: self.estimated || other.estimated,
        }
    }
}

/// The class of service a vendor served a call in, which decides the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServiceTier {
    /// Pay as you go, and every name we do not know.
    #[default]
    Default,
    Batch,
    Flex,
    Priority,
    /// Capacity paid for beforehand.
    Scale,
}

impl ServiceTier {
    /// Reads the name a request or an answer calls it by; `auto` leaves the choice to the vendor.
    pub fn named(name: &str) -> Self {
        match name {
            "batch" => Self::Batch,
            "flex" | "ON_DEMAND_FLEX" => Self::Flex,
            "priority" | "fast" | "ON_DEMAND_PRIORITY" => Self::Priority,
            "scale" | "PROVISIONED_THROUGHPUT" => Self::Scale,
            _ => Self::Default,
        }
    }

    /// The tier a JSON value names; None where it is no string.
    pub fn from_json(value: &str) -> Option<Self> {
        value.strip_prefix('"')?.strip_suffix('"').map(Self::named)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Scale => "scale",
        }
    }
}

/// The tier a `service_tier` field names, if it is a string.
pub fn lenient_tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServiceTier>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|it| ServiceTier::from_json(it.get())))
}
