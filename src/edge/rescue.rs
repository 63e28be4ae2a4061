//! Turns what went wrong into the answer a client understands: the only place that makes an error answer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::api::error_body::error_json;
use crate::edge::body::Body;
use crate::edge::headers;
use crate::error::{Error, Kind, Origin};
use crate::telemetry::Ended;
use crate::upstream::finish::FinishGuard;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Runs `call`; a panic in it becomes an error of this call and harms no other. Takes it pinned, for it is large and every
/// move of it a copy.
pub async fn caught<T>(mut call: Pin<&mut impl Future<Output = Result<T, Error>>>) -> Result<T, Error> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(_) => {
            tracing::error!(event = "panic", "a call panicked; it was answered with 500");
            let message = "The gateway failed on this request. This is a bug of the gateway.";
            Poll::Ready(Err(Error::new(Kind::Internal, Origin::Gateway, message)))
        }
    })
    .await
}

/// The answer for `error`: status, OpenAI error body, and when to come back.
pub fn answer(error: &Error, mut end: Box<FinishGuard>) -> Response<Body> {
    end.failed(error);
    let mut response = bare(error);
    let body = std::mem::replace(response.body_mut(), Body::plain(Bytes::new()));
    if let Body::Whole { bytes, .. } = body {
        *response.body_mut() = Body::whole(bytes.unwrap_or_default(), end, Ended::Failed);
    }
    response
}

/// The same for requests that are no calls: admin.
pub fn bare(error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::plain(body(error)));
    *response.status_mut() = error.status;
    let headers = response.headers_mut();
    if error.kind != Kind::KeyRefused {
        *headers = headers::of_failure(&error.headers);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = error.retry_after {
        // Rounded up: coming back early is refused again.
        let seconds = wait.as_millis().div_ceil(1_000);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait.as_millis() as u64));
    }
    if matches!(error.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body will not be read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // A vendor's own says nothing of what the gateway serves.
    if let Some(methods) = error.headers.get(header::ALLOW).filter(|_| error.origin == Origin::Client) {
        headers.insert(header::ALLOW, methods.clone());
    }
    if let Some(should) = error.should_retry {
        headers.insert("x-should-retry", HeaderValue::from_static(if should { "true" } else { "false" }));
    }
    if error.kind == Kind::Unauthorized && error.status == http::StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// OpenAI's error object, as the vendor wrote it or in our words.
pub fn body(error: &Error) -> Bytes {
    error.body.clone().unwrap_or_else(|| error_json(error).into())
}
