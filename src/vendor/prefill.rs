//! How a model is told what was said of an answer already, so that it goes on from there: in the form that
//! [`crate::vendor::models`] knows of it, else in words. Pure. Called for a stream that broke off and is continued.

use std::borrow::Cow;

use crate::vendor::models::Prefill;

/// Asked of a model that has no form for it.
const GO_ON: &str = "Your answer above was cut off by a fault in transmission. Go on with it from exactly the place where \
    it breaks off, be that in the middle of a sentence, a word or a block of code. Write only what is missing, in the same \
    language and format: repeat nothing of what is there, and say nothing about the interruption.";

/// The messages that go behind the client's, as JSON without brackets, where `form` is how the model takes the beginning of an
/// answer; without one it is asked in words. None where it had better begin anew: nothing of the answer itself was said, and
/// it has no form for reasoning.
pub fn beginning(form: Option<Prefill>, content: &str, reasoning: &str) -> Option<String> {
    let text = |it: &str| serde_json::to_string(it).expect("text always serialises");
    let said = format!(r#"{{"role":"assistant","content":{}"#, text(content));
    // Anthropic refuses a last message that ends in white space.
    let ends_in_space = content.ends_with(char::is_whitespace);
    Some(match form {
        // DeepSeek, "Chat Prefix Completion": the reasoning stands beside.
        Some(Prefill::DeepseekBeta) if !reasoning.is_empty() => {
            format!(r#"{said},"reasoning_content":{},"prefix":true}}"#, text(reasoning))
        }
        _ if content.is_empty() => return None,
        Some(Prefill::DeepseekBeta | Prefill::MistralPrefix) => format!(r#"{said},"prefix":true}}"#),
        Some(Prefill::KimiPartial) => format!(r#"{said},"partial":true}}"#),
        Some(Prefill::Anthropic) if !ends_in_space => format!("{said}}}"),
        Some(Prefill::Anthropic) | None => {
            format!(r#"{said}}},{{"role":"user","content":{}}}"#, text(GO_ON))
        }
    })
}

/// The path of the API that knows `form`, from the usual one.
pub fn base_path(form: Option<Prefill>, usual: &str) -> Cow<'_, str> {
    match form {
        Some(Prefill::DeepseekBeta) if !usual.ends_with("/beta") => {
            Cow::Owned(format!("{}/beta", usual.strip_suffix("/v1").unwrap_or(usual)))
        }
        _ => Cow::Borrowed(usual),
    }
}

/// Whether the answer begins with what it is to go on from, once more.
pub fn is_repeated(form: Option<Prefill>) -> bool {
    form == Some(Prefill::MistralPrefix)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(form: Option<Prefill>, expected: &Value) {
        let messages = beginning(form, "Once \"upon\"", "hm").unwrap();
        let messages: Value = serde_json::from_str(&format!("[{messages}]")).unwrap();
        assert_eq!(&messages, expected, "{form:?}");
    }

    #[test]
    fn each_vendor_is_told_in_its_own_form() {
        let said = |more: Value| {
            let mut said = json!({"role": "assistant", "content": "Once \"upon\""});
            said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said
        };
        let thinking = json!({"reasoning_content": "hm", "prefix": true});
        check(Some(Prefill::DeepseekBeta), &json!([said(thinking)]));
        check(Some(Prefill::MistralPrefix), &json!([said(json!({"prefix": true}))]));
        check(Some(Prefill::KimiPartial), &json!([said(json!({"partial": true}))]));
        check(Some(Prefill::Anthropic), &json!([said(json!({}))]));
        check(None, &json!([said(json!({})), {"role": "user", "content": GO_ON}]));
    }

    #[test]
    fn reasoning_alone_is_no_beginning_of_an_answer_but_for_deepseek() {
        let others = [Prefill::MistralPrefix, Prefill::KimiPartial, Prefill::Anthropic].map(Some);
        for form in others.into_iter().chain([None]) {
            assert_eq!(beginning(form, "", "hm"), None);
        }
        let message = beginning(Some(Prefill::DeepseekBeta), "", "hm").unwrap();
        assert_eq!(message, r#"{"role":"assistant","content":"","reasoning_content":"hm","prefix":true}"#);
    }

    #[test]
    fn claude_is_asked_in_words_where_the_text_ends_in_space() {
        let message = beginning(Some(Prefill::Anthropic), "Once ", "").unwrap();
        assert!(message.ends_with(&format!("{GO_ON}\"}}")));
    }

    #[test]
    fn deepseeks_form_is_known_below_beta_only() {
        let check = |usual: &str, path: &str| assert_eq!(base_path(Some(Prefill::DeepseekBeta), usual), path);
        check("", "/beta");
        check("/v1", "/beta");
        check("/beta", "/beta");
        check("/proxy/v1", "/proxy/beta");
        assert_eq!(base_path(None, "/v1"), "/v1");
    }
}
