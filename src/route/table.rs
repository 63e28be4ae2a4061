//! Which route a model name takes: exact name, then `upstream/model`, then the longest prefix. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::api::money::Money;
use crate::health::output::OutputMean;
use crate::health::warmth::Warmth;
use crate::names::{ModelName, UpstreamId};
use crate::route::cause::Fallbacks;
use crate::route::hedge::HedgeRule;
use crate::route::options::{BalanceOptions, PolicyName, ThroughputOptions};
use crate::route::target::Target;
use crate::session::options::WhenStoreDown;
use crate::telemetry::series::SharedCalls;

/// What one model name, prefix or upstream leads to.
pub struct Route {
    /// The route's name in metrics and logs: what the configuration calls it, never a client's text.
    pub label: Arc<str>,
    pub policy: PolicyName,
    pub targets: Vec<Arc<Target>>,
    /// Fields filled in where the client said nothing: name and JSON text.
    pub defaults: Vec<(String, Bytes)>,
    /// Targets that the configuration names but that cannot be used, and why.
    pub off: Vec<(UpstreamId, String)>,
    /// System prompt put before the client's messages.
    pub system: Option<String>,
    pub balance: BalanceOptions,
    /// Share of calls that go first to a target of unknown speed, in per cent.
    pub explore_percent: u32,
    pub bounds: Bounds,
    pub canary: Option<Canary>,
    /// How long this route's answers usually are.
    pub output: Arc<OutputMean>,
    pub warmth: Arc<Warmth>,
    /// Counts the calls that share another's answer; none: they never do.
    pub single_flight: Option<SharedCalls>,
    /// Where a share of the calls is mirrored to.
    pub shadow: Option<Shadow>,
    /// The slowest pace of a stream that is good enough; none: any is.
    pub throughput: Option<ThroughputOptions>,
    /// What a call gets that names a session while the store is away, where this route has a rule of its own.
    pub when_store_down: Option<WhenStoreDown>,
    /// Whether a stream that breaks off after content goes on at another target.
    pub continues: bool,
    /// Where a call goes on after failures.
    pub on: Fallbacks,
    /// Asking a second target when the first one's answer is late.
    pub hedge: Option<HedgeRule>,
}

/// A target that is tried with copies of calls.
pub struct Shadow {
    /// A route of its own, with this one target.
    pub route: Arc<Route>,
    /// Share of the calls, in per cent.
    pub percent: u32,
}

/// What every target of a route must keep to.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Expected cost of a call.
    pub price: Option<Money>,
    pub first_token: Option<Duration>,
    pub tags: Vec<String>,
}

/// A target on trial, and its share of the calls in per cent.
pub struct Canary {
    pub target: Arc<Target>,
    pub percent: u32,
}

impl Route {
    /// Targets in the order written, nothing else said.
    pub fn plain(label: &str, targets: Vec<Arc<Target>>, warmth: &Arc<Warmth>) -> Self {
        Self {
            label: label.into(),
            policy: PolicyName::Priority,
            targets,
            defaults: Vec::new(),
            off: Vec::new(),
            system: None,
            balance: BalanceOptions::default(),
            explore_percent: 0,
            bounds: Bounds::default(),
            canary: None,
            output: Arc::default(),
            warmth: Arc::clone(warmth),
            single_flight: None,
            shadow: None,
            throughput: None,
            when_store_down: None,
            continues: false,
            on: Fallbacks::default(),
            hedge: None,
        }
    }

    /// Whether where a call goes depends on what is in it.
    pub fn reckons(&self) -> bool {
        self.targets.len() > 1
            || self.canary.is_some()
            || self.bounds.price.is_some()
            || self.bounds.first_token.is_some()
            || !self.on.is_empty()
    }
}

/// All routes of one configuration.
#[derive(Default)]
pub struct RouteTable {
    exact: HashMap<ModelName, Arc<Route>>,
    /// By upstream name: what `upstream/model` leads to.
    direct: HashMap<UpstreamId, Arc<Route>>,
    /// Longest first.
    prefixes: Vec<(String, Arc<Route>)>,
}

/// A route and the model name that is asked of it.
pub struct Match<'a> {
    pub route: &'a Arc<Route>,
    /// The client's name without an `upstream/` in front.
    pub model: &'a str,
}

impl RouteTable {
    pub fn add_exact(&mut self, name: ModelName, route: Arc<Route>) {
        self.exact.insert(name, route);
    }

    pub fn add_direct(&mut self, upstream: UpstreamId, route: Arc<Route>) {
        self.direct.insert(upstream, route);
    }

    pub fn add_prefix(&mut self, prefix: String, route: Arc<Route>) {
        let at = self.prefixes.partition_point(|(it, _)| it.len() >= prefix.len());
        self.prefixes.insert(at, (prefix, route));
    }

    /// The route of `model`, as a client spells it.
    pub fn find<'a>(&'a self, model: &'a str) -> Option<Match<'a>> {
        if let Some(route) = self.exact.get(model) {
            return Some(Match { route, model });
        }
        if let Some((upstream, rest)) = model.split_once('/')
            && !rest.is_empty()
            && let Some(route) = self.direct.get(upstream)
        {
            return Some(Match { route, model: rest });
        }
        let (_, route) = self.prefixes.iter().find(|(prefix, _)| model.starts_with(prefix.as_str()))?;
        Some(Match { route, model })
    }

    pub fn direct(&self, upstream: &str) -> Option<&Arc<Route>> {
        self.direct.get(upstream)
    }

    /// The aliases an operator named.
    pub fn aliases(&self) -> impl Iterator<Item = &ModelName> {
        self.exact.keys()
    }

    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.exact.values().chain(self.direct.values()).chain(self.prefixes.iter().map(|(_, route)| route))
    }

    /// Names close to an unknown one, nearest first, at most three: aliases, prefixes and `listed` models.
    pub fn near_misses(&self, model: &str, listed: &[String]) -> Vec<String> {
        let known = self.exact.keys().map(ModelName::as_str).chain(listed.iter().map(String::as_str));
        let mut near: Vec<(usize, &str)> = known
            .map(|it| (edit_distance(model, it), it))
            .filter(|(distance, it)| *distance <= 2.max(it.len() / 3))
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, it)| it.to_owned()).collect()
    }
}

/// Levenshtein distance over bytes, for names of up to [`COMPARED_BYTES_MAX`]; longer ones are cut.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (cut(a), cut(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Bounds the work that a client's long nonsense name can cause.
const COMPARED_BYTES_MAX: usize = 64;

fn cut(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(COMPARED_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(label: &str) -> Arc<Route> {
        Arc::new(Route::plain(label, Vec::new(), &Arc::default()))
    }

    fn table() -> RouteTable {
        let mut table = RouteTable::default();
        for prefix in ["gpt-", "gpt-4", "o3", "claude-"] {
            table.add_prefix(prefix.into(), route(prefix));
        }
        table.add_exact("smart".into(), route("smart"));
        table.add_exact("openai/own".into(), route("own"));
        table.add_direct("openai".into(), route("openai/*"));
        table
    }

    fn check(model: &str, label: Option<&str>, asked: &str) {
        let table = table();
        let found = table.find(model);
        assert_eq!(found.as_ref().map(|it| it.route.label.as_ref()), label, "{model}");
        assert_eq!(found.map_or(model, |it| it.model), asked, "{model}");
    }

    #[test]
    fn exact_beats_upstream_beats_the_longest_prefix() {
        check("smart", Some("smart"), "smart");
        check("openai/own", Some("own"), "openai/own");
        check("openai/gpt-4o", Some("openai/*"), "gpt-4o");
        check("openai/org/model", Some("openai/*"), "org/model");
        check("gpt-4o", Some("gpt-4"), "gpt-4o");
        check("gpt-3.5", Some("gpt-"), "gpt-3.5");
        check("o3-mini", Some("o3"), "o3-mini");
        check("openai/", None, "openai/");
        check("Smart", None, "Smart");
        check("", None, "");
    }

    #[test]
    fn near_misses_are_named() {
        assert_eq!(table().near_misses("smrt", &["gpt-4o".into()]), ["smart"]);
        assert_eq!(table().near_misses("gpt4o", &["gpt-4o".into(), "gpt-4o".into()]), ["gpt-4o"]);
        assert!(table().near_misses(&"x".repeat(5_000), &[]).is_empty());
    }
}
