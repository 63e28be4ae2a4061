//! Takes from a call what routing minds: its size, what it needs of a model, what names its conversation, its tags.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName};

use crate::api::request::RequestScan;
use crate::api::wants::has_images;
use crate::error::Error;
use crate::price::estimate::prompt_tokens;
use crate::route::ask::{Ask, Wants};
use crate::route::table::Route;

/// Tags a target must have to serve the call, separated by commas.
pub const X_TOLLGATE_TAGS: HeaderName = HeaderName::from_static("x-tollgate-tags");

/// Tags one call may ask for.
const TAGS_MAX: usize = 16;

/// A JSON body and what was read of it.
pub type Scanned<'a> = (&'a [u8], &'a RequestScan);

/// What a call of `model` asks of `route`. The body is looked at only where that can change the route taken.
pub fn ask(route: &Route, model: &str, body: Option<Scanned<'_>>, tags: Vec<String>) -> Ask {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let Some((body, scan)) = body else { return Ask { tags, ..Ask::of_model(model, at) } };
    let wants = &scan.wants;
    let reckons = route.reckons();
    Ask {
        prompt_tokens: prompt_tokens(body),
        output_max: wants.output_max,
        wants: Wants {
            vision: reckons && has_images(body),
            tools: wants.tools,
            json_schema: wants.json_schema,
            reasoning: wants.reasoning,
        },
        conversation: wants.affinity(),
        tier: wants.service_tier.unwrap_or_default(),
        tags,
        ..Ask::of_model(model, at)
    }
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
