//! Log probabilities of tokens: Google's `logprobsResult` and chat's `logprobs`.

use super::names;
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::json::Json;

/// Chat's form of what Google says. None where no token is named.
pub(super) fn read(result: &Fields<'_>) -> Option<Json> {
    let chosen = names::list(result, "chosenCandidates");
    let tops = names::list(result, "topCandidates");
    if chosen.is_empty() {
        return None;
    }
    let mut out = String::new();
    out.open(b'{');
    out.key("content").open(b'[');
    for (at, token) in chosen.iter().filter_map(|it| Fields::read(it)).enumerate() {
        out.open(b'{');
        chat_token(&token, &mut out);
        out.key("top_logprobs").open(b'[');
        let top = tops.get(at).and_then(|it| Fields::read(it));
        let top = top.map(|it| names::list(&it, "candidates")).unwrap_or_default();
        for token in top.iter().filter_map(|it| Fields::read(it)) {
            out.open(b'{');
            chat_token(&token, &mut out);
            out.close(b'}');
        }
        out.close(b']');
        out.close(b'}');
    }
    out.close(b']');
    out.raw_field("refusal", "null");
    out.close(b'}');
    Json::parse(&out)
}

fn chat_token(token: &Fields<'_>, out: &mut String) {
    out.raw_field("token", names::value(token, "token").unwrap_or("\"\""));
    out.raw_field("logprob", names::value(token, "logProbability").unwrap_or("0"));
    out.raw_field("bytes", "null");
}

/// Writes what chat says as Google's fields of a candidate: `avgLogprobs` and `logprobsResult`.
pub(super) fn write(logprobs: &Json, out: &mut String) {
    let content = Fields::read(logprobs.get()).and_then(|it| it.value("content")).and_then(elements);
    let tokens: Vec<_> = content.unwrap_or_default().iter().filter_map(|it| Fields::read(it.get())).collect();
    if tokens.is_empty() {
        return;
    }
    let values = tokens.iter().filter_map(|it| it.value("logprob")?.parse::<f64>().ok());
    let average = values.sum::<f64>() / tokens.len() as f64;
    if average.is_finite() {
        out.raw_field("avgLogprobs", &average.to_string());
    }
    out.key("logprobsResult").open(b'{');
    out.key("chosenCandidates").open(b'[');
    tokens.iter().for_each(|it| own_token(it, out));
    out.close(b']');
    out.key("topCandidates").open(b'[');
    for token in &tokens {
        let top = token.value("top_logprobs").and_then(elements).unwrap_or_default();
        out.open(b'{');
        out.key("candidates").open(b'[');
        top.iter().filter_map(|it| Fields::read(it.get())).for_each(|it| own_token(&it, out));
        out.close(b']');
        out.close(b'}');
    }
    out.close(b']');
    out.close(b'}');
}

fn own_token(token: &Fields<'_>, out: &mut String) {
    out.open(b'{');
    out.raw_field("token", token.value("token").unwrap_or("\"\""));
    out.raw_field("logProbability", token.value("logprob").unwrap_or("0"));
    out.close(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let chosen = r#"[{"token":"a","logProbability":-0.50},{"token":"b","logProbability":-1.5}]"#;
        let top = r#"[{"candidates":[{"token":"a","logProbability":-0.50}]},{"candidates":[]}]"#;
        let result = format!(r#"{{"chosenCandidates":{chosen},"topCandidates":{top}}}"#);
        let chat = read(&Fields::read(&result).unwrap()).unwrap();
        let token = r#"{"token":"a","logprob":-0.50,"bytes":null"#;
        let second = r#"{"token":"b","logprob":-1.5,"bytes":null,"top_logprobs":[]}"#;
        let expected =
            format!(r#"{{"content":[{token},"top_logprobs":[{token}}}]}},{second}],"refusal":null}}"#);
        assert_eq!(chat.get(), expected);
        let mut out = String::new();
        write(&chat, &mut out);
        assert_eq!(out, format!(r#""avgLogprobs":-1,"logprobsResult":{result}"#));
        assert_eq!(read(&Fields::default()), None);
    }
}
