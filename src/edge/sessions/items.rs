//! The items of a conversation. Those that are added together are one turn. `include` changes nothing: all that is known of
//! an item is shown.

use std::time::Duration;

use http::Response;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use crate::edge::body::{self, Body};
use crate::edge::sessions::beginning::{new_turn_id, title_of};
use crate::edge::sessions::entries::{self, Entry, Span};
use crate::edge::sessions::fields::{Fields, misgiven, wrong};
use crate::edge::sessions::query::bad_cursor;
use crate::edge::sessions::reply::{List, raw, shown};
use crate::edge::sessions::{Ask, conversations, fault};
use crate::error::Error;
use crate::session::clock::now_ms;
use crate::session::items::{self, Place};
use crate::session::kept::Kept;
use crate::session::key::SessionKey;
use crate::session::record::{Append, Appended, Change, Changed, Window};
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// Items that may be added at once.
const ITEMS_MAX: usize = 20;

/// How long an edit is tried that others overtake, and the longest pause before it is tried again.
const EDIT_TIME_MAX: Duration = Duration::from_secs(2);
const EDIT_PAUSE_MAX: Duration = Duration::from_millis(20);

/// The `items` of a body, checked.
pub fn given(fields: &Fields) -> Result<Option<Vec<Map<String, Value>>>, Error> {
    let Some(list) = fields.list("items")? else { return Ok(None) };
    if list.len() > ITEMS_MAX {
        return Err(wrong("items", &format!("a list of at most {ITEMS_MAX} items")));
    }
    let values = list.iter().map(|it| serde_json::from_str(it.get()).unwrap_or_default()).collect();
    items::given(values).map(Some).map_err(misgiven)
}

pub fn turn(items: Vec<Map<String, Value>>, at: u64) -> Turn {
    items::turn(new_turn_id(), at, items)
}

pub async fn add(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let key = ask.session(id)?;
    let given = given(&Fields::read(&ask.body, &["items"])?)?.filter(|it| !it.is_empty());
    let given = given.ok_or_else(|| wrong("items", "a list of at least one item"))?;
    let meta = entries::meta(ask, &key).await?;
    let options = ask.sessions.options();
    let title = given.iter().find_map(|it| title_of(&it.clone().into()));
    let turn = turn(given, now_ms());
    let append = Append {
        turn: turn.clone(),
        epoch: Some(meta.epoch),
        system: None,
        title,
        ttl_ms: meta.ttl_ms,
        bounds: Window { turns_max: options.stored_turns_max, bytes_max: options.stored_bytes_max },
        compress_bytes_min: options.compress_bytes_min,
    };
    let number = match ask.sessions.append(&key, append).await {
        Kept::Stored(Appended::Stored { number, .. }) => number,
        Kept::Stored(Appended::Gone) => return Err(fault::no_session(id)),
        // They will be there, but what they are called nobody knows yet.
        Kept::Spooled => return Err(fault::of_store(&StoreFault::Lost(String::new()))),
        Kept::Lost(why) => return Err(fault::of_store(&why)),
    };
    let entries = of_turn(number, &turn).into_iter().map(|it| (it.id, it.json)).collect();
    Ok(List::new(entries, false).answer())
}

fn of_turn(number: u64, turn: &Turn) -> Vec<Entry> {
    let entry = |(place, item): (Place, Value)| {
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        Entry { place: sort_place(place), json: raw(&item), id }
    };
    items::of_turn(number, turn).into_iter().map(entry).collect()
}

/// Parts of one object are fewer than this.
const PARTS_MAX: u64 = 1 << 24;

fn sort_place(place: Place) -> (u64, u64) {
    (place.turn, (place.object as u64).saturating_mul(PARTS_MAX).saturating_add(place.part as u64))
}

pub async fn list(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let key = ask.session(id)?;
    if let Some(after) = ask.query.one("after") {
        check_cursor(ask, &key, after).await?;
    }
    let span = Span::read(ask, false, |id| Place::parse(id).map(sort_place))?;
    Ok(entries::page(ask, &key, &span, of_turn).await?.answer())
}

/// An id of another conversation leads nowhere. Of a turn that is held no more nobody can tell.
async fn check_cursor(ask: &Ask<'_>, key: &SessionKey, id: &str) -> Result<(), Error> {
    let place = Place::parse(id).ok_or_else(bad_cursor)?;
    let held = entries::turns(ask, key, place.turn, 1).await?;
    let is_known = match held.turns.first().filter(|_| held.from == place.turn) {
        Some(turn) => place.is_of(id, turn),
        None => place.turn < held.meta.first,
    };
    is_known.then_some(()).ok_or_else(bad_cursor)
}

pub async fn show(ask: &Ask<'_>, id: &str, item: &str) -> Result<Response<Body>, Error> {
    let found = find(ask, &ask.session(id)?, item).await?;
    Ok(body::json(&found.item))
}

/// An item, and the turn it stands in.
struct Found {
    place: Place,
    item: Value,
    turn: Turn,
    version: u64,
}

async fn find(ask: &Ask<'_>, key: &SessionKey, item: &str) -> Result<Found, Error> {
    let place = Place::parse(item);
    let held = entries::turns(ask, key, place.map_or(0, |it| it.turn), 1).await?;
    let version = held.meta.version;
    let standing = place.filter(|it| it.turn == held.from);
    let turn = held.turns.into_iter().next();
    let found = standing.zip(turn).and_then(|(place, turn)| {
        let (place, item) = items::of_turn(place.turn, &turn).into_iter().find(|it| it.1["id"] == item)?;
        Some(Found { place, item, turn, version })
    });
    found.ok_or_else(|| no_item(item))
}

fn no_item(item: &str) -> Error {
    fault::missing("item_not_found", format!("No item of this conversation is called `{}`.", shown(item)))
}

pub async fn delete(ask: &Ask<'_>, id: &str, item: &str) -> Result<Response<Body>, Error> {
    let key = ask.session(id)?;
    let until = Instant::now() + EDIT_TIME_MAX;
    loop {
        let found = find(ask, &key, item).await?;
        let left = items::without(&found.turn, found.place).ok_or_else(|| no_item(item))?;
        let compress_bytes_min = ask.sessions.options().compress_bytes_min;
        let change = Change::Replace { number: found.place.turn, turn: left, compress_bytes_min };
        let changed = ask.sessions.change(&key, Some(found.version), &change).await;
        match changed.map_err(|it| fault::of_store(&it))? {
            Changed::Done(meta) => return Ok(conversations::answer(&meta)),
            Changed::Stale if Instant::now() < until => sleep(pause()).await,
            Changed::Stale => return Err(fault::busy()),
            Changed::Missing => return Err(fault::no_session(id)),
        }
    }
}

/// Of different length, so that those who met do not meet again.
fn pause() -> Duration {
    EDIT_PAUSE_MAX.mul_f64(fastrand::f64())
}
