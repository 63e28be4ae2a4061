//! Messages of developers, and results of tools that show something.

use super::{check, check_message, stays};

#[test]
fn developers_are_the_system_where_nobody_knows_them() {
    let developers = r#"{ "role":"developer","content":"b"}"#;
    let system = r#"{"role":"system","content":"b"}"#;
    for target in ["deepseek/deepseek-flash", "qwen/qwen3-max", "openai-compatible/m", "vllm/m"] {
        check_message(target, developers, system, "");
    }
    for target in ["openai/gpt-5.5", "azure/gpt-4o"] {
        check_message(target, developers, developers, "");
    }
    stays("vllm/m", r#"{"messages":[{"role":"user","content":"a \"developer\" spoke"}],"user":"developer"}"#);
}

#[test]
fn what_tools_show_is_shown_by_the_user() {
    let image = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"#;
    let result =
        |id: u32, content: &str| format!(r#"{{"role":"tool","tool_call_id":"c{id}","content":{content}}}"#);
    let all = |of: &[&str]| format!(r#"{{"messages":[{}]}}"#, of.join(","));
    let text = r#"[{"type":"text","text":"saved"}]"#;
    let mixed = format!(r#"[{image},{{"type":"text","text":"saved"}}]"#);
    let behind = r#""The result is shown in the user's message behind the results.""#;
    let (one, two, three) = (result(1, &mixed), result(2, &format!("[{image}]")), result(3, "\"3\""));
    let (said, user) = (r#"{"role":"assistant","content":"a"}"#, r#"{"role":"user","content":"b"}"#);
    let shown = |count: usize| format!(r#"{{"role":"user","content":[{}]}}"#, vec![image; count].join(","));
    check(
        "openai/gpt-4o",
        &all(&[&one, &two, &three, said, &two, user]),
        &all(&[
            &result(1, text),
            &result(2, behind),
            &three,
            &shown(2),
            said,
            &result(2, behind),
            &shown(1),
            user,
        ]),
        "",
    );
    check("vllm/m", &all(&[&two]), &all(&[&result(2, behind), &shown(1)]), "");
    for still in [all(&[&three, &shown(1)]), all(&[&result(1, text), user, &shown(2)])] {
        stays("vllm/m", &still);
    }
}
