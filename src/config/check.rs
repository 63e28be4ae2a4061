//! Finds what is wrong between options: names that nothing bears, addresses that collide, what contradicts itself.

use std::collections::HashSet;
use std::net::SocketAddr;

use http::Uri;

use crate::edge::options::AuthMode;
use crate::names::Secret;
use crate::price::tokenizer::{self, TokenCounts};
use crate::route::options::{RouteOptions, TargetOptions};

use super::GatewayOptions;
use super::fallback;
use super::fault::hint;
use super::load::Draft;
use super::quirks;
use super::resolve::{Resolved, is_loopback};

pub(super) fn check(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) {
    for id in options.upstreams.keys() {
        check_name(draft, &["upstreams", id.as_str()], id.as_str());
    }
    for name in options.clients.keys() {
        check_name(draft, &["clients", name.as_str()], name.as_str());
    }
    check_routes(draft, options, resolved);
    fallback::check(draft, &options.routes, resolved);
    quirks::check(draft, options);
    check_defaults(draft, options, resolved);
    check_timings(draft, options);
    check_bounds(draft, options);
    check_origins(draft, options);
    if options.token_counts == TokenCounts::Tokenizer && !tokenizer::IS_BUILT_IN {
        let message = "this build has no tokenizer: build one by `cargo build --release --features tokenizer`, or \
                       say `estimate`";
        draft.fault(&["token_counts"], message);
    }
    if options.auth == AuthMode::Off && !options.clients.is_empty() {
        draft.warnings.push("`auth: off`: the keys under `clients` are not asked for".into());
    }
}

/// Names stand in URLs, headers, labels and before the `/` of `upstream/model`.
pub(super) fn check_name(draft: &mut Draft, path: &[&str], name: &str) {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        let node = draft.tree.find(path);
        let position = node.and_then(|it| it.key).unwrap_or_default();
        draft.faults.at(position, "a name is 1 to 64 letters, digits, `-`, `_` or `.`");
    }
}

fn check_routes(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) {
    let mut seen = HashSet::new();
    for (index, route) in options.routes.iter().enumerate() {
        let index = index.to_string();
        let path = ["routes", index.as_str()];
        check_body_defaults(draft, &index, route);
        let matched = match (&route.model, &route.prefix) {
            (Some(model), None) => ("model", model.as_str()),
            (None, Some(prefix)) => ("prefix", prefix.as_str()),
            _ => {
                draft.fault(&path, "a route has either `model` or `prefix`");
                check_targets(draft, &index, route, "", resolved);
                continue;
            }
        };
        let option = [&path[..], &[matched.0]].concat();
        if matched == ("model", "") {
            draft.fault(&option, "the model has no name");
        } else if !seen.insert(matched) {
            draft.fault(&option, format!("the {} `{}` has a route already", matched.0, matched.1));
        }
        check_targets(draft, &index, route, matched.1, resolved);
        check_aside(draft, &index, route, matched.1, resolved);
        check_choice(draft, &index, route);
        check_tags(draft, options, &index, route, matched.1);
    }
}

/// What a client's call cannot be without, or what decides how its answer is read, is the client's to say.
const NO_DEFAULTS: [&str; 4] = ["messages", "model", "stream", "stream_options"];

fn check_body_defaults(draft: &mut Draft, index: &str, route: &RouteOptions) {
    for name in NO_DEFAULTS.iter().filter(|it| route.defaults.contains_key(**it)) {
        draft.fault(&["routes", index, "defaults", name], format!("`{name}` cannot be a default"));
    }
}

fn check_targets(draft: &mut Draft, index: &str, route: &RouteOptions, name: &str, resolved: &Resolved) {
    let path = ["routes", index, "targets"];
    if route.targets.is_empty() {
        return draft.fault(&path, format!("route `{name}` has no `targets`"));
    }
    let mut unused = Vec::new();
    for (position, target) in route.targets.iter().enumerate() {
        let position = position.to_string();
        let option = [&path[..], &[position.as_str()]].concat();
        unused.extend(check_target(draft, &option, target, resolved));
    }
    if unused.len() == route.targets.len() {
        draft.fault(&path, format!("route `{name}` has no target in use: {}", unused.join(", ")));
    } else {
        draft.warnings.extend(unused.iter().map(|it| format!("route `{name}`: target {it}")));
    }
    if route.continue_cut_streams && route.targets.len() == 1 {
        let message = format!("route `{name}`: `continue_cut_streams` does nothing, for it has one target");
        draft.warnings.push(message);
    }
}

/// What to say of a target whose upstream is off.
fn check_target(
    draft: &mut Draft,
    path: &[&str],
    target: &TargetOptions,
    resolved: &Resolved,
) -> Option<String> {
    let upstream = target.upstream.as_str();
    if resolved.is_used(upstream) {
        return None;
    }
    if let Some(reason) = resolved.reason(upstream) {
        return Some(format!("`{upstream}` is off ({reason})"));
    }
    let option = [path, &["upstream"]].concat();
    // A target is text or a map; only the map has a value for the upstream alone.
    let known = option.len() - usize::from(!draft.tree.has(&option));
    let hint = hint(upstream, resolved.names());
    draft.fault(&option[..known], format!("no upstream is called `{upstream}`{hint}"));
    None
}

/// Targets that only a share of the calls goes to.
fn check_aside(draft: &mut Draft, index: &str, route: &RouteOptions, name: &str, resolved: &Resolved) {
    let shadow = route.shadow.as_ref().map(|it| ("shadow", &it.target));
    let canary = route.canary.as_ref().map(|it| ("canary", &it.target));
    for (option, target) in shadow.into_iter().chain(canary) {
        let off = check_target(draft, &["routes", index, option, "target"], target, resolved);
        draft.warnings.extend(off.map(|it| format!("route `{name}`: {option} {it}")));
    }
}

/// A route whose tags no target has could never serve a call.
fn check_tags(draft: &mut Draft, options: &GatewayOptions, index: &str, route: &RouteOptions, name: &str) {
    let has_all = |target: &TargetOptions| {
        let upstream = options.upstreams.get(&target.upstream).map_or(&[][..], |it| &it.tags);
        route.tags.iter().all(|tag| target.tags.contains(tag) || upstream.contains(tag))
    };
    if !route.targets.is_empty() && !route.targets.iter().any(has_all) {
        let message = format!("route `{name}` can never be served: no target has all of its tags");
        draft.fault(&["routes", index, "tags"], message);
    }
}

/// What decides between targets.
fn check_choice(draft: &mut Draft, index: &str, route: &RouteOptions) {
    if route.balance.price == 0 && route.balance.latency == 0 {
        draft.fault(&["routes", index, "balance"], "one of `price` and `latency` must weigh something");
    }
}

fn check_defaults(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) {
    let Some(upstream) = options.default_upstream.as_ref().map(|it| it.as_str()) else { return };
    if resolved.is_used(upstream) {
        return;
    }
    match resolved.reason(upstream) {
        Some(reason) => {
            let message = format!(
                "`default_upstream` `{upstream}` is off ({reason}): calls without a model are refused"
            );
            draft.warnings.push(message);
        }
        None => {
            let hint = hint(upstream, resolved.names());
            draft.fault(&["default_upstream"], format!("no upstream is called `{upstream}`{hint}"));
        }
    }
}

/// Ranges that the schema cannot say: zero as a word of its own, and one bound below another.
fn check_timings(draft: &mut Draft, options: &GatewayOptions) {
    let is_short = |it: u64| (1..100).contains(&it);
    if is_short(options.failover.waiting_comment_ms) {
        draft.fault(
            &["failover", "waiting_comment_ms"],
            "`waiting_comment_ms` must be 0 (never) or 100 and more",
        );
    }
    if options.failover.backoff_ms > options.failover.backoff_ms_max {
        draft.fault(&["failover", "backoff_ms"], "`backoff_ms` must not be above `backoff_ms_max`");
    }
    let own = options.upstreams.iter();
    let own = own.map(|(id, it)| (vec!["upstreams", id.as_str()], it.probe.as_ref(), it.circuit.as_ref()));
    let general = (Vec::new(), Some(&options.probe), Some(&options.circuit));
    for (path, probe, circuit) in std::iter::once(general).chain(own) {
        if probe.is_some_and(|it| is_short(it.interval_ms)) {
            let message = "`interval_ms` must be 0 (off) or 100 and more";
            draft.fault(&[&path[..], &["probe", "interval_ms"]].concat(), message);
        }
        if circuit.is_some_and(|it| it.open_ms > it.open_ms_max) {
            let message = "`open_ms` must not be above `open_ms_max`";
            draft.fault(&[&path[..], &["circuit", "open_ms"]].concat(), message);
        }
    }
}

/// The longest body that may come must find room when there is no other.
fn check_bounds(draft: &mut Draft, options: &GatewayOptions) {
    if options.limits.held_bytes_max < options.limits.body_bytes_max as u64 {
        draft.fault(&["limits", "held_bytes_max"], "`held_bytes_max` must not be below `body_bytes_max`");
    }
}

fn check_origins(draft: &mut Draft, options: &GatewayOptions) {
    let origins = options.cors.iter().flat_map(|it| &it.origins);
    for (index, origin) in origins.enumerate() {
        let is_origin = origin == "*"
            || origin.parse::<Uri>().is_ok_and(|it| {
                let is_bare = it.path() == "/" && !origin.ends_with('/') && it.query().is_none();
                matches!(it.scheme_str(), Some("http" | "https")) && it.host().is_some() && is_bare
            });
        if !is_origin {
            let path = ["cors", "origins", &index.to_string()];
            draft.fault(&path, "an origin is `*` or looks like https://app.example, without a path");
        }
    }
}

/// The two addresses, and whether they may be opened as wide as they are.
pub(super) fn addresses(
    draft: &mut Draft,
    options: &GatewayOptions,
    resolved: &Resolved,
) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let listen = address(draft, "listen", &options.listen);
    let admin = address(draft, "admin", &options.admin);
    let is_wide = |it: &Option<SocketAddr>| it.is_some_and(|it| !it.ip().is_loopback());
    if is_wide(&listen) && options.clients.is_empty() && options.auth == AuthMode::Keys {
        let message =
            "`listen` reaches beyond this machine: add `clients` with keys, or let anyone in by `auth: off`";
        draft.fault(&["listen"], message);
    }
    if is_wide(&admin) && options.admin_key.is_none() {
        let message =
            "`admin` reaches beyond this machine: without `admin_key`, /admin/* is answered to loopback only";
        draft.warnings.push(message.into());
    }
    if listen.is_some_and(|it| it.port() != 0) && listen == admin {
        draft.fault(&["admin"], "`admin` must differ from `listen`");
    }
    let own_port = listen.map(|it| it.port()).filter(|it| *it != 0);
    for spec in &resolved.upstreams {
        let is_here = spec.base_url.host().is_some_and(is_loopback);
        if is_here && own_port.is_some() && spec.base_url.port_u16() == own_port {
            let message =
                "its base URL is this gateway's own `listen` address; calls would go round in circles";
            draft.upstream_fault(spec.id.as_str(), &["base_url"], message);
        }
    }
    (listen, admin)
}

fn address(draft: &mut Draft, option: &str, text: &str) -> Option<SocketAddr> {
    let address = text.trim().parse().ok();
    if address.is_none() {
        draft.fault(
            &[option],
            format!("`{option}` must be address:port, such as 127.0.0.1:8080 or [::]:8080"),
        );
    }
    address
}

/// What an operator left empty was not given; the spaces around a key are none of it.
pub(super) fn tidy(options: &mut GatewayOptions) {
    // Like every other key it may come with the line end of the file that it was read from.
    options.admin_key = options.admin_key.take().map(|it| Secret::from(it.reveal().trim()));
    options.admin_key.take_if(|it| it.reveal().is_empty());
    options.default_model.take_if(|it| it.as_str().is_empty());
    options.default_upstream.take_if(|it| it.as_str().is_empty());
}
