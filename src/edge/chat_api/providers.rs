//! Providers as the earlier service called them: upstreams, with the models a caller may ask of each.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::edge::auth::Client;
use crate::edge::chat_api::roles::Role;
use crate::error::Error;
use crate::names::ModelName;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;
use crate::vendor::catalogue::{self, SIM};

#[derive(Serialize)]
struct Provider<'a> {
    id: &'a str,
    name: &'a str,
    models: Vec<String>,
    is_default: bool,
}

/// The answer to `GET /providers`: those in use of which the caller may use a model. The simulated vendor is shown where
/// there is no other, or where it is the default.
pub fn list(snapshot: &Snapshot, client: Option<&Client>) -> Value {
    let is_real = |it: &&Arc<Upstream>| it.spec.vendor != SIM;
    let all_simulated = !snapshot.upstreams.iter().any(|it| is_real(&it));
    let usual = usual(snapshot, client);
    let is_usual = |it: &Upstream| usual.as_ref().is_some_and(|usual| usual.upstream.spec.id == it.spec.id);
    let shown = snapshot.upstreams.iter().filter(|it| all_simulated || is_real(it) || is_usual(it));
    let providers: Vec<Provider> = shown
        .map(|upstream| Provider {
            id: upstream.spec.id.as_str(),
            name: name(upstream),
            models: models(upstream, client, usual.as_ref().filter(|_| is_usual(upstream))),
            is_default: is_usual(upstream),
        })
        .filter(|it| client.is_none() || !it.models.is_empty())
        .collect();
    let all_models: Map<String, Value> =
        providers.iter().map(|it| (it.id.to_owned(), json!(it.models))).collect();
    let default = providers.iter().find(|it| it.is_default).map(|it| it.id);
    json!({ "providers": providers, "default_provider": default, "all_models": all_models })
}

/// The vendor's name where the upstream is the vendor's own, else what the operator calls it.
fn name(upstream: &Upstream) -> &str {
    let id = upstream.spec.id.as_str();
    catalogue::vendor(id).filter(|it| it.id == upstream.spec.vendor).map_or(id, |it| &it.name)
}

/// Each once: first the one that is `used` where none is named, then the provider's own default.
fn models(upstream: &Upstream, client: Option<&Client>, used: Option<&Usual<'_>>) -> Vec<String> {
    let listed = upstream.listed.load_full();
    let named = upstream.spec.models.iter().map(ModelName::as_str);
    let known: Vec<&str> = match listed.is_empty() {
        true => named.collect(),
        false => listed.iter().map(String::as_str).collect(),
    };
    let own = default_model(upstream).map(ModelName::as_str);
    let shown = used.and_then(|it| it.shown.as_deref());
    let first: Vec<&str> = shown.into_iter().chain(own).collect();
    let allowed = |model: &&str| shown == Some(*model) || may_use(client, upstream, model);
    let mut models: Vec<String> = Vec::with_capacity(known.len() + first.len());
    for model in first.iter().copied().filter(allowed) {
        if !models.iter().any(|it| it == model) {
            models.push(model.to_owned());
        }
    }
    models.extend(known.into_iter().filter(|it| !first.contains(it)).filter(allowed).map(str::to_owned));
    models
}

fn may_use(client: Option<&Client>, upstream: &Upstream, model: &str) -> bool {
    client.is_none_or(|it| it.may_use(&format!("{}/{model}", upstream.spec.id)))
}

/// What a provider serves where no model is named: its default model, else the first one it was given by name.
fn default_model(upstream: &Upstream) -> Option<&ModelName> {
    upstream.spec.default_model.as_ref().or(upstream.spec.models.first())
}

/// What serves calls that name neither provider nor model.
pub struct Usual<'a> {
    /// Asked first.
    pub upstream: &'a Arc<Upstream>,
    /// The model as a client would name it; None: the upstream has no default, and one must be named.
    asked: Option<String>,
    /// The same in the upstream's list of models.
    shown: Option<String>,
}

/// What serves calls of `client` that name neither provider nor model: the default, as far as the client may use it, else
/// the first model that it may.
pub fn usual<'a>(snapshot: &'a Snapshot, client: Option<&Client>) -> Option<Usual<'a>> {
    let rules = &snapshot.rules;
    let first = || snapshot.upstream(rules.default_upstream.as_ref()?.as_str());
    let any = || {
        let all = first().into_iter().chain(&snapshot.upstreams);
        all.filter_map(|it| of(it, client)).find(|it| it.asked.is_some())
    };
    let unnamed = || first().map(|upstream| Usual { upstream, asked: None, shown: None });
    let routed = rules.default_model.as_ref().and_then(|it| routed(snapshot, client, it.as_str()));
    match client.filter(|it| it.is_bound()) {
        None => routed.or_else(|| first().and_then(|it| of(it, client))).or_else(unnamed),
        Some(_) => routed.or_else(any).or_else(unnamed),
    }
}

/// `model` and what serves it first, where `client` may use it.
fn routed<'a>(snapshot: &'a Snapshot, client: Option<&Client>, model: &'a str) -> Option<Usual<'a>> {
    let found = snapshot.routes.find(model).filter(|_| client.is_none_or(|it| it.may_use(model)))?;
    let target = found.route.targets.first()?;
    let upstream = snapshot.upstream(target.upstream.as_str())?;
    let served = target.model.as_ref().map_or(found.model, ModelName::as_str);
    // Who may not ask the upstream for it asks for the route.
    let shown = if may_use(client, upstream, served) { served } else { model };
    Some(Usual { upstream, asked: Some(model.to_owned()), shown: Some(shown.to_owned()) })
}

/// What `upstream` serves where no model is named: its default model, or one that `client` may use.
fn of<'a>(upstream: &'a Arc<Upstream>, client: Option<&Client>) -> Option<Usual<'a>> {
    let own = default_model(upstream).filter(|it| may_use(client, upstream, it.as_str()));
    let model = match (own, client) {
        (Some(own), _) => own.to_string(),
        (None, Some(client)) if client.is_bound() => {
            models(upstream, Some(client), None).into_iter().next()?
        }
        (None, _) => return None,
    };
    Some(Usual { upstream, asked: Some(format!("{}/{model}", upstream.spec.id)), shown: Some(model) })
}

/// Where a call goes.
pub struct Chosen<'a> {
    /// The model as a client would name it.
    pub model: String,
    /// The vendor that serves it first, where that is known before it is routed.
    pub vendor: Option<&'a str>,
}

/// Where a call goes that names `provider`, `model`, both or none of them.
pub fn choose<'a>(
    snapshot: &'a Snapshot,
    client: Option<&Client>,
    role: &Role,
    provider: Option<&str>,
    model: Option<&str>,
) -> Result<Chosen<'a>, Error> {
    let provider = provider.map(|it| find(snapshot, client, it)).transpose()?;
    let named = model.or_else(|| role.model.as_ref().filter(|_| provider.is_none()).map(ModelName::as_str));
    let routed = |model: &str| Chosen { model: model.to_owned(), vendor: first_vendor(snapshot, model) };
    match (provider, named) {
        (Some(upstream), named) => at(snapshot, client, upstream, named),
        (None, Some(model)) => Ok(routed(model)),
        (None, None) => {
            let usual = usual(snapshot, client);
            let default = || snapshot.rules.default_model.as_ref().map(ModelName::to_string);
            let asked = usual.as_ref().and_then(|it| it.asked.clone()).or_else(default);
            match asked {
                Some(model) => Ok(routed(&model)),
                None => at(snapshot, client, usual.ok_or_else(no_provider)?.upstream, None),
            }
        }
    }
}

fn first_vendor<'a>(snapshot: &'a Snapshot, model: &str) -> Option<&'a str> {
    let found = snapshot.routes.find(model)?;
    let first = snapshot.upstream(found.route.targets.first()?.upstream.as_str())?;
    Some(&first.spec.vendor)
}

fn at<'a>(
    snapshot: &'a Snapshot,
    client: Option<&Client>,
    upstream: &'a Upstream,
    model: Option<&str>,
) -> Result<Chosen<'a>, Error> {
    let id = upstream.spec.id.as_str();
    let vendor = Some(upstream.spec.vendor.as_str());
    let named = model.map(|it| it.strip_prefix(id).and_then(|it| it.strip_prefix('/')).unwrap_or(it));
    if let Some(model) = named {
        let shown = usual(snapshot, client)
            .filter(|it| it.upstream.spec.id == upstream.spec.id && it.shown.as_deref() == Some(model));
        // A route that is shown as a model of its first upstream is asked for by its own name.
        let route =
            shown.and_then(|it| it.asked).filter(|it| it == model && !may_use(client, upstream, model));
        return Ok(Chosen { model: route.unwrap_or_else(|| format!("{id}/{model}")), vendor });
    }
    let missing = || {
        Error::bad_request(format!("The provider `{id}` has no default model; name a `model`."))
            .param("model")
            .code("missing_model")
    };
    let own = snapshot.upstream(id).and_then(|it| of(it, client)).and_then(|it| it.asked);
    let barred = || default_model(upstream).map(|it| format!("{id}/{it}"));
    Ok(Chosen { model: own.or_else(barred).ok_or_else(missing)?, vendor })
}

/// The upstream of that name, or the first one of the vendor that has that name, such as `qianwen` or `kimi`.
pub fn find<'a>(
    snapshot: &'a Snapshot,
    client: Option<&Client>,
    name: &str,
) -> Result<&'a Arc<Upstream>, Error> {
    let of_vendor = || {
        let vendor = catalogue::vendor(name)?;
        snapshot.upstreams.iter().find(|it| it.spec.vendor == vendor.id)
    };
    snapshot.upstream(name).or_else(of_vendor).ok_or_else(|| unknown(snapshot, client, name))
}

fn unknown(snapshot: &Snapshot, client: Option<&Client>, name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    let list = list(snapshot, client);
    let known = list["all_models"].as_object().into_iter().flatten();
    let known: Vec<String> = known.map(|(id, _)| format!("`{id}`")).collect();
    let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::bad_request(format!("No provider is called `{shown}`; there is {there}."))
        .param("provider")
        .code("unknown_provider")
}

/// What a caller is told where nothing is in use.
pub fn no_provider() -> Error {
    Error::bad_request("No provider is in use: give one a key.").param("provider").code("unknown_provider")
}
