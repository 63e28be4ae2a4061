//! What is asked of a chat model and what it says to that, for all the dialects that the simulated vendor speaks: each
//! reads its requests into an [`Ask`] and writes the [`Reply`] in its own words. Pure.

use serde_json::{Value, json};

use super::{
    call::{Call, Pace},
    reply::{Pieces, fill, prose},
};

/// Words of the prompt that a thought repeats.
const THOUGHT_WORDS: usize = 8;
const REFUSAL: &str = "The simulated vendor will not answer this.";

/// A request, as far as it matters to the answer.
#[derive(Default)]
pub(super) struct Ask {
    /// Text of the last message by a user.
    pub echo: String,
    pub seen: Seen,
    /// The last message is what tools gave.
    pub after_tools: bool,
    pub tools: Vec<Tool>,
    pub choice: Choice,
    pub one_tool: bool,
    pub form: Form,
    /// Most tokens of the answer; none is all.
    pub limit: Option<usize>,
    pub thinks: bool,
    /// Some of the prompt is marked to be kept in the cache.
    pub keeps: bool,
    pub prompt_bytes: usize,
}

/// How much there was besides text.
#[derive(Default)]
pub(super) struct Seen {
    pub images: usize,
    pub documents: usize,
    pub sounds: usize,
    pub results: usize,
    pub failed_results: usize,
}

pub(super) struct Tool {
    pub name: String,
    pub schema: Option<Value>,
}

#[derive(Default)]
pub(super) enum Choice {
    #[default]
    Free,
    Barred,
    Named(String),
}

#[derive(Default)]
pub(super) enum Form {
    #[default]
    Prose,
    Object,
    Schema(Value),
}

pub(super) struct Reply {
    pub thought: Option<Pieces>,
    pub said: Said,
    pub end: End,
    pub usage: Usage,
}

pub(super) enum Said {
    Text(Pieces),
    Calls(Vec<ToolCall>),
}

pub(super) struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Pieces,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Stop,
    Length,
    Calls,
    Refused,
}

/// In tokens. `prompt` is all of it, `output` all that was said and thought.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    pub prompt: usize,
    pub cached: usize,
    pub kept: usize,
    pub output: usize,
    pub thought: usize,
}

impl Seen {
    /// What was seen, in the words that begin the answer; empty where nothing was.
    fn told(&self) -> String {
        let counts = [
            (self.images, "images"),
            (self.documents, "documents"),
            (self.sounds, "sounds"),
            (self.results, "tool results"),
            (self.failed_results, "tool errors"),
        ];
        let counted: Vec<String> =
            counts.iter().filter(|it| it.0 > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if counted.is_empty() { String::new() } else { format!("Seen: {}.", counted.join(", ")) }
    }
}

impl Ask {
    pub fn reply(&self, call: &Call<'_>, pace: &Pace) -> Reply {
        let limit = self.limit.unwrap_or(usize::MAX).max(1);
        let thought = (pace.thinks || self.thinks).then(|| thought(&self.echo));
        let (said, end) = self.said(call, pace, limit);
        let spoken = match &said {
            Said::Text(pieces) => pieces.count(),
            Said::Calls(calls) => calls.iter().map(|it| it.arguments.count()).sum(),
        };
        let prompt = self.prompt_bytes.div_ceil(4);
        let thoughts = thought.as_ref().map_or(0, Pieces::count);
        let usage = Usage {
            prompt,
            cached: if pace.cached { prompt / 2 } else { 0 },
            kept: if self.keeps { prompt / 4 } else { 0 },
            output: spoken + thoughts,
            thought: thoughts,
        };
        Reply { thought, said, end, usage }
    }

    fn said(&self, call: &Call<'_>, pace: &Pace, limit: usize) -> (Said, End) {
        if pace.refuses {
            return (Said::Text(Pieces::of(REFUSAL, usize::MAX).0), End::Refused);
        }
        let tools = self.chosen_tools();
        if !tools.is_empty() && !self.after_tools {
            let calls = tools.iter().enumerate().map(|(index, it)| it.call(call, index)).collect();
            return (Said::Calls(calls), End::Calls);
        }
        let seen = self.seen.told();
        let json = match &self.form {
            Form::Schema(schema) => fill(schema, true),
            Form::Object => {
                json!({"answer": prose(&seen, &self.echo, pace.tokens).collect::<Vec<_>>().join(" ")})
            }
            Form::Prose => {
                let end = if limit < pace.tokens { End::Length } else { End::Stop };
                return (Said::Text(Pieces::prose(&seen, &self.echo, pace.tokens.min(limit))), end);
            }
        };
        let (pieces, complete) = Pieces::of(&json.to_string(), limit);
        (Said::Text(pieces), if complete { End::Stop } else { End::Length })
    }

    /// The tool that the client insists on, or the first two it offers.
    fn chosen_tools(&self) -> Vec<&Tool> {
        match &self.choice {
            Choice::Barred => Vec::new(),
            Choice::Named(name) => self.tools.iter().filter(|it| it.name == *name).take(1).collect(),
            Choice::Free => self.tools.iter().take(if self.one_tool { 1 } else { 2 }).collect(),
        }
    }
}

impl Tool {
    fn call(&self, call: &Call<'_>, index: usize) -> ToolCall {
        let filled = self.schema.as_ref().map(|schema| fill(schema, false)).filter(Value::is_object);
        let arguments = filled.unwrap_or_else(|| json!({})).to_string();
        ToolCall {
            id: format!("call_{}{index}", call.id),
            name: self.name.clone(),
            arguments: Pieces::of(&arguments, usize::MAX).0,
        }
    }
}

fn thought(echo: &str) -> Pieces {
    let words: Vec<&str> = echo.split_whitespace().take(THOUGHT_WORDS).collect();
    Pieces::of(&format!("The simulated vendor thinks about: {}", words.join(" ")), usize::MAX).0
}

/// A seal over what was thought or called: only the sim makes it, and it shows when either is changed.
pub(super) fn seal(sealed: &str) -> String {
    let hash = |seed: u64| {
        sealed.bytes().fold(seed, |hash, it| (hash ^ u64::from(it)).wrapping_mul(0x100_0000_01b3))
    };
    // As long as real ones are not, but in their alphabet.
    format!("c2lt{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x5eed))
}
