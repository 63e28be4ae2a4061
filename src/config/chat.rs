//! The interface of the earlier chat service: its roles, and the variables that it was configured by. They count only
//! where the interface is on, and only where the file says nothing.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::edge::chat_api::roles;
use crate::edge::chat_api::spec::{ChatSpec, Sampling};
use crate::names::Secret;
use crate::vendor::catalogue;

use super::GatewayOptions;
use super::check::check_name;
use super::fault::hint;
use super::load::Draft;
use super::resolve::Resolved;

const REDIS_PORT: u64 = 6_379;

/// Sections of the file that say nothing, from the variables of the earlier service.
pub(super) fn take_aliases(draft: &mut Draft, options: &mut GatewayOptions) {
    if !options.chat_api {
        return;
    }
    let sessions = &mut options.sessions;
    if !draft.tree.has(&["sessions", "store"])
        && let Some(store) = redis(draft)
    {
        sessions.store = store;
    }
    if !draft.tree.has(&["sessions", "ttl_s"]) {
        let times = ["CONVERSATION_EXPIRE_TIME", "SESSION_EXPIRE_TIME"];
        let time = times.into_iter().find_map(|it| number(draft, it, 1, 315_360_000));
        sessions.ttl_s = time.unwrap_or(sessions.ttl_s);
    }
    if !draft.tree.has(&["sessions", "history_turns_max"])
        && let Some(messages) = number(draft, "MAX_HISTORY_MESSAGES", 1, 20_000)
    {
        // A turn is two messages; never more than were meant, and never none.
        sessions.history_turns_max = (messages / 2).max(1);
    }
}

/// The URL of the Redis that `REDIS_HOST` names.
fn redis(draft: &mut Draft) -> Option<Secret> {
    let host = draft.environment.value("REDIS_HOST")?.to_owned();
    // Kubernetes sets REDIS_PORT to tcp://… beside a service called redis, and means something else by it.
    let foreign = draft.environment.value("REDIS_PORT").is_some_and(|it| it.contains("://"));
    let port = if foreign { None } else { number(draft, "REDIS_PORT", 1, 65_535) };
    let database = number(draft, "REDIS_DB", 0, 65_535);
    let password = draft.environment.value("REDIS_PASSWORD");
    let password =
        password.map(|it| format!(":{}@", utf8_percent_encode(it, NON_ALPHANUMERIC))).unwrap_or_default();
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let is_host = host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it));
    if !is_host {
        draft.faults.elsewhere("environment", 0, "REDIS_HOST is no host name");
        return None;
    }
    let (port, database) = (port.unwrap_or(REDIS_PORT), database.unwrap_or_default());
    Some(format!("redis://{password}{host}:{port}/{database}").into())
}

/// A variable that must be a whole number in these bounds.
fn number(draft: &mut Draft, name: &str, lowest: u64, highest: u64) -> Option<u64> {
    let text = draft.environment.value(name)?;
    let number = text.parse().ok().filter(|it| (lowest..=highest).contains(it));
    if number.is_none() {
        let message = format!("{name} must be a whole number, {lowest} to {highest}");
        draft.faults.elsewhere("environment", 0, message);
    }
    number
}

/// The default upstream, from `DEFAULT_AI_PROVIDER`: an upstream's name or its vendor's.
pub(super) fn take_provider(draft: &mut Draft, options: &mut GatewayOptions, resolved: &Resolved) {
    if !options.chat_api || options.default_upstream.is_some() {
        return;
    }
    let Some(name) = draft.environment.value("DEFAULT_AI_PROVIDER") else { return };
    let of_vendor = || {
        let vendor = catalogue::vendor(name)?;
        resolved.upstreams.iter().find(|it| it.vendor == vendor.id)
    };
    let by_name = resolved.upstreams.iter().find(|it| it.id.as_str() == name);
    match by_name.or_else(of_vendor) {
        Some(spec) => options.default_upstream = Some(spec.id.clone()),
        None => {
            let message =
                "DEFAULT_AI_PROVIDER names no upstream in use; the first one is the default".to_owned();
            draft.warnings.push(message);
        }
    }
}

/// The interface, if it is on.
pub(super) fn spec(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) -> Option<ChatSpec> {
    let (roles, without) = roles::resolve(&options.chat_roles, &options.routes);
    for key in options.chat_roles.keys() {
        check_name(draft, &["chat_roles", key], key);
    }
    for key in without {
        let message =
            format!("role `{key}` needs a `system` prompt, or a route with one whose `model` is `{key}`");
        draft.fault(&["chat_roles", &key], message);
    }
    for id in options.chat_image_models.keys().map(|it| it.as_str()) {
        if !resolved.is_used(id) && resolved.reason(id).is_none() {
            let hint = hint(id, resolved.names());
            draft.fault(&["chat_image_models", id], format!("no upstream is called `{id}`{hint}"));
        }
    }
    if !options.chat_api {
        if !options.chat_roles.is_empty() || !options.chat_image_models.is_empty() {
            let message = "`chat_roles` and `chat_image_models` do nothing without `chat_api: true`";
            draft.warnings.push(message.into());
        }
        return None;
    }
    if options.sessions.store.reveal() == "off" {
        draft.fault(&["sessions", "store"], "`chat_api` needs sessions, which `store: off` switches off");
    }
    let sampling = sampling(draft, "");
    let mut by_vendor = BTreeMap::new();
    for vendor in catalogue::vendors() {
        for prefix in &vendor.env {
            let own = self::sampling(draft, &format!("{prefix}_"));
            let known: &mut Sampling = by_vendor.entry(vendor.id.clone()).or_default();
            known.max_tokens = known.max_tokens.or(own.max_tokens);
            known.temperature = known.temperature.or(own.temperature);
        }
    }
    by_vendor.retain(|_, it| *it != Sampling::default());
    Some(ChatSpec { roles, sampling, by_vendor, image_models: options.chat_image_models.clone() })
}

fn sampling(draft: &mut Draft, prefix: &str) -> Sampling {
    let max_tokens = number(draft, &format!("{prefix}MAX_TOKENS"), 1, 100_000_000);
    let name = format!("{prefix}TEMPERATURE");
    let text = draft.environment.value(&name);
    let temperature = text.and_then(|it| it.parse().ok()).filter(|it| (0.0..=2.0).contains(it));
    if text.is_some() && temperature.is_none() {
        draft.faults.elsewhere("environment", 0, format!("{name} must be a number, 0 to 2"));
    }
    Sampling { max_tokens, temperature }
}
