//! All quirks that apply to one call, put together: what becomes of each field, of messages and of tools.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::body::Body;
use super::options::{
    ClampOptions, ListOptions, MessageOptions, QuirkOptions, ReasoningOptions, TextOptions, ToolOptions,
    WhenOptions,
};
use super::reasoning;
use super::value::{clamped, cut, shortened, word_of};
use crate::dialect::Dialect;
use crate::dialect::loss::{Losses, is_harmless, word_of as word};

/// What becomes of one field.
#[derive(Debug, Default)]
struct FieldRule<'a> {
    rename: Option<&'a str>,
    /// Whether it is dropped, and then whether quietly.
    drop: Option<bool>,
    clamp: Option<&'a ClampOptions>,
    text: Option<&'a TextOptions>,
    list: Option<&'a ListOptions>,
    map: Option<&'a BTreeMap<String, Value>>,
    respell: Option<&'a BTreeMap<String, Value>>,
    set: Option<&'a Value>,
    default: Option<&'a Value>,
}

/// What applies to one call.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    fields: HashMap<&'a str, FieldRule<'a>>,
    pub reasoning: Option<&'a ReasoningOptions>,
    pub messages: MessageOptions,
    pub tools: ToolOptions,
    /// The dialect that the call is put into.
    pub dialect: Option<Dialect>,
}

impl<'a> Rules<'a> {
    /// Of the entries for the model those for this call. `thinks`: whether the model is going to think; None while that
    /// is not known, and what depends on it left out.
    pub fn of(quirks: &'a [Arc<QuirkOptions>], body: &Body<'_>, thinks: Option<bool>) -> Self {
        let mut rules = Self::default();
        for quirk in quirks.iter().filter(|it| holds(&it.when, body, thinks)) {
            rules.take(quirk);
        }
        rules
    }

    fn take(&mut self, quirk: &'a QuirkOptions) {
        for name in &quirk.keep {
            self.fields.remove(name.as_str());
        }
        quirk.rename.iter().for_each(|(name, to)| self.rule(name).rename = Some(to));
        quirk.drop.iter().for_each(|name| self.rule(name).drop = Some(false));
        quirk.drop_quietly.iter().for_each(|name| self.rule(name).drop = Some(true));
        quirk.clamp.iter().for_each(|(name, it)| self.rule(name).clamp = Some(it));
        quirk.texts.iter().for_each(|(name, it)| self.rule(name).text = Some(it));
        quirk.lists.iter().for_each(|(name, it)| self.rule(name).list = Some(it));
        quirk.map.iter().for_each(|(name, it)| self.rule(name).map = Some(it));
        quirk.respell.iter().for_each(|(name, it)| self.rule(name).respell = Some(it));
        quirk.set.iter().for_each(|(name, it)| self.rule(name).set = Some(it));
        quirk.default.iter().for_each(|(name, it)| self.rule(name).default = Some(it));
        self.reasoning = quirk.reasoning.as_ref().or(self.reasoning);
        self.messages.take(&quirk.messages);
        self.tools.take(&quirk.tools);
        self.dialect = quirk.native.dialect.or(self.dialect);
    }

    fn rule(&mut self, name: &'a str) -> &mut FieldRule<'a> {
        self.fields.entry(name).or_default()
    }

    /// Changes the fields of a body, but for messages and tools.
    pub fn fit_fields(&self, body: &mut Body<'a>, losses: &mut Losses) {
        if let Some(it) = self.reasoning {
            reasoning::respell(it, body, losses);
        }
        self.apply(body, losses);
    }

    /// But for how it tells to think, too.
    fn apply(&self, body: &mut Body<'a>, losses: &mut Losses) {
        for index in 0..body.fields.len() {
            let name = body.fields[index].name;
            if body.fields[index].is_gone {
                continue;
            }
            self.change(body, index, name, losses);
            // What has another name now has that one's bounds.
            if let Some(to) = body.fields[index].new_name {
                self.change(body, index, to, losses);
            }
        }
        let mut values: Vec<_> = self.fields.iter().collect();
        values.sort_by_key(|(name, _)| **name);
        for (name, rule) in values {
            let is_missing = body.field(name).is_none_or(|it| it.is_gone);
            match (rule.set, rule.default) {
                (Some(value), _) => body.put(name, value.to_string()),
                (None, Some(value)) if is_missing && rule.drop.is_none() => body.put(name, value.to_string()),
                _ => {}
            }
        }
    }

    fn change(&self, body: &mut Body<'a>, index: usize, name: &str, losses: &mut Losses) {
        let Some(rule) = self.fields.get(name) else { return };
        if let Some(to) = rule.rename {
            // Of two names for one thing the vendor's own counts.
            let is_there = body.field(to).is_some_and(|it| !it.is_gone);
            let field = &mut body.fields[index];
            field.is_gone = is_there;
            field.new_name = (!is_there).then_some(to);
        }
        let field = &mut body.fields[index];
        if let Some(quietly) = rule.drop {
            let is_lost = !quietly && rule.set.is_none() && !is_harmless(name, field.value);
            if is_lost {
                losses.add(field.name.to_owned());
            }
            field.is_gone = true;
        }
        if field.is_gone {
            return;
        }
        let said = word(field.now()).into_owned();
        let respelt = rule.respell.and_then(|it| it.get(&said));
        let mapped = rule.map.and_then(|it| it.get(&said));
        let clamped = rule.clamp.and_then(|it| clamped(field.now(), it));
        let clamped = clamped.or_else(|| cut(field.now(), rule.list?.max));
        if (respelt.is_none() && mapped.is_some()) || clamped.is_some() {
            losses.add(field.name.to_owned());
        }
        match respelt.or(mapped) {
            Some(Value::Null) => field.is_gone = true,
            Some(value) => field.new_value = Some(value.to_string()),
            None => {
                let shorter = rule.text.and_then(|it| shortened(field.now(), it.max));
                field.new_value = clamped.or(shorter).or(field.new_value.take());
            }
        }
    }
}

/// Whether a condition is met.
fn holds(when: &WhenOptions, body: &Body<'_>, thinks: Option<bool>) -> bool {
    let number = |name: &str| body.value(name).and_then(|it| it.parse::<f64>().ok());
    when.has.iter().all(|it| body.value(it).is_some())
        && when.lacks.iter().all(|it| body.value(it).is_none())
        && when.is.iter().all(|(name, value)| body.value(name).is_some_and(|it| word(it) == word_of(value)))
        && when.below.iter().all(|(name, bound)| number(name).is_some_and(|it| it < *bound))
        && when.thinking.is_none_or(|it| thinks == Some(it))
}

impl MessageOptions {
    fn take(&mut self, later: &Self) {
        fn over<T: Clone>(base: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                base.clone_from(later);
            }
        }
        over(&mut self.extensions, &later.extensions);
        over(&mut self.drop, &later.drop);
        over(&mut self.rename, &later.rename);
        over(&mut self.tool_ids, &later.tool_ids);
        over(&mut self.echo_reasoning, &later.echo_reasoning);
        over(&mut self.thought_signatures, &later.thought_signatures);
        over(&mut self.text_content, &later.text_content);
        over(&mut self.last_assistant_prefix, &later.last_assistant_prefix);
        over(&mut self.tools_answered, &later.tools_answered);
        over(&mut self.user_needed, &later.user_needed);
        over(&mut self.system_first, &later.system_first);
        over(&mut self.alternate, &later.alternate);
    }
}

impl ToolOptions {
    fn take(&mut self, later: &Self) {
        if later.kinds.is_some() {
            self.kinds.clone_from(&later.kinds);
        }
        if later.drop.is_some() {
            self.drop.clone_from(&later.drop);
        }
        if later.names.is_some() {
            self.names.clone_from(&later.names);
        }
        self.custom = later.custom.or(self.custom);
        self.named_alone = later.named_alone.or(self.named_alone);
    }
}
