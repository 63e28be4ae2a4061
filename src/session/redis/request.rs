//! What is asked of Redis: a command, or a script that it may have to be told first.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Cmd;

/// A script and the digest it is called by.
pub(super) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));)*
    };
}

scripts! {
    LOAD = "scripts/load.lua";
    APPEND = "scripts/append.lua";
    CREATE = "scripts/create.lua";
    CHANGE = "scripts/change.lua";
    TURNS = "scripts/turns.lua";
    TOUCH = "scripts/touch.lua";
    FORGET = "scripts/forget.lua";
    CHECK = "scripts/check.lua";
    DELETE = "scripts/delete.lua";
}

/// Goes before the text of a script sent as [`Shape::Narrow`].
const NARROW: &str = include_str!("scripts/narrow.lua");

/// Bytes for which a command is given one more millisecond: 64 MB a second, half of what the slowest networks in use do.
const BYTES_PER_MS: usize = 64 << 10;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A script by its digest.
    Short,
    /// With the script's text, for a server that does not know it yet.
    Whole,
    /// A script for a record that is not there, with its first key alone: so it runs where its slot is under way to.
    Narrow,
}

/// What runs.
enum Verb {
    Command(&'static str),
    Script(&'static Script),
}

/// One command and what goes with it.
pub(super) struct Request {
    verb: Verb,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
    /// Doing it twice is as good as doing it once: it may be sent again where nobody knows whether it was done.
    pub is_repeatable: bool,
}

impl Request {
    pub fn command(name: &'static str) -> Self {
        Self { verb: Verb::Command(name), keys: Vec::new(), args: Vec::new(), is_repeatable: false }
    }

    pub fn script(script: &'static Script) -> Self {
        Self { verb: Verb::Script(script), ..Self::command("") }
    }

    pub fn keys(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.keys.extend(keys);
        self
    }

    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn number(self, number: u64) -> Self {
        self.arg(number.to_string())
    }

    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// What decides where in a cluster it goes; all keys of one request stand in one slot.
    pub fn key(&self) -> Option<&str> {
        self.keys.first().map(String::as_str)
    }

    /// Time for an answer: `base`, and more for what takes long to send.
    pub fn bound(&self, base: Duration) -> Duration {
        let bytes: usize = self.args.iter().map(Vec::len).sum();
        base + Duration::from_millis((bytes / BYTES_PER_MS) as u64)
    }

    /// Whether it can be sent as [`Shape::Narrow`].
    pub fn narrows(&self) -> bool {
        matches!(self.verb, Verb::Script(_)) && self.keys.len() > 1
    }

    pub fn to_command(&self, shape: Shape) -> Cmd {
        let (mut command, script) = match &self.verb {
            Verb::Command(name) => (redis::cmd(name), None),
            Verb::Script(script) => {
                (redis::cmd(if shape == Shape::Short { "EVALSHA" } else { "EVAL" }), Some(script))
            }
        };
        let is_narrow = shape == Shape::Narrow && self.narrows();
        let (keys, aside) = self.keys.split_at(if is_narrow { 1 } else { self.keys.len() });
        if let Some(script) = script {
            match shape {
                Shape::Short => command.arg(&script.digest),
                Shape::Whole => command.arg(script.text),
                Shape::Narrow => command.arg(format!("{NARROW}{}", script.text)),
            };
            command.arg(keys.len());
        }
        command.arg(keys);
        for arg in &self.args {
            command.arg(arg.as_slice());
        }
        if is_narrow {
            command.arg(aside).arg(aside.len());
        }
        command
    }
}
