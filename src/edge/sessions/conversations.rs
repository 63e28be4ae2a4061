//! OpenAI's conversations: sessions by another name.

use http::Response;
use serde_json::json;

use crate::edge::body::{self, Body};
use crate::edge::sessions::beginning::title_of;
use crate::edge::sessions::fields::Fields;
use crate::edge::sessions::reply::deleted;
use crate::edge::sessions::session::{annotated, gone, made};
use crate::edge::sessions::{Ask, entries, items};
use crate::error::Error;
use crate::session::clock::now_ms;
use crate::session::key::{SessionId, SessionKey};
use crate::session::record::Meta;

pub async fn create(ask: &Ask<'_>) -> Result<Response<Body>, Error> {
    let fields = Fields::read(&ask.body, &["items", "metadata"])?;
    let (now, given) = (now_ms(), items::given(&fields)?.unwrap_or_default());
    let title = given.iter().find_map(|it| title_of(&it.clone().into()));
    let turn = (!given.is_empty()).then(|| items::turn(given, now));
    let key = SessionKey::session(ask.owner, SessionId::random("conv_"));
    let metadata = fields.metadata()?.unwrap_or_default();
    let meta = Meta { title, metadata, ..Meta::new(key, ask.sessions.options().ttl_s * 1_000, now) };
    let turns: Vec<_> = turn.into_iter().collect();
    Ok(answer(&made(ask, meta, &turns).await?))
}

pub async fn show(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    Ok(answer(&entries::meta(ask, &ask.session(id)?).await?))
}

pub async fn describe(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    Ok(answer(&annotated(ask, &ask.session(id)?).await?))
}

pub async fn delete(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    gone(ask, &ask.session(id)?).await?;
    Ok(deleted(id, "conversation.deleted"))
}

/// A conversation as OpenAI shows it.
pub fn answer(meta: &Meta) -> Response<Body> {
    body::json(&json!({
        "id": meta.key.id.as_str(),
        "object": "conversation",
        "created_at": meta.created_at / 1_000,
        "metadata": meta.metadata,
    }))
}
