//! Writes JSON by appending to a `String` or to bytes, compact and in the order of calls: no tree is built, and commas
//! stand where they belong by what stands before. Whoever opens a list or an object closes it; nothing else is checked.

/// The brackets of an object and of a list, for [`Ink::filled`].
pub const OBJECT: [u8; 2] = *b"{}";
pub const LIST: [u8; 2] = *b"[]";

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// A buffer that JSON is appended to. What stands in it before may be anything that ends in a space or a line break,
/// such as the head of an event.
pub trait Ink {
    /// Appends as it is.
    fn add(&mut self, text: &str) -> &mut Self;
    fn last_byte(&self) -> Option<u8>;
    fn size(&self) -> usize;
    fn cut(&mut self, size: usize);

    /// A comma where a value stands before. No value ends in a space, a colon or a bracket that opens.
    fn comma(&mut self) -> &mut Self {
        match self.last_byte() {
            None | Some(b'{' | b'[' | b':' | b' ' | b'\n') => self,
            _ => self.add(","),
        }
    }

    /// Begins an object or a list: `bracket` is `{` or `[`.
    fn open(&mut self, bracket: u8) -> &mut Self {
        self.comma().add(if bracket == b'{' { "{" } else { "[" })
    }

    /// Ends it: `bracket` is `}` or `]`.
    fn close(&mut self, bracket: u8) -> &mut Self {
        self.add(if bracket == b'}' { "}" } else { "]" })
    }

    /// Begins an object that says its type first, as most do whose fields depend on it.
    fn of_type(&mut self, kind: &str) -> &mut Self {
        self.open(b'{').text_field("type", kind)
    }

    /// The name of a field whose value comes next; the writer's own, which needs no escapes.
    fn key(&mut self, name: &str) -> &mut Self {
        self.comma().add("\"").add(name).add("\":")
    }

    /// The same for a name that somebody else chose.
    fn key_of(&mut self, name: &str) -> &mut Self {
        self.text(name).add(":")
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.comma().add("\"").escaped(text).add("\"")
    }

    /// What is JSON already: a value, or fields or values with their commas, perhaps none. Space around is left out.
    fn raw(&mut self, json: &str) -> &mut Self {
        match json.trim_ascii() {
            "" => self,
            json => self.comma().add(json),
        }
    }

    fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [b'0'; DIGITS_MAX];
        let (mut at, mut left) = (DIGITS_MAX - 1, number);
        while left > 9 {
            digits[at] += (left % 10) as u8;
            left /= 10;
            at -= 1;
        }
        digits[at] += left as u8;
        self.raw(std::str::from_utf8(&digits[at..]).unwrap_or("0"))
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.raw(if flag { "true" } else { "false" })
    }

    fn text_field(&mut self, name: &str, text: &str) -> &mut Self {
        self.key(name).text(text)
    }

    fn raw_field(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).raw(json)
    }

    /// A field that somebody else named.
    fn member(&mut self, name: &str, json: &str) -> &mut Self {
        self.key_of(name).raw(json)
    }

    fn number_field(&mut self, name: &str, number: u64) -> &mut Self {
        self.key(name).number(number)
    }

    fn flag_field(&mut self, name: &str, flag: bool) -> &mut Self {
        self.key(name).flag(flag)
    }

    /// A field, where there is something to say.
    fn text_if(&mut self, name: &str, text: Option<impl AsRef<str>>) -> &mut Self {
        text.iter().for_each(|it| _ = self.text_field(name, it.as_ref()));
        self
    }

    fn raw_if(&mut self, name: &str, json: Option<impl AsRef<str>>) -> &mut Self {
        json.iter().for_each(|it| _ = self.raw_field(name, it.as_ref()));
        self
    }

    fn number_if(&mut self, name: &str, number: Option<u64>) -> &mut Self {
        number.iter().for_each(|it| _ = self.number_field(name, *it));
        self
    }

    fn flag_if(&mut self, name: &str, flag: Option<bool>) -> &mut Self {
        flag.iter().for_each(|it| _ = self.flag_field(name, *it));
        self
    }

    fn text_or_null(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text_field(name, text),
            None => self.raw_field(name, "null"),
        }
    }

    /// A list of texts.
    fn texts(&mut self, name: &str, texts: impl IntoIterator<Item = impl AsRef<str>>) -> &mut Self {
        self.key(name).open(b'[');
        texts.into_iter().for_each(|it| _ = self.text(it.as_ref()));
        self.close(b']')
    }

    /// A list of values that are JSON already, where there are any.
    fn list_if(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) -> &mut Self {
        self.filled(name, LIST, |list| values.into_iter().for_each(|it| _ = list.raw(it.as_ref())));
        self
    }

    /// A field that holds an object, or a list, of which `write` writes what is in it. Left out where that is nothing.
    fn filled(&mut self, name: &str, brackets: [u8; 2], write: impl FnOnce(&mut Self)) {
        let before = self.size();
        self.key(name).open(brackets[0]);
        let empty = self.size();
        write(self);
        match self.size() == empty {
            true => self.cut(before),
            false => _ = self.close(brackets[1]),
        }
    }

    /// What stands between the quotes of a JSON string.
    fn escaped(&mut self, text: &str) -> &mut Self {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate().filter(|(_, it)| needs_escape(*it)) {
            self.add(&text[from..at]);
            from = at + 1;
            match byte {
                b'"' => self.add("\\\""),
                b'\\' => self.add("\\\\"),
                b'\n' => self.add("\\n"),
                b'\r' => self.add("\\r"),
                b'\t' => self.add("\\t"),
                8 => self.add("\\b"),
                12 => self.add("\\f"),
                _ => self.add(if byte < 16 { "\\u000" } else { "\\u001" }).add(hex(byte)),
            };
        }
        self.add(&text[from..])
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The last digit of a byte.
fn hex(byte: u8) -> &'static str {
    let digit = usize::from(byte % 16);
    &"0123456789abcdef"[digit..=digit]
}

impl Ink for String {
    fn add(&mut self, text: &str) -> &mut Self {
        self.push_str(text);
        self
    }

    fn last_byte(&self) -> Option<u8> {
        self.as_bytes().last().copied()
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn cut(&mut self, size: usize) {
        self.truncate(size);
    }
}

impl Ink for Vec<u8> {
    fn add(&mut self, text: &str) -> &mut Self {
        self.extend_from_slice(text.as_bytes());
        self
    }

    fn last_byte(&self) -> Option<u8> {
        self.last().copied()
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn cut(&mut self, size: usize) {
        self.truncate(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_values_and_empty_fields_are_left_out() {
        let mut ink = b"data: ".to_vec();
        ink.open(b'{').text_field("a", "x\"{").key_of("\n").open(b'[').raw(" {} ").text("[").text(":");
        ink.open(b'[').close(b']').close(b']').number_field("n", 0).flag_field("f", true);
        ink.text_or_null("o", None).texts("t", ["y:", "z"]).text_if("u", None::<&str>).raw_if("r", Some("1"));
        ink.raw("").list_if("l", [""; 0]).list_if("m", ["1", "2"]).filled("none", OBJECT, |_| ());
        ink.filled("some", OBJECT, |it| _ = it.number_if("x", Some(u64::MAX)).flag_if("y", None));
        ink.close(b'}').add("\n\n").open(b'{').close(b'}');
        let expected = concat!(
            r#"data: {"a":"x\"{","\n":[{},"[",":",[]],"n":0,"f":true,"o":null,"t":["y:","z"],"r":1,"m":[1,2],"#,
            r#""some":{"x":18446744073709551615}}"#,
            "\n\n{}"
        );
        assert_eq!(String::from_utf8(ink).unwrap(), expected);
    }

    #[test]
    fn texts_are_escaped_as_serde_json_does() {
        let mut texts: Vec<String> = (0..0x180).filter_map(char::from_u32).map(String::from).collect();
        texts.push(texts.concat());
        texts.push("a😀\u{2028}\"".into());
        for text in texts {
            let mut ink = String::new();
            ink.text(&text);
            assert_eq!(ink, serde_json::to_string(&text).unwrap());
        }
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut ink = Vec::new();
            ink.number(number);
            assert_eq!(ink, number.to_string().into_bytes());
        }
    }
}
