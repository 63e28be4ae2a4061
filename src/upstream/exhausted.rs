//! What a client is told when no target served its call. Called by `upstream::dispatch`.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Kind, Origin};
use crate::health::Exclusion as Unwell;
use crate::route::plan::{Exclusion, Plan};
use crate::route::target::Target;

/// Of two failures, the one that tells the client more: one it can act on, then the vendor's own words, then ours.
pub fn most_telling(before: Option<Error>, now: Error) -> Error {
    let rank = |error: &Error| match error.kind {
        Kind::ContextLength | Kind::ContentFilter => 8,
        Kind::RateLimited => 7,
        Kind::VendorFailed => 6,
        Kind::Timeout => 5,
        Kind::Cut => 4,
        Kind::Reset => 3,
        Kind::Connect => 2,
        Kind::ModelMissing => 1,
        _ => 0,
    };
    match before {
        Some(before) if rank(&before) >= rank(&now) => before,
        _ => now,
    }
}

/// Wait named to a client whose call found no place anywhere.
const NO_PLACE_WAIT: Duration = Duration::from_secs(1);

/// Every place was taken, and stayed so.
pub fn no_place(target: &Target) -> Error {
    let message =
        format!("Every place at `{}` is taken (`concurrency`); try again shortly.", target.upstream);
    Error::new(Kind::Overloaded, Origin::Gateway, message)
        .code("upstream_busy")
        .retry_after(Some(NO_PLACE_WAIT))
}

/// No target could be tried at all.
pub fn refused_all(plan: &Plan) -> Error {
    let keys_refused = plan.excluded.iter().find(|(_, why)| *why == Exclusion::Unwell(Unwell::KeysRefused));
    match keys_refused {
        Some((target, _)) => Error::new(
            Kind::KeyRefused,
            Origin::Upstream(target.upstream.clone()),
            format!("The upstream `{}` refused the gateway's key or account.", target.upstream),
        ),
        None if plan.fits_nowhere() => unfit(plan),
        None => Error::new(
            Kind::Overloaded,
            Origin::Gateway,
            format!("No upstream of `{}` is in service.", plan.route.label),
        )
        .retry_after(Some(Duration::from_secs(5))),
    }
}

/// Every target lacks what the call needs: the client can ask for less, or for another model.
fn unfit(plan: &Plan) -> Error {
    let why = |(target, why): &(Arc<Target>, Exclusion)| {
        format!("{}/{}: {why}", target.upstream, target.model_for(plan.model()))
    };
    let why: Vec<String> = plan.excluded.iter().map(why).collect();
    let message = format!("No target of `{}` can serve this call. {}.", plan.route.label, why.join("; "));
    Error::new(Kind::BadRequest, Origin::Gateway, message).code("no_target_fits")
}
