//! Begins a new session with turns of another.

use http::{Response, StatusCode};

use crate::edge::body::{self, Body};
use crate::edge::sessions::fields::Fields;
use crate::edge::sessions::messages::EXPORT_BYTES_MAX;
use crate::edge::sessions::session::{made, new_key};
use crate::edge::sessions::told::Told;
use crate::edge::sessions::{Ask, entries, fault};
use crate::error::Error;
use crate::session::clock::now_ms;
use crate::session::record::{Held, Meta};

/// Turns keep their numbers. What the new session uses and costs is counted anew.
pub async fn fork(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let fields = Fields::read(&ask.body, &["turn", "id"])?;
    let turn = fields.number("turn", u64::MAX)?;
    let key = new_key(ask, &fields, "sess_")?;
    let held = entries::all(ask, &ask.session(id)?, EXPORT_BYTES_MAX).await?.ok_or_else(too_large)?;
    let Held { meta, from, mut turns } = held;
    if let Some(turn) = turn {
        let last = turn.checked_sub(from).filter(|it| *it < turns.len() as u64);
        let last = last.ok_or_else(|| no_turn(&meta, turn))? as usize;
        // Results of tools belong to the calls in front of them.
        let answers = turns[last + 1..].iter().take_while(|it| it.answers_tools).count();
        turns.truncate(last + 1 + answers);
    }
    let newest =
        |name: fn(&crate::session::turn::Turn) -> Option<&String>| turns.iter().rev().find_map(name).cloned();
    let forked = Meta {
        title: meta.title.clone(),
        metadata: meta.metadata.clone(),
        system: meta.system.clone(),
        first: from,
        upstream: newest(|it| it.upstream.as_ref()),
        model: newest(|it| it.model.as_ref()),
        ..Meta::new(key, meta.ttl_ms, now_ms())
    };
    let forked = made(ask, forked, &turns).await?;
    Ok(body::json(&Told::whole(&forked)))
}

fn no_turn(meta: &Meta, turn: u64) -> Error {
    let message = match meta.turns {
        0 => "The session has no turn.".to_owned(),
        held => {
            format!("The session has no turn {turn}; it holds {} to {}.", meta.first, meta.first + held - 1)
        }
    };
    fault::missing("turn_not_found", message).param("turn")
}

fn too_large() -> Error {
    Error::bad_request(format!("A session of more than {EXPORT_BYTES_MAX} bytes cannot be forked."))
        .status(StatusCode::PAYLOAD_TOO_LARGE)
        .code("session_too_large")
}
