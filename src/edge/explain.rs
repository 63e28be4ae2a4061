//! Says where a call would go and why, without sending anything: for `/admin/explain` and `tollgate explain`.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::api::request;
use crate::edge::ask::{Caller, Scanned, ask};
use crate::edge::models::unknown_model;
use crate::error::Error;
use crate::health::Exclusion;
use crate::route::ask::Ask;
use crate::route::cause::{Cause, Fallback};
use crate::route::plan::{Candidate, Plan, plan};
use crate::route::policy;
use crate::route::reckon::{Figures, figures};
use crate::route::target::Target;
use crate::snapshot::Snapshot;

/// The plan for a request body, as [`explain`] tells it. `json_depth_max` bounds the nesting, as for calls.
pub fn explain_body(
    snapshot: &Snapshot,
    body: &[u8],
    json_depth_max: usize,
    caller: Caller<'_>,
    now: Instant,
) -> Result<Value, Error> {
    let scan = request::scan(body, json_depth_max)?;
    let model = scan.model.as_ref().map(|(name, _)| name.clone());
    let model = model.ok_or_else(|| Error::bad_request("The body names no `model`.").param("model"))?;
    explain(snapshot, &model, Some((body, &scan)), caller, now)
}

/// The plan for a call of `model` as JSON: candidates in order with the reason of their place and the figures it rests
/// on, and those left out with theirs.
pub fn explain(
    snapshot: &Snapshot,
    model: &str,
    body: Option<Scanned<'_>>,
    caller: Caller<'_>,
    now: Instant,
) -> Result<Value, Error> {
    let found = snapshot.routes.find(model).ok_or_else(|| unknown_model(snapshot, None, model))?;
    let plan = plan(found.route, ask(found.route, found.model, body, caller), now);
    let attempts_max = snapshot.rules.bounds.attempts_max;
    let out =
        plan.excluded.iter().filter(|(target, _)| !plan.targets.iter().any(|it| Arc::ptr_eq(it, target)));
    let out = out.map(|(target, why)| {
        json!({"upstream": target.upstream.as_str(), "model": target.model_for(plan.model()), "reason": why.to_string()})
    });
    let off = plan.route.off.iter().map(|(id, why)| json!({"upstream": id.as_str(), "reason": why}));
    Ok(json!({
        "model": model,
        "route": plan.route.label.as_ref(),
        "policy": plan.route.policy.as_str(),
        "panic": plan.panic,
        "attempts_max": attempts_max,
        "asks": asks(&plan.ask),
        "candidates": candidates(snapshot, &plan, now),
        "excluded": out.chain(off).collect::<Vec<Value>>(),
        "on": fallbacks(&plan, now),
        "hedge": hedge(&plan),
    }))
}

/// Where the call would go on, by cause; a route has an explanation of its own.
fn fallbacks(plan: &Plan, now: Instant) -> Map<String, Value> {
    let place = |fallback: &Fallback| match fallback {
        Fallback::Route { route, .. } => json!({"route": route.label.as_ref()}),
        Fallback::Target(target) => {
            let model = target.model_for(plan.model());
            let out = target.health.exclusion(model, now).map(Exclusion::as_str);
            json!({"upstream": target.upstream.as_str(), "model": model, "reason": out.unwrap_or("in service")})
        }
    };
    let named = Cause::ALL.into_iter().filter(|it| !plan.route.on.of(*it).is_empty());
    named
        .map(|cause| (cause.as_str().to_owned(), plan.route.on.of(cause).iter().map(place).collect()))
        .collect()
}

/// How long the first candidate is waited for before the second is asked as well; null where that is not known yet.
fn hedge(plan: &Plan) -> Option<Value> {
    let (rule, first) = (plan.route.hedge.as_ref()?, plan.targets.first()?);
    let wait = |streams| rule.wait(first, streams).map(|it| it.as_secs_f64() * 1e3);
    Some(json!({"stream_after_ms": wait(true), "whole_after_ms": wait(false)}))
}

fn asks(ask: &Ask) -> Value {
    json!({
        "prompt_tokens": ask.prompt_tokens,
        "output_tokens_max": ask.output_max,
        "vision": ask.wants.vision,
        "tools": ask.wants.tools,
        "json_schema": ask.wants.json_schema,
        "reasoning": ask.wants.reasoning,
        "service_tier": ask.tier.as_str(),
        "tags": ask.tags,
    })
}

fn candidates(snapshot: &Snapshot, plan: &Plan, now: Instant) -> Vec<Value> {
    let bounds = &snapshot.rules.bounds;
    let budget = |target: &Target| match target.health.refuses_retries(bounds.retries, now) {
        true => "; gets no retries, for it fails and its budget for them is used up",
        false => "",
    };
    let places = |target: &Target| match snapshot.upstreams[target.slot]
        .places
        .is_full(target.model_for(plan.model()))
    {
        true => "; every place at it is taken now, so the next one is tried first",
        false => "",
    };
    let candidate = |(place, target): (usize, &Arc<Target>)| {
        let candidate = Candidate { target, figures: figures(&plan.route, target, &plan.ask, now) };
        json!({
            "place": place + 1,
            "upstream": target.upstream.as_str(),
            "model": target.model_for(plan.model()),
            "tried": place < bounds.attempts_max,
            "reason": reason(plan, &candidate) + budget(target) + places(target),
            "figures": told(&candidate.figures),
            "price": price(target, plan, &candidate.figures),
            "context": target.context(target.model_for(plan.model())),
            "tags": target.tags,
        })
    };
    plan.targets.iter().enumerate().map(candidate).collect()
}

fn reason(plan: &Plan, candidate: &Candidate<'_>) -> String {
    let canary = plan.route.canary.as_ref();
    if plan.panic {
        return "every target is out; tried in the order of their last failure, the oldest first".to_owned();
    }
    match canary.filter(|it| Arc::ptr_eq(&it.target, candidate.target)) {
        Some(canary) => format!("in service; the canary, drawn for {} % of the calls", canary.percent),
        None => policy::reason(plan.route.policy, candidate),
    }
}

/// The rates that hold for this call, per million tokens, and who says so; null where no price is known.
fn price(target: &Target, plan: &Plan, figures: &Figures) -> Option<Value> {
    let price = target.price(target.model_for(plan.model()))?;
    let row = price.row(plan.ask.at)?;
    let rates = row.rates_for(plan.ask.at, figures.prompt_tokens).in_decimals();
    let rates: serde_json::Map<String, Value> =
        rates.into_iter().map(|(part, amount)| (part.to_owned(), amount.into())).collect();
    Some(json!({"currency": row.currency(), "source": row.source(), "rates": rates}))
}

fn told(figures: &Figures) -> Value {
    json!({
        "prompt_tokens": figures.prompt_tokens,
        "cached_tokens": figures.cached_tokens,
        "output_tokens": figures.output_tokens,
        "cost_usd": figures.cost.map(|it| it.to_string()),
        "next_turn_usd": figures.next_turn.map(|it| it.to_string()),
        "first_token_ms": figures.pace.map(|it| it.first_token.as_millis() as u64),
        "per_token_us": figures.pace.map(|it| it.per_token.as_micros() as u64),
        "share": figures.share,
    })
}
