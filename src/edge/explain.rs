//! Says where a call would go and why, without sending anything: for `/admin/explain` and `tollgate explain`.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::edge::models::unknown_model;
use crate::error::Error;
use crate::route::options::PolicyName;
use crate::route::plan::{Plan, plan};
use crate::route::table::Target;
use crate::snapshot::Snapshot;
use crate::upstream::dispatch::DispatchBounds;

/// The plan for `model` as JSON: candidates in order with the reason of their place, and those left out with theirs.
pub fn explain(snapshot: &Snapshot, model: &str, now: Instant) -> Result<Value, Error> {
    let found = snapshot.routes.find(model).ok_or_else(|| unknown_model(snapshot, None, model))?;
    let plan = plan(found.route, found.model, now);
    let policy = match plan.route.policy {
        PolicyName::Priority => "priority",
        PolicyName::Weighted => "weighted",
    };
    let bounds = &snapshot.rules.bounds;
    let attempts_max = bounds.attempts_max;
    let out: Vec<Value> = plan
        .excluded
        .iter()
        .filter(|(target, _)| !plan.targets.iter().any(|it| Arc::ptr_eq(it, target)))
        .map(|(target, why)| {
            json!({"upstream": target.upstream.as_str(), "model": target.model_for(&plan.model), "reason": why.as_str()})
        })
        .collect();
    let off = plan.route.off.iter().map(|(id, why)| json!({"upstream": id.as_str(), "reason": why}));
    let out: Vec<Value> = out.into_iter().chain(off).collect();
    Ok(json!({
        "model": model,
        "route": plan.route.label.as_ref(),
        "policy": policy,
        "panic": plan.panic,
        "attempts_max": attempts_max,
        "candidates": candidates(&plan, bounds, now),
        "excluded": out,
    }))
}

fn candidates(plan: &Plan, bounds: &DispatchBounds, now: Instant) -> Vec<Value> {
    let reason = |target: &Target| match (plan.panic, plan.route.policy) {
        (true, _) => {
            "every target is out; tried in the order of their last failure, the oldest first".to_owned()
        }
        (_, PolicyName::Priority) => "in service; stands here in the order written".to_owned(),
        (_, PolicyName::Weighted) => {
            format!("in service; drawn at random with weight {} (another call may differ)", target.weight)
        }
    };
    let budget = |target: &Target| match target.health.refuses_retries(bounds.retries, now) {
        true => "; gets no retries, for it fails and its budget for them is used up",
        false => "",
    };
    let candidate = |(place, target): (usize, &Arc<Target>)| {
        json!({
            "place": place + 1,
            "upstream": target.upstream.as_str(),
            "model": target.model_for(&plan.model),
            "tried": place < bounds.attempts_max,
            "reason": reason(target) + budget(target),
        })
    };
    plan.targets.iter().enumerate().map(candidate).collect()
}
