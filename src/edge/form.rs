//! Watches a form (RFC 7578) on its way through: finds its `model` field, so that a file can be routed without being
//! held, and refuses what a vendor's reader could take for another one. Nothing is changed and no content is kept.
//!
//! Readers of forms disagree about bare line feeds, text behind a delimiter, doubled parameters. Where two of them
//! could see different fields the form is refused: a model that only the vendor sees passes every allow-list.

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::error::Error;

mod head;

use head::is_model;
pub use head::{boundary, malformed, names};

/// Bytes of one part's headers.
const PART_HEADER_BYTES_MAX: usize = 8 << 10;

/// Bytes of a model's name.
const MODEL_BYTES_MAX: usize = 256;

/// Walks a form as it comes in, however it is cut: every byte is taken once, and none is waited for.
pub struct FormScan {
    delimiter: Vec<u8>,
    place: Place,
    section: Section,
    /// Bytes taken so far.
    taken: usize,
    /// The headers of the part that begins here, and where their last line starts.
    headers: Vec<u8>,
    line: usize,
    model: Option<Range<usize>>,
    #[cfg(test)]
    looked_at: usize,
}

/// Where in the grammar the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In a line that is no delimiter.
    Inside,
    /// Behind a carriage return.
    Return,
    /// At the beginning of a line, `matched` bytes of a delimiter behind it. `clean`: the line before ended in CRLF.
    Line {
        matched: usize,
        clean: bool,
    },
    /// Behind a delimiter.
    Behind(Tail),
    Headers,
}

/// How far the line of a delimiter has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tail {
    Nothing,
    Padding,
    Dash,
    Return,
}

/// What the content belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Section {
    Preamble,
    Part,
    /// The model's name, which starts there.
    Model(usize),
    Epilogue,
}

impl FormScan {
    /// `delimiter` as [`boundary`] gives it.
    pub fn new(delimiter: &str) -> Self {
        Self {
            delimiter: delimiter.as_bytes().to_vec(),
            place: Place::Line { matched: 0, clean: true },
            section: Section::Preamble,
            taken: 0,
            headers: Vec::new(),
            line: 0,
            model: None,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Where the model's name stands in all that was taken.
    pub fn model(&self) -> Option<Range<usize>> {
        self.model.clone()
    }

    /// Whether enough has come to know which model is named, if any is.
    pub fn is_decided(&self) -> bool {
        let delimited = !matches!(self.place, Place::Behind(_));
        delimited && (self.model.is_some() || self.section == Section::Epilogue)
    }

    /// Refuses a form that ends here before its last delimiter.
    pub fn finish(&self) -> Result<(), Error> {
        match self.section {
            Section::Epilogue => Ok(()),
            _ => Err(malformed("it ends before its last delimiter")),
        }
    }

    /// Takes what has come next.
    pub fn feed(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while let Some(first) = data.first() {
            let used = match self.place {
                Place::Headers => self.take_header(data)?,
                Place::Inside => self.take_line(data),
                Place::Behind(tail) => self.take_tail(tail, *first)?,
                Place::Return | Place::Line { .. } => self.take_line_start(*first)?,
            };
            self.taken += used;
            self.note_looked_at(used);
            data = &data[used..];
            self.check_model_length()?;
        }
        Ok(())
    }

    fn take_line(&mut self, data: &[u8]) -> usize {
        let Some(end) = memchr2(b'\r', b'\n', data) else { return data.len() };
        self.place = match data[end] {
            b'\r' => Place::Return,
            _ => Place::Line { matched: 0, clean: false },
        };
        end + 1
    }

    fn take_line_start(&mut self, byte: u8) -> Result<usize, Error> {
        let (matched, clean) = match self.place {
            Place::Line { matched, clean } => (matched, clean),
            _ => (0, false),
        };
        self.place = match byte {
            _ if byte == self.delimiter[matched] => Place::Line { matched: matched + 1, clean },
            b'\r' => Place::Return,
            b'\n' => Place::Line { matched: 0, clean: self.place == Place::Return },
            _ => Place::Inside,
        };
        if self.place == (Place::Line { matched: self.delimiter.len(), clean }) {
            if !clean || self.section == Section::Epilogue {
                return Err(malformed("its delimiter stands where only some readers take it for one"));
            }
            if let Section::Model(start) = self.section {
                // The line end before a delimiter belongs to it.
                self.model = Some(start..self.taken + 1 - self.delimiter.len() - 2);
            }
            self.place = Place::Behind(Tail::Nothing);
        }
        Ok(1)
    }

    fn take_tail(&mut self, tail: Tail, byte: u8) -> Result<usize, Error> {
        self.place = match (tail, byte) {
            (Tail::Nothing, b'-') => Place::Behind(Tail::Dash),
            (Tail::Nothing | Tail::Padding, b' ' | b'\t') => Place::Behind(Tail::Padding),
            (Tail::Nothing | Tail::Padding, b'\r') => Place::Behind(Tail::Return),
            (Tail::Dash, b'-') => {
                self.section = Section::Epilogue;
                Place::Inside
            }
            (Tail::Return, b'\n') => {
                self.section = Section::Part;
                Place::Headers
            }
            _ => return Err(malformed("a line begins with its delimiter and goes on")),
        };
        Ok(1)
    }

    fn take_header(&mut self, data: &[u8]) -> Result<usize, Error> {
        let used = memchr(b'\n', data).map_or(data.len(), |it| it + 1);
        if self.headers.len() + used > PART_HEADER_BYTES_MAX {
            let message = format!("A part's headers are longer than {PART_HEADER_BYTES_MAX} bytes.");
            return Err(Error::bad_request(message).param("model").code("part_headers_too_large"));
        }
        self.headers.extend_from_slice(&data[..used]);
        let line = &self.headers[self.line..];
        if !line.ends_with(b"\n") {
            return Ok(used);
        }
        if !line.ends_with(b"\r\n") || line.starts_with(&self.delimiter) {
            return Err(malformed("a part's headers are not lines of headers"));
        }
        let is_last = line == b"\r\n";
        self.note_looked_at(line.len());
        self.line = self.headers.len();
        if is_last {
            self.begin_content(self.taken + used)?;
        }
        Ok(used)
    }

    fn begin_content(&mut self, start: usize) -> Result<(), Error> {
        self.note_looked_at(self.headers.len());
        if is_model(&self.headers)? {
            if self.model.is_some() {
                return Err(Error::bad_request("The form names `model` more than once.")
                    .param("model")
                    .code("duplicate_field"));
            }
            self.section = Section::Model(start);
        }
        self.headers.clear();
        self.line = 0;
        // A delimiter right here would share the line end of the headers, which not every reader allows.
        self.place = Place::Line { matched: 0, clean: false };
        Ok(())
    }

    /// As soon as no delimiter can come in time; a name that never ends is not waited for.
    fn check_model_length(&self) -> Result<(), Error> {
        let Section::Model(start) = self.section else { return Ok(()) };
        let length = match &self.model {
            Some(place) => place.len(),
            None => self.taken.saturating_sub(start + 2 + self.delimiter.len()),
        };
        if length <= MODEL_BYTES_MAX {
            return Ok(());
        }
        let message = format!("The form's `model` is longer than {MODEL_BYTES_MAX} bytes.");
        Err(Error::bad_request(message).param("model").code("model_too_long"))
    }

    fn note_looked_at(&mut self, _bytes: usize) {
        #[cfg(test)]
        {
            self.looked_at += _bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: &str = "content-disposition: form-data; name=\"model\"\r\n\r\n";
    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n";

    fn form(parts: &[&[u8]]) -> Vec<u8> {
        let mut form = parts.iter().flat_map(|it| [b"--xY\r\n", *it, b"\r\n"]).collect::<Vec<_>>().concat();
        form.extend_from_slice(b"--xY--\r\n");
        form
    }

    /// The model's name, or the code of the refusal.
    fn read<'a>(form: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Vec<u8>>, String> {
        let mut scan = FormScan::new("--xY");
        let fed = pieces.into_iter().try_for_each(|it| scan.feed(it)).and_then(|()| scan.finish());
        assert!(scan.looked_at <= 3 * form.len(), "{} bytes for {}", scan.looked_at, form.len());
        fed.map(|()| scan.model().map(|it| form[it].to_vec())).map_err(|it| it.code.clone().unwrap())
    }

    #[track_caller]
    fn check(form: &[u8], expected: Result<Option<&str>, &str>) {
        for step in [1, 2, 7, 64, form.len().max(1)] {
            let found = read(form, form.chunks(step));
            let expected = expected.map(|it| it.map(|it| it.as_bytes().to_vec())).map_err(str::to_owned);
            assert_eq!(found, expected, "{} by {step}", String::from_utf8_lossy(form));
        }
    }

    fn part(headers: &str, content: &str) -> Vec<u8> {
        [headers, content].concat().into_bytes()
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        let (model, file) =
            (part(MODEL, "whisper-1"), part(FILE, "RIFF--xY\r\nname=\"model\"\r\n\r\n-\r\n--x"));
        check(&form(&[&model, &file]), Ok(Some("whisper-1")));
        check(&form(&[&file, &model, &file]), Ok(Some("whisper-1")));
        check(&form(&[&file, b"\r\n"]), Ok(None));
        check(&form(&[]), Ok(None));
        let longest = "m".repeat(256);
        check(&form(&[&part(MODEL, &longest)]), Ok(Some(&longest)));
        check(
            b"early\r\n--xY \t\r\ncontent-disposition: form-data; name=model\r\n\r\na\r\n--xY--late",
            Ok(Some("a")),
        );
    }

    #[test]
    fn a_second_model_is_refused_as_soon_as_its_headers_are_there() {
        let (model, file) = (part(MODEL, "a"), part(FILE, "..."));
        check(&form(&[&model, &model]), Err("duplicate_field"));
        check(&form(&[&model, &file, &part(MODEL, "b"), &file]), Err("duplicate_field"));
        let form = [b"--xY\r\n", &model[..], b"\r\n--xY\r\n", MODEL.as_bytes()].concat();
        let (last, before) = form.split_last().unwrap();
        let mut scan = FormScan::new("--xY");
        scan.feed(before).unwrap();
        let error = scan.feed(&[*last]).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some("model")));
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for text in [
            "",
            "no form",
            "--xY\r\n",
            "--xYZ\r\n\r\n\r\n--xY--",
            "--xY--\r\n--xY\r\n\r\n",
            "x\n--xY\r\n\r\n\r\n--xY--",
            "x\r--xY\r\n\r\n\r\n--xY--",
            "--xY\n\n\n--xY--\n",
            "--xY\r\n\r\n--xY--",
            "--xY\r\n\r\nx\r\n--xYZ\r\n--xY--",
            "--xY\r\n\r\nx\r\n--xY-\r\n--xY--",
            "--xY\r\n\r\nx\n--xY\r\n\r\n\r\n--xY--",
            "--xY\r\nX: y\nZ: z\r\n\r\n\r\n--xY--",
            "--xY\r\n--xY\r\n\r\n\r\n--xY--",
            "--xY\r\nno header\r\n\r\n\r\n--xY--",
        ] {
            check(text.as_bytes(), Err("invalid_form"));
        }
    }

    #[test]
    fn headers_and_names_have_bounds() {
        let long = part("X: ", &"h".repeat(PART_HEADER_BYTES_MAX));
        check(&form(&[&long]), Err("part_headers_too_large"));
        check(&form(&[&part(MODEL, &"m".repeat(257))]), Err("model_too_long"));
        let endless = [b"--xY\r\n", MODEL.as_bytes(), &vec![b'm'; 12_000]].concat();
        check(&endless, Err("model_too_long"));
    }

    #[test]
    fn every_byte_of_12_mb_in_64_byte_pieces_is_looked_at_a_bounded_number_of_times() {
        let nasty = b"\r\n--x\r\r\n--x\n\n--".repeat(800_000);
        let form = form(&[&[FILE.as_bytes(), &nasty].concat(), &part(MODEL, "whisper-1")]);
        assert!(form.len() > 12_000_000);
        assert_eq!(read(&form, form.chunks(64)), Ok(Some(b"whisper-1".to_vec())));
    }

    proptest! {
        #[test]
        fn contents_and_cuts_make_no_difference(
            content in prop::collection::vec(prop::sample::select(vec![
                "--xY", "--x", "Y", "--", "-", "\r\n", "\r", "\n", " ", MODEL, FILE, "a",
            ]), 0..12).prop_map(|it| it.concat()),
            cuts in prop::collection::vec(1..40_usize, 1..20),
            model_first: bool,
        ) {
            let (model, file) = (part(MODEL, "whisper-1"), part(FILE, &content));
            let form = if model_first { form(&[&model, &file]) } else { form(&[&file, &model]) };
            let mut rest = &form[..];
            let pieces = cuts.iter().cycle().map_while(|cut| {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                rest = behind;
                (!piece.is_empty()).then_some(piece)
            });
            let found = read(&form, pieces);
            // Only a delimiter at the beginning of a line can be taken for one.
            let clear = !["\r--xY", "\n--xY"].iter().any(|it| content.contains(it)) && !content.starts_with("--xY");
            match clear {
                true => prop_assert_eq!(found, Ok(Some(b"whisper-1".to_vec()))),
                false => prop_assert_eq!(found, read(&form, [&form[..]])),
            }
        }
    }
}
