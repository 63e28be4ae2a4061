//! Whole answers, read from Google and written for its clients.

use super::candidate::{self, Candidate};
use super::citation::{self, Said};
use super::{logprobs, written};
use crate::api::ink::Ink;
use crate::dialect::answer::{Answer, Choice};
use crate::dialect::json::Json;
use crate::dialect::prompt::Part;
use crate::dialect::{Frame, NoAnswer, Unreadable};

pub(super) fn read(body: &[u8]) -> Result<Answer, NoAnswer> {
    let body = std::str::from_utf8(body).map_err(|_| Unreadable("not UTF-8"))?;
    if let Some(error) = super::failure::read(body) {
        return Err(NoAnswer::Failed(error));
    }
    let response = candidate::read(body)?;
    let failure = |it: &Candidate<'_>| it.failure(it.parts.iter().any(candidate::is_content));
    if let Some(error) = response.candidates.iter().find_map(failure) {
        return Err(NoAnswer::Failed(error));
    }
    let mut choices: Vec<Choice> = response.candidates.into_iter().map(choice).collect();
    if let Some(native) = response.blocked
        && choices.is_empty()
    {
        choices.push(Choice { finish: Some(candidate::refused(native)), ..Choice::default() });
    }
    if choices.is_empty() {
        return Err(NoAnswer::Unreadable("neither candidates nor a reason why there are none"));
    }
    Ok(Answer {
        id: response.id,
        model: response.model,
        created: None,
        choices,
        usage: response.usage,
        service_tier: response.tier.map(|it| it.as_str().to_owned()),
    })
}

fn choice(candidate: Candidate<'_>) -> Choice {
    let mut said = Said::default();
    let mut parts: Vec<Part> = Vec::with_capacity(candidate.parts.len());
    for part in candidate.parts {
        if let Part::Text { text, .. } = &part {
            said.push(text);
            match parts.last_mut() {
                Some(Part::Text { text: before, .. }) => before.push_str(text),
                _ if text.is_empty() => {}
                _ => parts.push(part),
            }
        } else {
            parts.push(part);
        }
    }
    let sources = citation::read(&candidate.fields, &said);
    let last = parts.iter_mut().rev().find_map(|it| match it {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    last.into_iter().for_each(|it| it.extend_from_slice(&sources));
    let has_call = parts.iter().any(|it| matches!(it, Part::Call(_)));
    let finish = candidate.finish.map(|it| candidate::finish(&it, has_call));
    Choice { index: candidate.index, parts, finish, logprobs: candidate.logprobs }
}

pub(super) fn write(answer: &Answer, frame: &Frame) -> Vec<u8> {
    let mut out = String::new();
    out.open(b'{');
    out.key("candidates").open(b'[');
    answer.choices.iter().for_each(|it| write_choice(it, &mut out));
    out.close(b']');
    let model = answer.model.as_deref().or(frame.aside.model.as_deref()).unwrap_or_default();
    written::envelope(answer.usage.as_ref(), model, answer.id.as_deref().unwrap_or(&frame.id), &mut out);
    out.close(b'}');
    out.into_bytes()
}

fn write_choice(choice: &Choice, out: &mut String) {
    out.open(b'{');
    out.key("content").open(b'{');
    out.key("parts").open(b'[');
    let is_well = parts(&choice.parts, out);
    out.close(b']');
    out.text_field("role", "model");
    out.close(b'}');
    let refused = choice.parts.iter().any(|it| matches!(it, Part::Refusal(_)));
    if let Some(finish) = &choice.finish {
        out.text_field("finishReason", written::finish(finish, refused, !is_well));
    }
    out.number_field("index", choice.index.into());
    sources(&choice.parts, out);
    if let Some(it) = &choice.logprobs {
        logprobs::write(it, out);
    }
    out.close(b'}');
}

/// False where a call had to be left out.
fn parts(parts: &[Part], out: &mut String) -> bool {
    let (mut is_well, mut signature) = (true, None);
    for part in parts {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => written::text(text, &mut signature, out),
            Part::Media(it) => written::media(it, &mut signature, out),
            Part::Thought(it) => match &it.seal {
                Some(seal) if it.text.is_empty() => {
                    written::lone_seal(seal, it.id.as_deref(), &mut signature, out)
                }
                seal => {
                    written::loose(&mut signature, out);
                    written::thought(Some(&it.text), seal.as_ref().map(|seal| (seal, it.id.as_deref())), out);
                }
            },
            Part::Call(it) => is_well &= written::call(it, &mut signature, out),
            Part::Result(_) | Part::Other(_) => {}
        }
    }
    written::loose(&mut signature, out);
    is_well
}

fn sources(parts: &[Part], out: &mut String) {
    let mut said = Said::default();
    let mut annotations: Vec<Json> = Vec::new();
    for part in parts {
        if let Part::Text { text, citations, .. } = part {
            said.push(text);
            annotations.extend_from_slice(citations);
        }
    }
    citation::write(&annotations, &said, out);
}
