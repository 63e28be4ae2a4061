//! The messages of a request as a vendor takes them. Each rule is a function of its own; a message that none concerns
//! stays byte for byte.

mod calls;
mod order;
mod plain;

use std::borrow::Cow;

use super::options::{MessageOptions, ToolIdName};
use crate::api::fields::{Fields, elements};
use crate::dialect::loss::Losses;

pub(super) use plain::others;

/// The list of messages; None where nothing changes.
pub(super) fn fit(json: &str, rules: &MessageOptions, losses: &mut Losses) -> Option<String> {
    if *rules == MessageOptions::default() {
        return None;
    }
    let mut messages: Vec<Cow<'_, str>> = elements(json)?.iter().map(|it| Cow::Borrowed(it.get())).collect();
    let count = messages.len();
    for message in &mut messages {
        change(message, rules, losses);
    }
    if rules.system_first == Some(true) {
        order::system_first(&mut messages);
    }
    if rules.tools_answered == Some(true) {
        order::answer_tools(&mut messages);
    }
    if rules.user_needed == Some(true) {
        order::user_needed(&mut messages);
    }
    if rules.alternate == Some(true) {
        order::alternate(&mut messages);
    }
    if rules.last_assistant_prefix == Some(true) {
        order::prefix_last(&mut messages);
    }
    let is_same = messages.len() == count && messages.iter().all(|it| matches!(it, Cow::Borrowed(_)));
    (!is_same).then(|| format!("[{}]", messages.join(",")))
}

/// What is done to each message by itself.
fn change(message: &mut Cow<'_, str>, rules: &MessageOptions, losses: &mut Losses) {
    let mut apply = |change: &mut dyn FnMut(&Fields<'_>) -> Option<String>| {
        if let Some(changed) = Fields::read(message).and_then(|it| change(&it)) {
            *message = Cow::Owned(changed);
        }
    };
    if rules.echo_reasoning == Some(true) {
        apply(&mut calls::echo_reasoning);
    }
    if rules.thought_signatures == Some(true) {
        apply(&mut calls::sign);
    }
    if rules.tool_ids == Some(ToolIdName::NineAlphanumerics) {
        apply(&mut calls::short_ids);
    }
    if let Some(names) = &rules.rename {
        apply(&mut |it| plain::renamed(it, names));
    }
    if let Some(kept) = &rules.extensions {
        apply(&mut |it| plain::without_extensions(it, kept, losses));
    }
    if let Some(names) = &rules.drop {
        apply(&mut |it| plain::without(it, names, losses));
    }
    if rules.text_content == Some(true) {
        apply(&mut plain::text_content);
    }
}
