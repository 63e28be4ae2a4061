//! What an answer needs besides being read: thoughts that a model wrote into its content are taken out of it, the input of a
//! custom tool, which left as a function with one text, becomes text again, and tools have the names that they had. Works on
//! what is told, so in every dialect alike. Called where answers are put into chat's words.

use crate::dialect::answer::Answer;
use crate::dialect::arguments::unwrapped;
use crate::dialect::event::{Event, Told};
use crate::dialect::prompt::{Call, Part, Prompt, Thought, Tool};
use crate::dialect::tool_names::{NameRule, Renamed};
use crate::dialect::whole::Whole;
use crate::vendor::think_tags::{Piece, ThinkTags};

/// Longest input of a custom tool that is put together, in bytes; a longer one stays as its vendor wrote it.
const INPUT_BYTES_MAX: usize = 4 << 20;

/// What is to be done to the answers of one call at one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mends {
    /// The model thinks in its content, between tags.
    pub think_tags: bool,
    /// Names of the call's custom tools.
    pub customs: Vec<String>,
    /// Its tools that have other names at the target.
    pub names: Renamed,
}

impl Mends {
    /// For a call that goes out in a dialect of its vendor's own, where names of tools are to be as `rule` says.
    pub fn of(prompt: &mut Prompt, rule: &NameRule) -> Self {
        let custom = |it: &Tool| match it {
            Tool::Custom { name, .. } => Some(name.clone()),
            _ => None,
        };
        let customs = prompt.tools.iter().filter_map(custom).collect();
        Self { think_tags: false, customs, names: Renamed::of(prompt, rule) }
    }

    /// Answers are fine as they come.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Mends a whole answer.
    pub fn mend(&self, answer: &mut Answer) {
        for choice in &mut answer.choices {
            if self.think_tags {
                choice.parts = parted(std::mem::take(&mut choice.parts));
            }
            for part in &mut choice.parts {
                if let Part::Call(call) = part {
                    self.unwrap(call);
                }
            }
        }
    }

    fn unwrap(&self, call: &mut Call) {
        self.names.restore(&mut call.name);
        if !call.is_custom && self.customs.contains(&call.name) {
            call.is_custom = true;
            call.arguments = unwrapped(std::mem::take(&mut call.arguments));
        }
    }
}

/// The parts of an answer whose first text may begin with thoughts.
fn parted(parts: Vec<Part>) -> Vec<Part> {
    let mut tags = Some(ThinkTags::default());
    let mut mended = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        match (part, tags.take()) {
            (Part::Text { text, cache, citations }, Some(mut tags)) => {
                let mut said = String::new();
                for piece in tags.push(&text).into_iter().chain(tags.end()) {
                    match piece {
                        Piece::Thought(text) => {
                            mended.push(Part::Thought(Thought { text, ..Thought::default() }))
                        }
                        Piece::Text(text) => said.push_str(&text),
                    }
                }
                if !said.is_empty() {
                    mended.push(Part::Text { text: said, cache, citations });
                }
            }
            (other, unread) => {
                tags = unread;
                mended.push(other);
            }
        }
    }
    mended
}

/// Mends one stream.
pub struct Mender {
    mends: Mends,
    tags: Vec<(u32, ThinkTags)>,
    open: Vec<OpenCall>,
}

/// A call of a custom tool whose input is not whole.
struct OpenCall {
    choice: u32,
    call: u32,
    arguments: String,
    whole: Whole,
}

impl OpenCall {
    fn push(&mut self, arguments: &str) {
        self.arguments.push_str(arguments);
        self.whole.push(arguments);
    }
}

impl Mender {
    /// None where there is nothing to mend.
    pub fn new(mends: Mends) -> Option<Self> {
        (!mends.is_empty()).then_some(Self { mends, tags: Vec::new(), open: Vec::new() })
    }

    /// Adds what becomes of `told` to `mended`.
    pub fn take(&mut self, mut told: Told, mended: &mut Vec<Told>) {
        let choice = told.choice;
        match &mut told.event {
            Event::Text(text) if self.mends.think_tags => {
                let pieces = self.tags(choice).push(text);
                mended.extend(pieces.into_iter().map(|it| Told { choice, event: event(it) }));
                return;
            }
            Event::CallBegins { call, name, is_custom, .. } => {
                let call = *call;
                self.mends.names.restore(name);
                let wrapped = !*is_custom && self.mends.customs.contains(name);
                *is_custom |= wrapped;
                self.finish(choice, false, mended);
                if wrapped {
                    self.open.push(OpenCall {
                        choice,
                        call,
                        arguments: String::new(),
                        whole: Whole::default(),
                    });
                }
            }
            Event::CallGoesOn { call, arguments } if self.holds(choice, *call, arguments) => return,
            Event::Finish(_) => self.finish(choice, true, mended),
            _ => {}
        }
        mended.push(told);
    }

    fn tags(&mut self, choice: u32) -> &mut ThinkTags {
        let at = match self.tags.iter().position(|it| it.0 == choice) {
            Some(at) => at,
            None => {
                self.tags.push((choice, ThinkTags::default()));
                self.tags.len() - 1
            }
        };
        &mut self.tags[at].1
    }

    fn holds(&mut self, choice: u32, call: u32, arguments: &str) -> bool {
        let open = self.open.iter_mut().find(|it| (it.choice, it.call) == (choice, call));
        let fits = open.filter(|it| it.arguments.len() + arguments.len() <= INPUT_BYTES_MAX);
        fits.map(|it| it.push(arguments)).is_some()
    }

    /// Tells what was held back of an answer; of its calls `all`, or those that can take no more.
    fn finish(&mut self, choice: u32, all: bool, mended: &mut Vec<Told>) {
        let tags = self.tags.iter_mut().find(|it| it.0 == choice);
        let rest = tags.and_then(|it| it.1.end());
        mended.extend(rest.map(|it| Told { choice, event: event(it) }));
        for it in self.open.extract_if(.., |it| it.choice == choice && (all || it.whole.is_whole())) {
            let event = Event::CallGoesOn { call: it.call, arguments: unwrapped(it.arguments) };
            mended.push(Told { choice, event });
        }
    }
}

fn event(piece: Piece) -> Event {
    match piece {
        Piece::Text(text) => Event::Text(text),
        Piece::Thought(text) => Event::Thought { text, is_summary: false, starts: false, id: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::answer::{Choice, Reason};

    fn mends() -> Mends {
        Mends { think_tags: true, customs: vec!["shell".into()], ..Mends::default() }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.into())
    }

    fn thought(text: &str) -> Event {
        event(Piece::Thought(text.into()))
    }

    fn begins(call: u32, name: &str, is_custom: bool) -> Event {
        Event::CallBegins { call, id: "c".into(), name: name.into(), is_custom }
    }

    fn goes_on(call: u32, arguments: &str) -> Event {
        Event::CallGoesOn { call, arguments: arguments.into() }
    }

    fn check(told: &[Event], expected: &[Event]) {
        let mut mender = Mender::new(mends()).unwrap();
        let mut mended = Vec::new();
        told.iter().for_each(|it| mender.take(it.clone().told(), &mut mended));
        assert_eq!(mended, expected.iter().cloned().map(Event::told).collect::<Vec<_>>());
    }

    #[test]
    fn a_stream_is_told_mended() {
        let finish = || Event::Finish(Reason::Stop.into());
        check(
            &[text("<th"), text("ink>a"), text("b</think>\n"), text("c"), finish()],
            &[thought("a"), thought("b"), text("c"), finish()],
        );
        check(&[text("<thi"), finish()], &[text("<thi"), finish()]);
        check(
            &[
                begins(0, "shell", false),
                goes_on(0, r#"{"inp"#),
                begins(1, "f", false),
                goes_on(1, "{}"),
                goes_on(0, r#"ut":"a"}"#),
                finish(),
            ],
            &[begins(0, "shell", true), begins(1, "f", false), goes_on(1, "{}"), goes_on(0, "a"), finish()],
        );
        check(
            &[begins(0, "shell", false), goes_on(0, r#"{"input":"l\ns"}"#), begins(1, "f", false), finish()],
            &[begins(0, "shell", true), goes_on(0, "l\ns"), begins(1, "f", false), finish()],
        );
        check(&[begins(0, "shell", true), goes_on(0, "ls")], &[begins(0, "shell", true), goes_on(0, "ls")]);
    }

    /// Each call that begins asks of the open one whether it is whole: read anew each time, that would take minutes.
    #[test]
    fn a_long_call_is_read_once() {
        let mut mender = Mender::new(mends()).unwrap();
        let mut mended = Vec::new();
        let long = format!("{{\"input\":\"{}", "x".repeat(3 << 20));
        let others = (1..10_000).map(|it| begins(it, "f", false));
        let all = [begins(0, "shell", false), goes_on(0, &long)].into_iter().chain(others);
        for event in all.chain([goes_on(0, "\"}"), begins(10_000, "f", false)]) {
            mender.take(event.told(), &mut mended);
        }
        let told = &mended[mended.len() - 2].event;
        assert!(matches!(told, Event::CallGoesOn { call: 0, arguments } if arguments.len() == 3 << 20));
    }

    #[test]
    fn a_whole_answer_is_mended() {
        let call = |arguments: &str, is_custom| {
            Part::Call(Call { id: "c".into(), name: "shell".into(), arguments: arguments.into(), is_custom })
        };
        let parts =
            vec![Part::text("<think>a</think>b"), Part::text("<think>"), call(r#"{"input":"ls"}"#, false)];
        let mut answer = Answer { choices: vec![Choice { parts, ..Choice::default() }], ..Answer::default() };
        mends().mend(&mut answer);
        let thought = Part::Thought(Thought { text: "a".into(), ..Thought::default() });
        let expected = [thought, Part::text("b"), Part::text("<think>"), call("ls", true)];
        assert_eq!(answer.choices[0].parts, expected);
        assert!(Mender::new(Mends::default()).is_none());
    }
}
