//! A session's chat messages: in pages, or all in one document.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::edge::body::{self, Body};
use crate::edge::sessions::Ask;
use crate::edge::sessions::entries::{self, Entry, Span};
use crate::edge::sessions::reply::raw;
use crate::edge::sessions::told::Told;
use crate::error::Error;
use crate::session::items;
use crate::session::record::Held;
use crate::session::turn::{Turn, TurnState};

/// Bytes of messages that one document holds at most: it is put together in memory.
pub const EXPORT_BYTES_MAX: usize = 64 << 20;

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    object: &'static str,
    turn: u64,
    state: TurnState,
    at: u64,
    upstream: Option<&'a str>,
    model: Option<&'a str>,
    message: &'a RawValue,
}

pub async fn list(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let key = ask.session(id)?;
    let span = Span::read(ask, true, |id| {
        let (turn, index) = id.split_once('.')?;
        Some((turn.parse().ok()?, index.parse().ok()?))
    })?;
    Ok(entries::page(ask, &key, &span, of_turn).await?.answer())
}

fn of_turn(number: u64, turn: &Turn) -> Vec<Entry> {
    let messages = items::objects(&items::messages(turn));
    let entry = |(index, message): (u64, &RawValue)| {
        let id = format!("{number}.{index}");
        let shown = Message {
            id: &id,
            object: "session.message",
            turn: number,
            state: turn.state,
            at: turn.at / 1_000,
            upstream: turn.upstream.as_deref(),
            model: turn.model.as_deref(),
            message,
        };
        Entry { place: (number, index), json: raw(&shown), id }
    };
    (0..).zip(messages.iter().map(AsRef::as_ref)).map(entry).collect()
}

#[derive(Serialize)]
struct Export<'a> {
    object: &'static str,
    session: Told<'a>,
    turns: Vec<Exported<'a>>,
}

#[derive(Serialize)]
struct Exported<'a> {
    turn: u64,
    id: &'a str,
    at: u64,
    state: TurnState,
    upstream: Option<&'a str>,
    vendor: Option<&'a str>,
    model: Option<&'a str>,
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: Option<String>,
    messages: Vec<Box<RawValue>>,
    /// Only of a turn that holds items, which say more than its messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Value>>,
}

pub async fn export(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let held = entries::all(ask, &ask.session(id)?, EXPORT_BYTES_MAX).await?.ok_or_else(too_large)?;
    let Held { meta, from, turns } = &held;
    let turns = (*from..).zip(turns).map(|(number, turn)| exported(number, turn)).collect();
    Ok(body::json(&Export { object: "session.export", session: Told::whole(meta), turns }))
}

fn exported(number: u64, turn: &Turn) -> Exported<'_> {
    let items = || items::of_turn(number, turn).into_iter().map(|(_, it)| it).collect();
    Exported {
        turn: number,
        id: &turn.id,
        at: turn.at / 1_000,
        state: turn.state,
        upstream: turn.upstream.as_deref(),
        vendor: turn.vendor.as_deref(),
        model: turn.model.as_deref(),
        input_tokens: turn.input_tokens,
        output_tokens: turn.output_tokens,
        cost_usd: turn.cost.map(|it| it.to_string()),
        messages: items::objects(&items::messages(turn)),
        items: turn.items.then(items),
    }
}

fn too_large() -> Error {
    let message =
        format!("The session has more than {EXPORT_BYTES_MAX} bytes; read its `messages` in pages.");
    Error::bad_request(message).status(StatusCode::PAYLOAD_TOO_LARGE).code("export_too_large")
}
