//! The names that cross layers, each its own type so that one cannot be passed for another.
//! Cheap to clone: a name is shared text, made once when the configuration is read.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A model as a client or a vendor spells it.
    ModelName
);
name!(
    /// One configured endpoint of a vendor: the key under `upstreams:`.
    UpstreamId
);
name!(
    /// One caller: the key under `clients:`.
    ClientName
);

/// A key, password or token. Prints as `***`, compares by value, is never serialised.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret itself, for the one place that sends or digests it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Identifies one call in headers, logs and errors: 26 characters, unique across processes for practical purposes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 26]);

impl RequestId {
    /// `req_` and 88 random bits in Crockford-like base 32 (5 bits a character, no look-alikes).
    pub fn random() -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut text = *b"req_0000000000000000000000";
        let mut bits = fastrand::u128(..);
        for slot in &mut text[4..] {
            *slot = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a request id is made of ASCII")
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a cloud runs a model, in front of its name.
const REGIONS: [&str; 10] = ["global.", "us-gov.", "us.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "me."];

/// A model's name without what clouds put around it: Bedrock's region, maker and version, and Vertex's maker and date.
/// Other makers stay: what their models are called without one, nobody looks up.
pub fn without_cloud(model: &str) -> &str {
    let name = REGIONS.iter().find_map(|it| model.strip_prefix(it)).unwrap_or(model);
    let name = ["anthropic.", "google/"].iter().find_map(|it| name.strip_prefix(it)).unwrap_or(name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let is_version = |it: &str| match it.split_once(':') {
        Some((major, minor)) => is_number(major) && is_number(minor),
        None => is_number(it),
    };
    name.rsplit_once("-v").filter(|(_, end)| is_version(end)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        assert_eq!(format!("{:?}", Some(Secret::from("sk-planted"))), "Some(***)");
    }

    #[test]
    fn two_request_ids_differ() {
        assert_ne!(RequestId::random().as_str(), RequestId::random().as_str());
    }
}
