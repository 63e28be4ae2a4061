//! The arguments of a call as a JSON object, which most dialects want where chat has a text.

use std::borrow::Cow;

use crate::api::fields::{Fields, quoted};
use crate::api::surrogates;
use crate::dialect::prompt::Call;

/// The field that holds the input of a custom tool, which is text, where a dialect has functions only.
pub const TEXT_FIELD: &str = "input";

/// The arguments as they were written, but for half characters, which who reads an object refuses; none are an empty
/// object. The text of a custom tool is put into one. None where they are no object.
pub fn object(call: &Call) -> Option<Cow<'_, str>> {
    if call.is_custom {
        return Some(wrapped(&call.arguments).into());
    }
    match call.arguments.trim_ascii() {
        "" => Some("{}".into()),
        arguments => mended(arguments),
    }
}

/// The same for those who must get an object: what is none is put into one as text.
pub fn object_anyway(call: &Call) -> Cow<'_, str> {
    object(call).unwrap_or_else(|| wrapped(&call.arguments).into())
}

/// A text as an object: the input of a custom tool.
pub fn wrapped(text: &str) -> String {
    format!("{{\"{TEXT_FIELD}\":{}}}", quoted(text))
}

/// The text that a vendor wrote into an object, as it was told to; else what it wrote.
pub fn unwrapped(arguments: String) -> String {
    let input = Fields::read(&arguments)
        .and_then(|it| it.value(TEXT_FIELD).and_then(surrogates::text).map(Cow::into_owned));
    input.unwrap_or(arguments)
}

/// A text that is a JSON object, without half characters; None where it is no object.
pub fn mended(json: &str) -> Option<Cow<'_, str>> {
    let json = surrogates::mended(json);
    Fields::read(&json).is_some().then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_and_else_as_they_were_written() {
        let check = |arguments: &str, is_custom: bool, expected: Option<&str>| {
            let (id, name) = ("c".to_owned(), "f".to_owned());
            let call = Call { id, name, arguments: arguments.to_owned(), is_custom };
            assert_eq!(object(&call).as_deref(), expected, "{arguments}");
            let anyway = wrapped(arguments);
            assert_eq!(object_anyway(&call), expected.unwrap_or(&anyway), "{arguments}");
        };
        check("", false, Some("{}"));
        check(" \n", false, Some("{}"));
        for same in [r#"{ "b" : 1.0, "a":2 }"#, r#"{"a":"\ud83d\ude00\\ud83d"}"#] {
            check(same, false, Some(same));
        }
        check(r#" {"a":1} "#, false, Some(r#"{"a":1}"#));
        check(r#"{"a":"\ud83d"}"#, false, Some(r#"{"a":"\ufffd"}"#));
        check(r#"{"\uDE00":["x\ud83d\n"]}"#, false, Some(r#"{"\ufffd":["x\ufffd\n"]}"#));
        for none in ["{", "[1]", "\"a\"", "{\"a\":1}}", "null"] {
            check(none, false, None);
        }
        let said = |arguments: &str| unwrapped(arguments.to_owned());
        assert_eq!(
            (said(r#"{"input":"l\ud83d"}"#), said("{\"x\":1}")),
            ("l\u{fffd}".into(), "{\"x\":1}".into())
        );
        check("ls \"x\"", true, Some(r#"{"input":"ls \"x\""}"#));
        check("{}", true, Some(r#"{"input":"{}"}"#));
    }
}
