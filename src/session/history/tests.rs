//! Conversations, and what targets get of them.

mod any;

use serde_json::{Value, json};

use super::*;
use crate::session::key::{Owner, SessionId, SessionKey};
use crate::session::record::Meta;
use crate::session::turn::TurnState;

const SYSTEM: &str = r#"{"role":"system","content":"Be."}"#;

fn held(turns: Vec<Turn>) -> Held {
    let id = SessionId::parse("s").unwrap();
    let mut meta = Meta::new(SessionKey::session(Owner::tenant("t"), id), 0, 0);
    meta.system = SYSTEM.into();
    meta.turns = turns.len() as u64;
    Held { meta, from: 0, turns }
}

/// A turn of 10 tokens by the vendor `v`.
fn turn(messages: &[&str]) -> Turn {
    Turn {
        vendor: Some("v".into()),
        tokens: 10,
        instructs: messages.iter().any(|it| it.contains("developer")),
        answers_tools: messages.first().is_some_and(|it| it.contains("tool_call_id")),
        messages: messages.join(",").into(),
        ..Turn::default()
    }
}

fn user(text: &str) -> String {
    format!(r#"{{"role":"user", "content":"{text}"}}"#)
}

fn says(text: &str) -> String {
    format!(r#"{{"role":"assistant","content":"{text}"}}"#)
}

fn calls(ids: &[&str]) -> String {
    let call =
        |id: &&str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<_> = ids.iter().map(call).collect();
    format!(r#"{{"role":"assistant","content":null,"tool_calls":{}}}"#, json!(calls))
}

fn result(id: &str) -> String {
    format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"1"}}"#)
}

fn answered(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|it| (*it).to_owned()).collect()
}

fn text(fitted: &Fitted) -> String {
    String::from_utf8(fitted.pieces.concat()).unwrap()
}

/// What a target without bounds gets, without the system prompt.
fn all(turns: Vec<Turn>, new: &[&str]) -> String {
    text(&History::new(&held(turns), &answered(new)).fitted("v", false, None))
}

#[test]
fn turns_stand_behind_the_system_prompt_as_they_were_stored() {
    let odd = "{\"role\":\"user\" ,\n \"content\":\"a\"} , {\"role\":\"assistant\",\"content\":\"b\"}";
    let held = held(vec![turn(&[odd]), turn(&[&user("c"), &says("d")])]);
    let history = History::new(&held, &[]);
    let turns = format!("{odd},{},{}", user("c"), says("d"));
    let fitted = history.fitted("v", true, None);
    assert_eq!((text(&fitted), fitted.turns, fitted.trimmed), (format!("{SYSTEM},{turns}"), 2, 0));
    assert_eq!(fitted.pieces.len(), 1);
    assert_eq!(text(&history.fitted("v", false, None)), turns);
    assert_eq!((history.turns(), history.tokens(true)), (2, fitted.tokens));
    assert_eq!(fitted.tokens, 20 + heard::tokens(SYSTEM.as_bytes()));
}

#[test]
fn nothing_is_no_piece() {
    let mut held = held(Vec::new());
    assert_eq!(text(&History::new(&held, &[]).fitted("v", true, None)), SYSTEM);
    held.meta.system = "".into();
    let history = History::new(&held, &[]);
    assert_eq!(history.fitted("v", true, None), Fitted::default());
    assert_eq!((history.tokens(true), history.turns(), history.has_images()), (0, 0, false));
}

#[test]
fn pictures_of_any_turn_count() {
    let image = Turn { images: true, ..turn(&[&user("a")]) };
    assert!(History::new(&held(vec![turn(&[&user("a")]), image]), &[]).has_images());
}

#[test]
fn turns_leave_from_the_front_until_the_rest_fits() {
    let texts = ["a", "b", "c"].map(user);
    let history = History::new(&held(texts.iter().map(|it| turn(&[it])).collect()), &[]);
    let check = |max: u64, first: usize| {
        let fitted = history.fitted("v", false, Some(max));
        assert_eq!(text(&fitted), texts[first..].join(","), "{max}");
        assert_eq!((fitted.turns, fitted.trimmed), (3 - first, first), "{max}");
        assert_eq!(fitted.tokens, 10 * fitted.turns as u64, "{max}");
    };
    check(30, 0);
    check(29, 1);
    check(20, 1);
    check(10, 2);
    check(9, 3);
    check(0, 3);
    let system = heard::tokens(SYSTEM.as_bytes());
    assert_eq!(history.fitted("v", true, Some(system + 29)).turns, 2);
    assert_eq!(text(&history.fitted("v", true, Some(0))), SYSTEM);
}

#[test]
fn turns_that_were_not_read_count_as_trimmed() {
    let mut held = held(vec![turn(&[&user("a")]), turn(&[&user("b")])]);
    (held.meta.first, held.from) = (3, 8);
    assert_eq!(History::new(&held, &[]).fitted("v", false, Some(10)).trimmed, 6);
}

/// A question with two calls one after the other, and another question.
fn tool_talk() -> [Turn; 4] {
    [
        turn(&[&user("q"), &calls(&["a"])]),
        turn(&[&result("a"), &calls(&["b", "c"])]),
        turn(&[&result("c"), &result("b"), &says("done")]),
        turn(&[&user("more"), &says("ok")]),
    ]
}

#[test]
fn a_result_is_never_without_its_call() {
    let history = History::new(&held(tool_talk().into()), &[]);
    let turns = |max: u64| history.fitted("v", false, Some(max)).turns;
    assert_eq!([40, 39, 30, 20, 10, 9].map(turns), [4, 1, 1, 1, 1, 0]);
}

#[test]
fn what_new_messages_answer_stays_whatever_its_size() {
    let [first, second, ..] = tool_talk();
    let before = turn(&[&user("x"), &says("y")]);
    let history = History::new(&held(vec![before, first, second]), &answered(&["b", "c"]));
    let turns = |max: u64| history.fitted("v", false, Some(max)).turns;
    assert_eq!([30, 29, 5].map(turns), [3, 2, 2]);
}

#[test]
fn a_group_whose_beginning_was_not_read_is_left_out() {
    let [_, second, third, fourth] = tool_talk();
    let history = History::new(&held(vec![second.clone(), third, fourth]), &[]);
    let fitted = history.fitted("v", false, None);
    assert_eq!((fitted.turns, fitted.trimmed, history.turns()), (1, 2, 1));
    let history = History::new(&held(vec![second]), &answered(&["b", "c"]));
    assert_eq!(text(&history.fitted("v", false, None)), calls(&["b", "c"]), "its calls are being answered");
}

#[test]
fn instructions_outlive_their_turns() {
    let [one, two] = ["1", "2"].map(|it| format!(r#"{{"role":"developer","content":"{it}"}}"#));
    let turns =
        vec![turn(&[&user("a"), &one, &says("b")]), turn(&[&user("c"), &two, &one]), turn(&[&user("d")])];
    let history = History::new(&held(turns), &[]);
    let trimmed = history.fitted("v", true, Some(heard::tokens(SYSTEM.as_bytes()) + 39));
    let [first, last] = [trimmed.trimmed, trimmed.turns];
    assert_eq!(text(&history.fitted("v", true, Some(0))), format!("{SYSTEM},{two},{one}"));
    assert_eq!((first + last, text(&history.fitted("v", false, Some(0)))), (3, format!("{two},{one}")));
    let some = history.fitted("v", false, Some(29));
    assert!(text(&some).starts_with(&two) || text(&some).starts_with(&one), "{}", text(&some));
    assert!(text(&some).ends_with(&user("d")));
}

#[test]
fn calls_nobody_answered_are_taken_back() {
    let check = |messages: &[String], new: &[&str], expected: &str| {
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        assert_eq!(all(vec![turn(&messages)], new), expected);
    };
    let q = user("q");
    check(&[q.clone(), calls(&["a"])], &[], &q);
    check(&[q.clone(), calls(&["a"])], &["z"], &q);
    check(&[q.clone(), calls(&["a"])], &["a"], &format!("{q},{}", calls(&["a"])));
    check(&[q.clone(), calls(&["a", "b"])], &["b"], &format!("{q},{}", calls(&["b"])));
    check(&[q.clone(), calls(&["a"]).replace("null", "\"Hm.\"")], &[], &format!("{q},{}", says("Hm.")));
    check(
        &[calls(&["a", "b"]), result("b"), q.clone()],
        &[],
        &[calls(&["b"]), result("b"), q.clone()].join(","),
    );
    check(&[calls(&["a"]), q.clone(), result("a")], &[], &q);
    check(&[calls(&["a"]), result("a"), result("a")], &["a"], &[calls(&["a"]), result("a")].join(","));
    check(&[q.clone(), result("a")], &[], &q);
    let old =
        r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#.to_owned();
    let got = r#"{"role":"function","name":"f","content":"1"}"#.to_owned();
    check(&[old.clone(), got.clone()], &[], &format!("{old},{got}"));
    check(&[q.clone(), old.clone()], &["f"], &format!("{q},{old}"));
    check(&[q.clone(), old, q.clone()], &["f"], &format!("{q},{q}"));
}

#[test]
fn a_call_that_was_cut_is_none() {
    let broken = calls(&["a"]).replace("{}\"", "{\\\"x\"");
    let check = |state: TurnState, kept: bool| {
        let turn = Turn { state, ..turn(&[&user("q"), &broken]) };
        assert_eq!(all(vec![turn], &["a"]).contains("tool_calls"), kept, "{state:?}");
    };
    check(TurnState::Incomplete, false);
    check(TurnState::Left, false);
    check(TurnState::Complete, true);
}

#[test]
fn empty_answers_are_left_out() {
    let q = user("q");
    for answer in [
        r#"{"role":"assistant","content":null}"#,
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":" \n"}"#,
        r#"{"role":"assistant","content":[]}"#,
        r#"{"role":"assistant","content":"","reasoning_content":"hm"}"#,
        r#"{"role":"assistant","content":null,"tool_calls":[]}"#,
    ] {
        assert_eq!(all(vec![turn(&[&q, answer])], &[]), q, "{answer}");
    }
    for answer in [
        r#"{"role":"assistant","content":null,"refusal":"No."}"#,
        r#"{"role":"assistant","content":"","images":[{}]}"#,
        r#"{"role":"assistant","content":[{"type":"text","text":"a"}]}"#,
    ] {
        assert_eq!(all(vec![turn(&[&q, answer])], &[]), format!("{q},{answer}"), "{answer}");
    }
    let none = turn(&[r#"{"role":"assistant","content":""}"#]);
    assert_eq!(all(vec![turn(&[&q]), none, turn(&[&q])], &[]), format!("{q},{q}"));
    for gap in ["{}", "null", "[]", r#"{"content":"x"}"#] {
        assert_eq!(all(vec![turn(&[&q, gap, &q])], &[]), format!("{q},{q}"), "{gap}");
    }
    for broken in ["no", "{},", "{\"role\":\"user\"", "\u{0}"] {
        assert_eq!(all(vec![turn(&[broken]), turn(&[&q])], &[]), q, "{broken}");
    }
}

#[test]
fn another_calls_turn_goes_before_a_call_and_its_result() {
    let [one, two] = [[user("1"), calls(&["a"])], [user("2"), calls(&["b"])]];
    let [end_one, end_two] = [[result("a"), says("A")], [result("b"), says("B")]];
    let turns = |messages: &[&[String; 2]]| -> Vec<Turn> {
        messages.iter().map(|it| turn(&[&it[0], &it[1]])).collect()
    };
    let text =
        |messages: &[&[String; 2]]| messages.iter().map(|it| it.join(",")).collect::<Vec<_>>().join(",");
    assert_eq!(all(turns(&[&one, &two, &end_one, &end_two]), &[]), text(&[&one, &end_one, &two, &end_two]));
    let other = [user("3"), says("C")];
    assert_eq!(all(turns(&[&one, &other]), &["a"]), text(&[&other, &one]));
    let next = [result("a"), calls(&["c"])];
    assert_eq!(all(turns(&[&one, &next, &other]), &["c"]), text(&[&other, &one, &next]));
}

#[test]
fn a_result_brought_again_takes_the_place_of_the_first_try() {
    let call = turn(&[&user("q"), &calls(&["a"])]);
    let cut = Turn { state: TurnState::Left, ..turn(&[&result("a"), &says("The")]) };
    let whole = turn(&[&result("a"), &says("The end.")]);
    let asked = [user("q"), calls(&["a"])].join(",");
    let history = History::new(&held(vec![call.clone(), cut.clone()]), &answered(&["a"]));
    let fitted = history.fitted("v", false, None);
    assert_eq!((text(&fitted), fitted.turns, fitted.trimmed), (asked.clone(), 1, 1));
    let told = [asked.clone(), result("a"), says("The end.")].join(",");
    assert_eq!(all(vec![call.clone(), cut.clone(), whole.clone()], &[]), told);
    assert_eq!(all(vec![call.clone(), cut], &[]), [asked, result("a"), says("The")].join(","));
    let after = turn(&[&user("x"), &says("y")]);
    assert!(all(vec![call, whole, after], &["a"]).starts_with(&told), "it went on: nothing is taken back");
}

#[test]
fn only_its_own_vendor_gets_what_it_added() {
    let private = r#"{"role":"assistant","content":"a","reasoning_content":"hm hm hm hm hm"}"#;
    let turns = vec![
        turn(&[&user("1")]),
        Turn { private: true, tokens: 40, ..turn(&[&user("2"), private]) },
        turn(&[&user("3")]),
        turn(&[&user("4")]),
    ];
    let history = History::new(&held(turns), &[]);
    let own = history.fitted("v", true, None);
    let told = |answer: &str| [SYSTEM, &user("1"), &user("2"), answer, &user("3"), &user("4")].join(",");
    assert_eq!((text(&own), own.pieces.len()), (told(private), 1));
    let other = history.fitted("w", true, None);
    assert_eq!((text(&other), other.pieces.len()), (told(&says("a")), 5));
    assert!(other.tokens < own.tokens);
    let max = other.tokens - heard::tokens(SYSTEM.as_bytes());
    assert_eq!(history.fitted("w", false, Some(max)).turns, 4, "what it does not get needs no room");
    assert!(history.fitted("v", false, Some(max)).turns < 4);
}

#[test]
fn many_small_pieces_become_one() {
    let private = says("a").replace('}', ",\"x\":1}");
    let turns = (0..20).map(|_| Turn { private: true, ..turn(&[&private]) }).collect();
    let fitted = History::new(&held(turns), &[]).fitted("w", false, None);
    assert_eq!((fitted.pieces.len(), text(&fitted)), (1, vec![says("a"); 20].join(",")));
}

#[test]
fn a_private_turn_of_nobody_is_nobodys_own() {
    let audio = r#"{"role":"assistant","content":null,"audio":{"id":"u","data":"AA","transcript":"Hi"}}"#;
    let said = |vendor: Option<&str>, to: &str| {
        let turn = Turn { private: true, vendor: vendor.map(Into::into), ..turn(&[&user("1"), audio]) };
        let fitted = History::new(&held(vec![turn]), &[]).fitted(to, false, None);
        serde_json::from_str::<Value>(&format!("[{}]", text(&fitted))).unwrap()[1].clone()
    };
    assert_eq!(said(Some("v"), "v"), json!({"role": "assistant", "content": null, "audio": {"id": "u"}}));
    let spoken = json!({"role": "assistant", "content": "Hi"});
    assert_eq!((said(Some("v"), "w"), said(None, "v")), (spoken.clone(), spoken));
}

#[test]
fn a_turn_is_plain_where_nothing_in_it_could_need_mending() {
    let check = |messages: &[&str], plain: bool| {
        assert_eq!(is_plain(&messages.join(",").into()), plain, "{messages:?}");
    };
    let (asks, answer) = (user("a"), says("b"));
    check(&[&asks, &answer], true);
    check(&[SYSTEM, &asks, &answer.replace('}', r#","tool_calls":null}"#)], true);
    for needing in
        [says("").as_str(), &calls(&["a"]), &result("a"), r#"{"role":"function","name":"f"}"#, "{}"]
    {
        check(&[&asks, needing, &answer], false);
    }
    check(&[&asks, &answer.replace('}', r#","tool_calls":[]}"#)], false);
    check(&[&asks, &answer.replace('}', r#","function_call":{"name":"f"}}"#)], false);
    check(&[], false);
    check(&["no message"], false);
}
