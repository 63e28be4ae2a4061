//! Messages that another vendor's model wrote, on their way to one that is particular.

use super::{check, check_message, fitted, stays};

const CALLS: &str =
    r#""tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{ }"}}]"#;

#[test]
fn reasoning_comes_back_with_calls() {
    let bare = format!(r#"{{"role":"assistant","content":null,{CALLS}}}"#);
    let echoed = format!(r#"{{"role":"assistant","content":null,{CALLS},"reasoning_content":" "}}"#);
    for target in
        ["deepseek/deepseek-flash", "moonshot/kimi-k2.6", "moonshot/kimi-k3", "moonshot/kimi-k2-thinking"]
    {
        check_message(target, &bare, &echoed, "");
        check_message(target, &echoed, &echoed, "");
        check_message(
            target,
            &bare.replace("null", "null,\"reasoning_content\":\"\""),
            &{
                echoed
                    .replace(",\"reasoning_content\":\" \"", "")
                    .replace("null", "null,\"reasoning_content\":\" \"")
            },
            "",
        );
        check_message(
            target,
            &bare.replace("null", "null,\"reasoning\":\"hm\""),
            &echoed.replace("\" \"", "\"hm\""),
            "",
        );
    }
    check_message("moonshot/moonshot-v1-8k", &bare, &bare, "");
    check_message("openai/gpt-5.4", &echoed, &bare, "");
    check_message("groq/openai/gpt-oss-20b", &echoed, &bare, "");
    let renamed = echoed.replace("reasoning_content", "reasoning");
    check_message("cerebras/gpt-oss-120b", &echoed, &renamed, "");
}

#[test]
fn mistral_gets_ids_it_can_read() {
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"",{CALLS}}},{{"role":"tool","tool_call_id":"call_1","content":"x"}}]}}"#
    );
    let (got, losses) = fitted("mistral", "mistral-large-4", &body);
    let ids: Vec<&str> = got.split("id\":\"").skip(1).map(|it| it.split('"').next().unwrap()).collect();
    assert_eq!((ids.len(), losses.as_str()), (2, ""), "{got}");
    assert!(
        ids[0] == ids[1] && ids[0].len() == 9 && ids[0].bytes().all(|it| it.is_ascii_alphanumeric()),
        "{got}"
    );
    assert_eq!(got.replace(ids[0], "call_1"), body);
    stays("mistral/mistral-large-4", &body.replace("call_1", "aB3dE6gH9"));
}

#[test]
fn what_others_added_goes_where_it_is_refused() {
    let private = r#"{"role":"assistant","content":"a","reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text"}],"images":[],"annotations":[]}"#;
    check_message("openai/gpt-4o", private, r#"{"role":"assistant","content":"a","annotations":[]}"#, "");
    check_message("groq/openai/gpt-oss-20b", private, r#"{"role":"assistant","content":"a"}"#, "");
    check_message(
        "deepseek/deepseek-flash",
        private,
        r#"{"role":"assistant","content":"a","reasoning_content":"hm"}"#,
        "",
    );
    check_message("openrouter/a/b", private, private, "");
    let marked =
        r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#;
    check_message("openai/gpt-5.4", marked, r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#, "");
    check_message("qwen/qwen-plus", marked, marked, "");
    check_message("openrouter/a/b", marked, marked, "");
    let tool = r#"{"role":"tool","tool_call_id":"aB3dE6gH9","content":"x","is_error":true}"#;
    check_message(
        "mistral/mistral-large-4",
        tool,
        &tool.replace(r#","is_error":true}"#, r#"},{"role":"assistant","content":"Done."}"#),
        "messages[].is_error",
    );
    let document = r#"{"role":"user","content":[{"type":"file","file":{"file_id":"f"},"citations":{"enabled":true},"context":"c"}]}"#;
    check_message(
        "openai/gpt-5.4",
        document,
        r#"{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}"#,
        "messages[].content[file].citations messages[].content[file].context",
    );
    let signed = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"x"}}}]}"#;
    check_message("gemini/gemini-3.8-flash", signed, signed, "");
    check_message(
        "openai/gpt-4o",
        signed,
        &signed.replace(r#","extra_content":{"google":{"thought_signature":"x"}}"#, ""),
        "",
    );
    check(
        "openai/gpt-4o",
        r#"{"cache_control":{},"tools":[{"type":"function","function":{"name":"f"},"cache_control":{}}]}"#,
        r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#,
        "",
    );
}

#[test]
fn gemini_gets_a_signature_with_each_turns_first_call() {
    let (got, _) =
        fitted("gemini", "gemini-4-argon", &format!(r#"{{"messages":[{{"role":"assistant",{CALLS}}}]}}"#));
    assert!(got.contains(r#""arguments":"{ }"},"extra_content":{"google":{"thought_signature":"#), "{got}");
    stays("gemini/gemini-2.5-flash", &format!(r#"{{"messages":[{{"role":"assistant",{CALLS}}}]}}"#));
}

#[test]
fn text_in_parts_becomes_a_string_for_models_of_text() {
    let parts = r#"{"role":"user","content":[{"type":"text","text":"a\n"},{"type":"text","text":"\u00e9"}]}"#;
    check_message("moonshot/moonshot-v1-8k", parts, r#"{"role":"user","content":"a\n\u00e9"}"#, "");
    check_message("moonshot/kimi-k2.6", parts, parts, "");
    let image = r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]}"#;
    check_message("moonshot/moonshot-v1-8k", image, image, "");
}

#[test]
fn names_go_where_they_are_refused() {
    let named = r#"{"role":"user","name":"bo","content":"a"}"#;
    check_message("zai/glm-5.3", named, r#"{"role":"user","content":"a"}"#, "messages[].name");
    check_message("groq/openai/gpt-oss-20b", named, r#"{"role":"user","content":"a"}"#, "messages[].name");
    let tool = r#"{"role":"tool","name":"f","tool_call_id":"a","content":"x"}"#;
    check_message("zai/glm-5.3", tool, r#"{"role":"tool","tool_call_id":"a","content":"x"}"#, "");
    check_message("openai/gpt-4o", named, named, "");
}

#[test]
fn messages_come_in_the_order_that_a_vendor_wants() {
    let body = |messages: &str| format!(r#"{{"messages":[{messages}]}}"#);
    let said = |role: &str, text: &str| format!(r#"{{"role":"{role}","content":"{text}"}}"#);
    let check = |target: &str, messages: &[String], expected: &[String]| {
        check(target, &body(&messages.join(",")), &body(&expected.join(",")), "");
    };
    let (system, later, user, answer) =
        (said("system", "s"), said("developer", "t"), said("user", "q"), said("assistant", "a"));
    check("zai/glm-5.3", &[system.clone(), later.clone()], &[system.clone(), said("user", "t")]);
    check(
        "hunyuan/hunyuan-t1",
        &[user.clone(), system.clone(), later.clone()],
        &[said("system", "s\\n\\nt"), user.clone()],
    );
    check(
        "hunyuan/hunyuan-t1",
        &[system.clone(), user.clone(), user.clone(), answer.clone()],
        &[system.clone(), said("user", "q\\n\\nq"), answer.clone()],
    );
    check(
        "hunyuan/hunyuan-t1",
        &[system.clone(), user.clone(), answer.clone()],
        &[system, user.clone(), answer.clone()],
    );
    let parts = r#"{"role":"user","content":[{"type":"text","text":"b"}]}"#.to_owned();
    check(
        "perplexity/sonar",
        &[user.clone(), parts.clone()],
        &[r#"{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"b"}]}"#.to_owned()],
    );
    check(
        "mistral/mistral-large-4",
        &[user.clone(), answer.clone()],
        &[user, r#"{"role":"assistant","content":"a","prefix":true}"#.to_owned()],
    );
}
