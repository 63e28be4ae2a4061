//! Takes thoughts out of the content of models that put them there, between `<think>` and `</think>` at its beginning.
//! Works on text as it comes: tags may be cut anywhere. Pure. Tags further on are text, for a model may write of them.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A piece of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Thought(String),
    Text(String),
}

/// Reads one answer.
#[derive(Debug, Default)]
pub struct ThinkTags {
    state: State,
    /// What may be the beginning of a tag; never longer than white space and one.
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    /// Nothing but white space came.
    #[default]
    Before,
    Thinking,
    /// Behind the closing tag, where white space belongs to nobody.
    Behind,
    Saying,
}

/// White space before a tag that is waited through, in bytes.
const BLANKS_MAX: usize = 64;

impl ThinkTags {
    /// What `text`, which comes next, adds: nothing while it may be a tag.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.state == State::Saying {
            add(&mut pieces, Piece::Text(text.to_owned()));
            return pieces;
        }
        self.held.push_str(text);
        while self.step(&mut pieces) {}
        pieces
    }

    /// What was held back when the answer ends: a tag that never became one.
    pub fn end(&mut self) -> Option<Piece> {
        let held = std::mem::take(&mut self.held);
        let piece = match self.state {
            State::Thinking => Piece::Thought(held),
            _ => Piece::Text(held),
        };
        (!matches!(&piece, Piece::Thought(it) | Piece::Text(it) if it.is_empty())).then_some(piece)
    }

    /// Whether there is more to do with what is held.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.state {
            State::Before => self.before(pieces),
            State::Thinking => self.thinking(pieces),
            State::Behind => {
                let blanks = self.held.len() - self.held.trim_start().len();
                self.held.drain(..blanks);
                if !self.held.is_empty() {
                    self.say(pieces);
                }
                false
            }
            State::Saying => false,
        }
    }

    fn before(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let said = self.held.trim_start();
        let blanks = self.held.len() - said.len();
        if said.starts_with(OPEN) {
            self.held.drain(..blanks + OPEN.len());
            self.state = State::Thinking;
            return true;
        }
        if blanks > BLANKS_MAX || !OPEN.starts_with(said) {
            self.say(pieces);
        }
        false
    }

    fn thinking(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let (end, is_closed) = match self.held.find(CLOSE) {
            Some(at) => (at, true),
            None => (self.held.len() - tail(&self.held), false),
        };
        add(pieces, Piece::Thought(self.held[..end].to_owned()));
        self.held.drain(..if is_closed { end + CLOSE.len() } else { end });
        if is_closed {
            self.state = State::Behind;
        }
        is_closed
    }

    fn say(&mut self, pieces: &mut Vec<Piece>) {
        self.state = State::Saying;
        add(pieces, Piece::Text(std::mem::take(&mut self.held)));
    }
}

/// How much at the end of a thought may be the beginning of its closing tag, in bytes.
fn tail(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|it| text.ends_with(&CLOSE[..*it])).unwrap_or(0)
}

fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    match &piece {
        Piece::Thought(text) | Piece::Text(text) if text.is_empty() => {}
        _ => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All thoughts and all text of an answer that comes in these pieces.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let mut tags = ThinkTags::default();
        let mut told: Vec<Piece> = pieces.into_iter().flat_map(|it| tags.push(it)).collect();
        told.extend(tags.end());
        let (mut thought, mut text) = (String::new(), String::new());
        for piece in told {
            match piece {
                Piece::Thought(it) => {
                    assert!(text.is_empty() && !it.is_empty());
                    thought.push_str(&it);
                }
                Piece::Text(it) => text.push_str(&it),
            }
        }
        (thought, text)
    }

    const CASES: [(&str, &str, &str); 10] = [
        ("<think>hm</think>Hi", "hm", "Hi"),
        (
            "\n<think>\nhm <b> </thin\n</think>\n\nHi <think>no</think>",
            "\nhm <b> </thin\n",
            "Hi <think>no</think>",
        ),
        ("Hi <think>x</think>", "", "Hi <think>x</think>"),
        ("<think></think>Hi", "", "Hi"),
        ("<think>hm", "hm", ""),
        ("<think>hm</thi", "hm</thi", ""),
        ("<thin", "", "<thin"),
        ("<thinker>", "", "<thinker>"),
        ("", "", ""),
        ("<think>ä</think>ö", "ä", "ö"),
    ];

    #[test]
    fn thoughts_are_what_stands_between_the_first_tags() {
        for (content, thought, text) in CASES {
            assert_eq!(read([content]), (thought.into(), text.into()), "{content}");
        }
        let blanks = " ".repeat(BLANKS_MAX + 1);
        assert_eq!(read([blanks.as_str(), "<think>"]).1, blanks + "<think>");
    }

    #[test]
    fn what_is_no_tag_comes_at_once() {
        let mut tags = ThinkTags::default();
        assert_eq!(tags.push("<thi"), []);
        assert_eq!(tags.push("nk>a<"), [Piece::Thought("a".into())]);
        assert_eq!(tags.push("b"), [Piece::Thought("<b".into())]);
        assert_eq!(tags.push("</think> "), []);
        assert_eq!(tags.push(" c"), [Piece::Text("c".into())]);
        assert_eq!(tags.push("<"), [Piece::Text("<".into())]);
        assert_eq!(tags.end(), None);
    }

    proptest! {
        #[test]
        fn any_split_reads_the_same(case in 0..CASES.len(), cuts in prop::collection::vec(0..64_usize, 0..8)) {
            let (content, thought, text) = CASES[case];
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|it| content.is_char_boundary(*it)).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|it| &content[it[0]..it[1]]);
            prop_assert_eq!(read(pieces), (thought.to_owned(), text.to_owned()));
        }

        #[test]
        fn nothing_but_tags_and_the_space_behind_them_is_lost(content in "[<>/thinka ]{0,40}") {
            let (thought, text) = read([content.as_str()]);
            let whole = read(content.char_indices().map(|(at, it)| &content[at..at + it.len_utf8()]));
            prop_assert_eq!(&whole, &(thought.clone(), text.clone()));
            prop_assert!(thought.len() + text.len() <= content.len());
            if thought.is_empty() && !content.trim_start().starts_with(OPEN) {
                prop_assert_eq!(text, content);
            }
        }
    }
}
