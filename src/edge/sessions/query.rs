//! The query of a list: how much of it, in which order, from where on.

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// Entries of one page: how many at most, and how many where the client does not say.
const LIMIT_MAX: usize = 100;
const LIMIT_USUAL: usize = 20;

/// Bytes after which a page ends before its limit.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// Names and values, decoded, in their order.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn read(text: &str) -> Self {
        let decoded = |it: &str| percent_decode_str(&it.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|it| !it.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// The first value of this name that is not empty.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, value)| it == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// `limit`: 1 to 100, default 20.
    pub fn limit(&self) -> Result<usize, Error> {
        let Some(text) = self.one("limit") else { return Ok(LIMIT_USUAL) };
        let number = text.parse().ok().filter(|it| (1..=LIMIT_MAX).contains(it));
        number.ok_or_else(|| Error::bad_request("`limit` is a number from 1 to 100.").param("limit"))
    }

    /// `order`: `asc` or `desc`; whether it is the first.
    pub fn ascending(&self, by_default: bool) -> Result<bool, Error> {
        match self.one("order") {
            None => Ok(by_default),
            Some("asc") => Ok(true),
            Some("desc") => Ok(false),
            Some(_) => Err(Error::bad_request("`order` is `asc` or `desc`.").param("order")),
        }
    }

    /// The pairs of `metadata[key]=value`.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((key, value.as_str()))
        })
    }
}

/// A cursor that leads nowhere.
pub fn bad_cursor() -> Error {
    Error::bad_request("`after` is an id of this list, or the `next` of its last page.")
        .param("after")
        .code("invalid_cursor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_checked() {
        let query = Query::read("metadata%5Ba%20b%5D=c+d&metadata[e]=&limit=100&order=&x");
        assert_eq!(query.metadata().collect::<Vec<_>>(), [("a b", "c d"), ("e", "")]);
        assert_eq!((query.limit().unwrap(), query.ascending(true).unwrap()), (100, true));
        assert_eq!((query.one("x"), query.one("order")), (None, None));
        let check = |text: &str, limit: Option<usize>, ascending: Option<bool>| {
            let query = Query::read(text);
            assert_eq!((query.limit().ok(), query.ascending(false).ok()), (limit, ascending), "{text}");
        };
        check("", Some(20), Some(false));
        check("order=asc", Some(20), Some(true));
        check("limit=0&order=up", None, None);
        check("limit=101&order=DESC", None, None);
        check("limit=1.5", None, Some(false));
        check("limit=-1", None, Some(false));
    }
}
