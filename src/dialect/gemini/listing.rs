//! Bodies that an edge for Google's clients needs besides answers: token counts and models.

use crate::api::ink::Ink;

/// What a listed model can be asked for.
const METHODS: [&str; 3] = ["generateContent", "streamGenerateContent", "countTokens"];

/// The answer of `:countTokens`.
pub fn write_count(tokens: u64) -> Vec<u8> {
    let mut out = String::new();
    out.open(b'{');
    out.number_field("totalTokens", tokens);
    out.close(b'}');
    out.into_bytes()
}

/// The answer of `GET /models`: all on one page.
pub fn write_models<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = String::new();
    out.open(b'{');
    out.key("models").open(b'[');
    ids.into_iter().for_each(|it| model(it, &mut out));
    out.close(b']');
    out.close(b'}');
    out.into_bytes()
}

/// The answer of `GET /models/{id}`.
pub fn write_model(id: &str) -> Vec<u8> {
    let mut out = String::new();
    model(id, &mut out);
    out.into_bytes()
}

fn model(id: &str, out: &mut String) {
    out.open(b'{');
    out.text_field("name", &format!("models/{id}"));
    out.text_field("displayName", id);
    out.texts("supportedGenerationMethods", METHODS.iter());
    out.close(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_counts_are_in_googles_form() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let methods = r#"["generateContent","streamGenerateContent","countTokens"]"#;
        let model = |id| {
            format!(r#"{{"name":"models/{id}","displayName":"{id}","supportedGenerationMethods":{methods}}}"#)
        };
        assert_eq!(text(write_count(7)), r#"{"totalTokens":7}"#);
        assert_eq!(text(write_model("a/b")), model("a/b"));
        assert_eq!(
            text(write_models(["a", "b"])),
            format!(r#"{{"models":[{},{}]}}"#, model("a"), model("b"))
        );
        assert_eq!(text(write_models([])), r#"{"models":[]}"#);
    }
}
