//! Everything one configuration means, immutable: routes, upstreams, bounds. A call keeps the one it began with.
//! Built by `app` at start and at each reload; what did not change is carried over with its connections and health.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::api::money::Money;
use crate::health::output::OutputMean;
use crate::health::warmth::Warmth;
use crate::names::{ModelName, UpstreamId};
use crate::price::book::PriceBook;
use crate::route::cause::{Fallback, FallbackOptions, Fallbacks, Named, dependency_order, named};
use crate::route::hedge::HedgeRule;
use crate::route::options::{PolicyName, RouteOptions, ShadowOptions, TargetOptions};
use crate::route::table::{Bounds, Canary, Route, RouteTable, Shadow};
use crate::route::target::{Offer, Target};
use crate::telemetry::Metrics;
use crate::upstream::Upstream;
use crate::upstream::dispatch::DispatchBounds;
use crate::upstream::spec::UpstreamSpec;

/// One configuration, ready to serve.
pub struct Snapshot {
    pub generation: u64,
    pub routes: RouteTable,
    pub upstreams: Vec<Arc<Upstream>>,
    pub rules: CallRules,
    /// Upstreams that are configured but cannot be used, and why.
    pub off: Vec<(UpstreamId, String)>,
    /// Where conversations have their prompt caches; carried over from snapshot to snapshot.
    pub warmth: Arc<Warmth>,
}

/// What holds for every call.
#[derive(Clone, Debug)]
pub struct CallRules {
    pub bounds: DispatchBounds,
    /// Ask vendors for usage where the client did not.
    pub wants_usage: bool,
    /// Wait before a streaming client gets `: waiting` comments; zero: never.
    pub waiting_comment: std::time::Duration,
    pub default_upstream: Option<UpstreamId>,
    pub default_model: Option<ModelName>,
}

/// What a snapshot is made of.
pub struct Parts {
    pub generation: u64,
    pub routes: Vec<RouteOptions>,
    pub upstreams: Vec<UpstreamSpec>,
    pub off: Vec<(UpstreamId, String)>,
    pub prices: Arc<PriceBook>,
    pub rules: CallRules,
}

impl Snapshot {
    /// Builds a snapshot. An upstream that cannot be used, its certificate unreadable say, is off and not a fault:
    /// the others serve.
    pub fn build(parts: Parts, old: Option<&Snapshot>, metrics: &Metrics) -> Self {
        let mut off = parts.off;
        let mut upstreams = Vec::with_capacity(parts.upstreams.len());
        for spec in parts.upstreams {
            let id = spec.id.clone();
            match carried_over(&spec, old).map_or_else(|| open(spec, old, metrics), Ok) {
                Ok(upstream) => upstreams.push(upstream),
                Err(reason) => off.push((id, reason)),
            }
        }
        let warmth = old.map_or_else(Arc::default, |it| Arc::clone(&it.warmth));
        let book = &parts.prices;
        let builder = Builder {
            routes: &parts.routes,
            upstreams: &upstreams,
            off: &off,
            book,
            warmth: &warmth,
            old,
            metrics,
        };
        let routes = builder.table();
        let mut rules = parts.rules;
        rules.default_upstream =
            rules.default_upstream.or_else(|| upstreams.first().map(|it| it.spec.id.clone()));
        Self { generation: parts.generation, routes, upstreams, rules, off, warmth }
    }

    pub fn upstream(&self, id: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|it| it.spec.id.as_str() == id)
    }

    /// All models that vendors listed or operators named, with the upstream that has them, in configured order.
    pub fn listed_models(&self) -> impl Iterator<Item = (&Arc<Upstream>, String)> {
        self.upstreams.iter().flat_map(|upstream| {
            let listed = upstream.listed.load_full();
            let names: Vec<String> = match listed.is_empty() {
                true => upstream.spec.models.iter().map(ToString::to_string).collect(),
                false => listed.to_vec(),
            };
            names.into_iter().map(move |name| (upstream, name))
        })
    }
}

fn carried_over(spec: &UpstreamSpec, old: Option<&Snapshot>) -> Option<Arc<Upstream>> {
    old?.upstreams.iter().find(|it| it.spec == *spec).map(Arc::clone)
}

/// A new upstream. One that an operator drained stays drained when its configuration changes.
fn open(spec: UpstreamSpec, old: Option<&Snapshot>, metrics: &Metrics) -> Result<Arc<Upstream>, String> {
    let series = metrics.upstream(&spec.id, spec.keys.len());
    let upstream = Upstream::new(spec, series)?;
    if let Some(before) = old.and_then(|it| it.upstream(upstream.spec.id.as_str())) {
        upstream.health.set_drained(before.health.is_drained());
    }
    Ok(Arc::new(upstream))
}

/// Routes by their place in the configuration.
type BuiltRoutes = HashMap<usize, Arc<Route>>;

struct Builder<'a> {
    routes: &'a [RouteOptions],
    upstreams: &'a [Arc<Upstream>],
    off: &'a [(UpstreamId, String)],
    book: &'a Arc<PriceBook>,
    warmth: &'a Arc<Warmth>,
    old: Option<&'a Snapshot>,
    metrics: &'a Metrics,
}

impl Builder<'_> {
    fn table(&self) -> RouteTable {
        let mut table = RouteTable::default();
        let mut prefixes = self.vendor_prefixes();
        let mut built = HashMap::new();
        for place in dependency_order(self.routes) {
            let options = &self.routes[place];
            let Some(label) = options.name() else { continue };
            let route = self.configured(label, options, &built);
            match &options.model {
                Some(name) => table.add_exact(name.clone(), Arc::clone(&route)),
                None => {
                    prefixes.remove(label);
                    table.add_prefix(label.to_owned(), Arc::clone(&route));
                }
            }
            built.insert(place, route);
        }
        for (prefix, slots) in prefixes {
            let targets = slots.iter().map(|slot| self.target(&prefix, *slot, &plain(None))).collect();
            let route = self.plain_route(&prefix, targets);
            table.add_prefix(prefix, route);
        }
        for (slot, upstream) in self.upstreams.iter().enumerate() {
            let id = &upstream.spec.id;
            let label = format!("{id}/*");
            let target = self.target(&label, slot, &plain(None));
            table.add_direct(id.clone(), self.plain_route(&label, vec![target]));
            if let Some(model) = &upstream.spec.default_model
                && !self
                    .routes
                    .iter()
                    .any(|it| it.model.as_ref().is_some_and(|name| name.as_str() == id.as_str()))
            {
                let target = self.target(id.as_str(), slot, &plain(Some(model.clone())));
                table.add_exact(id.as_str().into(), self.plain_route(id.as_str(), vec![target]));
            }
        }
        table
    }

    /// Which upstreams serve a prefix because their vendor usually does, in configured order.
    fn vendor_prefixes(&self) -> BTreeMap<String, Vec<usize>> {
        let mut prefixes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (slot, upstream) in self.upstreams.iter().enumerate() {
            for prefix in &upstream.spec.prefixes {
                prefixes.entry(prefix.clone()).or_default().push(slot);
            }
        }
        prefixes
    }

    fn configured(&self, label: &str, options: &RouteOptions, built: &BuiltRoutes) -> Arc<Route> {
        let defaults =
            options.defaults.iter().map(|(name, value)| (name.clone(), Bytes::from(value.to_string())));
        let canary = options
            .canary
            .as_ref()
            .and_then(|it| Some(Canary { target: self.named(label, &it.target)?, percent: it.percent }));
        Arc::new(Route {
            label: label.into(),
            policy: options.policy,
            targets: options.targets.iter().filter_map(|it| self.named(label, it)).collect(),
            defaults: defaults.collect(),
            off: options.targets.iter().filter_map(|it| self.why_off(&it.upstream)).collect(),
            system: options.system.clone(),
            balance: options.balance,
            explore_percent: options.explore_percent,
            bounds: Bounds {
                price: options.max_price.as_ref().and_then(|it| Money::from_usd_decimal(&it.0)),
                first_token: options.max_first_token_ms.map(Duration::from_millis),
                tags: options.tags.clone(),
            },
            canary,
            output: self.output_mean(label),
            warmth: Arc::clone(self.warmth),
            single_flight: options.single_flight.then(|| self.metrics.shared_calls(label)),
            shadow: options.shadow.as_ref().and_then(|it| self.shadow(label, options, it)),
            throughput: options.throughput.clone(),
            when_store_down: options.when_store_down,
            continues: options.continue_cut_streams,
            on: Fallbacks::new(&options.on, |name| self.fallback(label, name, built)),
            hedge: self.hedge(label, options),
        })
    }

    /// The target that `options` name, if its upstream is in use.
    fn named(&self, label: &str, options: &TargetOptions) -> Option<Arc<Target>> {
        let slot = self.upstreams.iter().position(|it| it.spec.id == options.upstream)?;
        Some(self.target(label, slot, options))
    }

    /// What a name in `on` leads to, if that can be used.
    fn fallback(&self, label: &str, name: &str, built: &BuiltRoutes) -> Option<Fallback> {
        match named(name, self.routes)? {
            Named::Route(place) => Some(Fallback::Route {
                route: Arc::clone(built.get(&place)?),
                model: self.routes[place].model.clone(),
            }),
            Named::Target { upstream, model } => {
                let upstream = upstream.into();
                let options =
                    TargetOptions { upstream, model: Some(model.into()), ..TargetOptions::default() };
                Some(Fallback::Target(self.named(label, &options)?))
            }
        }
    }

    /// The route as an earlier configuration had it.
    fn before(&self, label: &str) -> Option<&Arc<Route>> {
        self.old.and_then(|it| it.routes.routes().find(|it| &*it.label == label))
    }

    fn hedge(&self, label: &str, options: &RouteOptions) -> Option<HedgeRule> {
        let before = self.before(label).and_then(|it| it.hedge.as_ref());
        HedgeRule::new(options.hedge.as_ref()?, before)
    }

    /// What an earlier configuration learned of the route's answers.
    fn output_mean(&self, label: &str) -> Arc<OutputMean> {
        self.before(label).map_or_else(Arc::default, |it| Arc::clone(&it.output))
    }

    fn plain_route(&self, label: &str, targets: Vec<Arc<Target>>) -> Arc<Route> {
        let output = self.output_mean(label);
        Arc::new(Route { output, ..Route::plain(label, targets, self.warmth) })
    }

    /// None where the upstream of it is off.
    fn shadow(&self, label: &str, options: &RouteOptions, shadow: &ShadowOptions) -> Option<Shadow> {
        let own = RouteOptions {
            targets: vec![shadow.target.clone()],
            policy: PolicyName::Priority,
            shadow: None,
            single_flight: false,
            canary: None,
            on: FallbackOptions::default(),
            hedge: None,
            ..options.clone()
        };
        let route = self.configured(&format!("{label} (shadow)"), &own, &HashMap::new());
        (!route.targets.is_empty()).then_some(Shadow { route, percent: shadow.percent })
    }

    fn why_off(&self, upstream: &UpstreamId) -> Option<(UpstreamId, String)> {
        if self.upstreams.iter().any(|it| it.spec.id == *upstream) {
            return None;
        }
        let reason = self.off.iter().find(|(id, _)| id == upstream).map(|(_, reason)| reason.clone());
        Some((upstream.clone(), reason.unwrap_or_else(|| "its key is not set".to_owned())))
    }

    fn target(&self, label: &str, slot: usize, options: &TargetOptions) -> Arc<Target> {
        let upstream = &self.upstreams[slot];
        let (spec, model) = (&upstream.spec, options.model.as_ref());
        let facts = options.facts.unwrap_or_default().before(spec.facts);
        let name = model.map(ModelName::as_str);
        Arc::new(Target {
            upstream: spec.id.clone(),
            slot,
            model: model.cloned(),
            weight: options.weight,
            tags: options.tags.iter().chain(&spec.tags).cloned().collect(),
            health: Arc::clone(&upstream.health),
            metrics: self.metrics.target(label, spec.id.as_str()),
            experience: upstream.experience(model),
            offer: Offer::new((&spec.id, &spec.vendor), name, self.book, options.price.as_ref(), facts),
        })
    }
}

/// A target of which only the model is said.
fn plain(model: Option<ModelName>) -> TargetOptions {
    TargetOptions { model, ..TargetOptions::default() }
}
