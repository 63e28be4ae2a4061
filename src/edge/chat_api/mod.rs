//! The interface of the chat service that Tollgate grew out of, so that its front-ends keep working: off unless
//! `chat_api: true`. Every path is served under the caller's key; `user_id` only divides what that key may see anyway.
//! A message becomes a streamed chat completion in a session, which goes the way of every call ([`crate::edge::serve`]);
//! only its answer is told in the old words ([`told`]).

mod fields;
mod generate;
mod history;
mod message;
pub mod options;
pub mod path;
mod picture;
mod providers;
pub mod refusal;
pub mod roles;
mod sessions;
pub mod spec;
pub mod told;
mod upload;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use serde_json::json;

use crate::api::request;
use crate::edge::auth::{Client, owner};
use crate::edge::body::{Body, json};
use crate::edge::endpoint::endpoint;
use crate::edge::gateway::Serving;
use crate::edge::headers::X_TOLLGATE_UPSTREAM;
use crate::edge::intake::{self, Taken};
use crate::edge::options::LimitOptions;
use crate::edge::prepare::Asked;
use crate::edge::{ask, headers, talk};
use crate::error::Error;
use crate::session::key::{Owner, SessionId, SessionKey};
use crate::upstream::call::CallBody;
use crate::upstream::payload::Payload;
use crate::upstream::room::BodyRoom;

use fields::Fields;
use generate::{Making, Order};
use path::ChatPath;
use picture::Picture;
use roles::{Role, USUAL};
use spec::ChatSpec;

/// What becomes of a request.
pub(super) enum Next<'a> {
    Answered(Response<Body>),
    Asks(Box<Asks<'a>>),
}

/// A call of the OpenAI API that a request stands for.
pub(super) struct Asks<'a> {
    pub asked: Asked<'a>,
    pub taken: Taken,
    pub then: Then,
}

/// How the answer of such a call is told.
pub(super) enum Then {
    Events(SessionId),
    Picture(Making),
}

impl Then {
    /// The call's `response` in the words of the earlier service.
    pub async fn answer(self, response: Response<Body>, limits: &LimitOptions) -> Response<Body> {
        match self {
            Then::Events(session) => told::tell(response, session, limits.event_bytes_max),
            Then::Picture(making) => making.answer(response).await,
        }
    }
}

/// A request that was let in.
struct Caller<'a> {
    serving: &'a Serving,
    spec: &'a ChatSpec,
    client: Option<&'a Client>,
    head: Parts,
}

/// Answers a request, or says which call it stands for.
pub(super) async fn understand<'a>(
    serving: &'a Serving,
    spec: &'a ChatSpec,
    path: ChatPath,
    client: Option<&'a Client>,
    request: Request<Incoming>,
    room: BodyRoom,
) -> Result<Next<'a>, Error> {
    let (head, body) = request.into_parts();
    let caller = Caller { serving, spec, client, head };
    let sessions = &serving.sessions;
    let answer = match path {
        ChatPath::Stream { posted: false } => {
            return caller.message(&caller.query()?, Bytes::new()).map(|it| Next::Asks(Box::new(it)));
        }
        ChatPath::Stream { posted: true } => {
            let body = intake::whole(body, &serving.limits, room).await?;
            return caller.message(&Fields::of_json(&body)?, body).map(|it| Next::Asks(Box::new(it)));
        }
        ChatPath::Generate => {
            let body = intake::whole(body, &serving.limits, room).await?;
            return caller.picture(&Fields::of_json(&body)?, body).map(|it| Next::Asks(Box::new(it)));
        }
        ChatPath::Upload => caller.upload(body, room).await?,
        ChatPath::Start => {
            let fields = caller.query()?;
            sessions::start(sessions, caller.owner(&fields)?, caller.role(&fields)?).await?
        }
        ChatPath::History => {
            let fields = caller.query()?;
            sessions::history(sessions, caller.owner(&fields)?, fields.session()?).await?
        }
        ChatPath::Sessions => {
            let fields = caller.query()?;
            sessions::list(sessions, caller.owner(&fields)?, fields.user()?).await?
        }
        ChatPath::DeleteSession(id) => {
            sessions::delete(sessions, caller.owner(&caller.query()?)?, id).await?
        }
        ChatPath::ClearHistory(id) => sessions::clear(sessions, caller.owner(&caller.query()?)?, id).await?,
        ChatPath::Roles => json!({ "roles": caller.roles() }),
        ChatPath::Providers => providers::list(&serving.snapshot, client),
        ChatPath::About => json!({ "message": "Tollgate", "version": env!("CARGO_PKG_VERSION") }),
    };
    Ok(Next::Answered(json(&answer)))
}

impl<'a> Caller<'a> {
    fn query(&self) -> Result<Fields, Error> {
        Fields::of_query(self.head.uri.query())
    }

    /// Whose sessions are meant: a user's, among those of the caller.
    fn owner(&self, fields: &Fields) -> Result<Owner, Error> {
        Ok(owner(self.client, &self.head.headers).user(fields.user()?))
    }

    fn role(&self, fields: &Fields) -> Result<&Role, Error> {
        let key = fields.optional("role").unwrap_or(USUAL);
        self.spec.role(key).ok_or_else(|| {
            let shown: String = key.chars().take(64).collect();
            Error::bad_request(format!("No role is called `{shown}`; `GET /roles` lists what there is."))
                .param("role")
                .code("unknown_role")
        })
    }

    /// Those whose model the caller may use.
    fn roles(&self) -> Vec<&Role> {
        let may_use = |role: &&Role| match (&role.model, self.client) {
            (Some(model), Some(client)) => client.may_use(model.as_str()),
            _ => true,
        };
        self.spec.roles.iter().filter(may_use).collect()
    }

    /// The call that a message stands for. `read`: what it came in.
    fn message(&self, fields: &Fields, read: Bytes) -> Result<Asks<'a>, Error> {
        let (owner, session) = (self.owner(fields)?, fields.session()?);
        let picture = fields.optional("image_data").map(Picture::from_base64).transpose()?;
        let text = match &picture {
            None => fields.required("message")?,
            // A picture may speak for itself.
            Some(_) => fields.optional("message").unwrap_or_default(),
        };
        let role = self.role(fields)?;
        let (snapshot, provider) = (&self.serving.snapshot, fields.optional("provider"));
        let chosen = providers::choose(snapshot, self.client, role, provider, fields.optional("model"))?;
        let route = snapshot.routes.find(&chosen.model).map(|it| &it.route.defaults);
        let sampling =
            self.spec.sampling(chosen.vendor).without(route.into_iter().flatten().map(|it| &it.0[..]));
        let body = message::body(&chosen.model, &role.system, text, picture.as_ref(), sampling);
        let body = in_place_of(read, body);
        let scan = request::scan(&body, self.serving.limits.json_depth_max)?;
        let (stream, bytes) = (scan.stream, body.len() as u64);
        let taken = Taken { model: Some(chosen.model), stream, bytes, body: CallBody::Json { body, scan } };
        let mut head = self.head_for("/chat/completions", HeaderValue::from_static("application/json"));
        // The conversation stays where its prompt is cached.
        let id = HeaderValue::from_str(session.as_str()).expect("an id is plain ASCII");
        head.headers.insert(talk::X_SESSION_ID, id);
        let key = SessionKey::session(owner, session.clone());
        Ok(Asks { asked: self.asked(head, Some(key))?, taken, then: Then::Events(session) })
    }

    /// The call that an order for a picture stands for. `read`: what it came in.
    fn picture(&self, fields: &Fields, read: Bytes) -> Result<Asks<'a>, Error> {
        let snapshot = &self.serving.snapshot;
        let order = Order::new(fields)?;
        let upstream = match fields.optional("provider") {
            Some(name) => providers::find(snapshot, self.client, name)?,
            None => providers::usual(snapshot, self.client).ok_or_else(providers::no_provider)?.upstream,
        };
        let provider = upstream.spec.id.clone();
        let configured = || self.spec.image_models.get(&provider).map(|it| it.as_str());
        let model = fields.optional("model").or_else(configured).map(str::to_owned);
        let asked = order.request(&upstream.spec.vendor, model.as_deref());
        let mut head = self.head_for(asked.path, asked.content_type);
        let id = HeaderValue::from_str(provider.as_str()).map_err(|_| unnamed())?;
        head.headers.insert(X_TOLLGATE_UPSTREAM, id);
        let taken = self.pictured(in_place_of(read, asked.body), &head.headers, model)?;
        Ok(Asks { asked: self.asked(head, None)?, taken, then: Then::Picture(order.making(provider)) })
    }

    fn asked(&self, head: Parts, session: Option<SessionKey>) -> Result<Asked<'a>, Error> {
        let endpoint = endpoint(&head.method, head.uri.path())?;
        Ok(Asked { endpoint, head, client: self.client, session, deletes: None })
    }

    /// The body of an order, JSON or a form that needs no change.
    fn pictured(&self, body: Bytes, headers: &HeaderMap, model: Option<String>) -> Result<Taken, Error> {
        let bytes = body.len() as u64;
        let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|it| it == "application/json");
        let body = match is_json {
            true => CallBody::Json { scan: request::scan(&body, self.serving.limits.json_depth_max)?, body },
            false => CallBody::Plain(Payload::held(vec![body])),
        };
        Ok(Taken { body, model, stream: false, bytes })
    }

    /// The head of a call that we make for the caller: what of its headers vendors and routing know.
    fn head_for(&self, path: &'static str, content_type: HeaderValue) -> Parts {
        let mut headers = headers::to_vendor(&self.head.headers);
        for name in [header::ACCEPT, header::RANGE, header::IF_MATCH, header::IF_NONE_MATCH] {
            headers.remove(name);
        }
        headers.insert(header::CONTENT_TYPE, content_type);
        for value in self.head.headers.get_all(ask::X_TOLLGATE_TAGS) {
            headers.append(ask::X_TOLLGATE_TAGS, value.clone());
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = Method::POST;
        head.uri = Uri::from_static(path);
        head.headers = headers;
        head
    }

    async fn upload(&self, body: Incoming, room: BodyRoom) -> Result<serde_json::Value, Error> {
        let own = self.serving.limits.body_bytes_max;
        let limits =
            LimitOptions { body_bytes_max: own.min(upload::UPLOAD_BYTES_MAX), ..self.serving.limits.clone() };
        let form = intake::whole(body, &limits, room).await.map_err(|error| {
            let too_large = error.status == StatusCode::PAYLOAD_TOO_LARGE && own >= upload::UPLOAD_BYTES_MAX;
            if too_large { picture::too_large().param("file") } else { error }
        })?;
        let kind = self.head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        upload::answer(kind, &form)
    }
}

/// What is held in the place of what was `read`, and takes its room among the requests held.
fn in_place_of(read: Bytes, made: Bytes) -> Bytes {
    struct Kept {
        made: Bytes,
        _read: Bytes,
    }
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.made
        }
    }
    if read.is_empty() { made } else { Bytes::from_owner(Kept { made, _read: read }) }
}

fn unnamed() -> Error {
    Error::bad_request("This provider cannot be asked for pictures.")
        .param("provider")
        .code("unknown_provider")
}
