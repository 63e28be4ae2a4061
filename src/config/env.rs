//! The environment: the process's own, and `.env` beneath it. An empty variable counts as unset.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use crate::names::Secret;
use crate::upstream::spec::ProxySpec;
use crate::vendor::catalogue::CatalogueEntry;

use super::fault::Faults;
use super::files::Files;

/// What variables say.
pub(super) struct Environment {
    variables: HashMap<String, String>,
}

/// The process's variables; what is not UTF-8 cannot be meant for us.
pub(super) fn process() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Environment {
    /// Adds what `dotenv` says to the process's variables, which win. The process itself is not changed.
    pub fn read(
        process: &HashMap<String, String>,
        dotenv: &Path,
        files: &mut Files,
        faults: &mut Faults,
    ) -> Self {
        let mut variables = HashMap::new();
        if let Some(text) = files.read_if_there(dotenv, faults) {
            for pair in dotenvy::Iter::new(Cursor::new(&text)) {
                match pair {
                    Ok((name, value)) => _ = variables.insert(name, value),
                    Err(error) => {
                        faults.elsewhere(dotenv, faulty_line(&text, &error), "this is not NAME=value")
                    }
                }
            }
        }
        let set = process.iter().filter(|(_, value)| !value.is_empty());
        variables.extend(set.map(|(name, value)| (name.clone(), value.clone())));
        variables.retain(|_, value| !value.trim().is_empty());
        Self { variables }
    }

    pub fn variables(&self) -> &HashMap<String, String> {
        &self.variables
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|it| it.trim())
    }

    /// The first of a vendor's variables with that suffix that is set: its name and value.
    pub fn of_vendor(&self, vendor: &CatalogueEntry, suffix: &str) -> Option<(String, &str)> {
        vendor.variables(suffix).find_map(|name| self.value(&name).map(|value| (name, value)))
    }

    /// The names that `raw` refers to without a default and that are not set.
    pub fn unset(&self, raw: &str) -> Vec<String> {
        let mut names = required(raw);
        names.retain(|it| !self.variables.contains_key(it));
        names
    }

    /// What the usual variables say about proxies, and a warning for each one that cannot be used.
    pub fn proxy(&self) -> (ProxySpec, Vec<String>) {
        let mut warnings = Vec::new();
        let mut first = |names: [&str; 4]| {
            let (name, value) = names.iter().find_map(|name| Some((name, self.value(name)?)))?;
            let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            let usable =
                url.starts_with("http://") && url.parse::<http::Uri>().is_ok_and(|it| it.host().is_some());
            if !usable {
                warnings.push(format!("{name} is no http:// URL; no proxy is used in its place"));
            }
            usable.then(|| Secret::from(url))
        };
        let https = first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
        let http = first(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]);
        let except = self.value("no_proxy").or_else(|| self.value("NO_PROXY")).map(Into::into);
        warnings.dedup();
        (ProxySpec::Environment { http, https, except }, warnings)
    }
}

/// The line, counted from 1, that could not be read; 0 where that is not known.
fn faulty_line(text: &[u8], error: &dotenvy::Error) -> u32 {
    let dotenvy::Error::LineParse(line, _) = error else { return 0 };
    let text = String::from_utf8_lossy(text);
    let index = text.lines().position(|it| it.trim() == line.trim());
    index.and_then(|it| u32::try_from(it + 1).ok()).unwrap_or(0)
}

/// The names in `$NAME` and `${NAME}`; a reference with an operator, such as `${NAME:-x}`, says itself what happens
/// without its variable. `$$` is a dollar sign.
fn required(raw: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = raw;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{');
        let body = braced.unwrap_or(rest);
        let end = body.find(|it: char| it != '_' && !it.is_ascii_alphanumeric()).unwrap_or(body.len());
        let (name, after) = body.split_at(end);
        let is_name = name.starts_with(|it: char| it == '_' || it.is_ascii_alphabetic());
        if is_name && (braced.is_none() || after.starts_with('}')) {
            names.push(name.to_owned());
        } else if is_name {
            rest = after_reference(after);
            continue;
        }
        rest = after;
    }
    names
}

/// What follows the brace that closes a reference, references nested in its default passed over.
fn after_reference(text: &str) -> &str {
    let mut depth = 1usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[index + 1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_without_a_default_are_required() {
        let check = |raw: &str, expected: &[&str]| assert_eq!(required(raw), expected, "{raw}");
        check("${A}", &["A"]);
        check("Bearer $A and ${B_2}", &["A", "B_2"]);
        check("${A:-${B}} ${C}", &["C"]);
        check("$$A costs $5", &[]);
        check("${A?why} ${B-}", &[]);
        check("$", &[]);
    }

    fn proxied(pairs: &[(&str, &str)]) -> (ProxySpec, Vec<String>) {
        let variables = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Environment { variables }.proxy()
    }

    #[test]
    fn a_proxy_without_a_scheme_is_http() {
        let (proxy, warnings) = proxied(&[("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", "localhost")]);
        let https = Some(Secret::from("http://proxy:3128"));
        assert_eq!(proxy, ProxySpec::Environment { http: None, https, except: Some("localhost".into()) });
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_proxy_of_another_kind_is_named_and_left_out() {
        let (proxy, warnings) = proxied(&[("ALL_PROXY", "socks5://user:planted@proxy")]);
        assert_eq!(proxy, ProxySpec::Environment { http: None, https: None, except: None });
        assert_eq!(warnings, ["ALL_PROXY is no http:// URL; no proxy is used in its place"]);
    }
}
