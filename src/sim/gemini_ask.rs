//! A request for Gemini's `generateContent`, read as Google reads it: unknown names at any depth, calls without their
//! responses and thoughts without their signatures are refused.

use serde_json::{Map, Value};

use super::{
    call::Refusal,
    talk::{Ask, Choice, Form, Seen, Tool, seal},
};

const REQUEST: &[&str] = &[
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "serviceTier",
    "store",
];
const CONFIG: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "audioTimestamp",
];
const THINKING: &[&str] = &["includeThoughts", "thinkingBudget", "thinkingLevel"];
const TOOL: &[&str] = &[
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "computerUse",
    "fileSearch",
    "googleMaps",
];
const FUNCTION: &[&str] = &[
    "name",
    "description",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "behavior",
];
const CALLING: &[&str] = &["mode", "allowedFunctionNames"];
const CONTENT: &[&str] = &["role", "parts"];
/// What a part is; besides, it may be a thought and carry a signature.
const DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];
const ASIDE: &[&str] = &["thought", "thoughtSignature", "videoMetadata", "mediaResolution"];
const SCHEMA: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];
const SCHEMA_DEPTH_MAX: usize = 32;
/// Google's documented words for calls that another model made, plain and as the bytes they are.
const SKIPS: [&str; 2] = ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="];

/// Of a call by its name; of anything else said, by none.
pub(super) fn signature(call: Option<&str>) -> String {
    seal(&format!("gemini:{}", call.unwrap_or("?")))
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::invalid(None, message)
}

/// The names that the JSON form of protocol buffers takes: in camel case, or with underscores.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        camel.extend(word.chars().take(1).flat_map(char::to_uppercase));
        camel.extend(word.chars().skip(1));
    }
    camel
}

/// The fields of an object, in camel case, all of them known.
fn known(at: &str, value: &Value, names: &[&[&str]]) -> Result<Map<String, Value>, Refusal> {
    let Some(fields) = value.as_object() else {
        return match value {
            Value::Null => Ok(Map::new()),
            _ => Err(refused(format!("Invalid value at '{at}', expected an object"))),
        };
    };
    let mut found = Map::new();
    for (name, value) in fields {
        let camel = camel(name);
        if !names.iter().any(|it| it.contains(&camel.as_str())) {
            let message = format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
            );
            return Err(refused(message));
        }
        found.insert(camel, value.clone());
    }
    Ok(found)
}

/// Reads a request; also whether thoughts are to be shown. `is_vertex`: as Vertex does, which has no ids of calls and
/// other words for tiers.
pub(super) fn read(body: &Value, is_vertex: bool) -> Result<(Ask, bool), Refusal> {
    let fields = known("request", body, &[REQUEST])?;
    let part = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    if is_vertex && part("serviceTier").as_str().is_some_and(|it| !it.starts_with("SERVICE_TIER_")) {
        return Err(refused("Invalid value at 'service_tier'"));
    }
    let mut ask = Ask { keeps: !part("cachedContent").is_null(), ..Ask::default() };
    let shows = read_config(part("generationConfig"), &mut ask)?;
    if !part("systemInstruction").is_null() {
        read_content("system_instruction", part("systemInstruction"), !is_vertex)?;
    }
    read_tools(part("tools"), part("toolConfig"), &mut ask)?;
    hear(part("contents"), !is_vertex, &mut ask)?;
    Ok((ask, shows))
}

fn read_config(config: &Value, ask: &mut Ask) -> Result<bool, Refusal> {
    let config = known("generation_config", config, &[CONFIG])?;
    let number = |name: &str| config.get(name).and_then(Value::as_u64);
    ask.limit = number("maxOutputTokens").map(|it| it as usize);
    if number("candidateCount").is_some_and(|it| it > 1) {
        return Err(refused("Multiple candidates is not enabled for this model"));
    }
    if config.get("temperature").and_then(Value::as_f64).is_some_and(|it| !(0.0..=2.0).contains(&it)) {
        return Err(refused("generation_config.temperature must be in the range [0.0, 2.0]"));
    }
    let is_json = config.get("responseMimeType").is_some_and(|it| it == "application/json");
    if let Some(schema) = config.get("responseSchema") {
        check_schema("generation_config.response_schema", schema, 0)?;
    }
    ask.form = match config.get("responseJsonSchema").or_else(|| config.get("responseSchema")) {
        Some(_) if !is_json => {
            return Err(refused(
                "Response schema is only supported with response mime type application/json",
            ));
        }
        Some(schema) => Form::Schema(schema.clone()),
        None if is_json => Form::Object,
        None => Form::Prose,
    };
    let thinking = config.get("thinkingConfig").unwrap_or(&Value::Null);
    let thinking = known("generation_config.thinking_config", thinking, &[THINKING])?;
    let (level, budget) = (thinking.get("thinkingLevel"), thinking.get("thinkingBudget"));
    if level.is_some() && budget.is_some() {
        return Err(refused("You can only set only one of thinking budget and thinking level."));
    }
    let levels = ["minimal", "low", "medium", "high"];
    if level.is_some_and(|it| !it.as_str().is_some_and(|it| levels.contains(&&*it.to_lowercase()))) {
        return Err(refused("Invalid value at 'generation_config.thinking_config.thinking_level'"));
    }
    let shows = thinking.get("includeThoughts").is_some_and(|it| it == true);
    ask.thinks = shows || level.is_some() || budget.is_some_and(|it| *it != 0);
    Ok(shows)
}

fn read_tools(tools: &Value, config: &Value, ask: &mut Ask) -> Result<(), Refusal> {
    for (index, tool) in tools.as_array().into_iter().flatten().enumerate() {
        let at = format!("tools[{index}]");
        let tool = known(&at, tool, &[TOOL])?;
        for function in tool.get("functionDeclarations").and_then(Value::as_array).into_iter().flatten() {
            let function = known(&format!("{at}.function_declarations"), function, &[FUNCTION])?;
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            if name.is_empty() {
                return Err(refused(format!("{at}.function_declarations.name: must not be empty")));
            }
            if let Some(schema) = function.get("parameters") {
                check_schema(&format!("{at}.function_declarations.parameters"), schema, 0)?;
            }
            let schema = function.get("parameters").or_else(|| function.get("parametersJsonSchema"));
            ask.tools.push(Tool { name: name.to_owned(), schema: schema.cloned() });
        }
    }
    let config = known("tool_config", config, &[&["functionCallingConfig", "retrievalConfig"]])?;
    let calling = config.get("functionCallingConfig").unwrap_or(&Value::Null);
    let calling = known("tool_config.function_calling_config", calling, &[CALLING])?;
    let mode = calling.get("mode").and_then(Value::as_str).unwrap_or("AUTO");
    let named = calling.get("allowedFunctionNames").and_then(Value::as_array);
    if named.is_some() && !matches!(mode, "ANY" | "VALIDATED") {
        return Err(refused("allowed_function_names should only be set when function calling mode is ANY."));
    }
    ask.choice = match (mode, named.map(Vec::as_slice)) {
        ("NONE", _) => Choice::Barred,
        (_, Some([Value::String(name)])) => Choice::Named(name.clone()),
        ("AUTO" | "ANY" | "VALIDATED", _) => Choice::Free,
        _ => return Err(refused("Invalid value at 'tool_config.function_calling_config.mode'")),
    };
    Ok(())
}

/// Google's subset of OpenAPI's schemas.
fn check_schema(at: &str, schema: &Value, depth: usize) -> Result<(), Refusal> {
    let fields = known(at, schema, &[SCHEMA])?;
    if depth > SCHEMA_DEPTH_MAX || fields.get("type").is_some_and(|it| !it.is_string()) {
        return Err(refused(format!(
            "Invalid value at '{at}.type': Proto field is not repeating, cannot start list."
        )));
    }
    let properties = fields.get("properties").and_then(Value::as_object).into_iter().flatten();
    let choices = fields.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    for inner in properties.map(|it| it.1).chain(choices).chain(fields.get("items")) {
        check_schema(at, inner, depth + 1)?;
    }
    Ok(())
}

struct Content {
    role: String,
    parts: Vec<Map<String, Value>>,
}

impl Content {
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.parts.iter().filter_map(move |it| it.get(name))
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.of(kind).map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect();
        names.sort();
        names
    }
}

fn read_content(at: &str, content: &Value, has_ids: bool) -> Result<Content, Refusal> {
    let fields = known(at, content, &[CONTENT])?;
    let role = fields.get("role").and_then(Value::as_str).unwrap_or("user");
    if !matches!(role, "user" | "model" | "system" | "function") {
        return Err(refused("Please use a valid role: user, model."));
    }
    let given = fields.get("parts").and_then(Value::as_array).filter(|it| !it.is_empty());
    let given = given.ok_or_else(|| refused(format!("{at}.parts must not be empty.")))?;
    let mut parts = Vec::with_capacity(given.len());
    for (index, part) in given.iter().enumerate() {
        let at = format!("{at}.parts[{index}]");
        let part = known(&at, part, &[DATA, ASIDE])?;
        check_part(&at, &part, has_ids)?;
        parts.push(part);
    }
    Ok(Content { role: role.to_owned(), parts })
}

fn check_part(at: &str, part: &Map<String, Value>, has_ids: bool) -> Result<(), Refusal> {
    let kinds: Vec<&str> = DATA.iter().copied().filter(|it| part.contains_key(*it)).collect();
    let [kind] = kinds[..] else {
        return Err(refused(format!(
            "{at}.data: required oneof field 'data' must have one initialized field"
        )));
    };
    let value = &part[kind];
    let id: &[&str] = if has_ids { &["id"] } else { &[] };
    match kind {
        "functionCall" => {
            let call = known(&format!("{at}.function_call"), value, &[id, &["name", "args"]])?;
            if call.get("args").is_some_and(|it| !it.is_object()) {
                return Err(refused(format!("Invalid value at '{at}.function_call.args'")));
            }
        }
        "functionResponse" => {
            let names = ["name", "response", "parts", "willContinue", "scheduling"];
            let response = known(&format!("{at}.function_response"), value, &[id, &names])?;
            if !response.get("response").is_some_and(Value::is_object) {
                return Err(refused(format!("Invalid value at '{at}.function_response.response'")));
            }
        }
        "inlineData" => {
            let data = known(&format!("{at}.inline_data"), value, &[&["mimeType", "data", "displayName"]])?;
            let text = data.get("data").and_then(Value::as_str).unwrap_or("data:");
            if !data.contains_key("mimeType") || text.starts_with("data:") {
                return Err(refused(format!("Invalid value at '{at}.inline_data': Base64 decoding failed")));
            }
        }
        "fileData" => {
            drop(known(&format!("{at}.file_data"), value, &[&["mimeType", "fileUri", "displayName"]])?)
        }
        _ => {}
    }
    let Some(signature_given) = part.get("thoughtSignature").and_then(Value::as_str) else { return Ok(()) };
    let call = (kind == "functionCall").then(|| value["name"].as_str().unwrap_or_default());
    if SKIPS.contains(&signature_given) || signature_given == signature(call) {
        return Ok(());
    }
    Err(refused("Thought signature is not valid."))
}

fn hear(contents: &Value, has_ids: bool, ask: &mut Ask) -> Result<(), Refusal> {
    let contents = contents.as_array().filter(|it| !it.is_empty());
    let contents = contents.ok_or_else(|| refused("contents is not specified"))?;
    let mut called: Vec<String> = Vec::new();
    let mut first_unsigned = None;
    for (index, content) in contents.iter().enumerate() {
        let content = read_content(&format!("contents[{index}]"), content, has_ids)?;
        let (calls, responses) = (content.names("functionCall"), content.names("functionResponse"));
        if !calls.is_empty() && (content.role != "model" || index == 0) {
            return Err(refused(
                "Please ensure that function call turn comes immediately after a user turn or after a function \
                 response turn.",
            ));
        }
        if responses != called {
            return Err(refused(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            ));
        }
        if content.role != "model" {
            hear_user(&content, ask);
        }
        if content.role != "model" && responses.is_empty() {
            first_unsigned = None;
        }
        let unsigned = content.parts.iter().find(|it| it.contains_key("functionCall"));
        if unsigned.is_some_and(|it| !it.contains_key("thoughtSignature")) {
            first_unsigned = first_unsigned.or(Some(index));
        }
        ask.after_tools = !responses.is_empty();
        called = calls;
    }
    match first_unsigned.filter(|_| ask.thinks) {
        Some(index) => Err(refused(format!(
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
             correctly. Position {index}."
        ))),
        None => Ok(()),
    }
}

fn hear_user(content: &Content, ask: &mut Ask) {
    if content.of("functionResponse").next().is_none() {
        ask.seen = Seen::default();
    }
    for data in content.of("inlineData").chain(content.of("fileData")) {
        let kind = data["mimeType"].as_str().or_else(|| data["mime_type"].as_str()).unwrap_or("image/");
        match kind.split('/').next() {
            Some("image") => ask.seen.images += 1,
            Some("audio") => ask.seen.sounds += 1,
            _ => ask.seen.documents += 1,
        }
    }
    for response in content.of("functionResponse") {
        ask.seen.results += 1;
        ask.seen.failed_results += usize::from(response["response"].get("error").is_some());
    }
    let texts: Vec<&str> = content.of("text").filter_map(Value::as_str).collect();
    if !texts.is_empty() {
        ask.echo = texts.join(" ");
    }
}
