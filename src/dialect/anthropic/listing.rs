//! Bodies that an edge for Anthropic's clients needs besides answers: token counts and models.

use crate::api::ink::Ink;

/// When a model came out, where nobody says: the API's clients expect a time.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// The answer to `/messages/count_tokens`.
pub fn write_count(tokens: u64) -> Vec<u8> {
    format!(r#"{{"input_tokens":{tokens}}}"#).into_bytes()
}

/// The answer to `GET /models`: all on one page.
pub fn write_models<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = &mut bytes;
    writer.open(b'{').key("data").open(b'[');
    let (mut first, mut last) = (None, None);
    for id in ids {
        model(id, writer);
        first = first.or(Some(id));
        last = Some(id);
    }
    writer.close(b']').raw_field("has_more", "false");
    writer.text_or_null("first_id", first).text_or_null("last_id", last).close(b'}');
    bytes
}

/// The answer to `GET /models/{id}`.
pub fn write_model(id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    model(id, &mut bytes);
    bytes
}

fn model(id: &str, writer: &mut Vec<u8>) {
    writer.of_type("model").text_field("id", id).text_field("display_name", id);
    writer.text_field("created_at", UNKNOWN_TIME).close(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_counts_are_in_anthropics_form() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let one = r#"{"type":"model","id":"a","display_name":"a","created_at":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(text(write_model("a")), one);
        let list = text(write_models(["a"]));
        assert_eq!(list, format!(r#"{{"data":[{one}],"has_more":false,"first_id":"a","last_id":"a"}}"#));
        let none = r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#;
        assert_eq!(text(write_models([])), none);
        assert_eq!(text(write_count(7)), r#"{"input_tokens":7}"#);
    }
}
