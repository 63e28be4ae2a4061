//! Where a call goes on that its route's targets could not serve, by why: what an operator may say about it, what the
//! names in it mean, and in which order routes that name each other are built. Pure.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::names::ModelName;
use crate::route::options::RouteOptions;
use crate::route::table::Route;
use crate::route::target::Target;

/// Where a call goes on, by why it must: each entry is `upstream/model` or the `model` or `prefix` of another route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackOptions {
    /// The prompt does not fit: at once, past the route's other targets. Default: only to those of them whose context
    /// window is known to be larger.
    pub context_length: Vec<String>,
    /// A vendor's moderation refused, also by an empty answer that it ended for that reason: at once, past the route's
    /// other targets. Default: the client is told.
    pub content_filter: Vec<String>,
    /// The route's targets are exhausted and one met a rate limit, or all wait one out. Default: none.
    pub rate_limit: Vec<String>,
    /// The route's targets are exhausted, whatever they failed of but the first two causes, and `rate_limit` has not helped.
    /// Default: none.
    pub any: Vec<String>,
}

/// Why a call goes on elsewhere than among its route's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    ContextLength,
    ContentFilter,
    RateLimit,
    Any,
}

impl Cause {
    pub const ALL: [Cause; 4] = [Cause::ContextLength, Cause::ContentFilter, Cause::RateLimit, Cause::Any];

    /// As it stands in gateway.yaml.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::ContextLength => "context_length",
            Cause::ContentFilter => "content_filter",
            Cause::RateLimit => "rate_limit",
            Cause::Any => "any",
        }
    }
}

impl FallbackOptions {
    pub fn of(&self, cause: Cause) -> &[String] {
        match cause {
            Cause::ContextLength => &self.context_length,
            Cause::ContentFilter => &self.content_filter,
            Cause::RateLimit => &self.rate_limit,
            Cause::Any => &self.any,
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        Cause::ALL.into_iter().flat_map(|cause| self.of(cause))
    }
}

/// One place where a call may go on.
#[derive(Clone)]
pub enum Fallback {
    Target(Arc<Target>),
    /// Another route, asked for its own model; for the one asked before where it serves a prefix.
    Route {
        route: Arc<Route>,
        model: Option<ModelName>,
    },
}

/// The places of one route, by cause, each in the order they are tried.
#[derive(Default)]
pub struct Fallbacks([Vec<Fallback>; Cause::ALL.len()]);

impl Fallbacks {
    /// What `place` makes of the names in `options`; those it makes nothing of are left out.
    pub fn new(options: &FallbackOptions, place: impl Fn(&str) -> Option<Fallback>) -> Self {
        Self(Cause::ALL.map(|cause| options.of(cause).iter().filter_map(|it| place(it)).collect()))
    }

    pub fn of(&self, cause: Cause) -> &[Fallback] {
        &self.0[cause as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// The targets among them.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.0.iter().flatten().filter_map(|it| match it {
            Fallback::Target(target) => Some(target),
            Fallback::Route { .. } => None,
        })
    }
}

/// What a name in `on` means.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// The route at this place of the list.
    Route(usize),
    Target {
        upstream: &'a str,
        model: &'a str,
    },
}

/// What `name` means among `routes`: a route's `model` before a route's `prefix` before `upstream/model`.
pub fn named<'a>(name: &'a str, routes: &[RouteOptions]) -> Option<Named<'a>> {
    let exact = || routes.iter().position(|it| it.model.as_ref().is_some_and(|it| it.as_str() == name));
    let prefix = || routes.iter().position(|it| it.model.is_none() && it.prefix.as_deref() == Some(name));
    if let Some(place) = exact().or_else(prefix) {
        return Some(Named::Route(place));
    }
    let (upstream, model) = name.split_once('/')?;
    (!upstream.is_empty() && !model.is_empty()).then_some(Named::Target { upstream, model })
}

/// The places of `routes` in an order in which each comes after those it names. In a circle somebody has to be first.
pub fn dependency_order(routes: &[RouteOptions]) -> Vec<usize> {
    fn visit(place: usize, routes: &[RouteOptions], seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[place], true) {
            return;
        }
        for name in routes[place].on.names() {
            if let Some(Named::Route(other)) = named(name, routes) {
                visit(other, routes, seen, order);
            }
        }
        order.push(place);
    }
    let (mut seen, mut order) = (vec![false; routes.len()], Vec::with_capacity(routes.len()));
    (0..routes.len()).for_each(|it| visit(it, routes, &mut seen, &mut order));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, any: &[&str]) -> RouteOptions {
        let any = any.iter().map(ToString::to_string).collect();
        let on = FallbackOptions { any, ..FallbackOptions::default() };
        match name.strip_suffix('*') {
            Some(prefix) => RouteOptions { prefix: Some(prefix.into()), on, ..RouteOptions::default() },
            None => RouteOptions { model: Some(name.into()), on, ..RouteOptions::default() },
        }
    }

    #[test]
    fn causes_index_their_own_place() {
        assert!(Cause::ALL.iter().enumerate().all(|(place, cause)| *cause as usize == place));
    }

    #[test]
    fn a_name_is_a_route_before_it_is_a_target() {
        let routes = [route("gpt-*", &[]), route("smart", &[]), route("a/own", &[]), route("gpt-", &[])];
        let check = |name: &str, expected: Option<Named<'_>>| assert_eq!(named(name, &routes), expected);
        check("smart", Some(Named::Route(1)));
        check("gpt-", Some(Named::Route(3)));
        check("a/own", Some(Named::Route(2)));
        check("a/x/y", Some(Named::Target { upstream: "a", model: "x/y" }));
        for nothing in ["a", "a/", "/x", "", "gpt-4"] {
            check(nothing, None);
        }
    }

    #[test]
    fn a_route_is_built_after_those_it_names() {
        let routes = [route("a", &["c", "b"]), route("b", &["c", "x/y"]), route("c", &[])];
        assert_eq!(dependency_order(&routes), [2, 1, 0]);
        let circle = [route("a", &["b"]), route("b", &["a"])];
        assert_eq!(dependency_order(&circle), [1, 0]);
    }
}
