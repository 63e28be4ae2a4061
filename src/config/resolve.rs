//! Completes upstreams: the operator's options over the environment's over the catalogue's, with files read.

use std::collections::BTreeMap;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, MapDeserializer};

use crate::names::{ModelName, UpstreamId};
use crate::upstream::options::{ConcurrencyOptions, UpstreamOptions};
use crate::upstream::spec::{ConcurrencySpec, Form, ProxySpec, UpstreamSpec, UpstreamTls};
use crate::vendor::catalogue::{self, CatalogueEntry};

use super::GatewayOptions;
use super::access::{self, Access, access};
use super::extras::{headers, manners, query};
use super::fault::hint;
use super::load::Draft;
use super::places;
use super::tree::{Node, Value};

/// Where `sim` is until it listens: the application puts the port in.
const SIM_BASE_URL: &str = "http://127.0.0.1:0/v1";

/// What became of the upstreams.
#[derive(Default)]
pub(super) struct Resolved {
    pub upstreams: Vec<UpstreamSpec>,
    pub off: Vec<(UpstreamId, String)>,
    pub absent: Vec<(UpstreamId, String)>,
    /// Upstreams that have a fault; others may refer to them without being wrong themselves.
    pub faulty: Vec<UpstreamId>,
}

impl Resolved {
    /// Whether calls can go to that upstream, or could but for its faults.
    pub fn is_used(&self, id: &str) -> bool {
        self.upstreams.iter().any(|it| it.id.as_str() == id) || self.faulty.iter().any(|it| it.as_str() == id)
    }

    /// Why an upstream that is known is not used.
    pub fn reason(&self, id: &str) -> Option<&str> {
        let mut unused = self.off.iter().chain(&self.absent);
        unused.find(|(other, _)| other.as_str() == id).map(|(_, reason)| reason.as_str())
    }

    /// The names of all upstreams, used or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let used = self.upstreams.iter().map(|it| it.id.as_str());
        used.chain(self.off.iter().chain(&self.absent).map(|(id, _)| id.as_str()))
    }
}

pub(super) fn upstreams(draft: &mut Draft, options: &GatewayOptions) -> Resolved {
    let mut resolved = Resolved::default();
    for (id, own) in &options.upstreams {
        if own.off {
            resolved.off.push((id.clone(), "`off: true`".into()));
        } else {
            add(draft, options, id, own, &mut resolved);
        }
    }
    for vendor in catalogue::vendors() {
        discover(draft, options, vendor, &mut resolved);
    }
    resolved
}

/// Adds the vendor under its own name, if the environment or, for `sim`, nothing at all asks for it.
fn discover(draft: &mut Draft, options: &GatewayOptions, vendor: &CatalogueEntry, resolved: &mut Resolved) {
    let id = UpstreamId::from(vendor.id.as_str());
    let is_sim = vendor.id == catalogue::SIM;
    let is_configured = options.upstreams.contains_key(&id)
        || options.upstreams.iter().any(|(id, own)| vendor_of(id, own).is_some_and(|it| it.id == vendor.id));
    let is_wanted = if is_sim {
        !options.upstreams.contains_key(&id)
    } else {
        options.discover && vendor.discovered && !is_configured
    };
    if !is_wanted {
        return;
    }
    match access::missing(&draft.environment, vendor).filter(|_| !is_sim) {
        Some(name) => resolved.absent.push((id, format!("{name} is not set"))),
        // What no variable stands for can only be configured.
        None if !is_sim && vendor.env.is_empty() => {}
        None => add(draft, options, &id, &UpstreamOptions::default(), resolved),
    }
}

fn vendor_of(id: &UpstreamId, own: &UpstreamOptions) -> Option<&'static CatalogueEntry> {
    catalogue::vendor(own.vendor.as_deref().unwrap_or(id.as_str()))
}

fn add(
    draft: &mut Draft,
    options: &GatewayOptions,
    id: &UpstreamId,
    own: &UpstreamOptions,
    resolved: &mut Resolved,
) {
    let Some(vendor) = vendor_of(id, own) else {
        unknown_vendor(draft, id, own);
        return resolved.faulty.push(id.clone());
    };
    let access = access(draft, id.as_str(), own, vendor);
    match (complete(draft, options, id, own, vendor), access) {
        (_, Access::Off(reason)) => resolved.off.push((id.clone(), reason)),
        (Some(spec), Access::On { keys, credential }) => {
            resolved.upstreams.push(UpstreamSpec { keys, credential, ..spec });
        }
        _ => resolved.faulty.push(id.clone()),
    }
}

fn unknown_vendor(draft: &mut Draft, id: &UpstreamId, own: &UpstreamOptions) {
    let names = || catalogue::vendors().iter().map(|it| it.id.as_str());
    let message = match &own.vendor {
        Some(name) => format!(
            "`{name}` is no vendor of the catalogue{}; any other is `vendor: openai-compatible` with a `base_url`",
            hint(name, names())
        ),
        None => format!(
            "say its `vendor`, for `{id}` is none of the catalogue{}; any other is `openai-compatible`",
            hint(id.as_str(), names())
        ),
    };
    draft.upstream_fault(id.as_str(), &["vendor"], &message);
}

/// Everything but the keys and credentials.
fn complete(
    draft: &mut Draft,
    options: &GatewayOptions,
    id: &UpstreamId,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
) -> Option<UpstreamSpec> {
    let name = id.as_str();
    let prefixes = own.prefixes.clone().unwrap_or_else(|| vendor.prefixes.clone());
    if prefixes.iter().any(String::is_empty) {
        draft.upstream_fault(name, &["prefixes"], "a prefix is empty; what takes every model is a route");
    }
    let headers = headers(draft, name, own);
    let tls = tls(draft, name, own);
    let base_url = base_url(draft, name, own, vendor);
    let query = query(draft, name, own, vendor);
    let proxy = proxy(draft, name, own, vendor, base_url.as_ref());
    let from_environment = || draft.environment.of_vendor(vendor, "MODEL").map(|(_, it)| it.into());
    let default_model = own.default_model.clone().or_else(from_environment);
    let (general, special) = (&draft.tree, draft.tree.find(&["upstreams", name]));
    Some(UpstreamSpec {
        id: id.clone(),
        vendor: vendor.id.clone(),
        base_url: base_url?,
        forms: forms(own, vendor),
        rest: vendor.rest.clone().filter(|_| own.base_url.is_none()),
        manners: manners(own, vendor),
        keys: Vec::new(),
        credential: None,
        default_model: default_model.filter(|it| !it.as_str().is_empty()),
        prefixes,
        models: models(own, vendor),
        headers,
        query,
        tls,
        proxy,
        http2: own.http2,
        prewarm: own.prewarm,
        tags: own.tags.clone(),
        facts: own.facts.unwrap_or_default(),
        quirks: own.quirks.clone(),
        unsupported: own.unsupported,
        stream_usage: own.stream_usage.unwrap_or(vendor.stream_usage),
        timeouts: overlay("timeouts", general, special).unwrap_or_else(|| options.timeouts.clone()),
        probe: overlay("probe", general, special).unwrap_or_else(|| options.probe.clone()),
        probe_path: vendor.probe.clone(),
        circuit: overlay("circuit", general, special).unwrap_or_else(|| options.circuit.clone()),
        concurrency: concurrency(&own.concurrency, vendor),
    })
}

fn models(own: &UpstreamOptions, vendor: &CatalogueEntry) -> Vec<ModelName> {
    match own.models.is_empty() {
        true => vendor.models.iter().map(|it| it.as_str().into()).collect(),
        false => own.models.clone(),
    }
}

/// The operator's dialects, all below one base URL, or the catalogue's. Of those that the vendor has elsewhere on its host
/// only those count whose place the operator did not change.
fn forms(own: &UpstreamOptions, vendor: &CatalogueEntry) -> Vec<Form> {
    if !own.dialects.is_empty() {
        return own.dialects.iter().map(|it| Form { dialect: *it, base: None }).collect();
    }
    let forms = vendor.dialects.iter().map(|it| Form { dialect: *it, base: vendor.bases.get(it).cloned() });
    forms.filter(|it| it.base.is_none() || own.base_url.is_none()).collect()
}

/// The operator's caps over those that the vendor states.
fn concurrency(own: &ConcurrencyOptions, vendor: &CatalogueEntry) -> ConcurrencySpec {
    let stated =
        || vendor.calls_max_by_model.iter().map(|(name, count)| (name.as_str().into(), *count)).collect();
    let written =
        |it: &BTreeMap<ModelName, u32>| it.iter().map(|(name, count)| (name.clone(), *count)).collect();
    ConcurrencySpec {
        calls_max: own.calls_max.unwrap_or(vendor.calls_max),
        per_key_max: own.per_key_max,
        models: own.models.as_ref().map_or_else(stated, written),
        queue_max: own.queue_max,
        queue_ms: own.queue_ms,
    }
}

/// The numbers an upstream sets under `section`, over the general ones. The typed options cannot tell what was written
/// from what is a default, the tree can. `None` where the upstream sets none.
fn overlay<T: DeserializeOwned>(section: &str, general: &Node, special: Option<&Node>) -> Option<T> {
    let special = special?.child(section)?;
    let numbers = |node: &Node| match &node.value {
        Value::Map(entries) => {
            let numbers =
                entries.iter().filter_map(|(name, node)| Some((name.clone(), node.number()? as u64)));
            numbers.collect()
        }
        _ => Vec::new(),
    };
    let mut merged: BTreeMap<String, u64> = BTreeMap::new();
    merged.extend(general.child(section).map(numbers).unwrap_or_default());
    merged.extend(numbers(special));
    T::deserialize(MapDeserializer::<_, ValueError>::new(merged.into_iter())).ok()
}

fn base_url(draft: &mut Draft, id: &str, own: &UpstreamOptions, vendor: &CatalogueEntry) -> Option<Uri> {
    if let Some(text) = &own.base_url {
        return parse_base_url(text)
            .inspect_err(|message| draft.upstream_fault(id, &["base_url"], &format!("`base_url` {message}")))
            .ok();
    }
    if let Some((name, text)) = draft.environment.of_vendor(vendor, "BASE_URL") {
        return parse_base_url(text)
            .inspect_err(|message| draft.faults.elsewhere("environment", 0, format!("{name} {message}")))
            .ok();
    }
    if vendor.id == catalogue::SIM {
        return Some(Uri::from_static(SIM_BASE_URL));
    }
    let Some(known) = &vendor.base_url else {
        draft.upstream_fault(id, &["base_url"], "needs a `base_url`, such as http://127.0.0.1:8000/v1");
        return None;
    };
    let filled = places::filled(draft, id, own, vendor, known)?;
    parse_base_url(&filled)
        .inspect_err(|message| draft.upstream_fault(id, &["base_url"], &format!("its base URL {message}")))
        .ok()
}

fn parse_base_url(text: &str) -> Result<Uri, &'static str> {
    const SHAPE: &str = "must look like https://host/path";
    let text = text.trim();
    let uri: Uri = text.parse().map_err(|_| SHAPE)?;
    let authority = uri.authority().ok_or(SHAPE)?;
    match uri.scheme_str() {
        Some("http" | "https") if !authority.host().is_empty() => {}
        _ => return Err(SHAPE),
    }
    if authority.as_str().contains('@') {
        return Err("must not hold a user or password; keys go under `key`");
    }
    if uri.query().is_some() {
        return Err("must not hold a query; that goes under `query`");
    }
    if text.contains('#') {
        return Err("must not hold a fragment");
    }
    text.trim_end_matches('/').parse().map_err(|_| SHAPE)
}

fn tls(draft: &mut Draft, id: &str, own: &UpstreamOptions) -> UpstreamTls {
    match (&own.client_cert, &own.client_key) {
        (Some(_), None) => draft.upstream_fault(id, &["client_cert"], "`client_cert` needs `client_key`"),
        (None, Some(_)) => draft.upstream_fault(id, &["client_key"], "`client_key` needs `client_cert`"),
        _ => {}
    }
    let mut read = |option: &str, name: &Option<String>, kind| {
        name.as_deref().and_then(|name| pem(draft, &["upstreams", id, option], name, kind))
    };
    UpstreamTls {
        extra_ca_pem: read("ca_file", &own.ca_file, Pem::Certificates),
        client_cert_pem: read("client_cert", &own.client_cert, Pem::Certificates),
        client_key_pem: read("client_key", &own.client_key, Pem::Key),
    }
}

/// What a PEM file should hold.
#[derive(Clone, Copy)]
pub(super) enum Pem {
    Certificates,
    Key,
}

/// The PEM file that the option at `path` names, if it holds what it should.
pub(super) fn pem(draft: &mut Draft, path: &[&str], name: &str, kind: Pem) -> Option<Vec<u8>> {
    let text = draft.read(path, name)?;
    let (is_good, what) = match kind {
        Pem::Certificates => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
            (certificates.is_ok_and(|it| !it.is_empty()), "certificate")
        }
        Pem::Key => (PrivateKeyDer::from_pem_slice(&text).is_ok(), "private key"),
    };
    if !is_good {
        draft.fault(path, format!("`{name}` holds no {what} in PEM form"));
    }
    is_good.then_some(text)
}

fn proxy(
    draft: &mut Draft,
    id: &str,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
    base_url: Option<&Uri>,
) -> ProxySpec {
    match own.proxy.as_ref().map(|it| it.reveal().trim()) {
        Some("off") => ProxySpec::Off,
        Some("") | None => {
            // No proxy can reach our own loopback.
            let is_here =
                vendor.id == catalogue::SIM || base_url.and_then(Uri::host).is_some_and(is_loopback);
            if is_here { ProxySpec::Off } else { draft.proxy.clone() }
        }
        Some(url) => {
            let is_url = url.starts_with("http://") && url.parse::<Uri>().is_ok_and(|it| it.host().is_some());
            if !is_url {
                draft.upstream_fault(id, &["proxy"], "`proxy` must be `off` or look like http://host:port");
            }
            ProxySpec::Url(url.into())
        }
    }
}

/// Whether a host as URLs spell it is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.is_loopback())
}
