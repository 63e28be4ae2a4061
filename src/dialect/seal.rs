//! Seals of other makers in a dialect's own opaque field: behind a tag that says whose they are, so that they find their
//! way back through a client that knows nothing of them.

use super::Dialect;
use super::prompt::Seal;

/// `tollgate.<dialect>.<data>`
const TAG: &str = "tollgate.";

/// Whether a seal goes to clients of `own` as it is. One that is tagged already was made for another gateway behind this
/// one: it is tagged again, and goes back to it.
pub fn is_plain(seal: &Seal, own: Dialect) -> bool {
    seal.dialect == own && untagged(&seal.data).is_none()
}

pub fn tagged(maker: Dialect, data: &str) -> String {
    format!("{TAG}{}.{data}", maker.as_str())
}

/// Between the id of a thought and its seal.
const ID_END: char = '~';

/// The same with the id of the thought that it seals: OpenAI wants both back, and other dialects have no place for an id.
pub fn tagged_with(seal: &Seal, id: Option<&str>) -> String {
    let has_ids = seal.dialect == Dialect::Responses;
    match id.filter(|it| has_ids && !it.contains(ID_END)) {
        Some(id) => tagged(seal.dialect, &format!("{id}{ID_END}{}", seal.data)),
        // Made for another gateway, with an id in it.
        None if has_ids && seal.data.contains(ID_END) => {
            tagged(seal.dialect, &format!("{ID_END}{}", seal.data))
        }
        None => tagged(seal.dialect, &seal.data),
    }
}

/// Takes the id out of what stood behind the tag.
pub fn parted(seal: Seal) -> (Seal, Option<String>) {
    match seal.data.split_once(ID_END) {
        Some((id, data)) if seal.dialect == Dialect::Responses => {
            let id = Some(id.to_owned()).filter(|it| !it.is_empty());
            (Seal { data: data.to_owned(), ..seal }, id)
        }
        _ => (seal, None),
    }
}

/// Whose it is, and what was in it; None of what has no tag, or one that nobody knows.
pub fn untagged(text: &str) -> Option<(Dialect, &str)> {
    let (name, data) = text.strip_prefix(TAG)?.split_once('.')?;
    let maker = Dialect::ALL.into_iter().find(|it| it.as_str() == name)?;
    Some((maker, data))
}

/// The tag as it begins a text, as it does in the base64 that Google's signatures are, a thought without a seal, and a
/// place in a search that Anthropic did not make: what only the gateway writes, and a client brings back.
const OWN: [&str; 6] = [
    "\"tollgate.",
    "\"dG9sbGdhdGUu",
    "\"signature\":\"\"",
    "\"signature\": \"\"",
    "\"encrypted_index\":\"\"",
    "\"encrypted_index\": \"\"",
];

/// Whether a request may hold thoughts, or citations, of other makers than the one whose dialect it is in: that one would refuse them.
pub fn may_stand_in(body: &[u8]) -> bool {
    OWN.iter().any(|it| memchr::memmem::find(body, it.as_bytes()).is_some()) || has_made_thought(body)
}

/// How long the ids are that the gateway gives thoughts of the Responses API: 32 digits and a number. OpenAI's are longer.
const MADE_ID: std::ops::RangeInclusive<usize> = 33..=36;

/// Whether a thought is among them that only the gateway gave its id.
fn has_made_thought(body: &[u8]) -> bool {
    memchr::memmem::find_iter(body, b"\"rs_").any(|at| {
        let id = body[at + 4..].iter().take_while(|it| it.is_ascii_hexdigit()).count();
        MADE_ID.contains(&id) && body.get(at + 4 + id) == Some(&b'"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_brings_thoughts_of_others_is_known() {
        for own in [
            r#"{"signature":""}"#,
            r#"[{"signature":"tollgate.gemini.c2ln"}]"#,
            r#"{"cited_text":"", "encrypted_index": "", "url":"https://a"}"#,
        ] {
            assert!(may_stand_in(own.as_bytes()), "{own}");
        }
        use base64::Engine as _;
        let googles = base64::engine::general_purpose::STANDARD.encode("tollgate.anthropic.sig");
        assert!(may_stand_in(format!(r#"{{"thoughtSignature":"{googles}"}}"#).as_bytes()));
        assert!(!may_stand_in(br#"{"signature":"c2ln","text":"ask tollgate."}"#));
        assert!(may_stand_in(br#"{"id":"rs_30bc149636d217abf6a3a9cdc6c7e51b0"}"#));
        assert!(!may_stand_in(br#"{"id":"rs_68af4030baa48193b0b43b4c2a176a1a0e6967589f080e77"}"#));
    }

    #[test]
    fn the_id_of_a_thought_travels_with_its_seal() {
        let seal = |dialect, data: &str| Seal { dialect, data: data.into(), is_whole: true };
        let check = |dialect, data: &str, id: Option<&str>, kept: Option<&str>| {
            let text = tagged_with(&seal(dialect, data), id);
            let (dialect, data_read) = untagged(&text).unwrap();
            assert_eq!(
                parted(seal(dialect, data_read)),
                (seal(dialect, data), kept.map(Into::into)),
                "{text}"
            );
        };
        check(Dialect::Responses, "gAAA=", Some("rs_1"), Some("rs_1"));
        check(Dialect::Responses, "gAAA=", None, None);
        check(Dialect::Responses, "tollgate.responses.rs_1~gAAA=", Some("rs_2"), Some("rs_2"));
        check(Dialect::Responses, "tollgate.responses.rs_1~gAAA=", None, None);
        check(Dialect::Gemini, "sig=", Some("rs_1"), None);
    }

    #[test]
    fn what_is_tagged_is_known_again() {
        for maker in Dialect::ALL {
            assert_eq!(untagged(&tagged(maker, "a.b=")), Some((maker, "a.b=")));
        }
        for strange in ["", "tollgate.", "tollgate.chat", "tollgate.banana.s", "sig="] {
            assert_eq!(untagged(strange), None, "{strange}");
        }
        let seal = |data: &str| Seal { dialect: Dialect::Anthropic, data: data.into(), is_whole: false };
        assert!(is_plain(&seal("sig="), Dialect::Anthropic) && !is_plain(&seal("sig="), Dialect::Gemini));
        assert!(!is_plain(&seal("tollgate.gemini.s"), Dialect::Anthropic));
    }
}
