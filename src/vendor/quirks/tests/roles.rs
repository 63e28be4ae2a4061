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

#[test]
fn documents_of_other_clients_have_names() {
    let body = |file: &str| {
        format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"file","file":{file}}}]}}]}}"#)
    };
    for (data, name) in
        [("application/pdf;base64,AA==", "document.pdf"), ("text/plain;base64,AA==", "document.txt")]
    {
        let file = format!(r#"{{"file_data":"data:{data}"}}"#);
        let named = format!(r#"{{"file_data":"data:{data}","filename":"{name}"}}"#);
        check("openai/gpt-4o", &body(&file), &body(&named), "");
        stays("openai/gpt-4o", &body(&named));
    }
    stays("openai/gpt-4o", &body(r#"{"file_id":"file-1"}"#));
}

#[test]
fn a_schema_that_is_no_field_is_told_in_words() {
    let format =
        r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}}"#;
    let words = r#"{"role":"system","content":"Answer with nothing but JSON that keeps to this JSON schema: {\"type\":\"object\"}"}"#;
    let (system, user) = (r#"{"role":"system","content":"s"}"#, r#"{"role":"user","content":"q"}"#);
    check(
        "deepseek/deepseek-flash",
        &format!(r#"{{"messages":[{system},{user}],{format}}}"#),
        &format!(r#"{{"messages":[{system},{words},{user}],"response_format":{{"type":"json_object"}}}}"#),
        "response_format",
    );
    stays("openai/gpt-4o", &format!(r#"{{"messages":[{user}],{format}}}"#));
    stays(
        "deepseek/deepseek-flash",
        &format!(r#"{{"messages":[{user}],"response_format":{{"type":"json_object"}}}}"#),
    );
}

/// Coding agents say something beside what their tools did.
#[test]
fn between_tools_and_users_somebody_speaks_where_that_is_wanted() {
    let (tool, user) =
        (r#"{"role":"tool","tool_call_id":"aB3dE6gH9","content":"3"}"#, r#"{"role":"user","content":"b"}"#);
    let (said, done) = (r#"{"role":"assistant","content":"a"}"#, r#"{"role":"assistant","content":"Done."}"#);
    let all = |of: &[&str]| format!(r#"{{"messages":[{}]}}"#, of.join(","));
    let given = all(&[user, tool, tool, user, user, tool, said, user]);
    check(
        "mistral/mistral-large-4",
        &given,
        &all(&[user, tool, tool, done, user, user, tool, said, user]),
        "",
    );
    stays("vllm/m", &given);
}
