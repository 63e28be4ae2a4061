//! Takes a call into the session it names (`x-session-id`): reads what was said before, and sees to it that this
//! turn is remembered. Called by `edge::prepare`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::edge::admission::no_body;
use crate::edge::ask::Conversation;
use crate::edge::auth::{self, Client};
use crate::edge::gateway::Serving;
use crate::edge::prepare::Asked;
use crate::edge::sessions::fault;
use crate::edge::sessions::fields::misgiven;
use crate::error::{Error, Kind, Origin};
use crate::names::UpstreamId;
use crate::price::estimate::prompt_tokens;
use crate::route::plan::Plan;
use crate::route::table::Route;
use crate::session::heard;
use crate::session::history::{Fitted, History};
use crate::session::incoming;
use crate::session::kept::{LOST, STORED};
use crate::session::key::{SessionId, SessionKey};
use crate::session::metadata;
use crate::session::options::WhenStoreDown;
use crate::session::record::{Held, Window};
use crate::session::store::StoreFault;
use crate::session::talk::{Part, Talk};
use crate::session::turn::TurnState;
use crate::session::underway::Underway;
use crate::upstream::body_edit::output_default;
use crate::upstream::call::CallBody;
use crate::upstream::commit::AnswerBody;
use crate::upstream::dispatch::Delivery;
use crate::upstream::finish::FinishGuard;
use crate::upstream::past::{LastFitting, Past};
use crate::upstream::room::BodyRoom;

/// Names the session a call belongs to.
pub const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Words by which calls want to go to the same place, without history.
pub const X_SESSION_AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");

/// The session that the headers name, if they do.
pub fn named(headers: &HeaderMap, client: Option<&Client>) -> Result<Option<SessionKey>, Error> {
    let mut values = headers.get_all(X_SESSION_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let id = value.to_str().ok().and_then(SessionId::parse).filter(|_| values.next().is_none());
    let id = id.ok_or_else(|| {
        Error::bad_request("`x-session-id` must be one id of 1 to 128 letters, digits and `-_.:`.")
            .param("x-session-id")
            .code("invalid_session_id")
    })?;
    Ok(Some(SessionKey::session(auth::owner(client, headers), id)))
}

/// What names the call's conversation for routing: a header that says so, or its session.
pub fn conversation(asked: &Asked<'_>) -> Option<Conversation> {
    let (headers, client) = (&asked.head.headers, asked.client);
    let number = |tag: &[u8; 16]| u64::from_be_bytes(*tag.first_chunk().expect("8 of 16 bytes"));
    if let Some(words) = headers.get(X_SESSION_AFFINITY).filter(|it| !it.is_empty()) {
        let words = String::from_utf8_lossy(words.as_bytes());
        let owner = auth::owner(client, headers).user(&words);
        return Some(Conversation { hash: number(owner.as_bytes()), sticks: true });
    }
    let tag = match &asked.session {
        Some(key) => key.tag(),
        None => named(headers, client).ok()??.tag(),
    };
    Some(Conversation { hash: number(&tag), sticks: false })
}

/// What a call takes along from its session; nothing where it has none.
#[derive(Default)]
pub struct Joined {
    pub past: Option<Arc<Past>>,
    /// The field by which the call names something that only a vendor can know.
    pub vendors_own: Option<&'static str>,
    /// The record of an answer that the gateway is to give in the background.
    pub background: Option<Arc<Underway>>,
    /// Whose vendor made that, where it is known.
    pub made_at: Option<UpstreamId>,
    /// What the answer's head will say.
    pub told: Option<Told>,
}

/// Takes a call into the session it names, if it does, and has it remembered there and wherever else it is to be stored.
pub async fn join(
    serving: &Serving,
    route: &Route,
    asked: &Asked<'_>,
    body: &CallBody,
    end: &mut FinishGuard,
) -> Result<Joined, Error> {
    let CallBody::Json { body, scan } = body else {
        return match &asked.session {
            None => Ok(Joined::default()),
            Some(_) => {
                Err(Error::bad_request("A call with `x-session-id` must have a JSON body.")
                    .code("invalid_body"))
            }
        };
    };
    if scan.store.is_some() {
        metadata::of_request(body).map_err(misgiven)?;
    }
    let talk = || Talk::new(&serving.sessions, end.record.id.to_string(), body.clone());
    let (talk, joined) = match &asked.session {
        None if scan.store.is_none() => return Ok(Joined::default()),
        None => (talk(), Joined::default()),
        Some(key) => {
            let room = end.place.as_ref().map(|it| it.body(serving.limits.held_bytes_max));
            let begun = begin(serving, route, key.clone(), body, scan.wants.output_bound(), room).await?;
            let joined = Joined { past: Some(begun.past), told: Some(begun.told), ..Joined::default() };
            (talk().in_session(begun.part), joined)
        }
    };
    end.talk = Some(Box::new(match scan.store {
        Some(_) => talk.stored_for(auth::owner(asked.client, &asked.head.headers)),
        None => talk,
    }));
    Ok(joined)
}

/// A call that has become part of its session.
struct Begun {
    part: Part,
    past: Arc<Past>,
    told: Told,
}

/// Reads the session, waiting no longer than `sessions.store_ms`.
async fn begin(
    serving: &Serving,
    route: &Route,
    key: SessionKey,
    body: &Bytes,
    output_max: Option<u64>,
    room: Option<BodyRoom>,
) -> Result<Begun, Error> {
    let sessions = &serving.sessions;
    if sessions.is_off() {
        return Err(fault::off());
    }
    let incoming = incoming::read(body)?;
    let options = sessions.options();
    let window = Window { turns_max: options.history_turns_max, bytes_max: options.history_bytes_max };
    let when_down = route.when_store_down.unwrap_or(options.when_store_down);
    let (held, remembered) = match sessions.load(&key, window).await {
        Ok(held) => (held, false),
        Err(StoreFault::Away(_) | StoreFault::Lost(_) | StoreFault::Busy(_))
            if when_down == WhenStoreDown::Continue =>
        {
            (sessions.remembered(&key), true)
        }
        Err(fault) => return Err(fault::cannot_be_read(&fault)),
    };
    let (held, history) = match held {
        Some(held) => {
            let (held, history) = told(held, incoming.answered.clone()).await?;
            (Some(held), Some(held_in(room, history)?))
        }
        None => (None, None),
    };
    let added = route.system.as_ref().map_or(0, |it| heard::tokens(it.as_bytes()));
    let past = Arc::new(Past {
        history,
        at: incoming.history_at,
        around: incoming.around(),
        with_system: incoming.system.is_empty(),
        fresh_tokens: prompt_tokens(body) + added,
        output_max: output_max.or_else(|| output_default(route)),
        kept_at: None,
        last: LastFitting::default(),
    });
    let told = Told::new(key.id.clone(), &past, remembered);
    let part = Part::new(key, held.as_ref(), body, incoming);
    Ok(Begun { part, past, told })
}

/// Histories from this size on are joined apart from the calls' threads, in bytes: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

/// What was said in a session, for a call that begins with these results of tools.
pub async fn told(held: Held, answered: Vec<String>) -> Result<(Held, History), Error> {
    let bytes: usize = held.turns.iter().map(|it| it.messages.len()).sum();
    let join = move || {
        let history = History::new(&held, &answered);
        (held, history)
    };
    if bytes < LONG_BYTES {
        return Ok(join());
    }
    let joined = tokio::task::spawn_blocking(join).await;
    joined.map_err(|_| Error::new(Kind::Internal, Origin::Gateway, "The history could not be read."))
}

/// The history, counted among the bodies that are held (`limits.held_bytes_max`).
pub fn held_in(room: Option<BodyRoom>, history: History) -> Result<History, Error> {
    let Some(mut room) = room else { return Ok(history) };
    room.take(history.bytes()).map_err(no_body)?;
    Ok(history.held(|text| room.hold(text)))
}

const X_TOLLGATE_SESSION: HeaderName = HeaderName::from_static("x-tollgate-session");
const X_TOLLGATE_SESSION_TURNS: HeaderName = HeaderName::from_static("x-tollgate-session-turns");
const X_TOLLGATE_SESSION_TRIMMED: HeaderName = HeaderName::from_static("x-tollgate-session-trimmed");

/// What the head of an answer says of its session.
#[derive(Clone)]
pub struct Told {
    id: SessionId,
    past: Arc<Past>,
    remembered: bool,
}

impl Told {
    pub fn new(id: SessionId, past: &Arc<Past>, remembered: bool) -> Self {
        Self { id, past: Arc::clone(past), remembered }
    }

    fn begin(&self, headers: &mut HeaderMap) {
        let id = HeaderValue::from_str(self.id.as_str()).expect("an id is plain ASCII");
        headers.insert(X_SESSION_ID, id);
        if self.remembered {
            headers.insert(X_TOLLGATE_SESSION, HeaderValue::from_static("remembered"));
        }
    }

    /// Before anybody answered, of a stream whose client is told to wait: as the target that is asked first has it.
    pub fn waiting(&self, plan: &Plan, headers: &mut HeaderMap) {
        self.begin(headers);
        if let Some(target) = plan.targets.first() {
            self.count(&self.past.fitted(target, target.model_for(plan.model())), headers);
        }
    }

    /// With the target that answers, for how much of the history it was sent depends on its window.
    pub fn answered(&self, delivery: &Delivery, headers: &mut HeaderMap) {
        self.begin(headers);
        self.count(&self.past.fitted(&delivery.reading.target, &delivery.model), headers);
    }

    fn count(&self, fitted: &Fitted, headers: &mut HeaderMap) {
        headers.insert(X_TOLLGATE_SESSION_TURNS, HeaderValue::from(fitted.turns));
        if fitted.trimmed > 0 {
            headers.insert(X_TOLLGATE_SESSION_TRIMMED, HeaderValue::from(fitted.trimmed));
        }
    }
}

/// Writes the turn of a whole answer before its client gets it, and tells where that was not simply done. An answer too
/// long to be held (`limits.answer_bytes_max`) cannot be remembered.
pub async fn keep_whole(answer: &AnswerBody, end: &mut FinishGuard, headers: &mut HeaderMap) {
    let word = match answer {
        AnswerBody::Events(_) => return,
        AnswerBody::Opaque(_) => {
            end.talk = None;
            Some(LOST)
        }
        AnswerBody::Whole(bytes) => {
            if let Some(talk) = &mut end.talk {
                talk.hear_whole(bytes);
            }
            match end.keep(TurnState::Complete) {
                Some(task) => Some(task.await.map_or(LOST, |it| it.as_str())),
                None => None,
            }
        }
    };
    end.record.session = word;
    if let Some(word) = word.filter(|it| *it != STORED) {
        // Beside `remembered`, where that is told as well.
        headers.append(X_TOLLGATE_SESSION, HeaderValue::from_static(word));
    }
}
