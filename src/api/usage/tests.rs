//! Every spelling of usage, and what it means.

use proptest::prelude::*;

use super::*;

/// What a row expects; everything unnamed is 0.
fn usage(input: u64, cached_input: u64, cache_write: u64, output: u64, reasoning: u64) -> Usage {
    Usage { input, cached_input, cache_write, output, reasoning, ..Usage::default() }
}

fn read(json: &str) -> Option<Usage> {
    serde_json::from_str::<UsageBody>(json).ok()?.usage()
}

fn check(rows: &[(&str, &str, Usage)]) {
    for (who, json, expected) in rows {
        assert_eq!(read(json).unwrap_or_default(), *expected, "{who}: {json}");
    }
}

#[test]
fn openai_and_those_who_follow_it_put_parts_inside() {
    check(&[
        (
            "OpenAI chat",
            r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#,
            usage(9, 0, 0, 4, 0),
        ),
        (
            "OpenAI chat, details",
            r#"{"prompt_tokens":90,"completion_tokens":40,"total_tokens":130,"prompt_tokens_details":{"cached_tokens":50,
                "cache_write_tokens":20,"audio_tokens":7},"completion_tokens_details":{"reasoning_tokens":30,
                "audio_tokens":5,"accepted_prediction_tokens":1}}"#,
            Usage { audio_input: 7, audio_output: 5, ..usage(90, 50, 20, 40, 30) },
        ),
        (
            "OpenAI responses",
            r#"{"input_tokens":9,"output_tokens":4,"total_tokens":13,"input_tokens_details":{"cached_tokens":1},
                "output_tokens_details":{"reasoning_tokens":2}}"#,
            usage(9, 1, 0, 4, 2),
        ),
        (
            "OpenAI transcription",
            r#"{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},
                "output_tokens":45,"total_tokens":59}"#,
            Usage { audio_input: 14, ..usage(14, 0, 0, 45, 0) },
        ),
    ]);
}

#[test]
fn relays_may_use_several_vocabularies_at_once() {
    check(&[
        ("no total", r#"{"prompt_tokens":9,"completion_tokens":4}"#, usage(9, 0, 0, 4, 0)),
        (
            "both names, as some relays send them",
            r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"input_tokens":0,"output_tokens":0,
                "prompt_tokens_details":{"cached_tokens":3},"input_tokens_details":null}"#,
            usage(9, 3, 0, 4, 0),
        ),
        (
            "a relay with Anthropic's words beside OpenAI's",
            r#"{"prompt_tokens":30,"completion_tokens":4,"total_tokens":34,"cache_read_input_tokens":20,
                "cache_creation_input_tokens":5}"#,
            usage(30, 20, 5, 4, 0),
        ),
        (
            "the same without a total",
            r#"{"prompt_tokens":30,"completion_tokens":4,"cache_read_input_tokens":20}"#,
            usage(30, 20, 0, 4, 0),
        ),
        (
            "Groq, in x_groq or beside choices",
            r#"{"queue_time":0.02,"prompt_tokens":18,"prompt_time":0.001,"completion_tokens":5,"total_tokens":23}"#,
            usage(18, 0, 0, 5, 0),
        ),
    ]);
}

#[test]
fn vendors_with_words_of_their_own_are_understood() {
    check(&[
        (
            "DeepSeek",
            r#"{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_cache_hit_tokens":6,
                "prompt_cache_miss_tokens":4,"completion_tokens_details":{"reasoning_tokens":3}}"#,
            usage(10, 6, 0, 4, 3),
        ),
        (
            "DeepSeek, hit and miss alone",
            r#"{"completion_tokens":4,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}"#,
            usage(10, 6, 0, 4, 0),
        ),
        (
            "Kimi",
            r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cached_tokens":7}"#,
            usage(9, 7, 0, 4, 0),
        ),
        (
            "Kimi, stated twice",
            r#"{"prompt_tokens":9,"completion_tokens":4,"cached_tokens":7,"prompt_tokens_details":{"cached_tokens":7}}"#,
            usage(9, 7, 0, 4, 0),
        ),
        (
            "Qwen",
            r#"{"prompt_tokens":90,"completion_tokens":4,"total_tokens":94,"prompt_tokens_details":{"cached_tokens":30,
                "cache_creation_input_tokens":40,"cache_creation":{"ephemeral_5m_input_tokens":40},
                "cache_type":"ephemeral"}}"#,
            usage(90, 30, 40, 4, 0),
        ),
    ]);
}

#[test]
fn some_vendors_state_what_they_charged() {
    check(&[
        (
            "Perplexity",
            r#"{"prompt_tokens":33,"completion_tokens":70,"total_tokens":103,"citation_tokens":20016,
                "num_search_queries":28,"reasoning_tokens":739,"search_context_size":"low",
                "cost":{"input_tokens_cost":0.0001,"request_cost":0.006,"total_cost":0.0064}}"#,
            Usage { stated_cost: Some(Money::from_picos(6_400_000_000)), ..usage(33, 0, 0, 809, 739) },
        ),
        (
            "OpenRouter",
            r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"cost":0.00014,"is_byok":false,
                "cost_details":{"upstream_inference_cost":0.00014}}"#,
            Usage { stated_cost: Some(Money::from_picos(140_000_000)), ..usage(9, 0, 0, 4, 0) },
        ),
        (
            "OpenRouter with the operator's own key",
            r#"{"prompt_tokens":9,"completion_tokens":4,"is_byok":true,"cost":7e-6,
                "cost_details":{"upstream_inference_cost":0.00014}}"#,
            Usage { stated_cost: Some(Money::from_picos(147_000_000)), ..usage(9, 0, 0, 4, 0) },
        ),
        (
            "OpenRouter, free",
            r#"{"prompt_tokens":9,"completion_tokens":4,"cost":0}"#,
            Usage { stated_cost: Some(Money::ZERO), ..usage(9, 0, 0, 4, 0) },
        ),
    ]);
}

#[test]
fn a_total_makes_up_for_what_is_not_stated() {
    check(&[
        ("embeddings", r#"{"prompt_tokens":8,"total_tokens":8}"#, usage(8, 0, 0, 0, 0)),
        ("embeddings, total only", r#"{"total_tokens":8}"#, usage(8, 0, 0, 0, 0)),
        ("output left by the total", r#"{"prompt_tokens":8,"total_tokens":11}"#, usage(8, 0, 0, 3, 0)),
        ("input left by the total", r#"{"completion_tokens":3,"total_tokens":11}"#, usage(8, 0, 0, 3, 0)),
        ("a total too small", r#"{"prompt_tokens":8,"total_tokens":1}"#, usage(8, 0, 0, 0, 0)),
        ("the beginning of a stream", r#"{"input_tokens":8}"#, usage(8, 0, 0, 0, 0)),
    ]);
}

#[test]
fn anthropic_states_the_input_without_the_cache() {
    check(&[
        (
            "Anthropic",
            r#"{"input_tokens":10,"cache_read_input_tokens":50,"cache_creation_input_tokens":30,
                "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":40,
                "output_tokens_details":{"thinking_tokens":25},"service_tier":"standard",
                "server_tool_use":{"web_search_requests":1}}"#,
            Usage { cache_write_1h: 10, ..usage(90, 50, 30, 40, 25) },
        ),
        (
            "Anthropic, a hit smaller than the rest",
            r#"{"input_tokens":100,"cache_read_input_tokens":5,"output_tokens":4}"#,
            usage(105, 5, 0, 4, 0),
        ),
        (
            "Anthropic, writes split only",
            r#"{"input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},
                "cache_read_input_tokens":0,"output_tokens":4}"#,
            Usage { cache_write_1h: 10, ..usage(40, 0, 30, 4, 0) },
        ),
        (
            "Anthropic's words and a total that counts the cache in",
            r#"{"input_tokens":100,"cache_read_input_tokens":50,"output_tokens":4,"total_tokens":104}"#,
            usage(100, 50, 0, 4, 0),
        ),
        (
            "Anthropic's words and a total with all of the cache besides",
            r#"{"input_tokens":100,"cache_read_input_tokens":50,"cache_creation_input_tokens":20,"output_tokens":4,
                "total_tokens":174}"#,
            usage(170, 50, 20, 4, 0),
        ),
    ]);
}

#[test]
fn gemini_puts_thoughts_beside_its_candidates() {
    check(&[
        (
            "Gemini",
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":20,"thoughtsTokenCount":30,
                "toolUsePromptTokenCount":5,"totalTokenCount":155,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":90},{"modality":"AUDIO","tokenCount":10}],
                "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":8}],"trafficType":"ON_DEMAND"}"#,
            Usage { audio_input: 10, audio_output: 8, ..usage(105, 60, 0, 50, 30) },
        ),
        (
            "Gemini, cut while it thought",
            r#"{"promptTokenCount":100,"thoughtsTokenCount":30,"totalTokenCount":130}"#,
            usage(100, 0, 0, 30, 30),
        ),
        (
            "the same without a total",
            r#"{"promptTokenCount":100,"thoughtsTokenCount":30}"#,
            usage(100, 0, 0, 30, 30),
        ),
        (
            "Gemini in OpenAI's form: the total alone knows of thoughts",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":150}"#,
            usage(100, 0, 0, 50, 30),
        ),
        (
            "Gemini in OpenAI's form, some of them stated",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":150,
                "completion_tokens_details":{"reasoning_tokens":7}}"#,
            usage(100, 0, 0, 50, 37),
        ),
    ]);
}

#[test]
fn the_total_tells_what_stands_beside() {
    check(&[
        (
            "xAI: reasoning apart",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":150,
                "completion_tokens_details":{"reasoning_tokens":30}}"#,
            usage(100, 0, 0, 50, 30),
        ),
        (
            "xAI: reasoning apart, and larger",
            r#"{"prompt_tokens":100,"completion_tokens":20,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            usage(100, 0, 0, 50, 30),
        ),
        (
            "xAI: cached apart",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":160,"prompt_tokens_details":{"cached_tokens":40}}"#,
            usage(140, 40, 0, 20, 0),
        ),
        (
            "xAI: both apart",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":190,"prompt_tokens_details":{"cached_tokens":40},
                "completion_tokens_details":{"reasoning_tokens":30},"cost_in_usd_ticks":37756000}"#,
            Usage { stated_cost: Some(Money::from_picos(3_775_600_000)), ..usage(140, 40, 0, 50, 30) },
        ),
        (
            "xAI: a cache larger than the prompt cannot be a part of it",
            r#"{"prompt_tokens":10,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40}}"#,
            usage(50, 40, 0, 20, 0),
        ),
        (
            "reasoning inside, and the total agrees",
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "completion_tokens_details":{"reasoning_tokens":50}}"#,
            usage(100, 0, 0, 50, 50),
        ),
        (
            "cached and written apart",
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":190,
                "prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":30}}"#,
            usage(170, 40, 30, 20, 0),
        ),
    ]);
}

#[test]
fn garbage_is_absent_and_hides_nothing() {
    check(&[
        (
            "strings, fractions, exponents",
            r#"{"prompt_tokens":"9","completion_tokens":4.0,"cached_tokens":1e0}"#,
            usage(9, 1, 0, 4, 0),
        ),
        ("negative", r#"{"prompt_tokens":-9,"completion_tokens":4}"#, usage(0, 0, 0, 4, 0)),
        (
            "beyond belief",
            r#"{"prompt_tokens":9,"completion_tokens":18446744073709551615,"cached_tokens":1e999,"total_tokens":99e9999}"#,
            usage(9, 0, 0, 0, 0),
        ),
        (
            "other types",
            r#"{"prompt_tokens":9,"completion_tokens":[4],"cached_tokens":{"a":1},"prompt_tokens_details":7,
                "completion_tokens_details":[{}],"cost":"free","is_byok":7,"service_tier":{},"promptTokensDetails":{}}"#,
            usage(9, 0, 0, 0, 0),
        ),
        (
            "details broken half way",
            r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"\ud800":1,"audio_tokens":2}}"#,
            usage(9, 4, 0, 0, 0),
        ),
        ("a negative cost", r#"{"prompt_tokens":9,"cost":-0.1}"#, usage(9, 0, 0, 0, 0)),
    ]);
    let deep = format!(r#"{}1{}"#, r#"{"prompt_tokens_details":"#.repeat(100_000), "}".repeat(100_000));
    for nothing in
        ["{}", r#"{"prompt_tokens":null}"#, r#"{"type":"duration","seconds":9}"#, "null", "7", &deep]
    {
        assert_eq!(read(nothing), None, "{}", &nothing[..nothing.len().min(99)]);
    }
    assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#), Some(Usage::default()));
}

#[test]
fn the_tier_has_many_names() {
    let check = |json: &str, tier| {
        let body: UsageBody = serde_json::from_str(json).unwrap();
        assert_eq!(body.service_tier(), tier, "{json}");
    };
    check(r#"{"service_tier":"standard"}"#, Some(ServiceTier::Default));
    check(r#"{"service_tier":"standard","speed":"fast"}"#, Some(ServiceTier::Priority));
    check(r#"{"speed":"fast","service_tier":"standard"}"#, Some(ServiceTier::Priority));
    check(r#"{"service_tier":"batch"}"#, Some(ServiceTier::Batch));
    check(r#"{"trafficType":"ON_DEMAND_FLEX"}"#, Some(ServiceTier::Flex));
    check(r#"{"service_tier":null}"#, None);
    for name in ["auto", "default", "standard", "on_demand", "", "novel"] {
        assert_eq!(ServiceTier::named(name), ServiceTier::Default, "{name}");
    }
    for tier in [
        ServiceTier::Default,
        ServiceTier::Batch,
        ServiceTier::Flex,
        ServiceTier::Priority,
        ServiceTier::Scale,
    ] {
        assert_eq!(ServiceTier::named(tier.as_str()), tier);
    }
}

const NAMES: &[&str] = &[
    "prompt_tokens",
    "input_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "prompt_cache_miss_tokens",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "reasoning_tokens",
    "cost",
];

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..2_000_u64).prop_map(|it| it.to_string()),
        any::<u64>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| format!("\"{it}\"")),
        any::<f64>().prop_map(|it| serde_json::json!(it).to_string()),
        (0..2_000_u64).prop_map(|it| format!(
            r#"{{"cached_tokens":{it},"reasoning_tokens":{it},"audio_tokens":{it},"cache_creation":{{"ephemeral_1h_input_tokens":{it}}}}}"#
        )),
        Just("null".to_owned()),
    ]
}

proptest! {
    #[test]
    fn a_part_is_never_larger_than_its_whole(
        fields in prop::collection::vec((prop::sample::select(NAMES), any_value()), 0..9),
        input_details in any_value(),
        output_details in any_value(),
    ) {
        let mut json = format!(r#"{{"prompt_tokens_details":{input_details},"completion_tokens_details":{output_details}"#);
        for (name, value) in fields {
            json += &format!(r#","{name}":{value}"#);
        }
        json.push('}');
        let usage = read(&json).unwrap_or_default();
        prop_assert!(usage.cached_input + usage.cache_write <= usage.input, "{json}: {usage:?}");
        prop_assert!(usage.cache_write_1h <= usage.cache_write, "{json}: {usage:?}");
        prop_assert!(usage.reasoning <= usage.output, "{json}: {usage:?}");
        prop_assert!(usage.audio_input <= usage.input && usage.audio_output <= usage.output, "{json}: {usage:?}");
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = read(&text);
        let _ = Money::from_usd_decimal(&text);
    }
}
