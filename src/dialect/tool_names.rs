//! Names of tools as a target takes them, and back. Clients may name tools as their own vendor does: Anthropic takes twice
//! the length that OpenAI takes, Google dots and colons. A name that a target would refuse becomes one that it takes,
//! always the same for the same name, and becomes the client's again in the answer.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::prompt::{Part, Prompt, Tool, ToolChoice};

/// What a name of a tool may be, besides letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NameRule {
    /// Most characters. Default 64. 16 to 1,000.
    #[schemars(range(min = 16, max = 1_000))]
    pub max: usize,
    /// Further characters that it may have. Default `-`.
    pub marks: String,
    /// Whether it must begin with a letter or `_`. Default false.
    pub letter_first: bool,
}

/// What OpenAI, and Bedrock, take.
impl Default for NameRule {
    fn default() -> Self {
        Self { max: 64, marks: "-".to_owned(), letter_first: false }
    }
}

/// Hex digits that tell names apart which are cut, or of which characters are replaced.
const HASH_CHARS: usize = 8;

impl NameRule {
    /// Whether a name is fine. What has none is not of this rule's concern.
    pub fn takes(&self, name: &[u8]) -> bool {
        let is_fine = |it: &u8| it.is_ascii() && self.has(char::from(*it));
        let begins = |it: &u8| it.is_ascii_alphabetic() || *it == b'_';
        name.len() <= self.max
            && name.iter().all(is_fine)
            && (!self.letter_first || name.first().is_none_or(begins))
    }

    fn has(&self, char: char) -> bool {
        char.is_ascii_alphanumeric() || char == '_' || self.marks.contains(char)
    }

    /// The name to be sent instead; None where it is fine.
    fn fitted(&self, name: &str) -> Option<String> {
        if self.takes(name.as_bytes()) {
            return None;
        }
        let first = name.chars().next().filter(|it| it.is_ascii_alphabetic() || *it == '_');
        let prefix = if self.letter_first && first.is_none() { "t_" } else { "" };
        let kept = name.chars().map(|it| if self.has(it) { it } else { '_' });
        let length = self.max.saturating_sub(HASH_CHARS + 1);
        let mut fitted: String = prefix.chars().chain(kept).take(length).collect();
        fitted.push('_');
        let hash = Sha256::digest(name.as_bytes());
        hash.iter().take(HASH_CHARS / 2).for_each(|it| fitted.push_str(&format!("{it:02x}")));
        Some(fitted)
    }
}

/// Names that were changed: the client's, by those that are sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Renamed(HashMap<String, String>);

impl Renamed {
    /// Changes the names in a prompt that `rule` does not take.
    pub fn of(prompt: &mut Prompt, rule: &NameRule) -> Self {
        let mut renamed = Self::default();
        for tool in &mut prompt.tools {
            if let Tool::Function { name, .. } | Tool::Custom { name, .. } = tool {
                renamed.fit(name, rule);
            }
        }
        match &mut prompt.tool_choice {
            Some(ToolChoice::Named(name)) => renamed.fit(name, rule),
            Some(ToolChoice::Among { names, .. }) => names.iter_mut().for_each(|it| renamed.fit(it, rule)),
            _ => {}
        }
        for part in prompt.messages.iter_mut().flat_map(|it| &mut it.parts) {
            match part {
                Part::Call(call) => renamed.fit(&mut call.name, rule),
                Part::Result(result) => result.name.iter_mut().for_each(|it| renamed.fit(it, rule)),
                _ => {}
            }
        }
        renamed
    }

    fn fit(&mut self, name: &mut String, rule: &NameRule) {
        if let Some(sent) = self.sent(name, rule) {
            *name = sent;
        }
    }

    /// What is sent instead of a name; None: it itself.
    pub fn sent(&mut self, name: &str, rule: &NameRule) -> Option<String> {
        let fitted = rule.fitted(name)?;
        self.0.insert(fitted.clone(), name.to_owned());
        Some(fitted)
    }

    /// Makes a name the client's again.
    pub fn restore(&self, name: &mut String) {
        if let Some(own) = self.0.get(name) {
            name.clone_from(own);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_that_is_taken() {
        let google = NameRule { marks: "-.:".into(), letter_first: true, ..NameRule::default() };
        let cohere = NameRule { marks: String::new(), letter_first: true, ..NameRule::default() };
        let long = "mcp__plugin_".repeat(9);
        for (rule, name, begins) in [
            (&NameRule::default(), "read.file:x", Some("read_file_x_")),
            (
                &NameRule::default(),
                long.as_str(),
                Some("mcp__plugin_mcp__plugin_mcp__plugin_mcp__plugin_mcp__pl"),
            ),
            (&NameRule::default(), "täst", Some("t_st_")),
            (&NameRule::default(), "3d-x", None),
            (&NameRule::default(), "", None),
            (&google, "read.file:x", None),
            (&google, "3d", Some("t_3d_")),
            (&google, "-a", Some("t_-a_")),
            (&cohere, "read-file", Some("read_file_")),
            (&NameRule { max: 128, ..NameRule::default() }, long.as_str(), None),
        ] {
            let mut renamed = Renamed::default();
            let sent = renamed.sent(name, rule);
            assert_eq!(sent.is_some(), begins.is_some(), "{name}: {sent:?}");
            let Some((mut sent, begins)) = sent.zip(begins) else { continue };
            assert!(sent.starts_with(begins) && rule.takes(sent.as_bytes()), "{name}: {sent}");
            assert_eq!(Renamed::default().sent(name, rule).as_deref(), Some(sent.as_str()));
            renamed.restore(&mut sent);
            assert_eq!(sent, name);
        }
        let rule = NameRule::default();
        assert_ne!(rule.fitted("read.file"), rule.fitted("read:file"));
    }
}
