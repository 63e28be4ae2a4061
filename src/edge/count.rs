//! How many tokens a prompt has (Anthropic's `count_tokens`, Google's `countTokens`): asked of a target that counts in the
//! client's dialect, else estimated here, as prices are.

use http::Response;

use crate::dialect::{Dialect, anthropic, gemini};
use crate::edge::body::{Body, in_json};
use crate::edge::gateway::Serving;
use crate::edge::prepare::Prepared;
use crate::error::Error;
use crate::price::estimate::prompt_tokens;

/// The answer to a call that only counts, where no target of its plan does; None for all other calls.
pub fn estimate(serving: &Serving, prepared: &Prepared) -> Result<Option<Response<Body>>, Error> {
    let Some(wording) = prepared.call.wording.as_ref().filter(|it| it.counts) else { return Ok(None) };
    let upstreams = &serving.snapshot.upstreams;
    let route = &prepared.plan.route;
    // What the gateway adds to a call would have to be counted too, and some vendors' paths know nothing but to speak.
    let adds = route.system.is_some() || !route.defaults.is_empty();
    let counts = |slot: usize| {
        let spec = &upstreams[slot].spec;
        !adds && spec.form(wording.dialect).is_some() && spec.manners.path.is_none()
    };
    if prepared.plan.targets.iter().any(|it| counts(it.slot)) {
        return Ok(None);
    }
    let tokens = prompt_tokens(&wording.chat()?.body);
    Ok(Some(in_json(match wording.dialect {
        Dialect::Gemini => gemini::write_count(tokens),
        _ => anthropic::write_count(tokens),
    })))
}
