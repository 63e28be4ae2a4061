//! Takes from a call what routing minds: its size, what it needs of a model, what names its conversation, its tags.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName};

use crate::api::request::RequestScan;
use crate::api::wants::has_images;
use crate::error::Error;
use crate::names::ClientName;
use crate::price::estimate::prompt_tokens;
use crate::route::ask::{Ask, Wants};
use crate::route::table::Route;
use crate::upstream::past::Past;

/// Tags a target must have to serve the call, separated by commas.
pub const X_TOLLGATE_TAGS: HeaderName = HeaderName::from_static("x-tollgate-tags");

/// Tags one call may ask for.
const TAGS_MAX: usize = 16;

/// Bodies up to this length are estimated by it alone where the route has no choice to make, in bytes.
const PLAIN_BYTES_MAX: usize = 16 << 10;

/// Bytes of a chat body to a token, by and large.
const BYTES_PER_TOKEN: u64 = 4;

/// A JSON body and what was read of it.
pub type Scanned<'a> = (&'a [u8], &'a RequestScan);

/// Who asks, and for what beyond the body.
#[derive(Default)]
pub struct Caller<'a> {
    pub client: Option<&'a ClientName>,
    /// What names its conversation besides the body.
    pub conversation: Option<Conversation>,
    /// What was said before in its session.
    pub past: Option<&'a Past>,
    pub tags: Vec<String>,
}

/// A conversation that a header names, as a number that every gateway makes alike of it.
#[derive(Clone, Copy)]
pub struct Conversation {
    pub hash: u64,
    /// It is to stay at one target.
    pub sticks: bool,
}

/// What a call of `model` asks of `route`. The body is looked at only where that can change the route taken. What names a
/// conversation does so for its caller alone: nobody's calls are steered by another's.
pub fn ask(route: &Route, model: &str, body: Option<Scanned<'_>>, caller: Caller<'_>) -> Ask {
    let Caller { client, conversation, past, tags } = caller;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let named = conversation.map(|it| it.hash);
    let sticks = conversation.is_some_and(|it| it.sticks);
    let Some((body, scan)) = body else {
        return Ask { tags, conversation: named, sticks, ..Ask::of_model(model, at) };
    };
    let history_tokens = past.map_or(0, |it| it.tokens());
    let wants = &scan.wants;
    let reckons = route.reckons();
    Ask {
        prompt_tokens: history_tokens
            + match reckons || body.len() > PLAIN_BYTES_MAX {
                true => prompt_tokens(body),
                false => body.len() as u64 / BYTES_PER_TOKEN,
            },
        history_tokens,
        output_max: wants.output_bound(),
        wants: Wants {
            vision: reckons && (past.is_some_and(|it| it.has_images()) || has_images(body)),
            tools: wants.tools,
            json_schema: wants.json_schema,
            reasoning: wants.reasoning,
        },
        conversation: named.or_else(|| wants.affinity().map(|it| of_client(it, client))),
        sticks,
        tier: wants.service_tier.unwrap_or_default(),
        tags,
        ..Ask::of_model(model, at)
    }
}

fn of_client(conversation: u64, client: Option<&ClientName>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (conversation, client.map(ClientName::as_str)).hash(&mut hasher);
    hasher.finish()
}

/// The tags that the headers ask for.
pub fn tags(headers: &HeaderMap) -> Result<Vec<String>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(X_TOLLGATE_TAGS) {
        let text = value.to_str().map_err(|_| bad_tags())?;
        tags.extend(text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned));
    }
    if tags.len() > TAGS_MAX { Err(bad_tags()) } else { Ok(tags) }
}

fn bad_tags() -> Error {
    Error::bad_request(format!(
        "`x-tollgate-tags` must be at most {TAGS_MAX} names of plain ASCII, separated by commas."
    ))
    .param("x-tollgate-tags")
    .code("invalid_tags")
}
