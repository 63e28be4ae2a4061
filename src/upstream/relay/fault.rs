//! What a stream that goes wrong is to the call: the vendor's error, a broken translation, a cut.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Relay, TOO_LONG};
use crate::dialect::{ClientDialect, chat};
use crate::error::{Error, Kind};
use crate::upstream::commit::error;
use crate::upstream::translation::Fault;
use crate::vendor::failure::Failure;

impl Relay {
    pub(super) fn untranslated(&self, fault: Fault) -> Error {
        match fault {
            Fault::TooLong => self.error(Kind::VendorFailed, TOO_LONG),
            Fault::Unreadable(why) => {
                let message = format!("The upstream's stream cannot be translated: {why}.");
                self.error(Kind::VendorFailed, &message)
            }
            Fault::Failed(said) => {
                let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::OK);
                self.failed_with(status, &chat::Chat.write_error(&said).into())
            }
        }
    }

    pub(super) fn error(&self, kind: Kind, message: &str) -> Error {
        error(&self.upstream, kind, message)
    }

    pub(super) fn vendor_error(&self, body: &Bytes) -> Error {
        self.failed_with(StatusCode::OK, body)
    }

    pub(super) fn failed_with(&self, status: StatusCode, body: &Bytes) -> Error {
        let failure = Failure {
            upstream: &self.upstream.spec.id,
            status,
            headers: &HeaderMap::new(),
            body,
            names_model: true,
        };
        let mut error = self.upstream.discreet(failure.read());
        // The body is an event, not the answer it would be passed on as.
        error.body = None;
        error
    }
}
