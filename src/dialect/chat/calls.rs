//! Puts the pieces of streamed calls to the calls they belong to. Vendors agree little on it: a piece may have an index
//! or none, repeat its call's id and name or not; some send whole calls without an index, and some all with index 0.

use super::said::arguments_text;
use crate::api::fields::{Fields, elements, inner};
use crate::api::surrogates::Pieces;
use crate::dialect::event::Event;
use crate::dialect::read::{count_of, object_of, text_of};
use crate::dialect::whole::Whole;
use crate::dialect::{Unreadable, prompt};

/// Most calls of one answer.
const CALLS_MAX: usize = 4096;

/// Arguments that are held until their call has a name, in bytes.
const HELD_BYTES_MAX: usize = 1 << 20;

/// One element of `tool_calls`.
pub struct Piece<'a> {
    index: Option<u64>,
    pub id: Option<String>,
    name: Option<String>,
    /// As JSON.
    arguments: Option<&'a str>,
    is_custom: bool,
}

/// The place of the deprecated `function_call`, which no index has.
const FUNCTION_CALL: u64 = u64::MAX;

impl<'a> Piece<'a> {
    /// All pieces of a delta.
    pub fn all(delta: &Fields<'a>) -> Vec<Self> {
        let list = delta.value("tool_calls").and_then(elements).unwrap_or_default();
        let mut pieces: Vec<Self> = list.into_iter().filter_map(|it| Self::read(it.get())).collect();
        if let Some(call) = object_of(delta, "function_call") {
            pieces.push(Self::of(Some(FUNCTION_CALL), None, &call, false));
        }
        pieces
    }

    fn read(json: &'a str) -> Option<Self> {
        let fields = Fields::read(json)?;
        let custom = object_of(&fields, "custom");
        let is_custom = custom.is_some();
        let inner = custom.or_else(|| object_of(&fields, "function")).unwrap_or_default();
        let id = text_of(&fields, "id").filter(|it| !it.is_empty());
        Some(Self::of(count_of(&fields, "index"), id, &inner, is_custom))
    }

    fn of(index: Option<u64>, id: Option<String>, inner: &Fields<'a>, is_custom: bool) -> Self {
        let arguments = inner.value(if is_custom { "input" } else { "arguments" });
        let name = text_of(inner, "name").filter(|it| !it.is_empty());
        Self { index, id, name, arguments, is_custom }
    }
}

/// The calls of one answer so far.
#[derive(Default)]
pub struct Calls(Vec<Call>);

struct Call {
    index: Option<u64>,
    id: String,
    /// Once it is told.
    name: Option<String>,
    is_custom: bool,
    arguments: Pieces,
    whole: Whole,
    /// What came before the name.
    held: String,
}

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells what a piece says.
    pub fn read(&mut self, piece: Piece, mut tell: impl FnMut(Event)) -> Result<(), Unreadable> {
        let number = match self.find(&piece) {
            Some(number) => number,
            None if self.0.len() < CALLS_MAX => {
                self.0.push(Call::of(&piece));
                self.0.len() - 1
            }
            None => return Err(Unreadable("it has more calls than an answer can have")),
        };
        let call = &mut self.0[number];
        if let Some(json) = piece.arguments {
            let text = match inner(json) {
                Some(_) => call.arguments.read(json),
                None => Some(arguments_text(json)),
            };
            call.hold(&text.unwrap_or_default());
        }
        let must_begin = call.held.len() > HELD_BYTES_MAX;
        match piece.name {
            Some(name) if call.name.is_none() => call.begin(number, name, &mut tell),
            None if call.name.is_none() && must_begin => call.begin(number, String::new(), &mut tell),
            _ => {}
        }
        call.tell_held(number, &mut tell);
        Ok(())
    }

    /// The call that a piece continues.
    fn find(&self, piece: &Piece) -> Option<usize> {
        if let Some(index) = piece.index {
            let at = self.0.iter().rposition(|it| it.index == Some(index))?;
            return (!self.0[at].ends_before(piece)).then_some(at);
        }
        if let Some(id) = &piece.id {
            return self.0.iter().rposition(|it| it.id == *id);
        }
        let last = self.0.len().checked_sub(1)?;
        (piece.name.is_none() || self.0[last].name.is_none()).then_some(last)
    }

    /// Whether the arguments of one have begun and are not whole.
    pub fn are_cut(&self) -> bool {
        let is_cut = |it: &Call| !it.is_custom && it.whole != Whole::default() && !it.whole.is_whole();
        self.0.iter().any(is_cut)
    }

    /// No piece comes any more.
    pub fn end(&mut self, mut tell: impl FnMut(Event)) {
        for (number, call) in self.0.iter_mut().enumerate() {
            let rest = call.arguments.end().unwrap_or_default();
            call.hold(&rest);
            if call.name.is_none() {
                call.begin(number, String::new(), &mut tell);
            }
            call.tell_held(number, &mut tell);
        }
    }
}

impl Call {
    fn of(piece: &Piece) -> Self {
        let id = piece.id.clone().unwrap_or_else(prompt::Call::new_id);
        let (index, is_custom) = (piece.index, piece.is_custom);
        let (arguments, whole) = (Pieces::default(), Whole::default());
        Self { index, id, name: None, is_custom, arguments, whole, held: String::new() }
    }

    /// Whether a piece of the same index is of another call: it has another id, or, where it has none, another name, or the
    /// same one and arguments of its own.
    fn ends_before(&self, piece: &Piece) -> bool {
        let (Some(name), Some(own)) = (&piece.name, &self.name) else {
            return piece.name.is_some() && piece.id.as_ref().is_some_and(|it| *it != self.id);
        };
        let begins = || piece.arguments.is_some_and(|it| inner(it).unwrap_or(it).starts_with('{'));
        match &piece.id {
            Some(id) => *id != self.id,
            None => name != own || (!self.is_custom && self.whole.is_whole() && begins()),
        }
    }

    fn hold(&mut self, text: &str) {
        self.whole.push(text);
        self.held.push_str(text);
    }

    fn begin(&mut self, number: usize, name: String, tell: &mut impl FnMut(Event)) {
        self.name = Some(name.clone());
        let is_custom = self.is_custom;
        tell(Event::CallBegins { call: number as u32, id: self.id.clone(), name, is_custom });
    }

    fn tell_held(&mut self, number: usize, tell: &mut impl FnMut(Event)) {
        if self.name.is_some() && !self.held.is_empty() {
            tell(Event::CallGoesOn { call: number as u32, arguments: std::mem::take(&mut self.held) });
        }
    }
}
