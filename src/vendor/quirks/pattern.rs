//! Names of models as quirks have them, with `*` for any text.

/// Whether `pattern`, in which `*` stands for any text, covers all of `name`.
pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, name: &str, fits: bool| {
            assert_eq!(is_like(pattern, name), fits, "{pattern} {name}")
        };
        check("kimi-k2.5*", "kimi-k2.5", true);
        check("kimi-k2.5*", "kimi-k2.5-turbo", true);
        check("kimi-k2.5*", "kimi-k2", false);
        check("*claude-opus-4-6*", "us.anthropic.claude-opus-4-6-v1", true);
        check("*claude-*-4-6", "eu.anthropic.claude-sonnet-4-6", true);
        check("*claude-*-4-6", "eu.anthropic.claude-sonnet-4-6-v1", false);
        check("a*a", "a", false);
        check("*", "", true);
        check("", "", true);
        check("o3", "o3-mini", false);
    }
}
