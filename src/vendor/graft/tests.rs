//! What of a second stream fits onto a first one.

use super::*;

const SAID: &str = "Once upon a time there was a toll gate ";

fn graft(said: &str, usage: Option<&str>, repeats: bool) -> Graft {
    let mut heard = Said::default();
    heard.hear(delta(said).replace("second", "first").as_bytes());
    heard.usage = usage.map(Into::into);
    let said = heard;
    let mut graft = Graft::new(&said);
    graft.expect_repetition(repeats);
    graft
}

fn delta(text: &str) -> String {
    format!(r#"{{"id":"second","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#)
}

/// The data of these events, fitted: each in a piece of its own, and all in one.
fn check(graft: impl Fn() -> Graft, events: &[&str], expected: &[&str]) {
    let written: Vec<String> = events.iter().map(|it| format!("data: {it}\n\n")).collect();
    let expected: String = expected.iter().map(|it| format!("data: {it}\n\n")).collect();
    let mut apart = graft();
    let pieces: Vec<Bytes> = written.iter().map(|it| apart.fit(Bytes::from(it.clone()))).collect();
    assert_eq!(String::from_utf8(pieces.concat()).unwrap(), expected, "{events:?}");
    let together = graft().fit(Bytes::from(written.concat()));
    assert_eq!(String::from_utf8(together.to_vec()).unwrap(), expected, "{events:?}");
}

fn texts(graft: impl Fn() -> Graft, said: &[&str], expected: &[&str]) {
    let events: Vec<String> = said.iter().map(|it| delta(it)).chain(["[DONE]".into()]).collect();
    let expected: Vec<String> =
        expected.iter().map(|it| delta(it).replace("second", "first")).chain(["[DONE]".into()]).collect();
    let borrowed = |it: &[String]| -> Vec<String> { it.to_vec() };
    let (events, expected) = (borrowed(&events), borrowed(&expected));
    check(
        graft,
        &events.iter().map(String::as_str).collect::<Vec<_>>(),
        &expected.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn the_second_preamble_is_left_out_and_the_first_id_stays() {
    check(
        || graft("a", None, false),
        &[
            r#"{"id":"second","choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"id":"second","choices":[],"prompt_filter_results":[]}"#,
            r#"{"created":7, "id" : "second","model":"m-2","choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"content":"b"}}]}"#,
            r#"{"id":"second","choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ],
        &[
            r#"{"created":7, "id" : "first","model":"m-2","choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"content":"b"}}]}"#,
            r#"{"id":"first","choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ],
    );
}

#[test]
fn comments_and_data_of_several_lines_arrive() {
    let mut graft = graft("a", None, false);
    let events =
        ": thinking\n\ndata: {\"id\":\"second\",\ndata: \"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n";
    assert_eq!(graft.fit(Bytes::from(events)), events.replace("second", "first"));
}

#[test]
fn usages_become_one() {
    check(
        || graft("a", Some(r#"{"prompt_tokens":3,"details":{"cached":1,"own":2},"cost":0.5}"#), false),
        &[
            r#"{"choices":[],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":4,"details":{"cached":5},"cost":0.25}}"#,
        ],
        &[r#"{"choices":[],"usage":{"cost":0.25,"details":{"cached":6,"own":2},"prompt_tokens":7}}"#],
    );
    let usage = r#"{"choices":[],"usage":{"prompt_tokens" : 4}}"#;
    check(|| graft("a", None, false), &[usage], &[usage]);
}

#[test]
fn a_repetition_of_all_that_was_said_is_left_out() {
    let long = || graft(SAID, None, false);
    texts(long, &[SAID, "by a river."], &["by a river."]);
    texts(long, &["Once upon a time ", "there was a toll gate by a", " river."], &["by a", " river."]);
    texts(long, &["by a river."], &["by a river."]);
    // Mistral's way with the space at the end of a prefix.
    let mistral = || graft(SAID, None, true);
    texts(mistral, &[SAID.trim_end(), " by a", " river."], &["by a", " river."]);
    texts(mistral, &[SAID.trim_end(), "by a", " river."], &["by a", " river."]);
    texts(|| graft("ha", None, true), &["ha", "ha"], &["ha"]);
}

#[test]
fn what_is_no_repetition_is_said_however_it_begins() {
    let long = || graft(SAID, None, false);
    texts(long, &["Once upon", " a", " dream"], &["Once upon a", " dream"]);
    texts(long, &["Once upon"], &["Once upon"]);
    texts(long, &[SAID.trim_end(), "by a river"], &[SAID.trim_end(), "by a river"]);
    texts(|| graft("ha", None, false), &["ha", "ha"], &["ha", "ha"]);
}

#[test]
fn an_end_in_the_same_event_is_not_lost_with_a_repetition() {
    let last =
        |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#);
    check(|| graft(SAID, None, true), &[&last(SAID)], &[&last("")]);
    check(|| graft(SAID, None, true), &[&last("Once")], &[&last("Once")]);
}

/// xAI's way: without its text each event still goes out, for its count.
#[test]
fn a_repetition_is_left_out_of_events_that_state_usage() {
    let counted = |text: &str| {
        format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":4}}}}"#)
    };
    check(
        || graft(SAID, None, false),
        &[&counted(""), &counted("Once upon a time "), &counted("there was a toll gate by"), &counted(" a")],
        &[&counted(""), &counted(""), &counted("by"), &counted(" a")],
    );
}
