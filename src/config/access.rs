//! Decides what an upstream is shown: keys, or the credentials that a cloud gives out, or nothing.

use crate::names::Secret;
use crate::upstream::credential::spec::CredentialSpec;
use crate::upstream::options::UpstreamOptions;
use crate::vendor::auth::AuthStyle;
use crate::vendor::catalogue::CatalogueEntry;

use super::env::Environment;
use super::keys::{Keys, keys};
use super::load::Draft;
use super::places;
use super::{cloud, cloud::Found};

/// Whether an upstream can be called, and what it is shown.
pub(super) enum Access {
    On {
        keys: Vec<Secret>,
        credential: Option<CredentialSpec>,
    },
    Off(String),
    /// It has a fault.
    Faulty,
}

/// How an upstream is shown who calls.
pub(super) fn style(own: &UpstreamOptions, vendor: &CatalogueEntry) -> AuthStyle {
    own.auth.unwrap_or(vendor.auth)
}

pub(super) fn access(draft: &mut Draft, id: &str, own: &UpstreamOptions, vendor: &CatalogueEntry) -> Access {
    let style = style(own, vendor);
    let sections =
        [("aws", own.aws.is_some()), ("google", own.google.is_some()), ("entra", own.entra.is_some())];
    for (section, _) in sections.iter().filter(|(name, is_there)| *is_there && style.section() != Some(name))
    {
        draft.upstream_fault(id, &[section], &format!("`{section}` does nothing without `auth: {section}`"));
    }
    let is_written = own.key.is_some() || !own.keys.is_empty() || own.key_file.is_some();
    let shows_keys = match style {
        AuthStyle::Aws => {
            let in_environment = vendor.key_variables().any(|it| draft.environment.value(&it).is_some());
            is_written || (in_environment && own.aws.is_none())
        }
        AuthStyle::Google | AuthStyle::Entra | AuthStyle::None => false,
        _ => true,
    };
    if shows_keys {
        return match keys(draft, id, own, vendor) {
            Keys::On(keys) => Access::On { keys, credential: None },
            Keys::Off(reason) => Access::Off(reason),
        };
    }
    if is_written {
        draft.upstream_fault(id, &["key"], "no key is shown with this `auth`; remove it");
    }
    let found = match style {
        AuthStyle::Aws => match places::place_of(draft, id, own, vendor, "region") {
            Some(region) => cloud::aws(draft, id, own, region),
            None => Found::Faulty,
        },
        AuthStyle::Google => cloud::google(draft, id, own),
        AuthStyle::Entra => cloud::entra(draft, id, own),
        _ => return Access::On { keys: Vec::new(), credential: None },
    };
    match found {
        Found::Spec(spec) => Access::On { keys: Vec::new(), credential: Some(*spec) },
        Found::Off(reason) => Access::Off(reason),
        Found::Faulty => Access::Faulty,
    }
}

/// The variable that discovery misses before it can make an upstream of `vendor`; None: all are set.
pub(super) fn missing(environment: &Environment, vendor: &CatalogueEntry) -> Option<String> {
    let has = |name: &str| environment.value(name).is_some();
    let has_key = vendor.key_variables().any(|it| has(&it));
    let has_credentials = match vendor.auth {
        AuthStyle::Aws => has_key || (has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY")),
        AuthStyle::Google => has("GOOGLE_APPLICATION_CREDENTIALS"),
        _ if vendor.key_required => has_key,
        _ => environment.of_vendor(vendor, "BASE_URL").is_some(),
    };
    if !has_credentials {
        return match vendor.auth {
            AuthStyle::Google => Some("GOOGLE_APPLICATION_CREDENTIALS".into()),
            _ if vendor.key_required => vendor.key_variables().next(),
            _ => vendor.variables("BASE_URL").next(),
        };
    }
    let has_address = environment.of_vendor(vendor, "BASE_URL").is_some();
    places::missing(environment, vendor).filter(|_| !has_address)
}
