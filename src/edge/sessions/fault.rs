//! What can go wrong with the store, and with what is asked of it, as errors a client understands.

use std::time::Duration;

use http::StatusCode;

use crate::edge::sessions::reply::shown;
use crate::error::{Error, Kind, Origin};
use crate::session::store::StoreFault;

/// Wait named to a client that was refused because the store is away.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// What a client is told when its session could not be read.
pub fn cannot_be_read(fault: &StoreFault) -> Error {
    match fault {
        StoreFault::Away(_) | StoreFault::Lost(_) | StoreFault::Busy(_) => Error::new(
            Kind::StoreAway,
            Origin::Gateway,
            "The store of sessions cannot be asked now; try again shortly.",
        )
        .retry_after(Some(STORE_WAIT)),
        StoreFault::Corrupt(_) => {
            Error::new(Kind::Internal, Origin::Gateway, "The session holds something that cannot be read.")
                .code("session_corrupt")
        }
    }
}

/// The error for a store that did not do what it was asked. Why is for the log.
pub fn of_store(fault: &StoreFault) -> Error {
    let mut error = cannot_be_read(fault);
    if matches!(fault, StoreFault::Lost(_)) {
        error.message =
            "The store of sessions did not answer in time. A change may have been made; look before you \
                         try it again."
                .into();
    }
    error
}

/// Nobody of this caller's is called so.
pub fn no_session(id: &str) -> Error {
    missing("session_not_found", format!("No session is called `{}`.", shown(id)))
}

pub fn missing(code: &str, message: String) -> Error {
    Error::bad_request(message).status(StatusCode::NOT_FOUND).code(code)
}

/// A change that lost against others time and again.
pub fn busy() -> Error {
    let message = "This session is changed by others all the time; try again.";
    Error::bad_request(message)
        .status(StatusCode::CONFLICT)
        .code("session_busy")
        .retry_after(Some(Duration::from_secs(1)))
}

/// No store, and no use in trying again.
pub fn off() -> Error {
    let message = "This gateway keeps no sessions (`sessions.store: off`).";
    let mut error = Error::bad_request(message).status(StatusCode::NOT_IMPLEMENTED).code("sessions_off");
    error.should_retry = Some(false);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_store_says_whether_to_try_again_and_not_why() {
        let check = |fault: StoreFault, status: u16, code: &str, waits: bool| {
            let error = of_store(&fault);
            assert_eq!((error.status.as_u16(), error.code.as_deref()), (status, Some(code)), "{fault}");
            assert_eq!(error.retry_after.is_some(), waits, "{fault}");
            assert!(!error.message.contains("secret"), "{}", error.message);
        };
        check(StoreFault::Away("secret".into()), 503, "session_store_unavailable", true);
        check(StoreFault::Busy("secret".into()), 503, "session_store_unavailable", true);
        check(StoreFault::Lost("secret".into()), 503, "session_store_unavailable", true);
        check(StoreFault::Corrupt("secret".into()), 500, "session_corrupt", false);
        assert_eq!((off().status.as_u16(), off().should_retry), (501, Some(false)));
    }
}
