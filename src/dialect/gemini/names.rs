//! Fields by either of the names that Google accepts: `generationConfig` and `generation_config` are the same.

use std::borrow::Cow;

use crate::api::fields::{self, Fields};
use crate::api::surrogates;

/// The value of a field as JSON text; of two the last. None where it is missing or null.
pub(super) fn value<'a>(object: &Fields<'a>, name: &str) -> Option<&'a str> {
    let found = object.each().filter(|(it, value)| is(it, name) && *value != "null").last();
    found.map(|(_, value)| value)
}

pub(super) fn text<'a>(object: &Fields<'a>, name: &str) -> Option<Cow<'a, str>> {
    value(object, name).and_then(surrogates::text)
}

pub(super) fn object<'a>(object: &Fields<'a>, name: &str) -> Option<Fields<'a>> {
    value(object, name).and_then(Fields::read)
}

/// The elements of a list; none where there is no list.
pub(super) fn list<'a>(object: &Fields<'a>, name: &str) -> Vec<&'a str> {
    let elements = value(object, name).and_then(fields::elements).unwrap_or_default();
    elements.into_iter().map(|it| it.get()).collect()
}

pub(super) fn is_true(object: &Fields<'_>, name: &str) -> bool {
    value(object, name) == Some("true")
}

/// A whole number; Google writes large ones as text.
pub(super) fn number(json: &str) -> Option<u64> {
    fields::inner(json).unwrap_or(json).parse().ok()
}

/// Whether `given` is the camel-case `name`, or the same in snake case.
pub(super) fn is(given: &str, name: &str) -> bool {
    if given == name {
        return true;
    }
    let mut rest = given.bytes();
    let same = name.bytes().all(|it| match it.is_ascii_uppercase() {
        true => rest.next() == Some(b'_') && rest.next() == Some(it.to_ascii_lowercase()),
        false => rest.next() == Some(it),
    });
    same && rest.next().is_none()
}

/// The camel-case one of `names` that `given` is.
pub(super) fn known(given: &str, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|it| is(given, it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        let check = |given: &str, same: bool| assert_eq!(is(given, "topPValue"), same, "{given}");
        for same in ["topPValue", "top_p_value"] {
            check(same, true);
        }
        for other in ["toppvalue", "top_pvalue", "top_p_value_", "top_p", "", "topPValu", "top_P_value"] {
            check(other, false);
        }
        let read = Fields::read(r#"{"top_k":1,"topK":null,"top_k":2}"#).unwrap();
        assert_eq!(value(&read, "topK"), Some("2"));
        assert_eq!(
            (number("12"), number("\"12\""), number("-1"), number("1.5")),
            (Some(12), Some(12), None, None)
        );
    }
}
