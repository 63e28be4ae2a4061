//! Whose words are whose, where a vendor's chat knows less than OpenAI's or its own models': the role `developer` is a system's
//! there, and what results of tools show is shown by the user.

use memchr::memmem;

use super::list::changed;
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;

const SYSTEM: &str = "\"system\"";

/// What a result says that was nothing but shown.
const SHOWN: &str = "\"The result is shown in the user's message behind the results.\"";

/// Whether a piece of a body may have a developer's message.
pub(super) fn has_developers(piece: &[u8]) -> bool {
    memmem::find(piece, b"\"developer\"").is_some()
}

/// Whether a piece of a body may have something that a tool shows.
pub(super) fn has_media(piece: &[u8]) -> bool {
    let has = |it: &str| memmem::find(piece, it.as_bytes()).is_some();
    has("\"tool_call_id\"")
        && ["\"image_url\"", "\"file\"", "\"input_audio\"", "\"video_url\""].into_iter().any(has)
}

/// The list of messages with those of developers as the system's; None where there are none.
pub(super) fn as_system(messages: &str) -> Option<String> {
    let is_developers = |it: &Fields<'_>| it.text("role").as_deref() == Some("developer");
    changed(messages, |it| is_developers(it).then(|| it.with("role", Some(SYSTEM))))
}

/// The list of messages with what tools show in a user's message behind each run of results; None where they show nothing.
pub(super) fn shown_by_the_user(messages: &str) -> Option<String> {
    let mut written = Vec::new();
    let list = written.open(b'[');
    let (mut shown, mut is_changed) = (Vec::new(), false);
    for message in elements(messages)? {
        let fields = Fields::read(message.get()).filter(|it| it.text("role").as_deref() == Some("tool"));
        if fields.is_none() {
            show(list, &mut shown);
        }
        let count = shown.len();
        let told = fields.as_ref().and_then(|it| told(it, &mut shown));
        is_changed |= shown.len() > count;
        list.raw(told.as_deref().unwrap_or(message.get()));
    }
    show(list, &mut shown);
    list.close(b']');
    String::from_utf8(written).ok().filter(|_| is_changed)
}

/// The result without what it shows, which goes to `shown`; None where it only says something.
fn told<'a>(message: &Fields<'a>, shown: &mut Vec<&'a str>) -> Option<String> {
    let parts = elements(message.value("content").filter(|it| it.starts_with('['))?)?;
    let is_text = |it: &str| Fields::read(it).is_some_and(|it| it.text("type").as_deref() == Some("text"));
    let (texts, media): (Vec<&'a str>, Vec<&'a str>) =
        parts.into_iter().map(|it| it.get()).partition(|it| is_text(it));
    if media.is_empty() {
        return None;
    }
    shown.extend(media);
    let texts = match texts.is_empty() {
        true => SHOWN.to_owned(),
        false => format!("[{}]", texts.join(",")),
    };
    Some(message.with("content", Some(&texts)))
}

fn show(list: &mut Vec<u8>, shown: &mut Vec<&str>) {
    if shown.is_empty() {
        return;
    }
    let content = list.open(b'{').text_field("role", "user").key("content").open(b'[');
    shown.drain(..).for_each(|it| _ = content.raw(it));
    content.close(b']').close(b'}');
}
