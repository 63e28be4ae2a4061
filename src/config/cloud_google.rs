//! Reads the credential files of Google Cloud, in the forms that its own tools write: service account, authorized user and
//! `external_account`.

use std::collections::BTreeMap;
use std::path::Path;

use http::Uri;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::names::Secret;
use crate::upstream::credential::options::{GoogleChoice, GoogleOptions};
use crate::upstream::credential::spec::{CredentialSpec, External, GoogleSource, Subject};
use crate::upstream::options::UpstreamOptions;

use super::cloud::{Found, Section};
use super::load::Draft;

const METADATA: &str = "http://metadata.google.internal";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Whose hosts a file may send its secrets to; any other is the operator's to name.
const GOOGLE_HOSTS: &str = ".googleapis.com";

/// The fields of all kinds of files.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    r#type: String,
    client_email: Option<String>,
    private_key: Option<Secret>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
    audience: Option<String>,
    subject_token_type: Option<String>,
    token_url: Option<String>,
    service_account_impersonation_url: Option<String>,
    credential_source: Source,
}

/// Where the token of another cloud comes from.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    file: Option<String>,
    url: Option<String>,
    headers: BTreeMap<String, Secret>,
    format: Format,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Format {
    r#type: String,
    subject_token_field_name: Option<String>,
}

pub(in crate::config) fn google(draft: &mut Draft, id: &str, own: &UpstreamOptions) -> Found {
    let options = own.google.clone().unwrap_or_default();
    let mut section = Section::new(draft, id, "google");
    let source = match options.credentials {
        GoogleChoice::Metadata => {
            let base = section.url("metadata_url", options.metadata_url, METADATA);
            base.map(|base| GoogleSource::Metadata { base })
        }
        GoogleChoice::File => {
            let contents = contents(&mut section, &options);
            contents.and_then(|it| in_file(&mut section, &options, &it))
        }
    };
    section.found(source.map(CredentialSpec::Google))
}

fn contents(section: &mut Section<'_>, options: &GoogleOptions) -> Option<Vec<u8>> {
    if let Some(name) = &options.credentials_file {
        let path = ["upstreams", section.id, "google", "credentials_file"];
        let contents = section.draft.read(&path, name);
        section.is_faulty |= contents.is_none();
        return contents;
    }
    let name = section.needed(None, &[VARIABLE])?;
    let draft = &mut *section.draft;
    let contents = draft.files.read_if_there(Path::new(&name), &mut draft.faults);
    if contents.is_none() {
        section.fault("credentials_file", &format!("{VARIABLE} names no file that can be read"));
    }
    contents
}

fn in_file(section: &mut Section<'_>, options: &GoogleOptions, contents: &[u8]) -> Option<GoogleSource> {
    let Ok(file) = serde_json::from_slice::<File>(contents) else {
        section.fault("credentials_file", "the file is no JSON object of credentials");
        return None;
    };
    let source = match file.r#type.as_str() {
        "service_account" => service_account(section, options, file),
        "authorized_user" => authorized_user(section, options, file),
        "external_account" => external(section, options, file),
        _ => {
            let message = "the file's `type` must be service_account, authorized_user or external_account";
            section.fault("credentials_file", message);
            return None;
        }
    };
    if source.is_none() && !section.is_faulty {
        section.fault("credentials_file", "the file lacks a field that its `type` has");
    }
    source
}

fn service_account(section: &mut Section<'_>, options: &GoogleOptions, file: File) -> Option<GoogleSource> {
    let (email, key_pem) = (file.client_email?, file.private_key?);
    if PrivateKeyDer::from_pem_slice(key_pem.reveal().as_bytes()).is_err() {
        section.fault("credentials_file", "the file's `private_key` is no key in PEM form");
        return None;
    }
    let token_url = token_url(section, options, file.token_uri)?;
    Some(GoogleSource::ServiceAccount { email, key_pem, key_id: file.private_key_id, token_url })
}

fn authorized_user(section: &mut Section<'_>, options: &GoogleOptions, file: File) -> Option<GoogleSource> {
    let (client_id, client_secret) = (file.client_id?, file.client_secret?);
    let refresh_token = file.refresh_token?;
    let token_url = token_url(section, options, file.token_uri)?;
    Some(GoogleSource::AuthorizedUser { client_id, client_secret, refresh_token, token_url })
}

fn external(section: &mut Section<'_>, options: &GoogleOptions, file: File) -> Option<GoogleSource> {
    let source = file.credential_source;
    let subject = match (source.file, source.url) {
        (Some(path), _) => Subject::File(path.into()),
        (None, Some(url)) => Subject::Url {
            url: section.url("credentials_file", Some(url), "")?,
            headers: source.headers.into_iter().collect(),
        },
        (None, None) => {
            let message = "the file's `credential_source` must be a `file` or a `url`";
            section.fault("credentials_file", message);
            return None;
        }
    };
    let is_json = source.format.r#type == "json";
    let impersonation = options.impersonation_url.clone();
    let impersonation_url = match (impersonation, file.service_account_impersonation_url) {
        (Some(url), Some(_)) => Some(section.url("impersonation_url", Some(url), "")?),
        (None, Some(url)) => Some(googles(section, "impersonation_url", url)?),
        (_, None) => None,
    };
    Some(GoogleSource::External(Box::new(External {
        audience: file.audience?,
        subject_token_type: file.subject_token_type?,
        subject,
        subject_field: source.format.subject_token_field_name.filter(|_| is_json),
        token_url: token_url(section, options, file.token_url)?,
        impersonation_url,
    })))
}

/// The operator's URL, or the file's if it is Google's.
fn token_url(section: &mut Section<'_>, options: &GoogleOptions, in_file: Option<String>) -> Option<Uri> {
    match (&options.token_url, in_file) {
        (Some(url), _) => section.url("token_url", Some(url.clone()), ""),
        (None, Some(url)) => googles(section, "token_url", url),
        (None, None) => section.url("token_url", None, TOKEN_URL),
    }
}

fn googles(section: &mut Section<'_>, option: &str, text: String) -> Option<Uri> {
    let url = section.url(option, Some(text), "")?;
    let is_googles =
        url.scheme_str() == Some("https") && url.host().is_some_and(|it| it.ends_with(GOOGLE_HOSTS));
    if !is_googles {
        let message =
            format!("the file names a host that is not Google's; if it is meant, say so as `{option}`");
        section.fault(option, &message);
    }
    is_googles.then_some(url)
}
