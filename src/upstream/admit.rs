//! Takes a successful head's body as far as must be known before the client may see it, put into chat's words where the target
//! speaks none of the client's. The part of an attempt behind its head.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::dialect::{ClientDialect, Dialect, NoAnswer, VendorDialect, chat};
use crate::error::{Error, Kind, Origin};
use crate::upstream::attempt::AttemptOn;
use crate::upstream::call::{CallBody, Encoded};
use crate::upstream::client::LanePlace;
use crate::upstream::commit::{self, AnswerBody, Hold, error};
use crate::upstream::opaque::Opaque;
use crate::upstream::patience::Patience;
use crate::upstream::reading::Reading;
use crate::upstream::relay::{Relay, RelayOptions};
use crate::upstream::throughput::Throughput;
use crate::upstream::translation::{self, Listener, Translation};
use crate::vendor::failure::{is_bare_error, says_why};
use crate::vendor::filtered::{is_broken_off, is_filtered};
use crate::vendor::stream::StreamShape;

/// What comes in another kind than was asked for says nothing to clients, which read the kind that they asked for.
const NOT_STREAMED: &str = "The upstream answered whole where a stream was asked for.";
const STREAMED: &str = "The upstream answered with a stream where none was asked for.";

const EMPTIED: &str = "The upstream's moderation left nothing of the answer.";

/// Media types of event streams: SSE, and the frames of AWS.
const EVENT_STREAMS: [&[u8]; 2] = [b"text/event-stream", b"application/vnd.amazon.eventstream"];

impl AttemptOn<'_> {
    pub(super) async fn admit(
        &self,
        head: &http::response::Parts,
        body: Incoming,
        place: Option<LanePlace>,
        encoded: &Encoded,
        first_content: Instant,
        reading: &mut Reading,
    ) -> Result<AnswerBody, Error> {
        let idle = Duration::from_millis(self.upstream.spec.timeouts.idle_ms);
        let content_type = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let opaque = |body, place| {
            let patience = Patience::new(idle, self.deadline);
            AnswerBody::Opaque(Box::new(Opaque::new(self.upstream, Bytes::new(), body, patience, place)))
        };
        if head.headers.contains_key(header::CONTENT_ENCODING) {
            // Not asked for, so unreadable here; the client may know what to do with it.
            return match is_told_as_it_is(encoded) {
                true => Ok(opaque(body, place)),
                false => Err(self.untold("it is compressed")),
            };
        }
        if EVENT_STREAMS.iter().any(|it| content_type.starts_with(it)) {
            let held = self.more && self.call.body.is_whole();
            let mut relay = Box::new(self.relay(body, place, encoded, held)?);
            match held {
                true => commit::first_content(&mut relay, self.deadline.min(first_content), reading).await?,
                false => commit::first_sign(&mut relay, reading).await?,
            }
            return Ok(AnswerBody::Events(relay));
        }
        if !self.call.answers_json {
            return Ok(opaque(body, place));
        }
        let hold = Hold { bytes_max: self.bounds.answer_bytes_max, until: self.deadline, idle };
        let answer = commit::whole_answer(self.upstream, head, body, place, hold).await;
        let answer = answer.and_then(|it| self.no_failure(it, encoded, &head.headers));
        let answer = answer.map_err(|it| self.reworded(it, encoded))?;
        let answer = self.in_words_of_chat(answer, encoded, &head.headers)?;
        if let AnswerBody::Whole(bytes) = &answer {
            if self.refilters && is_filtered(bytes) {
                return Err(error(self.upstream, Kind::ContentFilter, EMPTIED));
            }
            // A count is no answer: how soon it comes says nothing of how soon one would.
            if !self.call.counts() {
                commit::note_whole(bytes, self.leg.model_sent(), self.bounds.token_counts, reading);
            }
        }
        Ok(answer)
    }

    /// `held`: the client is to see nothing of it before it is known to be good.
    fn relay(
        &self,
        body: Incoming,
        place: Option<LanePlace>,
        encoded: &Encoded,
        held: bool,
    ) -> Result<Relay, Error> {
        self.check_kind(encoded, true)?;
        let frame = self.call.wording.as_ref().map(|it| &it.frame);
        let events_max = self.bounds.event_bytes_max;
        let listens = |it: &Dialect| matches!(it, Dialect::Anthropic | Dialect::Gemini);
        let translates = translates(encoded);
        let options = RelayOptions {
            shape: match encoded.form {
                None => self.call.shape,
                // What is translated is read as the chunks that it becomes.
                Some(Dialect::Responses) if translates.is_none() => StreamShape::Responses,
                Some(_) => StreamShape::Chunks,
            },
            translation: translates
                .zip(frame)
                .and_then(|(form, frame)| Translation::new(form, &encoded.mends, frame, events_max)),
            listener: encoded.form.filter(|it| encoded.is_own && listens(it)).and_then(Listener::new),
            remove_usage_chunk: encoded.usage_injected,
            idle: Duration::from_millis(self.upstream.spec.timeouts.idle_ms),
            deadline: self.deadline,
            event_bytes_max: events_max,
            throughput: self.leg.route.throughput.as_ref().map(|it| Throughput::new(it, held)),
            hears: self.heard,
        };
        Ok(Relay::new(options, std::sync::Arc::clone(self.upstream), body, place))
    }

    /// Fails what comes as a stream, or whole, where a model was asked for the other. With nobody else left to ask, a
    /// client gets what is in its own words as it is: some can read both.
    fn check_kind(&self, encoded: &Encoded, streams: bool) -> Result<(), Error> {
        let is_known = encoded.form.is_some() && matches!(self.call.body, CallBody::Json { .. });
        let matters = is_known && (self.more || !is_told_as_it_is(encoded));
        match (streams, self.call.streams()) {
            (true, false) if matters => Err(error(self.upstream, Kind::VendorFailed, STREAMED)),
            (false, true) if matters => Err(error(self.upstream, Kind::VendorFailed, NOT_STREAMED)),
            _ => Ok(()),
        }
    }

    /// An answer of a model's that is none: of the wrong kind, an error by itself, or one before its first word.
    fn no_failure(
        &self,
        answer: AnswerBody,
        encoded: &Encoded,
        headers: &HeaderMap,
    ) -> Result<AnswerBody, Error> {
        let (AnswerBody::Whole(bytes), Some(_)) = (&answer, &self.call.wording) else { return Ok(answer) };
        if !is_broken_off(bytes) && !is_bare_error(bytes) {
            return self.check_kind(encoded, false).map(|()| answer);
        }
        let names_model = self.call.names_model();
        Err(commit::read_failure(self.upstream, StatusCode::OK, headers, bytes, names_model).0)
    }

    /// A vendor's error without the words of a dialect that its client does not speak.
    pub(super) fn reworded(&self, mut error: Error, encoded: &Encoded) -> Error {
        let openais = [Dialect::Chat, Dialect::Responses, Dialect::Completions];
        let Some(form) = encoded.form.filter(|_| !encoded.is_own) else { return error };
        let client = self.call.wording.as_ref().map(|it| it.dialect);
        match openais.contains(&form) {
            false => error.in_openais_words(),
            // What each vendor makes of OpenAI's error object is for clients who asked in those words.
            true if !matches!(client, Some(Dialect::Chat | Dialect::Completions)) => error.body = None,
            true => {}
        }
        error
    }

    fn in_words_of_chat(
        &self,
        answer: AnswerBody,
        encoded: &Encoded,
        headers: &HeaderMap,
    ) -> Result<AnswerBody, Error> {
        let (false, Some(wording)) = (is_told_as_it_is(encoded), &self.call.wording) else {
            return Ok(answer);
        };
        match (answer, translates(encoded)) {
            (AnswerBody::Whole(bytes), Some(form)) => {
                translation::whole(form, &bytes, &encoded.mends, &wording.frame)
                    .map(AnswerBody::Whole)
                    .map_err(|why| self.no_answer(why, encoded, headers, &bytes))
            }
            // What its client will not be able to be told, another target may still say.
            (AnswerBody::Whole(bytes), None) => match chat::Chat.read_answer(&bytes) {
                Ok(_) => Ok(AnswerBody::Whole(bytes)),
                Err(why) => Err(self.no_answer(why, encoded, headers, &bytes)),
            },
            _ => Err(too_long()),
        }
    }

    /// What the vendor says in place of an answer, in OpenAI's words. `body`: all that it says.
    fn no_answer(&self, why: NoAnswer, encoded: &Encoded, headers: &HeaderMap, body: &Bytes) -> Error {
        let read = |status, body| {
            commit::read_failure(self.upstream, status, headers, body, self.call.names_model()).0
        };
        match why {
            NoAnswer::Failed(said) => {
                let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::OK);
                let mut error = read(status, &chat::Chat.write_error(&said).into());
                error.body = None;
                error
            }
            NoAnswer::Unreadable(_) if says_why(body) => self.reworded(read(StatusCode::OK, body), encoded),
            NoAnswer::Unreadable(why) => self.untold(why),
        }
    }

    fn untold(&self, why: &str) -> Error {
        error(
            self.upstream,
            Kind::VendorFailed,
            &format!("The upstream's answer cannot be translated: {why}."),
        )
    }

    /// Says of a translated answer what it has become.
    pub(super) fn retitle(&self, headers: &mut HeaderMap, answer: &AnswerBody, encoded: &Encoded) {
        if translates(encoded).is_none() {
            return;
        }
        let kind = match answer {
            AnswerBody::Events(_) => "text/event-stream",
            _ => "application/json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
}

/// It is no fault of the vendor's, and another one would be paid for an answer as long.
fn too_long() -> Error {
    let message = "The upstream's answer cannot be translated: it is longer than `limits.answer_bytes_max`.";
    Error::new(Kind::VendorFailed, Origin::Gateway, message)
}

/// The dialect of an answer that must be put into chat's words, or into better ones.
fn translates(encoded: &Encoded) -> Option<Dialect> {
    let is_fine = |it: Dialect| it == Dialect::Chat && encoded.mends.is_empty();
    encoded.form.filter(|it| !encoded.is_own && !is_fine(*it))
}

/// Whether nobody needs to read the answer: it reaches its client as it came.
fn is_told_as_it_is(encoded: &Encoded) -> bool {
    encoded.form.is_none() || encoded.is_own
}
