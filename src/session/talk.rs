//! One call's part in a session: what its client said, what it is answered, and the turn that the two become; or the stored
//! completion, or both. Held by the end guard of the call, so that it is written however the call ends.

use std::sync::Arc;

use bytes::Bytes;

use crate::api::money::Money;
use crate::api::usage::Usage;
use crate::session::clock::now_ms;
use crate::session::completion;
use crate::session::draft::Draft;
use crate::session::heard::{self, HEARD_BYTES_MAX, Heard};
use crate::session::history;
use crate::session::incoming::Incoming;
use crate::session::kept::Kept;
use crate::session::key::{Owner, SessionKey};
use crate::session::record::{Append, Appended, Held, Meta, Window};
use crate::session::sessions::Sessions;
use crate::session::store::StoreFault;
use crate::session::turn::{Turn, TurnState};
use crate::vendor::sse::{self, Splitter};

/// What is heard of a call's answer, and what for.
pub struct Talk {
    sessions: Arc<Sessions>,
    /// The call's request id: its turn is stored under it, once.
    id: String,
    /// Unix time, in milliseconds.
    began_at: u64,
    body: Bytes,
    heard: Heard,
    events: Splitter,
    part: Option<Part>,
    completion: Option<Completion>,
}

/// A call's part in a session.
pub struct Part {
    key: SessionKey,
    /// Epoch and version of the session that the call found.
    found: Option<(u64, u64)>,
    incoming: Incoming,
    /// The system messages that the session has from now on, where they changed.
    system: Option<Arc<str>>,
}

impl Part {
    /// Of a call whose `body` says `incoming`, in the session that was `held`.
    pub fn new(key: SessionKey, held: Option<&Held>, body: &[u8], incoming: Incoming) -> Self {
        let system = std::str::from_utf8(&body[incoming.system.clone()]).unwrap_or_default();
        let known = held.map_or("", |it| &it.meta.system);
        Self {
            system: (!system.is_empty() && system != known).then(|| system.into()),
            key,
            found: held.map(|it| (it.meta.epoch, it.meta.version)),
            incoming,
        }
    }
}

/// A completion that its client wants stored.
struct Completion {
    owner: Owner,
    draft: Draft,
    /// The answer where it came whole.
    whole: Option<Bytes>,
}

/// Who gave an answer, and what that took.
#[derive(Clone, Debug, Default)]
pub struct Answerer {
    pub upstream: Option<String>,
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub usage: Option<Usage>,
    pub cost: Option<Money>,
}

impl Talk {
    /// Of a call that begins now.
    pub fn new(sessions: &Arc<Sessions>, id: String, body: Bytes) -> Self {
        Self {
            sessions: Arc::clone(sessions),
            id,
            began_at: now_ms(),
            body,
            heard: Heard::default(),
            events: Splitter::new(HEARD_BYTES_MAX),
            part: None,
            completion: None,
        }
    }

    /// It becomes a turn.
    pub fn in_session(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// It is stored as a completion of `owner`'s.
    pub fn stored_for(self, owner: Owner) -> Self {
        Self { completion: Some(Completion { owner, draft: Draft::default(), whole: None }), ..self }
    }

    /// Takes in whole events as the client is sent them.
    pub fn hear(&mut self, events: &Bytes) {
        self.events.push(events.clone());
        while let Ok(Some(event)) = self.events.peek() {
            if let Some(data) = sse::data(event) {
                self.heard.event(&data);
                if let Some(completion) = &mut self.completion {
                    completion.draft.event(&data);
                }
            }
            self.events.accept();
        }
        self.events.take();
    }

    /// Takes in a whole answer.
    pub fn hear_whole(&mut self, answer: &Bytes) {
        self.heard = Heard::whole(answer).unwrap_or_default();
        if let Some(completion) = &mut self.completion {
            completion.whole = Some(answer.clone());
        }
    }

    /// Whether there is anything to write: of a call that failed before it said anything nothing is kept.
    pub fn has_answer(&self) -> bool {
        self.heard.is_answer()
    }

    /// What the turn is, whose call ended so.
    fn state(&self, ended: TurnState) -> TurnState {
        match ended {
            _ if self.heard.broke_off() || !self.heard.is_whole() => TurnState::Incomplete,
            // The client left when all was said.
            TurnState::Left if self.heard.is_finished() => TurnState::Complete,
            ended => ended,
        }
    }

    /// Writes the turn, and the completion if it is whole. Run in a task of its own: neither a client that leaves nor the
    /// end of its stream may stop it.
    pub async fn keep(self, ended: TurnState, by: Answerer) -> Kept {
        let state = self.state(ended);
        let turn = async {
            match self.append(state, &by) {
                Some((key, append)) => Some(self.sessions.append(key, append).await),
                None => None,
            }
        };
        let completion = async {
            match self.completion.as_ref().filter(|_| state.is_complete()) {
                Some(completion) => Some(self.keep_completion(completion, &by).await),
                None => None,
            }
        };
        let (turn, completion) = tokio::join!(turn, completion);
        turn.or(completion).unwrap_or(Kept::Stored(Appended::Gone))
    }

    fn append(&self, state: TurnState, by: &Answerer) -> Option<(&SessionKey, Append)> {
        let part = self.part.as_ref()?;
        let options = self.sessions.options();
        let append = Append {
            epoch: part.found.map(|(epoch, _)| epoch),
            system: part.system.clone(),
            title: part.incoming.title.clone(),
            ttl_ms: options.ttl_s * 1_000,
            bounds: Window { turns_max: options.stored_turns_max, bytes_max: options.stored_bytes_max },
            compress_bytes_min: options.compress_bytes_min,
            turn: self.turn(part, state, by),
        };
        Some((&part.key, append))
    }

    fn turn(&self, part: &Part, state: TurnState, by: &Answerer) -> Turn {
        let incoming = &part.incoming;
        let messages = Bytes::from(incoming.turn(&self.body, &self.heard.message()));
        Turn {
            id: self.id.clone(),
            at: now_ms(),
            asked_at: Some(self.began_at),
            state,
            saw: part.found.map(|(_, version)| version),
            upstream: by.upstream.clone(),
            vendor: by.vendor.clone(),
            model: by.model.clone(),
            input_tokens: by.usage.map_or(0, |it| it.input),
            output_tokens: by.usage.map_or(0, |it| it.output),
            cost: by.cost,
            tokens: heard::tokens(&messages),
            answers_tools: incoming.answers_tools,
            instructs: incoming.instructs,
            images: incoming.images,
            private: self.heard.is_private(),
            plain: history::is_plain(&messages),
            items: false,
            gaps: false,
            messages,
        }
    }

    async fn keep_completion(&self, completion: &Completion, by: &Answerer) -> Kept {
        let answer = match &completion.whole {
            Some(answer) => Some(answer.clone()),
            None => completion.draft.answer(&self.heard.message(), by.usage).map(Bytes::from),
        };
        let ttl_ms = self.sessions.options().ttl_s * 1_000;
        let record =
            answer.and_then(|it| completion::record(completion.owner, &self.body, &it, ttl_ms, now_ms()));
        let Some((meta, turn)) = record else {
            return Kept::Lost(StoreFault::Corrupt("the answer is no chat completion".into()));
        };
        match self.replace(&meta, &[turn]).await {
            Ok(()) => Kept::Stored(Appended::Stored { number: 0, version: 0 }),
            Err(fault) => Kept::Lost(fault),
        }
    }

    /// Some vendors draw their ids from a few hundred: who was told one asks for the answer that came with it.
    async fn replace(&self, meta: &Meta, turns: &[Turn]) -> Result<(), StoreFault> {
        if !self.sessions.create(meta, turns).await? {
            self.sessions.delete(&meta.key).await?;
            self.sessions.create(meta, turns).await?;
        }
        Ok(())
    }
}
