//! Counts the kinds of things a text is made of, in one pass over its bytes.

/// A stretch of base64 letters at least this long is no text, in bytes.
const BASE64_BYTES_MIN: usize = 128;

/// Letters of a word that one token holds as a rule; the rest weighs extra.
const WORD_LETTERS: u32 = 6;

/// Digits of one token.
const GROUP_DIGITS: u32 = 3;

/// Kinds of things, and what each weighs in thousandths of a token.
#[derive(Clone, Copy)]
enum Kind {
    /// A word in letters of ASCII and accented ones, the space before it included.
    Word,
    /// Each of its letters beyond the sixth.
    LongWord,
    /// Up to three digits.
    Digits,
    /// A run of marks, by its first.
    Mark,
    /// Each further mark of a run.
    MoreMarks,
    /// A run of white space that is more than one space between words.
    Break,
    /// An accented letter.
    Accent,
    /// A letter of Greek, Cyrillic, Hebrew, Arabic.
    Letter,
    Ideograph,
    Kana,
    Hangul,
    /// Any other character of three bytes: Indic scripts, Thai, typographic marks.
    Other,
    /// Characters of four bytes.
    Emoji,
}

const KINDS: usize = Kind::Emoji as usize + 1;

/// By [`Kind`]: a least-squares fit to o200k, in the European scripts with a look at cl100k. What a JSON body adds to its
/// text comes out as the few tokens that chat templates add to each message.
const WEIGHTS: [u64; KINDS] = [970, 220, 1_500, 390, 330, 990, 300, 330, 800, 750, 900, 700, 2_000];

/// What a byte begins or belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Start,
    Lower,
    Upper,
    Digit,
    Space,
    Break,
    Mark,
    /// A character that stands for itself.
    Single,
}

/// The counts of one text or several samples of it.
pub(super) struct Census {
    counts: [u64; KINDS],
    /// Escapes are to be read, and quotes are not text.
    is_json: bool,
    pub(super) base64: bool,
}

impl Census {
    pub(super) fn new(is_json: bool) -> Self {
        Self { counts: [0; KINDS], is_json, base64: false }
    }

    pub(super) fn millitokens(&self) -> u64 {
        self.counts.iter().zip(WEIGHTS).map(|(count, weight)| count * weight).sum()
    }

    /// Adds a text, or a part of one that may begin and end anywhere.
    pub(super) fn take(&mut self, text: &[u8]) {
        if !self.is_json {
            return self.read(text);
        }
        let mut from = 0;
        // A stretch of that length covers one of these places, so nothing between them need be looked at.
        for probe in (0..text.len()).step_by(BASE64_BYTES_MIN) {
            if probe < from || !is_base64(text[probe]) {
                continue;
            }
            let before = text[from..probe].iter().rev().take_while(|it| is_base64(**it)).count();
            let behind = text[probe..].iter().take_while(|it| is_base64(**it)).count();
            let stretch = probe - before..probe + behind;
            if stretch.len() >= BASE64_BYTES_MIN && looks_random(&text[stretch.clone()]) {
                self.base64 = true;
                self.read(&text[from..stretch.start]);
                from = stretch.end;
            }
        }
        self.read(&text[from..]);
    }

    fn read(&mut self, text: &[u8]) {
        let mut run = Run { class: Class::Start, length: 0 };
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += match (byte, self.is_json) {
                (b'\\', true) => self.escape(&text[at..], &mut run),
                // A quote of JSON's own: it ends a word and is none.
                (b'"', true) => {
                    run = Run { class: Class::Start, length: 0 };
                    1
                }
                _ => {
                    self.byte(byte, &mut run);
                    1
                }
            };
        }
    }

    /// What stands behind a backslash; returns how many bytes were read.
    fn escape(&mut self, text: &[u8], run: &mut Run) -> usize {
        match text.get(1) {
            Some(b'n' | b'r' | b't') => self.ascii(Class::Break, run),
            Some(b'u') => {
                let code =
                    text.get(2..6).and_then(|it| u32::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
                let Some(code) = code else { return 2 };
                self.escaped(code, run);
                return 6;
            }
            _ => self.ascii(Class::Mark, run),
        }
        2
    }

    /// A character by its number in UTF-16.
    fn escaped(&mut self, code: u32, run: &mut Run) {
        match (u8::try_from(code), char::from_u32(code)) {
            (Ok(ascii @ ..0x80), _) => self.byte(ascii, run),
            (_, Some(character)) => {
                let mut bytes = [0; 4];
                self.byte(character.encode_utf8(&mut bytes).as_bytes()[0], run);
            }
            // Of the two halves of an emoji the first counts.
            (_, None) if code < 0xDC00 => self.byte(0xF0, run),
            (_, None) => {}
        }
    }

    fn byte(&mut self, byte: u8, run: &mut Run) {
        match byte {
            b'a'..=b'z' => self.ascii(Class::Lower, run),
            b'A'..=b'Z' => self.ascii(Class::Upper, run),
            b'0'..=b'9' => self.ascii(Class::Digit, run),
            b' ' => self.ascii(Class::Space, run),
            b'\n' | b'\r' | b'\t' => self.ascii(Class::Break, run),
            ..0x80 => self.ascii(Class::Mark, run),
            0x80..0xC0 => {}
            // Accented letters are part of the word they stand in.
            0xC0..0xCE => {
                self.ascii(Class::Lower, run);
                self.add(Kind::Accent);
            }
            0xCE..0xE0 => self.single(Kind::Letter, run),
            0xE3 => self.single(Kind::Kana, run),
            0xE4..0xEA => self.single(Kind::Ideograph, run),
            0xEA..0xEE => self.single(Kind::Hangul, run),
            0xE0..0xF0 => self.single(Kind::Other, run),
            0xF0.. => self.single(Kind::Emoji, run),
        }
    }

    fn single(&mut self, kind: Kind, run: &mut Run) {
        self.add(kind);
        *run = Run { class: Class::Single, length: 1 };
    }

    /// A byte of a run: counts where the run begins, and where it outgrows a token.
    fn ascii(&mut self, class: Class, run: &mut Run) {
        let goes_on = run.class == class || (run.class, class) == (Class::Upper, Class::Lower);
        run.length = if goes_on { run.length + 1 } else { 1 };
        run.class = class;
        match class {
            Class::Lower | Class::Upper if run.length == 1 => self.add(Kind::Word),
            Class::Lower | Class::Upper if run.length > WORD_LETTERS => self.add(Kind::LongWord),
            Class::Digit if run.length % GROUP_DIGITS == 1 => self.add(Kind::Digits),
            Class::Mark if run.length == 1 => self.add(Kind::Mark),
            Class::Mark => self.add(Kind::MoreMarks),
            Class::Break if run.length == 1 => self.add(Kind::Break),
            Class::Space if run.length == 2 => self.add(Kind::Break),
            _ => {}
        }
    }

    fn add(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
    }
}

/// What the last bytes had in common.
struct Run {
    class: Class,
    length: u32,
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Base64 mixes digits and both cases; a long word or path does not.
fn looks_random(text: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| text.iter().any(is);
    has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}
