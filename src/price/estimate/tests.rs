//! Estimates beside what real tokenizers count, and what must hold of any text.

use proptest::prelude::*;

use super::samples::*;
use super::*;

/// Text of each kind, with its tokens in o200k_base as the tokenizer counts them.
const COUNTED: &[(&str, u64, &str)] = &[
    ("english", 162, ENGLISH),
    ("german", 147, GERMAN),
    ("french", 132, FRENCH),
    ("russian", 125, RUSSIAN),
    ("chinese", 193, CHINESE),
    ("japanese", 212, JAPANESE),
    ("korean", 131, KOREAN),
    ("python", 233, PYTHON),
    ("rust", 196, RUST),
    ("mixed", 209, MIXED),
];

/// Tokens that chat templates add to a message.
const PER_MESSAGE: u64 = 4;

fn check(what: &str, estimate: u64, counted: u64, percent_max: u64) {
    let off = estimate.abs_diff(counted) * 100;
    assert!(off <= counted * percent_max, "{what}: {estimate} estimated, {counted} counted");
}

/// `texts` as the messages of a chat; `ascii` writes other characters as Python's `json.dumps` does.
fn body(texts: &[&str], ascii: bool) -> Vec<u8> {
    let messages: Vec<_> =
        texts.iter().map(|it| serde_json::json!({"role": "user", "content": it})).collect();
    let json = serde_json::json!({"model": "m", "messages": messages, "stream": true}).to_string();
    if !ascii {
        return json.into_bytes();
    }
    let mut units = [0; 2];
    let escaped = json.chars().map(|it| match it.is_ascii() {
        true => it.to_string(),
        false => it.encode_utf16(&mut units).iter().map(|it| format!("\\u{it:04x}")).collect(),
    });
    escaped.collect::<String>().into_bytes()
}

#[test]
fn texts_of_every_kind_are_estimated_within_a_quarter() {
    for (what, counted, text) in COUNTED {
        check(what, text_tokens(text.as_bytes()), *counted, 15);
        // Half of the text is not half of its tokens, but near it.
        check(what, text_tokens(text.repeat(3).as_bytes()), 3 * counted, 15);
    }
}

#[test]
fn chat_bodies_are_estimated_however_they_are_escaped() {
    for (what, counted, text) in COUNTED {
        for ascii in [false, true] {
            check(what, prompt_tokens(&body(&[text], ascii)), counted + PER_MESSAGE, 25);
        }
    }
    let texts: Vec<_> = COUNTED.iter().map(|(_, _, text)| *text).collect();
    let counted: u64 = COUNTED.iter().map(|(_, counted, _)| counted + PER_MESSAGE).sum();
    for ascii in [false, true] {
        check("all", prompt_tokens(&body(&texts, ascii)), counted, 10);
        let long = texts.repeat(200);
        check("all of them, sampled", prompt_tokens(&body(&long, ascii)), 200 * counted, 20);
    }
}

/// Something like base64: every letter of it, in an order that does not repeat soon.
fn base64(length: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length).map(|at| char::from(LETTERS[(at * at * 7 + at / 64) % 64])).collect()
}

#[test]
fn an_image_counts_as_one_and_not_as_its_letters() {
    let image = |length| {
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, base64(length))
    };
    let text = prompt_tokens(ENGLISH.as_bytes());
    let check = |images: &str, flat: u64| {
        let body = format!(
            r#"{{"messages":[{{"content":[{{"text":"{}"}},{images}]}}]}}"#,
            ENGLISH.replace('"', "'")
        );
        check(images.get(..40).unwrap_or(images), prompt_tokens(body.as_bytes()), text + flat, 15);
    };
    check(&image(2_000), 1_000);
    check(&image(4_000_000), 1_000);
    check(&format!("{},{},{}", image(900), image(300_000), image(50)), 3_000);
    // Audio is base64 without a name.
    check(&format!(r#"{{"input_audio":{{"data":"{}","format":"wav"}}}}"#, base64(2_000)), 0);
    let cut = format!(r#"{{"a":"data:image/png;base64,{}"#, base64(1_000));
    assert!((1_000..1_020).contains(&prompt_tokens(cut.as_bytes())));
    // No base64, but a long word: it has tokens.
    assert!(prompt_tokens("x".repeat(10_000).as_bytes()) > 1_000);
}

#[test]
fn more_images_than_are_looked_for_still_count_nothing_as_text() {
    let image = format!("\"data:image/png;base64,{}\",", base64(600));
    let tokens = prompt_tokens(image.repeat(IMAGES_MAX + 50).as_bytes());
    check("images", tokens, IMAGES_MAX as u64 * IMAGE_TOKENS, 10);
}

proptest! {
    #[test]
    fn something_is_never_nothing_and_more_is_never_less(text in "\\PC{1,200}", more in "\\PC{0,200}") {
        let tokens = text_tokens(text.as_bytes());
        prop_assert!(tokens > 0);
        prop_assert!(tokens <= text.len() as u64 * 2);
        prop_assert!(text_tokens((text + &more).as_bytes()) >= tokens);
    }

    #[test]
    fn any_bytes_have_an_estimate(part in prop::collection::vec(any::<u8>(), 0..80), times in 1..600_usize) {
        let bytes = part.repeat(times);
        prop_assert_eq!(prompt_tokens(&bytes) == 0, bytes.is_empty());
        prop_assert_eq!(text_tokens(&bytes) == 0, bytes.is_empty());
    }

    #[test]
    fn escapes_may_be_broken_anywhere(text in r#"(\\|u|[0-9a-fD]|"|n|é){0,60}"#) {
        prompt_tokens(text.as_bytes());
    }
}
