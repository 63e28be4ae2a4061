//! When the same upstream may be tried again: jittered, doubling, and never before the vendor asked for it.
//! Used by `upstream::dispatch` when no other target is left.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::health::rate_limited_wait;

/// What operators allow.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Retries of the same upstream; 0 = off.
    pub times: u32,
    /// Bound of the first wait, doubled with each further one.
    pub first: Duration,
    /// Bound of every wait; a vendor that asks for more is not waited for.
    pub longest: Duration,
}

impl Backoff {
    /// The wait before retry number `done`, counted from 0; `None` where the failure will not pass, the retries are used
    /// up, or the vendor asks for a longer wait. `random` is below 1: full jitter, so that calls that failed together do not
    /// return together, not even where the vendor named the same wait to all of them.
    pub fn wait(&self, failure: &Error, done: u32, random: f64) -> Option<Duration> {
        if done >= self.times || !may_pass(failure.kind) {
            return None;
        }
        let bound = self.first.saturating_mul(1 << done.min(16)).min(self.longest);
        let asked = match failure.kind {
            Kind::RateLimited => rate_limited_wait(failure.retry_after),
            _ => failure.retry_after.unwrap_or_default(),
        };
        (asked <= self.longest).then(|| (asked + bound.mul_f64(random)).min(self.longest))
    }
}

/// Failures that another moment may not see. A time-out is none: the client has waited enough.
fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Connect | Kind::Reset | Kind::Cut | Kind::VendorFailed | Kind::RateLimited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Origin;

    const BACKOFF: Backoff =
        Backoff { times: 3, first: Duration::from_millis(100), longest: Duration::from_millis(300) };

    fn check(kind: Kind, retry_after: Option<u64>, done: u32, random: f64, ms: Option<u64>) {
        let error = Error::new(kind, Origin::Upstream("a".into()), "no")
            .retry_after(retry_after.map(Duration::from_millis));
        let wait = BACKOFF.wait(&error, done, random);
        assert_eq!(wait, ms.map(Duration::from_millis), "{kind:?} {retry_after:?} {done} {random}");
    }

    #[test]
    fn the_bound_doubles_and_the_wait_is_drawn_below_it() {
        check(Kind::VendorFailed, None, 0, 0.5, Some(50));
        check(Kind::Reset, None, 1, 0.5, Some(100));
        check(Kind::Connect, None, 2, 0.5, Some(150));
        check(Kind::Connect, None, 2, 0.0, Some(0));
        check(Kind::Connect, None, 3, 0.5, None);
    }

    #[test]
    fn a_vendors_wait_is_kept_or_not_begun() {
        check(Kind::VendorFailed, Some(200), 0, 0.0, Some(200));
        check(Kind::VendorFailed, Some(200), 0, 0.5, Some(250));
        check(Kind::VendorFailed, Some(300), 0, 0.5, Some(300));
        check(Kind::VendorFailed, Some(301), 0, 0.5, None);
        check(Kind::RateLimited, Some(250), 0, 0.9, Some(300));
        check(Kind::RateLimited, Some(0), 0, 0.0, Some(100));
        check(Kind::RateLimited, None, 0, 0.5, None);
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        for kind in
            [Kind::BadRequest, Kind::ContextLength, Kind::KeyRefused, Kind::ModelMissing, Kind::Timeout]
        {
            check(kind, None, 0, 0.5, None);
        }
    }
}
