//! Responses that are made in the background (`background: true`) by targets that know nothing of it: a task of the gateway's
//! has the call served as any other, and its client asks for the record ([`crate::session::underway`]), or reads along and may
//! leave. A vendor that speaks the Responses API does this itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::SizeHint;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dialect::responses::{Ending, begun, failed};
use crate::dialect::{ErrorSaid, Frame};
use crate::edge::body::{self, Body};
use crate::edge::deliver::told;
use crate::edge::flow::Watch;
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::prepare::Prepared;
use crate::edge::rescue;
use crate::edge::retold::openai_error;
use crate::edge::sessions::fault;
use crate::edge::shared::{Outcome, SharedAnswer};
use crate::error::{Error, Kind, Origin};
use crate::session::key::SessionKey;
use crate::session::underway::{BEAT, Underway};
use crate::telemetry::Ended;
use crate::upstream::finish::FinishGuard;
use crate::upstream::room::{Crowded, judge};

/// Wait named to a client whose response finds no room.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// The responses that this process makes; the same in every configuration.
#[derive(Default)]
pub struct Background {
    running: Mutex<HashMap<SessionKey, CancellationToken>>,
    tasks: TaskTracker,
}

impl Background {
    /// A place for one more, unless `most` are being made; where clients are apart, none of them keeps the others out.
    fn enter(self: &Arc<Self>, key: &SessionKey, most: usize, are_apart: bool) -> Result<Running, Crowded> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.keys().filter(|it| it.owner == key.owner).count() as u64 + 1;
        let sharers = match are_apart {
            // One more than are here, so that the next to come finds room.
            true => running.keys().chain([key]).map(|it| it.owner).collect::<HashSet<_>>().len() as u64 + 1,
            false => 1,
        };
        judge(running.len() as u64 + 1, own, most as u64, sharers)?;
        let cancelled = CancellationToken::new();
        running.insert(key.clone(), cancelled.clone());
        Ok(Running { background: Arc::clone(self), key: key.clone(), cancelled })
    }

    /// Stops one that is made here, whose record says already that it has ended.
    pub fn cancel(&self, key: &SessionKey) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(key).into_iter().for_each(CancellationToken::cancel);
    }

    /// Waits until none is made any more.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One that is made, until this is dropped.
struct Running {
    background: Arc<Background>,
    key: SessionKey,
    cancelled: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.background.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Has a call served in the background; its client is told at once that it is.
pub async fn start(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    prepared: Arc<Prepared>,
    end: Box<FinishGuard>,
) -> Response<Body> {
    let Some(underway) = prepared.background.clone() else { return rescue::answer(&full(0), end) };
    let options = serving.sessions.options();
    let (most, are_apart) = (options.background_calls_max, serving.clients.are_apart());
    let running = match serving.background.enter(underway.key(), most, are_apart) {
        Ok(running) => running,
        Err(Crowded::Full) => return rescue::answer(&full(most), end),
        Err(Crowded::Share) => return rescue::answer(&over_share(), end),
    };
    let frame = prepared.call.wording.as_ref().map(|it| it.frame.clone()).unwrap_or_default();
    let object = String::from_utf8_lossy(&begun(&frame)).into_owned();
    if let Err(fault) = underway.begin(&object).await {
        return rescue::answer(&fault::of_store(&fault), end);
    }
    let stream = prepared.stream.then(|| SharedAnswer::new(serving.limits.answer_bytes_max));
    let (shared, reader) = stream.unzip();
    let time_max = Duration::from_secs(options.background_s);
    let job = Job { frame, underway, shared: shared.clone(), running, time_max };
    let work = Box::pin(work(Arc::clone(gateway), Arc::clone(serving), prepared, end, shared.clone()));
    serving.background.tasks.spawn(job.run(work));
    let (Some(shared), Some(mut reader)) = (shared, reader) else { return body::in_json(object.into()) };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    shared.begin(StatusCode::OK, headers, SizeHint::default());
    match reader.head().await {
        Ok(head) => {
            let patience = Duration::from_millis(serving.limits.write_stall_ms);
            let watch = Watch { stalls: &gateway.stalls, patience };
            let mut response = Response::new(Body::shared(reader, None, &watch));
            *response.headers_mut() = head.headers;
            response
        }
        Err(error) => rescue::bare(&error),
    }
}

/// Has the call served, tells who reads along, and returns what is left of the response where it failed.
async fn work(
    gateway: Arc<Gateway>,
    serving: Arc<Serving>,
    prepared: Arc<Prepared>,
    end: Box<FinishGuard>,
    shared: Option<Arc<SharedAnswer>>,
) -> Left {
    let response = told(&gateway, &serving, prepared, end, Duration::MAX).await;
    let (head, mut body) = response.into_parts();
    let is_answer = head.status.is_success();
    let (mut ending, mut refusal) = (Ending::default(), Vec::new());
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if !is_answer {
            refusal.extend_from_slice(&data);
            continue;
        }
        ending.hear(&data);
        if let Some(shared) = shared.as_ref().filter(|it| !it.abandoned.is_cancelled()) {
            shared.push(data).await;
        }
    }
    match is_answer {
        true => Left::Answer(ending.failed()),
        false => Left::Refusal(openai_error(&refusal, head.status.as_u16())),
    }
}

/// What came of the work.
enum Left {
    /// An answer, which failed as this response says, if it did.
    Answer(Option<String>),
    /// No answer.
    Refusal(Option<ErrorSaid>),
}

/// A response on its way.
struct Job {
    frame: Frame,
    underway: Arc<Underway>,
    shared: Option<Arc<SharedAnswer>>,
    running: Running,
    time_max: Duration,
}

impl Job {
    async fn run(self, mut work: std::pin::Pin<Box<impl Future<Output = Left>>>) {
        let error = tokio::select! {
            left = work.as_mut() => self.over(left).await,
            () = self.running.cancelled.cancelled() => Some(gone()),
            () = self.signs() => Some(gone()),
            () = tokio::time::sleep(self.time_max) => {
                let error = late(self.time_max);
                self.fail(&error).await;
                Some(error)
            }
        };
        drop(work);
        let Some(shared) = &self.shared else { return };
        if let Some(error) = error.filter(|_| !shared.abandoned.is_cancelled()) {
            let mut last = Vec::new();
            Ending::tell(&self.frame, &error, &mut last);
            shared.push(Bytes::from(last)).await;
        }
        shared.finish(Ok(Outcome { ended: Ended::Complete, error: None }));
    }

    /// Says that it lives, until it is ended elsewhere.
    async fn signs(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            if !self.underway.renew().await {
                return;
            }
        }
    }

    /// Ends the record of what did not end it itself; what its reader is still to be told.
    async fn over(&self, left: Left) -> Option<ErrorSaid> {
        match left {
            Left::Answer(Some(failed)) => {
                self.underway.end_with(&failed).await;
                None
            }
            // One that was kept has ended.
            Left::Answer(None) if !self.underway.is_open().await => None,
            Left::Answer(None) => {
                self.fail(&unkept()).await;
                None
            }
            Left::Refusal(error) => {
                let error = error.unwrap_or_else(unkept);
                self.fail(&error).await;
                Some(error)
            }
        }
    }

    async fn fail(&self, error: &ErrorSaid) {
        self.underway.end_with(&String::from_utf8_lossy(&failed(&self.frame, error))).await;
    }
}

fn full(most: usize) -> Error {
    let message = format!(
        "The gateway makes {most} responses in the background, as many as it may \
         (`sessions.background_calls_max`); try again shortly, or without `background`."
    );
    wait(message, "too_many_background_calls")
}

fn over_share() -> Error {
    let message = "The gateway makes nearly as many responses in the background as it may \
                   (`sessions.background_calls_max`), and this client has its share of them; try again shortly, \
                   or without `background`.";
    wait(message.into(), "over_fair_share")
}

fn wait(message: String, code: &str) -> Error {
    let mut error = Error::new(Kind::Overloaded, Origin::Gateway, message)
        .status(StatusCode::TOO_MANY_REQUESTS)
        .code(code)
        .retry_after(Some(FULL_WAIT));
    error.error_type = "rate_limit_error".into();
    error
}

fn said(code: &str, message: String) -> ErrorSaid {
    ErrorSaid {
        status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
        message,
        error_type: "server_error".into(),
        code: Some(code.into()),
        param: None,
        retry_after: None,
    }
}

fn gone() -> ErrorSaid {
    said("response_cancelled", "The response was cancelled, or deleted.".into())
}

fn late(time: Duration) -> ErrorSaid {
    let seconds = time.as_secs();
    said("server_error", format!("The response took more than {seconds} s (`sessions.background_s`)."))
}

fn unkept() -> ErrorSaid {
    said("server_error", "The response ended before it was complete, or could not be kept.".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::key::{self, Owner, SessionId};

    #[test]
    fn one_client_leaves_places_to_the_others() {
        let take = |background: &Arc<Background>, client: &str, are_apart: bool| {
            let (owner, id) = (Owner::tenant(client), SessionId::random("resp_"));
            let key = SessionKey { kind: key::Kind::Response, owner, id };
            let places = (0..200).map(|at| {
                let id = SessionId::parse(&format!("{}{at}", key.id)).unwrap();
                background.enter(&SessionKey { id, ..key.clone() }, 100, are_apart)
            });
            let (taken, refused): (Vec<_>, Vec<_>) = places.partition(Result::is_ok);
            (taken, refused.into_iter().find_map(Result::err))
        };
        let background = Arc::new(Background::default());
        let (greedy, why) = take(&background, "greedy", true);
        assert_eq!((greedy.len(), why), (75, Some(Crowded::Share)));
        let (modest, why) = take(&background, "modest", true);
        assert_eq!((modest.len(), why), (25, Some(Crowded::Full)));
        drop((greedy, modest));
        let (alone, why) = take(&background, "alone", false);
        assert_eq!((alone.len(), why), (100, Some(Crowded::Full)));
    }
}
