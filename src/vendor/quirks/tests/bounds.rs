//! Bounds by the name that each vendor heeds, labels that some refuse, and names that are too long for them.

use super::{check, fitted, stays};

#[test]
fn the_bound_of_an_answer_has_the_name_that_its_vendor_documents() {
    for target in [
        "deepseek/deepseek-flash",
        "qwen/qwen3.8-max",
        "zai/glm-5.3",
        "hunyuan/hunyuan-t1",
        "tokenhub/hy3",
        "siliconflow/deepseek-ai/DeepSeek-V3.2",
        "stepfun/step-5-preview",
        "yi/yi-large",
        "baichuan/Baichuan4",
        "mistral/mistral-large-4",
        "together/zai-org/GLM-5.2",
        "perplexity/sonar",
        "cohere/command-r",
        "ollama/qwen3",
        "lmstudio/m",
        "llamacpp/m",
    ] {
        check(target, r#"{"max_completion_tokens":7}"#, r#"{"max_tokens":7}"#, "");
        stays(target, r#"{"max_tokens":7}"#);
    }
    for target in ["openai/gpt-4o", "moonshot/kimi-k3", "ark/doubao-seed-1-6", "groq/llama", "vllm/m"] {
        stays(target, r#"{"max_completion_tokens":7}"#);
    }
}

#[test]
fn labels_go_only_to_vendors_that_take_them() {
    let labels = r#"{"prompt_cache_key":"k","metadata":{"a":"b"},"store":false,"safety_identifier":"s","verbosity":"low","user":"u"}"#;
    for target in ["groq/openai/gpt-oss-20b", "cerebras/zai-glm-4.7", "gemini/gemini-3.8-flash"] {
        check(target, labels, r#"{"user":"u"}"#, "verbosity");
    }
    let tier = |it: &str| format!(r#"{{"service_tier":"{it}"}}"#);
    check("groq/llama", &tier("default"), &tier("on_demand"), "");
}

#[test]
fn openai_keeps_metadata_only_of_what_it_stores() {
    for target in ["openai/gpt-4o", "azure/gpt-5.5", "azure-classic/gpt-5.4"] {
        check(target, r#"{"store":false,"metadata":{"a":"b"}}"#, r#"{"store":false}"#, "");
        check(target, r#"{"metadata":{"a":"b"},"n":2}"#, r#"{"n":2}"#, "");
        stays(target, r#"{"store":true,"metadata":{"a":"b"}}"#);
    }
    // On /responses it may have them.
    let responses = r#"{"store":false,"metadata":{"a":"b"}}"#;
    stays("openai/gpt-5.3-codex", responses);
    check("azure-classic/gpt-5.3-codex", responses, r#"{"store":false}"#, "");
    let tools = r#"{"tools":[{"type":"function","function":{"name":"f"}}],"metadata":{}}"#;
    stays("openai/gpt-6-luna", tools);
    check("azure-classic/gpt-6-astra", tools, &tools.replace(r#","metadata":{}"#, ""), "");
}

#[test]
fn a_name_that_is_too_long_is_sent_as_a_hash() {
    let body = |name: &str, length: usize| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(length));
    let sent = |target: &str, name: &str, length: usize| {
        let (vendor, model) = target.split_once('/').unwrap();
        let (sent, losses) = fitted(vendor, model, &body(name, length));
        let again = fitted(vendor, model, &body(name, length)).0;
        assert_eq!((&sent, losses.as_str()), (&again, ""), "{target}");
        let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
        sent[name].as_str().unwrap().to_owned()
    };
    for (target, most) in [
        ("openai/gpt-4o", 64),
        ("azure/gpt-5.5", 64),
        ("openrouter/a/b", 128),
        ("zai/glm-5.3", 128),
        ("ark/doubao-seed-1-6", 128),
    ] {
        stays(target, &body("user", most));
        let hash = sent(target, "user", most + 1);
        assert!(hash.len() <= most && hash.bytes().all(|it| it.is_ascii_hexdigit()), "{target}: {hash}");
    }
    let key = sent("openai/gpt-5.5", "prompt_cache_key", 65);
    assert_eq!((key.len(), key == sent("openai/gpt-5.5", "prompt_cache_key", 66)), (64, false));
    stays("deepseek/deepseek-flash", &body("user", 1000));
}

#[test]
fn of_more_stop_sequences_than_are_taken_the_first_are_sent() {
    let stop = |it: &str| format!(r#"{{"stop":{it}}}"#);
    for target in ["openai/gpt-4o", "azure/gpt-5.5"] {
        check(target, &stop(r#"["a","b", "c","d","e"]"#), &stop(r#"["a","b","c","d"]"#), "stop");
        stays(target, &stop(r#"["a", "b","c","d"]"#));
        stays(target, &stop("\"a\""));
    }
    for target in ["openai/o3", "openai/gpt-5-mini"] {
        check(target, &stop("\"a\""), "{}", "stop");
    }
    stays("openai/o3-mini", &stop("\"a\""));
    stays("deepseek/deepseek-flash", &stop(r#"["a","b","c","d","e"]"#));
}
