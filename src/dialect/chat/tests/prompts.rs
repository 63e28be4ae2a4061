//! What is asked is asked again when it went through chat.
//!
//! What chat has no words for is brought into one form first, here: results of tools are messages of their own, an
//! assistant's parts stand in chat's order, and reasoning that nobody sealed is one text.

use proptest::prelude::*;

use super::any;
use crate::dialect::chat::Chat;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::*;
use crate::dialect::terms::Terms;
use crate::dialect::{Aside, ClientDialect, VendorDialect};
use crate::error::Error;

pub fn read(body: &str) -> Result<Prompt, Error> {
    Chat.read_prompt(body.as_bytes(), &Aside::default())
}

pub fn written(prompt: &Prompt) -> String {
    let terms = Terms { model: prompt.model.clone(), ..Terms::default() };
    let mut losses = Losses::default();
    let body = Chat.write_prompt(prompt, &terms, &mut losses).unwrap();
    assert!(losses.is_empty(), "{losses:?}");
    String::from_utf8(body).unwrap()
}

/// The prompt in the one form of those that chat does not tell apart.
fn in_form(mut prompt: Prompt) -> Prompt {
    let mut messages = Vec::new();
    for mut message in prompt.messages {
        let mut results = Vec::new();
        message.parts.retain(|it| match it {
            Part::Result(_) => {
                results.push(it.clone());
                false
            }
            _ => true,
        });
        let only_results = !results.is_empty() && message.parts.is_empty();
        messages.extend(results.into_iter().map(|it| Message {
            role: Role::User,
            parts: vec![it],
            name: None,
        }));
        if message.role == Role::Assistant {
            message.parts = said_in_form(message.parts);
        }
        if !only_results {
            messages.push(message);
        }
    }
    prompt.messages = messages;
    prompt.reasoning = prompt.reasoning.filter(|it| *it != Reasoning::default());
    prompt
}

/// Where a part of a request stands in an assistant's message.
fn place(part: &Part) -> u8 {
    match part {
        Part::Media(Media { kind: MediaKind::Image, .. }) => 1,
        Part::Media(Media { kind: MediaKind::Audio, source: Source::File(_), .. }) => 2,
        Part::Call(_) => 3,
        _ => 0,
    }
}

fn said_in_form(parts: Vec<Part>) -> Vec<Part> {
    let mut groups: Vec<(u8, Vec<Part>)> = Vec::new();
    let mut group = Vec::new();
    for part in parts {
        let is_thought = matches!(part, Part::Thought(_));
        let place = place(&part);
        group.push(part);
        if !is_thought {
            groups.push((place, std::mem::take(&mut group)));
        }
    }
    groups.push((9, group));
    groups.sort_by_key(|it| it.0);
    thoughts_in_form(groups.into_iter().flat_map(|it| it.1).collect())
}

/// Without a seal, a summary or an id among them, thoughts are one text.
pub fn thoughts_in_form(mut parts: Vec<Part>) -> Vec<Part> {
    let mut text = String::new();
    let is_plain = parts.iter().all(|it| match it {
        Part::Thought(it) => {
            text.push_str(&it.text);
            it.seal.is_none() && it.id.is_none() && !it.is_summary
        }
        _ => true,
    });
    if is_plain {
        parts.retain(|it| !matches!(it, Part::Thought(_)));
        if !text.is_empty() {
            parts.insert(0, Part::Thought(Thought { text, ..Thought::default() }));
        }
    }
    parts
}

/// A message has place for one recording, and that for an id only.
fn has_room(parts: &[Part]) -> bool {
    let recordings = parts.iter().filter_map(|it| match it {
        Part::Media(it) if place(&Part::Media(it.clone())) == 2 => Some(it),
        _ => None,
    });
    recordings.clone().count() < 2 && recordings.into_iter().all(|it| it.name.is_none() && it.cache.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_prompt_survives_chat(prompt in any::prompt()) {
        prop_assume!(prompt.messages.iter().all(|it| it.role != Role::Assistant || has_room(&it.parts)));
        let body = written(&prompt);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
        let again = read(&body).unwrap();
        prop_assert_eq!(&again, &in_form(prompt), "{}", body);
        prop_assert_eq!(written(&again), body);
    }

    #[test]
    fn no_body_makes_the_reader_panic(
        prompt in any::prompt(),
        cut in 0..900_usize,
        length in 0..60_usize,
        put in "[\\[\\]{}\":,a-z0-9]{0,6}",
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut body = written(&prompt).into_bytes();
        let start = cut.min(body.len());
        let end = (start + length).min(body.len());
        body.splice(start..end, put.bytes());
        let _ = Chat.read_prompt(&body, &Aside::default());
        let _ = Chat.read_prompt(&bytes, &Aside::default());
    }
}
