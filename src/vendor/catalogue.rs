//! What is known about each vendor: data from `catalogue.yaml`, built in.
//! Called by `config` when upstreams are completed. No I/O.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::auth::AuthStyle;
use crate::dialect::Dialect;

/// The vendor id for endpoints that no entry describes.
pub const OPENAI_COMPATIBLE: &str = "openai-compatible";
/// The vendor id of the built-in simulated vendor.
pub const SIM: &str = "sim";

/// One vendor; `catalogue.yaml` explains the fields.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub base_url: Option<String>,
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub key_env: Vec<String>,
    #[serde(default)]
    pub places: BTreeMap<String, Place>,
    #[serde(default = "yes")]
    pub discovered: bool,
    #[serde(default)]
    pub auth: AuthStyle,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub stream_path: Option<String>,
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    #[serde(default)]
    pub prefixes: Vec<String>,
    #[serde(default)]
    pub probe: Option<String>,
    #[serde(default = "yes")]
    pub probe_lists: bool,
    #[serde(default = "yes")]
    pub key_required: bool,
    #[serde(default = "yes")]
    pub stream_usage: bool,
    #[serde(default = "chat")]
    pub dialects: Vec<Dialect>,
    #[serde(default)]
    pub bases: BTreeMap<Dialect, String>,
    #[serde(default)]
    pub rest: Option<String>,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default)]
    pub calls_max: u32,
    #[serde(default)]
    pub calls_max_by_model: BTreeMap<String, u32>,
}

/// Where the text for one placeholder comes from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    pub env: Vec<String>,
    pub default: Option<String>,
}

fn yes() -> bool {
    true
}

fn chat() -> Vec<Dialect> {
    vec![Dialect::Chat]
}

static CATALOGUE: LazyLock<Vec<CatalogueEntry>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("catalogue.yaml")).expect("the built-in catalogue is tested to parse")
});

/// Every vendor, in the order in which discovery lists them.
pub fn vendors() -> &'static [CatalogueEntry] {
    &CATALOGUE
}

/// The vendor of that id or alias.
pub fn vendor(name: &str) -> Option<&'static CatalogueEntry> {
    vendors().iter().find(|it| it.id == name || it.aliases.iter().any(|alias| alias == name))
}

impl CatalogueEntry {
    /// The names of its variables that end in `suffix`, the preferred one first.
    pub fn variables(&self, suffix: &str) -> impl Iterator<Item = String> {
        self.env.iter().map(move |prefix| format!("{prefix}_{suffix}"))
    }

    /// The names of the variables that may hold its key, the preferred one first.
    pub fn key_variables(&self) -> impl Iterator<Item = String> {
        self.key_env.iter().cloned().chain(self.variables("API_KEY"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_variables_belong_to_one_vendor() {
        let mut names = HashSet::new();
        let mut variables = HashSet::new();
        for vendor in vendors() {
            for name in std::iter::once(&vendor.id).chain(&vendor.aliases) {
                assert!(names.insert(name), "{name} appears twice");
            }
            for prefix in &vendor.env {
                assert!(variables.insert(prefix), "{prefix} appears twice");
            }
        }
    }

    #[test]
    fn every_entry_is_usable() {
        for vendor in vendors() {
            let elsewhere = [OPENAI_COMPATIBLE, SIM].contains(&vendor.id.as_str());
            assert_eq!(vendor.base_url.is_none(), elsewhere, "{}", vendor.id);
            assert_eq!(vendor.env.is_empty(), elsewhere, "{}", vendor.id);
            if let Some(base_url) = &vendor.base_url {
                let filled = |text: &str, name: &str| {
                    text.replace(&format!("{{{name}}}"), "x").replace(&format!("{{{name}-}}"), "x-")
                };
                let base_url = vendor.places.keys().fold(base_url.clone(), |it, name| filled(&it, name));
                assert!(base_url.parse::<http::Uri>().is_ok_and(|it| it.host().is_some()), "{base_url}");
                assert!(!base_url.ends_with('/'), "{base_url}");
                assert_eq!(base_url.starts_with("http://localhost:"), !vendor.key_required, "{base_url}");
            }
            if let Some(probe) = &vendor.probe {
                assert!(probe.starts_with('/'), "{probe}");
            }
            assert!(vendor.prefixes.iter().all(|it| !it.is_empty()), "{}", vendor.id);
        }
    }

    #[test]
    fn every_placeholder_is_one_that_can_be_filled() {
        for vendor in vendors() {
            let paths = vendor.path.iter().chain(&vendor.stream_path);
            let texts = vendor.base_url.iter().chain(vendor.query.values()).chain(paths);
            for name in texts.flat_map(|it| it.split('{').skip(1)).filter_map(|it| it.split('}').next()) {
                let place = name.trim_end_matches('-');
                let is_known = ["model", "call"].contains(&place) || vendor.places.contains_key(place);
                assert!(is_known, "{}: {name}", vendor.id);
            }
            let parses = |(name, value): (&String, &String)| {
                name.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok()
            };
            assert!(vendor.headers.iter().all(parses), "{}", vendor.id);
        }
    }

    #[test]
    fn other_spellings_find_their_vendor() {
        for (name, id) in [("kimi", "moonshot"), ("doubao", "ark"), ("qianwen", "qwen"), ("yi", "yi")] {
            assert_eq!(vendor(name).map(|it| it.id.as_str()), Some(id), "{name}");
        }
        assert_eq!(vendor("nobody"), None);
    }

    #[test]
    fn a_key_goes_to_the_endpoint_that_issued_it() {
        let check = |variable: &str, host: &str| {
            let mut owners =
                vendors().iter().filter(|it| it.variables("API_KEY").any(|name| name == variable));
            let uri: http::Uri = owners.next().unwrap().base_url.as_deref().unwrap().parse().unwrap();
            assert_eq!((uri.host(), owners.next()), (Some(host), None), "{variable}");
        };
        check("HUNYUAN_API_KEY", "api.hunyuan.cloud.tencent.com");
        check("TENCENT_TOKENHUB_API_KEY", "tokenhub.tencentmaas.com");
        check("TENCENT_TOKENHUB_INTL_API_KEY", "tokenhub-intl.tencentcloudmaas.com");
        check("DASHSCOPE_US_API_KEY", "dashscope-us.aliyuncs.com");
        check("ARK_API_KEY", "ark.cn-beijing.volces.com");
        check("ARK_INTL_API_KEY", "ark.ap-southeast.bytepluses.com");
    }

    #[test]
    fn the_o_series_is_openais_and_other_names_in_o_are_not() {
        let prefixes = &vendor("openai").unwrap().prefixes;
        let check = |model: &str, own: bool| {
            assert_eq!(prefixes.iter().any(|it| model.starts_with(it.as_str())), own, "{model}");
        };
        for model in ["o1", "o1-pro", "o3-mini", "o4-mini", "o5", "o7-mini", "o9"] {
            check(model, true);
        }
        for model in ["olmo-3", "ollama", "open-mistral-7b", "o"] {
            check(model, false);
        }
    }

    #[test]
    fn variables_come_in_order_of_preference() {
        let names: Vec<_> = vendor("qwen").unwrap().variables("API_KEY").collect();
        assert_eq!(names, ["DASHSCOPE_API_KEY", "QWEN_API_KEY", "QIANWEN_API_KEY"]);
    }
}
