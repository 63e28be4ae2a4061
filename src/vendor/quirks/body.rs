//! The top level of a request body: its fields and where they stand, and the splices that change some of them.

use bytes::Bytes;

use crate::api::edit::Edits;
use crate::api::fields::{Fields, quoted};

/// One field of the body.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub name: &'a str,
    /// JSON as it stands there.
    pub value: &'a str,
    /// Where its name begins, and where its value ends.
    from: usize,
    to: usize,
    /// What becomes of it.
    pub is_gone: bool,
    pub new_name: Option<&'a str>,
    pub new_value: Option<String>,
}

impl Field<'_> {
    /// The value as far as it is changed already.
    pub fn now(&self) -> &str {
        self.new_value.as_deref().unwrap_or(self.value)
    }

    fn is_changed(&self) -> bool {
        self.is_gone || self.new_name.is_some() || self.new_value.is_some()
    }
}

/// The fields, and those that come to them.
pub(super) struct Body<'a> {
    text: &'a str,
    pub fields: Vec<Field<'a>>,
    /// Just behind the opening brace.
    first: usize,
    added: Vec<(&'a str, String)>,
}

impl<'a> Body<'a> {
    /// `fields` of `text`, read from it.
    pub fn new(text: &'a str, fields: &'a Fields<'a>) -> Option<Self> {
        let first = 1 + text.find('{')?;
        let mut end = first;
        let mut found = Vec::new();
        for (name, value) in fields.each() {
            // A raw value borrows from the text, so its place is a difference of addresses.
            let start = value.as_ptr() as usize - text.as_ptr() as usize;
            let from = end + text.get(end..start)?.find('"')?;
            end = start + value.len();
            found.push(Field { name, value, from, to: end, is_gone: false, new_name: None, new_value: None });
        }
        Some(Self { text, fields: found, first, added: Vec::new() })
    }

    /// The field that readers would take, of two of one name the last.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().rev().find(|it| it.name == name)
    }

    /// Its value; None also where it is null.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|it| it.value).filter(|it| *it != "null")
    }

    pub fn field_mut(&mut self, name: &str) -> Option<&mut Field<'a>> {
        self.fields.iter_mut().rev().find(|it| it.name == name)
    }

    /// Takes every field of that name out.
    pub fn remove(&mut self, name: &str) {
        self.fields.iter_mut().filter(|it| it.name == name).for_each(|it| it.is_gone = true);
    }

    /// Gives a field that value, at its place if it has one.
    pub fn put(&mut self, name: &'a str, value: String) {
        match self.field_mut(name) {
            Some(field) => {
                field.is_gone = false;
                field.new_value = (field.value != value).then_some(value);
            }
            None => self.added.push((name, value)),
        }
    }

    /// The body with all changes, in pieces; None where there are none.
    pub fn edited(&self, whole: &Bytes) -> Option<Vec<Bytes>> {
        if self.added.is_empty() && !self.fields.iter().any(Field::is_changed) {
            return None;
        }
        let mut edits = Edits::default();
        if !self.added.is_empty() {
            let added = self.added.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
            let comma = if self.fields.iter().all(|it| it.is_gone) { "" } else { "," };
            edits.insert(self.first, added.collect::<Vec<_>>().join(",") + comma);
        }
        let mut is_first = true;
        for (index, field) in self.fields.iter().enumerate() {
            match field.is_gone {
                // With the comma behind it, or the one before it where something stays there.
                true if is_first => {
                    let end = self.fields.get(index + 1).map_or(field.to, |it| it.from);
                    edits.replace(field.from..end, "");
                }
                true => edits.replace(self.fields[index - 1].to..field.to, ""),
                false => {
                    is_first = false;
                    self.respell(field, &mut edits);
                }
            }
        }
        Some(edits.apply(whole))
    }

    fn respell(&self, field: &Field<'_>, edits: &mut Edits) {
        let start = field.to - field.value.len();
        if let Some(name) = field.new_name {
            let end =
                field.from + self.text[field.from..start].trim_end().trim_end_matches(':').trim_end().len();
            edits.replace(field.from..end, quoted(name));
        }
        if let Some(value) = &field.new_value {
            edits.replace(start..field.to, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, change: impl FnOnce(&mut Body<'_>), expected: Option<&str>) {
        let fields = Fields::read(text).unwrap();
        let mut body = Body::new(text, &fields).unwrap();
        change(&mut body);
        let edited = body.edited(&Bytes::copy_from_slice(text.as_bytes())).map(|it| it.concat());
        assert_eq!(edited.map(|it| String::from_utf8(it).unwrap()).as_deref(), expected, "{text}");
    }

    #[test]
    fn fields_go_with_one_comma() {
        let text = r#" { "a" : 1, "b":[2] , "c":"x" }"#;
        let without = |names: &'static [&'static str]| {
            move |it: &mut Body<'_>| names.iter().for_each(|name| it.remove(name))
        };
        check(text, without(&[]), None);
        check(text, without(&["a"]), Some(r#" { "b":[2] , "c":"x" }"#));
        check(text, without(&["b"]), Some(r#" { "a" : 1 , "c":"x" }"#));
        check(text, without(&["c"]), Some(r#" { "a" : 1, "b":[2] }"#));
        check(text, without(&["a", "b"]), Some(r#" { "c":"x" }"#));
        check(text, without(&["b", "c"]), Some(r#" { "a" : 1 }"#));
        check(text, without(&["a", "b", "c"]), Some(r#" {  }"#));
        check(r#"{"a":1,"a":2}"#, without(&["a"]), Some("{}"));
    }

    #[test]
    fn names_and_values_change_at_their_place() {
        check(
            r#"{"a" : 1, "b":2}"#,
            |it| {
                it.field_mut("a").unwrap().new_name = Some("c");
                it.put("b", "3".into());
                it.put("d", "4".into());
            },
            Some(r#"{"d":4,"c" : 1, "b":3}"#),
        );
        check("{}", |it| it.put("d", "4".into()), Some(r#"{"d":4}"#));
        check(
            r#"{"a":1}"#,
            |it| {
                it.remove("a");
                it.put("d", "4".into());
            },
            Some(r#"{"d":4}"#),
        );
        check(r#"{"a":1}"#, |it| it.put("a", "1".into()), None);
    }
}
