//! Seals as `encrypted_content`: OpenAI's own as it is, those of other makers behind a tag that says whose they are, so that
//! they find their way back through a client that knows nothing of them.

use crate::dialect::prompt::Seal;
use crate::dialect::{Dialect, seal};

/// Behind the tag of a seal that stands instead of the reasoning. Base64, which all makers use, has no dot.
const WHOLE: &str = "whole.";

/// What a client is given of a seal.
pub fn tagged(seal: &Seal) -> String {
    if seal::is_plain(seal, Dialect::Responses) {
        return seal.data.clone();
    }
    let whole = if seal.is_whole { WHOLE } else { "" };
    seal::tagged(seal.dialect, &format!("{whole}{}", seal.data))
}

/// The seal that a client gave back.
pub fn untagged(content: &str) -> Seal {
    let made = seal::untagged(content).map(|(dialect, data)| {
        let whole = data.strip_prefix(WHOLE);
        Seal { dialect, data: whole.unwrap_or(data).to_owned(), is_whole: whole.is_some() }
    });
    made.unwrap_or_else(|| own(content))
}

/// The seal that a vendor of this dialect gave.
pub fn own(content: &str) -> Seal {
    Seal { dialect: Dialect::Responses, data: content.to_owned(), is_whole: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_come_back_through_a_client() {
        let check = |dialect, data: &str, is_whole, content: &str| {
            let seal = Seal { dialect, data: data.into(), is_whole };
            assert_eq!(tagged(&seal), content);
            assert_eq!(untagged(content), seal);
        };
        check(Dialect::Responses, "gAAA=", true, "gAAA=");
        check(Dialect::Anthropic, "sig=", false, "tollgate.anthropic.sig=");
        check(Dialect::Anthropic, "red=", true, "tollgate.anthropic.whole.red=");
        check(Dialect::Gemini, "s", false, "tollgate.gemini.s");
        let chained = "tollgate.responses.whole.tollgate.anthropic.s";
        check(Dialect::Responses, "tollgate.anthropic.s", true, chained);
        for strange in ["tollgate.", "tollgate.x", "tollgate.banana.s", ""] {
            assert_eq!(untagged(strange), own(strange));
        }
    }
}
