//! Who may come in: the request's form, room for one more call, the caller's name, its bound and its share. All of it
//! before the first byte of the body is read, so that a refusal costs little; called by `edge::serve`.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};

use crate::edge::auth::Client;
use crate::edge::gateway::Serving;
use crate::edge::headers;
use crate::error::{Error, Kind, Origin};
use crate::upstream::room::{Crowded, Place};

/// Wait named to a client that was refused for want of room.
pub const OVERLOADED_WAIT: Duration = Duration::from_secs(1);

/// A call that may go on.
pub struct Admitted {
    pub client: Option<Arc<Client>>,
    pub place: Place,
}

/// Takes a place first, before the key is looked at, so that guessing keys is bounded as well.
pub fn admit<B>(serving: &Serving, request: &Request<B>) -> Result<Admitted, Error> {
    headers::check(request.version(), request.uri(), request.headers())?;
    if serving.local_only {
        headers::check_local(request.uri(), request.headers(), serving.cors.as_ref())?;
    }
    headers::check_size(request.headers(), serving.limits.header_bytes_max)?;
    let calls_max = serving.limits.calls_max;
    let mut place = serving.room.enter(calls_max).map_err(no_call)?;
    let client = serving.clients.client(request.headers())?;
    let own = place.assign(serving.clients.tenant(client.as_deref()));
    if let Some(client) = &client
        && client.calls_max > 0
        && own > client.calls_max as u64
    {
        let message = format!("This client has {} calls in flight, as many as it may.", client.calls_max);
        return Err(wait(message, "too_many_calls"));
    }
    place.judge(own, calls_max).map_err(no_call)?;
    Ok(Admitted { client, place })
}

fn no_call(why: Crowded) -> Error {
    match why {
        Crowded::Full => full("The gateway serves as many calls as it may (`limits.calls_max`)"),
        Crowded::Share => over_share("calls in flight"),
    }
}

/// The refusal of a body there is no room for.
pub fn no_body(why: Crowded) -> Error {
    match why {
        Crowded::Full => {
            full("The gateway holds as many bytes of requests as it may (`limits.held_bytes_max`)")
        }
        Crowded::Share => over_share("bytes of requests"),
    }
}

fn full(what: &str) -> Error {
    let message = format!("{what}; try again shortly.");
    Error::new(Kind::Overloaded, Origin::Gateway, message).retry_after(Some(OVERLOADED_WAIT))
}

fn over_share(what: &str) -> Error {
    let message =
        format!("The gateway is nearly full, and this client has its share of {what}; try again shortly.");
    wait(message, "over_fair_share")
}

/// Only this client has to wait: 429, as for any limit of one's own.
fn wait(message: String, code: &str) -> Error {
    let mut error = Error::new(Kind::Overloaded, Origin::Gateway, message)
        .status(StatusCode::TOO_MANY_REQUESTS)
        .code(code)
        .retry_after(Some(OVERLOADED_WAIT));
    error.error_type = "rate_limit_error".into();
    error
}
