//! Bedrock's rules for names and metadata, and how what breaks them is made to keep them.

use std::collections::{HashMap, HashSet};

/// Longest name of a document, in characters; the API takes 200, and a number may follow it.
const NAME_CHARS_MAX: usize = 190;

/// Names of documents within one request: Bedrock wants them to be different, and of few characters ("DocumentBlock":
/// letters, digits, single spaces, hyphens, parentheses, square brackets).
#[derive(Default)]
pub struct Names {
    taken: HashSet<String>,
    /// The number that is tried next, by the name before it.
    next: HashMap<String, u64>,
}

impl Names {
    /// The name a document goes by; a file's extension says nothing and is left out.
    pub fn take(&mut self, name: Option<&str>) -> String {
        let stem = name.map(|it| it.rsplit_once('.').map_or(it, |(stem, _)| stem)).unwrap_or_default();
        let mut clean = String::new();
        for it in stem.chars().take(NAME_CHARS_MAX) {
            match it {
                _ if it.is_ascii_alphanumeric() || matches!(it, '-' | '(' | ')' | '[' | ']') => {
                    clean.push(it)
                }
                _ if it.is_whitespace() && !clean.ends_with(' ') => clean.push(' '),
                _ if it.is_whitespace() => (),
                _ => clean.push('-'),
            }
        }
        let base = if clean.trim().is_empty() { "document" } else { clean.trim() };
        let mut free = base.to_owned();
        while !self.taken.insert(free.clone()) {
            let number = self.next.entry(base.to_owned()).or_insert(2);
            free = format!("{base}-{number}");
            *number += 1;
        }
        free
    }
}

/// Whether Bedrock takes a value of `requestMetadata`, or its key.
pub fn is_metadata(text: &str) -> bool {
    let fits = |it: char| it.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(it);
    text.len() <= 256 && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_clean_and_different_names() {
        let mut names = Names::default();
        let mut check = |name: Option<&str>, taken: &str| assert_eq!(names.take(name), taken);
        check(Some("Q3  report (v2).pdf"), "Q3 report (v2)");
        check(Some("Q3 report (v2).txt"), "Q3 report (v2)-2");
        check(Some("a/b_c.tar.gz"), "a-b-c-tar");
        check(None, "document");
        check(Some("..."), "--");
        check(Some(" "), "document-2");
        check(Some("document-3"), "document-3");
        check(None, "document-4");
    }

    #[test]
    fn many_documents_of_one_name_take_no_longer_than_others() {
        let mut names = Names::default();
        let last = (0..60_000).map(|_| names.take(None)).last();
        assert_eq!(last.as_deref(), Some("document-60000"));
    }
}
