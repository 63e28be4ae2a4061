//! Relays a vendor's event stream to the client: pulled by hyper, frame in, frame out, no task and no channel, so that
//! the client's pace is the vendor's. Reads along for usage, errors and the end; changes nothing but the injected chunk.

mod fault;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::upstream::Upstream;
use crate::upstream::client::LanePlace;
use crate::upstream::patience::Patience;
use crate::upstream::reading::Reading;
use crate::upstream::throughput::{TOO_SLOW, Throughput};
use crate::upstream::translation::{Listener, Translation};
use crate::vendor::said::Said;
use crate::vendor::sse::{self, Splitter};
use crate::vendor::stream::{EventFacts, StreamShape};

/// What a relay needs to know of its call.
pub struct RelayOptions {
    pub shape: StreamShape,
    /// Puts what comes into chat's chunks, where it is in another dialect.
    pub translation: Option<Translation>,
    /// Reads what is in another dialect and stays so.
    pub listener: Option<Listener>,
    /// The usage chunk was our wish, not the client's.
    pub remove_usage_chunk: bool,
    pub idle: Duration,
    pub deadline: Instant,
    pub event_bytes_max: usize,
    /// Measures the pace of the content, where the route sets one.
    pub throughput: Option<Throughput>,
    /// Remember what is said, so that another target can go on with it.
    pub hears: bool,
}

/// A stream of events from one upstream.
pub struct Relay {
    options: RelayOptions,
    upstream: Arc<Upstream>,
    body: Incoming,
    splitter: Splitter,
    /// Events that came before the first content. Bounded by [`HELD_BYTES_MAX`] and one frame.
    held: VecDeque<Bytes>,
    patience: Patience,
    content_seen: bool,
    finished: bool,
    done: bool,
    /// What was said, where it is remembered; bounded by [`crate::vendor::said::SAID_BYTES_MAX`].
    said: Option<Box<Said>>,
    /// The upstream's body has ended.
    ended: bool,
    /// A failure that was read behind events that go out first.
    failure: Option<Error>,
    /// The same of a translation.
    fault: Option<Error>,
    _place: Option<LanePlace>,
}

/// Preamble held while failover is open, in bytes; a longer one is content enough.
const HELD_BYTES_MAX: usize = 256 << 10;

/// What may still come behind `[DONE]` before its connection is given up, in bytes and time.
const DRAIN_BYTES_MAX: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

const TOO_LONG: &str =
    "An event of the upstream's stream is larger than the gateway takes (`limits.event_bytes_max`).";

enum Step {
    Events(Bytes),
    End,
}

impl Relay {
    pub fn new(
        options: RelayOptions,
        upstream: Arc<Upstream>,
        body: Incoming,
        place: Option<LanePlace>,
    ) -> Self {
        Self {
            splitter: Splitter::new(options.event_bytes_max),
            patience: Patience::new(options.idle, options.deadline),
            said: options.hears.then(Box::default),
            options,
            upstream,
            body,
            held: VecDeque::new(),
            content_seen: false,
            finished: false,
            done: false,
            ended: false,
            failure: None,
            fault: None,
            _place: place,
        }
    }

    /// Reads until the first content, holding what comes before it. Until this is ready another target may still
    /// serve the call; afterwards `poll_events` gives everything from the first byte on.
    pub fn poll_commit(&mut self, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<Result<(), Error>> {
        loop {
            match ready!(self.poll_step(cx, reading))? {
                Step::Events(events) => self.held.push_back(events),
                Step::End => return Poll::Ready(Ok(())),
            }
            if self.content_seen || self.holds_too_much() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads on behind the first content, holding all of it, until the content came fast enough for one window or the
    /// answer is finished. Ready at once where no pace is set.
    pub fn poll_pace(&mut self, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<Result<(), Error>> {
        while let Some(throughput) = &mut self.options.throughput
            && throughput.is_held()
        {
            if self.finished || self.holds_too_much() {
                self.let_go();
                break;
            }
            match self.poll_step(cx, reading) {
                Poll::Ready(Ok(Step::Events(events))) => self.held.push_back(events),
                Poll::Ready(Ok(Step::End)) => self.let_go(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let Some(throughput) = &mut self.options.throughput else { return Poll::Pending };
                    ready!(throughput.poll_overdue(cx));
                    return Poll::Ready(Err(self.error(Kind::Timeout, TOO_SLOW)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn let_go(&mut self) {
        if let Some(throughput) = &mut self.options.throughput {
            throughput.let_go();
        }
    }

    fn holds_too_much(&self) -> bool {
        self.held.iter().map(Bytes::len).sum::<usize>() > HELD_BYTES_MAX
    }

    /// Reads until the first events, whatever they say, and keeps them.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<Result<(), Error>> {
        if let Step::Events(events) = ready!(self.poll_step(cx, reading))? {
            self.held.push_back(events);
        }
        Poll::Ready(Ok(()))
    }

    /// The next events for the client; `None` when the answer is complete. Not to be asked again after an error.
    pub fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        reading: &mut Reading,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(events) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(events)));
        }
        Poll::Ready(match ready!(self.poll_step(cx, reading)) {
            Ok(Step::Events(events)) => Some(Ok(events)),
            Ok(Step::End) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// The answer is complete: lets the connection return to the pool, reading the little that may still come.
    pub fn release(self) {
        if self.ended {
            return;
        }
        let mut rest = Limited::new(self.body, DRAIN_BYTES_MAX);
        let place = self._place;
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
            while let Some(Ok(_)) = rest.frame().await {}
            drop(place);
        }));
    }

    /// `[DONE]` was read, and all before the events handed out last is out: they are the last of the answer.
    pub fn is_done(&self) -> bool {
        self.done && self.held.is_empty()
    }

    /// The vendor has begun to answer.
    pub fn has_content(&self) -> bool {
        self.content_seen
    }

    /// What was said so far, if another target can go on with it.
    pub fn take_said(&mut self) -> Option<Box<Said>> {
        self.said.take().filter(|it| !self.finished && it.can_go_on())
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<Result<Step, Error>> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Err(failure));
            }
            if let Some(events) = self.read_events(reading)? {
                return Poll::Ready(Ok(Step::Events(events)));
            }
            // What was told before a fault of the translation goes out first.
            self.failure = self.failure.take().or_else(|| self.fault.take());
            if self.failure.is_some() {
                continue;
            }
            if self.ended {
                return Poll::Ready(self.verdict());
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.take_frame(frame),
                Poll::Ready(Some(Err(_))) if self.done => return Poll::Ready(Ok(Step::End)),
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Err(self.error(Kind::Cut, "The upstream's answer was cut off.")));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    if self.options.translation.is_some() {
                        self.translate(None);
                    } else if let Some(last) = self.last_event(reading) {
                        return Poll::Ready(Ok(Step::Events(last)));
                    }
                }
                Poll::Pending if self.done => return Poll::Ready(Ok(Step::End)),
                Poll::Pending => {
                    self.note_wait(reading);
                    let message = ready!(self.patience.poll(cx));
                    return Poll::Ready(Err(self.error(Kind::Timeout, message)));
                }
            }
        }
    }

    fn take_frame(&mut self, frame: Frame<Bytes>) {
        let now = self.patience.note_life();
        if let Some(throughput) = &mut self.options.throughput {
            throughput.came(now);
        }
        match frame.into_data() {
            Ok(data) if self.options.translation.is_some() => self.translate(Some(data)),
            Ok(data) => self.splitter.push(data),
            Err(_) => {}
        }
    }

    /// Takes the next of a stream in another dialect, or its end.
    fn translate(&mut self, data: Option<Bytes>) {
        let Some(translation) = &mut self.options.translation else { return };
        let mut chunks = Vec::new();
        let result = match data {
            Some(data) => translation.take(data, &mut chunks),
            None => translation.end(&mut chunks),
        };
        if !chunks.is_empty() {
            self.splitter.push(chunks.into());
        }
        self.fault = result.err().map(|it| self.untranslated(it));
    }

    fn note_wait(&mut self, reading: &mut Reading) {
        if let Some(throughput) = self.options.throughput.as_mut().filter(|_| !self.finished)
            && throughput.waits(Instant::now())
        {
            reading.note_slow();
        }
    }

    /// The whole events at hand, less what only the gateway asked for.
    fn read_events(&mut self, reading: &mut Reading) -> Result<Option<Bytes>, Error> {
        loop {
            let peeked = self.splitter.peek();
            let Ok(event) = peeked else {
                return Err(self.error(Kind::VendorFailed, TOO_LONG));
            };
            let Some(event) = event else { return Ok(self.splitter.take()) };
            let Some(data) = sse::data(event) else {
                self.splitter.accept();
                continue;
            };
            // A skim does not see how much text there is.
            let skims = self.content_seen && self.options.throughput.is_none();
            let facts = match (&mut self.options.listener, skims) {
                (Some(listener), _) => listener.hear(event, &data),
                (None, true) => self.options.shape.skim(&data),
                (None, false) => self.options.shape.read(&data),
            };
            if facts.error {
                let said = Bytes::copy_from_slice(&data);
                self.failure = Some(self.vendor_error(&said));
                return Ok(self.splitter.take());
            }
            if facts.broken {
                let said = Bytes::copy_from_slice(&data);
                self.splitter.accept();
                self.failure = Some(self.vendor_error(&said));
                return Ok(self.splitter.take());
            }
            if let Some(said) = &mut self.said {
                said.hear(&data);
            }
            let event_bytes = data.len();
            let events = self.splitter.take_before(facts.usage_only && self.options.remove_usage_chunk);
            self.note(&facts, event_bytes, reading);
            if events.is_some() {
                return Ok(events);
            }
        }
    }

    fn note(&mut self, facts: &EventFacts, event_bytes: usize, reading: &mut Reading) {
        self.finished |= facts.finished;
        reading.finished = self.finished;
        self.done |= facts.done;
        reading.events += 1;
        reading.is_opaque = self.options.shape == StreamShape::Opaque;
        if facts.service_tier.is_some() {
            reading.service_tier = facts.service_tier;
        }
        if facts.content {
            self.content_seen = true;
            let now = self.patience.last_life();
            if let Some(throughput) = &mut self.options.throughput {
                throughput.content(facts.text_bytes, now);
            }
            reading.content_event(event_bytes, now.into_std());
        }
        if let Some(usage) = facts.usage {
            reading.note_usage(usage);
        }
    }

    /// An event that the upstream's end left without its blank line, if it is whole otherwise.
    fn last_event(&mut self, reading: &mut Reading) -> Option<Bytes> {
        let rest = self.splitter.rest();
        let data = sse::data(&rest)?;
        let whole = data.as_ref() == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(&data).is_ok();
        if !whole {
            return None;
        }
        let facts = match &mut self.options.listener {
            Some(listener) => listener.hear(&rest, &data),
            None => self.options.shape.read(&data),
        };
        if facts.error {
            let said = Bytes::copy_from_slice(&data);
            self.failure = Some(self.vendor_error(&said));
            return None;
        }
        if let Some(said) = &mut self.said {
            said.hear(&data);
        }
        self.note(&facts, rest.len(), reading);
        if facts.usage_only && self.options.remove_usage_chunk {
            return None;
        }
        Some([rest.as_ref(), b"\n\n"].concat().into())
    }

    /// What the end of the upstream's body means.
    fn verdict(&self) -> Result<Step, Error> {
        match self.done || self.finished || !self.options.shape.must_finish() {
            true => Ok(Step::End),
            false => Err(self.error(Kind::Cut, "The upstream's answer ended before it was complete.")),
        }
    }
}
