//! Seals of reasoning: Google's own are `thoughtSignature`s as they stand; those of other makers travel to Gemini's
//! clients in the same field, as base64 of `tollgate.<dialect>.<data>`, and are told by it when they come back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::dialect::Dialect;
use crate::dialect::prompt::Seal;
use crate::dialect::seal::{parted, tagged_with, untagged};
use crate::dialect::sources::usual_base64;

/// Google's documented stand-in for a signature that its newer models demand and a history from elsewhere has not:
/// base64 of `skip_thought_signature_validator`.
pub(super) const STAND_IN: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// A seal as clients get it. `id`: of the thought.
pub(super) fn written(seal: &Seal, id: Option<&str>) -> String {
    match seal.dialect {
        Dialect::Gemini => seal.data.clone(),
        _ => BASE64_STANDARD.encode(tagged_with(seal, id)),
    }
}

/// The same with the id of the thought, where a client brings it back.
pub(super) fn brought(signature: &str, is_whole: bool) -> (Seal, Option<String>) {
    parted(read(signature, is_whole))
}

/// A seal as clients bring it back. `is_whole`: no readable reasoning stands beside it. Google's own never stand instead
/// of the reasoning: they belong to the part they come with.
pub(super) fn read(signature: &str, is_whole: bool) -> Seal {
    foreign(signature, is_whole).unwrap_or_else(|| Seal {
        dialect: Dialect::Gemini,
        data: signature.to_owned(),
        is_whole: false,
    })
}

fn foreign(signature: &str, is_whole: bool) -> Option<Seal> {
    // Google's SDKs write bytes back in another alphabet than they read them in.
    let text = String::from_utf8(BASE64_STANDARD.decode(usual_base64(signature.into())).ok()?).ok()?;
    let (dialect, data) = untagged(&text)?;
    Some(Seal { dialect, data: data.to_owned(), is_whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_of_all_makers_come_back() {
        for dialect in Dialect::ALL {
            let is_whole = dialect != Dialect::Gemini;
            let seal = Seal { dialect, data: "a.b.c==~~~?".to_owned(), is_whole };
            let written = written(&seal, None);
            for signature in [written.clone(), written.replace('+', "-").replace('/', "_")] {
                assert_eq!(brought(&signature, true), (seal.clone(), None));
            }
        }
        assert_eq!(written(&read("EtwC", false), None), "EtwC");
        assert_eq!(BASE64_STANDARD.decode(STAND_IN).unwrap(), b"skip_thought_signature_validator");
    }
}
