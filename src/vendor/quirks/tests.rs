//! The quirks of each vendor over requests, one row for each thing that vendors do otherwise.

mod bounds;
mod data;
mod functions;
mod histories;
mod own;
mod roles;
mod switches;

use bytes::Bytes;

use super::Quirks;
use crate::dialect::Dialect;
use crate::dialect::loss::Losses;

/// The body that a model of a vendor gets, and what is lost on the way, joined by spaces.
fn fitted(vendor: &str, model: &str, body: &str) -> (String, String) {
    let mut losses = Losses::default();
    let pieces = vec![Bytes::copy_from_slice(body.as_bytes())];
    let quirks = Quirks::of(vendor, &[]).for_model(model);
    let (pieces, _) = quirks.fit_tools(pieces, false, &mut losses);
    let fitted = quirks.fit(quirks.fit_messages(pieces, true), &mut losses).concat();
    (String::from_utf8(fitted).unwrap(), losses.names().join(" "))
}

/// Checks `vendor/model`.
fn check(target: &str, body: &str, expected: &str, losses: &str) {
    let (vendor, model) = target.split_once('/').unwrap();
    let got = fitted(vendor, model, body);
    assert_eq!((got.0.as_str(), got.1.as_str()), (expected, losses), "{target}: {body}");
}

/// Checks one message.
fn check_message(target: &str, message: &str, expected: &str, losses: &str) {
    let body = |it: &str| {
        format!(r#"{{"messages":[{{"role":"user","content":"q"}},{it},{{"role":"user","content":"r"}}]}}"#)
    };
    check(target, &body(message), &body(expected), losses);
}

/// The dialect that a call of a model is put into.
fn dialect(target: &str, body: &str) -> Option<Dialect> {
    let (vendor, model) = target.split_once('/').unwrap();
    Quirks::of(vendor, &[]).for_model(model).dialect(body.as_bytes())
}

#[test]
fn what_openai_serves_by_responses_alone_is_asked_there() {
    let tools = r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    for model in ["gpt-5.3-codex", "gpt-5.4-pro-2026-03-05", "o3-pro", "codex-mini-latest"] {
        assert_eq!(dialect(&format!("openai/{model}"), "{}"), Some(Dialect::Responses), "{model}");
    }
    for model in ["gpt-6-astra", "gpt-6-luna", "gpt-5.6-luna"] {
        assert_eq!(dialect(&format!("azure/{model}"), tools), Some(Dialect::Responses), "{model}");
        assert_eq!(dialect(&format!("azure/{model}"), "{}"), None, "{model}");
    }
    for target in ["openai/gpt-5.5", "openai/gpt-4o", "deepseek/codex-1"] {
        assert_eq!(dialect(target, tools), None, "{target}");
    }
}

#[test]
fn legacy_completions_are_of_the_models_that_have_them() {
    let check = |target: &str, completes: bool| {
        let (vendor, model) = target.split_once('/').unwrap();
        assert_eq!(Quirks::of(vendor, &[]).for_model(model).completions, completes, "{target}");
    };
    check("openai/gpt-4o", false);
    check("openai/gpt-5.3-codex", false);
    check("openai/gpt-3.5-turbo", false);
    check("openai/ft:gpt-4o-mini:org::id", false);
    check("openai/gpt-3.5-turbo-instruct-0914", true);
    check("openai/davinci-002", true);
    check("openai/ft:babbage-002:org::id", true);
    check("azure/gpt-4o", false);
    check("azure/our-instruct", true);
    check("deepseek/deepseek-chat", true);
}

/// Checks that a body goes as it is.
fn stays(target: &str, body: &str) {
    check(target, body, body, "");
}

#[test]
fn openai_wants_the_newer_bound_and_no_sampling_while_it_thinks() {
    check(
        "openai/gpt-5.5",
        r#"{"max_tokens":9,"temperature":0.2}"#,
        r#"{"max_completion_tokens":9}"#,
        "temperature",
    );
    check("openai/o4-mini", r#"{ "max_tokens" : 9 }"#, r#"{ "max_completion_tokens" : 9 }"#, "");
    check("openai/gpt-5.5", r#"{"top_p":1,"n":2}"#, r#"{"n":2}"#, "");
    stays("openai/gpt-5.5", r#"{"reasoning_effort":"none","temperature":0.2}"#);
    check(
        "openai/gpt-6.1-sol",
        r#"{"reasoning_effort":"none"}"#,
        r#"{"reasoning_effort":"low"}"#,
        "reasoning_effort",
    );
    stays("openai/gpt-4o", r#"{"max_tokens":9,"temperature":0.2}"#);
    check("openai/gpt-4o", r#"{"reasoning_effort":"low","top_k":3}"#, "{}", "reasoning_effort top_k");
    check(
        "openai/gpt-5",
        r#"{"max_tokens":9,"max_completion_tokens":8}"#,
        r#"{"max_completion_tokens":8}"#,
        "",
    );
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    check(
        "azure-classic/gpt-5.6-luna",
        &format!(r#"{{{tools},"reasoning_effort":"high","temperature":0.5}}"#),
        &format!(r#"{{{tools},"reasoning_effort":"none","temperature":0.5}}"#),
        "reasoning_effort",
    );
    check(
        "azure-classic/gpt-5.6-luna",
        &format!("{{{tools}}}"),
        &format!(r#"{{"reasoning_effort":"none",{tools}}}"#),
        "",
    );
}

#[test]
fn deepseek_takes_functions_only_and_no_strictness() {
    check(
        "deepseek/deepseek-flash",
        r#"{"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"b":1,"a":2}}},{"type":"web_search"}]}"#,
        r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":2}}}]}"#,
        "tools[].function.strict tools[web_search]",
    );
    check(
        "deepseek/deepseek-flash",
        r#"{"tools":[{"type":"web_search"},{"type":"odd,\n"}],"tool_choice":"auto","n":1}"#,
        r#"{"n":1}"#,
        "tools[web_search] tools[odd]",
    );
    check(
        "deepseek/deepseek-flash",
        r#"{"response_format":{"type":"json_schema","json_schema":{"name":"a"}}}"#,
        r#"{"response_format":{"type":"json_object"}}"#,
        "response_format",
    );
}

#[test]
fn dashscope_takes_no_frequency_penalty_and_no_required_tool() {
    check(
        "qwen-intl/qwen-plus",
        r#"{"frequency_penalty":0.1,"presence_penalty":0.1,"tool_choice":"required"}"#,
        r#"{"presence_penalty":0.1,"tool_choice":"auto"}"#,
        "frequency_penalty tool_choice",
    );
    let schema = r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#;
    stays("qwen/qwen3.8-max", schema);
    check("qwen/qwen-max", schema, r#"{"response_format":{"type":"json_object"}}"#, "response_format");
}

#[test]
fn kimi_samples_as_it_likes() {
    check(
        "moonshot/kimi-k2.5",
        r#"{"temperature":0.2,"top_p":0.9,"n":2,"presence_penalty":0,"seed":1,"max_tokens":5}"#,
        r#"{"max_tokens":5}"#,
        "temperature top_p n seed",
    );
    check("moonshot-cn/kimi-k3", r#"{"temperature":0.2,"top_k":1}"#, "{}", "temperature top_k");
    check("moonshot/kimi-k2.6", r#"{"tool_choice":"required"}"#, r#"{"tool_choice":"auto"}"#, "tool_choice");
    let forced = r#"{"tool_choice":{"type":"function","function":{"name":"f"}}}"#;
    check("moonshot/kimi-k2.6", forced, r#"{"tool_choice":"auto"}"#, "tool_choice");
    stays("moonshot/kimi-k2.6", &forced.replacen('{', r#"{"thinking":{"type":"disabled"},"#, 1));
    check(
        "moonshot/moonshot-v1-8k",
        r#"{"temperature":1.3,"n":2}"#,
        r#"{"temperature":1,"n":2}"#,
        "temperature",
    );
    check("moonshot/moonshot-v1-8k", r#"{"temperature":0.2,"n":2}"#, r#"{"temperature":0.2,"n":1}"#, "n");
    check("moonshot/kimi-k2.5", r#"{"functions":[{}],"function_call":"f"}"#, "{}", "functions function_call");
}

#[test]
fn glm_chooses_its_tools_itself() {
    let tools = |it: &str| format!(r#""tools":[{it}]"#);
    let (f, g) =
        (r#"{"type":"function","function":{"name":"f"}}"#, r#"{"type":"function","function":{"name":"g"}}"#);
    let both = tools(&format!("{f},{g}"));
    check(
        "zai/glm-5.3",
        &format!(r#"{{{both},"tool_choice":{{"type":"function","function":{{"name":"g"}}}}}}"#),
        &format!(r#"{{{},"tool_choice":"auto"}}"#, tools(g)),
        "tool_choice",
    );
    check("zai/glm-5.3", &format!(r#"{{{both},"tool_choice":"none","n":1}}"#), r#"{"n":1}"#, "");
    check("zai/glm-5.3", r#"{"tool_choice":"required"}"#, r#"{"tool_choice":"auto"}"#, "tool_choice");
    check(
        "zhipu/glm-4.7",
        &format!(r#"{{"stream":true,{both}}}"#),
        &format!(r#"{{"tool_stream":true,"stream":true,{both}}}"#),
        "",
    );
    check(
        "zhipu/glm-4.7",
        r#"{"max_completion_tokens":7,"presence_penalty":1,"stream_options":{"include_usage":true}}"#,
        r#"{"max_tokens":7}"#,
        "presence_penalty",
    );
    let schema = r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#;
    check("zhipu/glm-4.7", schema, r#"{"response_format":{"type":"json_object"}}"#, "response_format");
}

#[test]
fn minimax_keeps_thoughts_apart_where_it_is_asked_to() {
    check(
        "minimax/MiniMax-M2.7",
        r#"{"max_tokens":5,"tool_choice":"required","seed":1,"parallel_tool_calls":true}"#,
        r#"{"reasoning_split":true,"max_completion_tokens":5}"#,
        "tool_choice seed",
    );
    stays("minimax-cn/MiniMax-M3", r#"{"reasoning_split":true,"temperature":1}"#);
    check("minimax/MiniMax-M3", r#"{"reasoning_split":false}"#, r#"{"reasoning_split":true}"#, "");
    let quirks = |vendor: &str| Quirks::of(vendor, &[]).for_model("m").think_tags;
    assert!(quirks("minimax") && quirks("ollama") && quirks("vllm") && !quirks("openai"));
}

#[test]
fn mistral_has_words_of_its_own() {
    let tools = |it: &str| format!(r#""tools":[{it}]"#);
    let (f, g) =
        (r#"{"type":"function","function":{"name":"f"}}"#, r#"{"type":"function","function":{"name":"g"}}"#);
    check(
        "mistral/mistral-large-4",
        r#"{"seed":7,"max_completion_tokens":5}"#,
        r#"{"random_seed":7,"max_tokens":5}"#,
        "",
    );
    check("mistral/mistral-large-4", r#"{"tool_choice":"required"}"#, r#"{"tool_choice":"any"}"#, "");
    check(
        "mistral/mistral-large-4",
        &format!(
            r#"{{{},"tool_choice":{{"type":"function","function":{{"name":"f"}}}}}}"#,
            tools(&format!("{f},{g}"))
        ),
        &format!(r#"{{{},"tool_choice":"any"}}"#, tools(f)),
        "",
    );
    check("mistral/mistral-large-4", r#"{"user":"u","logprobs":true,"store":true}"#, "{}", "logprobs");
}

#[test]
fn others_leave_out_what_their_vendors_refuse() {
    check(
        "xai/grok-4.7",
        r#"{"stop":["a"],"frequency_penalty":1,"n":2}"#,
        r#"{"n":2}"#,
        "stop frequency_penalty",
    );
    stays("xai/grok-4-fast-non-reasoning", r#"{"stop":["a"]}"#);
    check(
        "perplexity/sonar-pro",
        r#"{"tools":[{}],"stop":"a","seed":1,"top_p":0.5}"#,
        r#"{"top_p":0.5}"#,
        "tools stop seed",
    );
    check(
        "groq/openai/gpt-oss-20b",
        r#"{"logprobs":false,"logit_bias":{"1":2},"n":3}"#,
        r#"{"n":1}"#,
        "logit_bias n",
    );
    check(
        "cerebras/gpt-oss-120b",
        r#"{"max_tokens":5,"presence_penalty":1}"#,
        r#"{"max_completion_tokens":5}"#,
        "presence_penalty",
    );
    check(
        "ollama/llama3",
        r#"{"tool_choice":"auto","n":2,"user":"u","logit_bias":{"1":1}}"#,
        "{}",
        "n logit_bias",
    );
    check(
        "anthropic/claude-opus-4-6",
        r#"{"temperature":1.5,"n":2,"seed":1,"response_format":{"type":"json_object"},"metadata":{}}"#,
        r#"{"temperature":1,"n":1}"#,
        "temperature n seed response_format",
    );
    stays("together/zai-org/GLM-5.2", r#"{"seed":1,"reasoning_effort":"low","top_k":4}"#);
    stays("qianfan/ernie-5.1", r#"{"seed":1,"tool_choice":"required"}"#);
    stays("openai-compatible/any", r#"{"reasoning":{},"thinking":{},"cache_control":{}}"#);
}
