//! Finds where the credentials of clouds come from, by the options of an upstream and the variables that the clouds' own
//! tools read. Files that others renew are only named here; `upstream` reads them at each refresh.

use std::path::PathBuf;

use http::Uri;

use crate::names::Secret;
use crate::upstream::credential::options::{AwsChoice, EntraChoice};
use crate::upstream::credential::spec::{AwsKeys, AwsSource, CredentialSpec, EntraSource, Held};
use crate::upstream::options::UpstreamOptions;

use super::load::{Draft, not_set};
use super::resolve::is_loopback;

pub(super) use super::cloud_google::google;

/// Where containers ask that are told a path alone.
const CONTAINER_HOST: &str = "http://169.254.170.2";

/// Where containers may ask in clear, besides loopback: ECS and EKS.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// The metadata service of EC2 and of Azure's machines.
const METADATA: &str = "http://169.254.169.254";

const ENTRA_AUTHORITY: &str = "https://login.microsoftonline.com";

/// What was found.
pub(super) enum Found {
    Spec(Box<CredentialSpec>),
    /// Nothing, for that reason.
    Off(String),
    Faulty,
}

/// One section of an upstream while it is read.
pub(super) struct Section<'a> {
    pub draft: &'a mut Draft,
    pub id: &'a str,
    pub name: &'static str,
    /// Variables that were looked for in vain.
    pub missing: Vec<String>,
    pub is_faulty: bool,
}

impl<'a> Section<'a> {
    pub fn new(draft: &'a mut Draft, id: &'a str, name: &'static str) -> Self {
        Self { draft, id, name, missing: Vec::new(), is_faulty: false }
    }

    /// What was written, or else the first of the variables that is set.
    pub fn text(&mut self, written: Option<&str>, variables: &[&str]) -> Option<String> {
        let written = written.map(str::trim).filter(|it| !it.is_empty());
        written.or_else(|| variables.iter().find_map(|it| self.draft.environment.value(it))).map(Into::into)
    }

    /// The same, noting its absence.
    pub fn needed(&mut self, written: Option<&str>, variables: &[&str]) -> Option<String> {
        let found = self.text(written, variables);
        if found.is_none() {
            self.missing.extend(variables.first().map(|it| (*it).to_owned()));
        }
        found
    }

    pub fn secret(&mut self, written: Option<&Secret>, variable: &str) -> Option<Secret> {
        self.needed(written.map(|it| it.reveal()), &[variable]).map(Secret::from)
    }

    /// A file that is read later: relative to gateway.yaml if it is named there.
    pub fn file(&mut self, written: Option<&str>, variable: &str) -> Option<PathBuf> {
        match written.map(str::trim).filter(|it| !it.is_empty()) {
            Some(name) => Some(self.draft.files.place(name)),
            None => self.needed(None, &[variable]).map(Into::into),
        }
    }

    /// The URL at `option`, from wherever it came, or `default`.
    pub fn url(&mut self, option: &str, text: Option<String>, default: &str) -> Option<Uri> {
        let text = text.unwrap_or_else(|| default.to_owned());
        let url = text.parse::<Uri>().ok().filter(|it| {
            let is_web = matches!(it.scheme_str(), Some("http" | "https"));
            is_web && it.host().is_some_and(|it| !it.is_empty()) && !text.contains(['@', '#'])
        });
        if url.is_none() {
            self.fault(option, &format!("`{option}` must look like https://host/path"));
        }
        url
    }

    pub fn fault(&mut self, option: &str, message: &str) {
        self.is_faulty = true;
        self.draft.upstream_fault(self.id, &[self.name, option], message);
    }

    /// What comes of a source that was looked for.
    pub fn found(self, spec: Option<CredentialSpec>) -> Found {
        match spec {
            _ if self.is_faulty => Found::Faulty,
            Some(spec) => Found::Spec(spec.into()),
            None if self.missing.is_empty() => Found::Off("no credentials are set".into()),
            None => Found::Off(not_set(&self.missing)),
        }
    }
}

pub(super) fn aws(draft: &mut Draft, id: &str, own: &UpstreamOptions, region: String) -> Found {
    let options = own.aws.clone().unwrap_or_default();
    let mut section = Section::new(draft, id, "aws");
    let it = &mut section;
    let source = match options.credentials {
        AwsChoice::Environment => aws_keys(it, own),
        AwsChoice::WebIdentity => aws_web_identity(it, own, &region),
        AwsChoice::Container => aws_container(it, own),
        AwsChoice::Instance => {
            it.url("metadata_url", options.metadata_url, METADATA).map(|base| AwsSource::Instance { base })
        }
        AwsChoice::Chain => {
            let found = aws_keys(it, own);
            let found = found.or_else(|| aws_web_identity(it, own, &region));
            let found = found.or_else(|| aws_container(it, own));
            // The first of the chain is what most people mean to set.
            it.missing.truncate(1);
            found
        }
    };
    section.found(source.map(|source| CredentialSpec::Aws { region, source }))
}

fn aws_keys(section: &mut Section<'_>, own: &UpstreamOptions) -> Option<AwsSource> {
    let options = own.aws.as_ref();
    let written = options.and_then(|it| it.access_key_id.as_ref());
    let id = section.secret(written, "AWS_ACCESS_KEY_ID");
    let secret =
        section.secret(options.and_then(|it| it.secret_access_key.as_ref()), "AWS_SECRET_ACCESS_KEY");
    let session = options.and_then(|it| it.session_token.as_ref()).map(|it| it.reveal());
    // A key that is written goes with no token of another one.
    let variables: &[&str] = if written.is_some() { &[] } else { &["AWS_SESSION_TOKEN"] };
    let session = section.text(session, variables).map(Secret::from);
    Some(AwsSource::Fixed(AwsKeys { id: id?, secret: secret?, session }))
}

fn aws_web_identity(section: &mut Section<'_>, own: &UpstreamOptions, region: &str) -> Option<AwsSource> {
    let options = own.aws.clone().unwrap_or_default();
    let token_file = section.file(options.web_identity_token_file.as_deref(), "AWS_WEB_IDENTITY_TOKEN_FILE");
    let role_arn = section.needed(options.role_arn.as_deref(), &["AWS_ROLE_ARN"]);
    let session_name = section.text(options.role_session_name.as_deref(), &["AWS_ROLE_SESSION_NAME"]);
    let (token_file, role_arn) = (token_file?, role_arn?);
    let sts = section.url("sts_url", options.sts_url, &format!("https://sts.{region}.amazonaws.com"))?;
    let session_name = session_name.unwrap_or_else(|| "tollgate".into());
    Some(AwsSource::WebIdentity { role_arn, session_name, token_file, sts })
}

fn aws_container(section: &mut Section<'_>, own: &UpstreamOptions) -> Option<AwsSource> {
    let options = own.aws.clone().unwrap_or_default();
    let relative = section.text(None, &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]);
    let relative = relative.map(|it| format!("{CONTAINER_HOST}{it}"));
    let full = section.needed(options.container_url.as_deref(), &["AWS_CONTAINER_CREDENTIALS_FULL_URI"]);
    let is_written = options.container_url.is_some();
    let url = section.url(
        "container_url",
        Some(full.filter(|_| is_written || relative.is_none()).or(relative)?),
        "",
    )?;
    let host = url.host().unwrap_or_default();
    // As AWS's own tools have it: a variable must not send the container's token just anywhere.
    if !is_written
        && url.scheme_str() == Some("http")
        && !is_loopback(host)
        && !CONTAINER_HOSTS.contains(&host)
    {
        section.fault(
            "container_url",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is in clear, and not of this machine",
        );
        return None;
    }
    let file = options.container_token_file.as_deref().filter(|it| !it.is_empty());
    let token = match file.map(|it| section.draft.files.place(it)) {
        Some(path) => Some(Held::File(path)),
        None => {
            let file = section.text(None, &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
            let text = section.text(None, &["AWS_CONTAINER_AUTHORIZATION_TOKEN"]);
            let text = text.map(|it| Held::Text(it.into()));
            file.map(|it| Held::File(it.into())).or(text)
        }
    };
    Some(AwsSource::Container { url, token })
}

pub(super) fn entra(draft: &mut Draft, id: &str, own: &UpstreamOptions) -> Found {
    let options = own.entra.clone().unwrap_or_default();
    let mut section = Section::new(draft, id, "entra");
    let it = &mut section;
    let source = match options.credentials {
        EntraChoice::Secret => entra_secret(it, own),
        EntraChoice::Federated => entra_federated(it, own),
        EntraChoice::Chain => {
            let found = entra_secret(it, own).or_else(|| entra_federated(it, own));
            it.missing.sort();
            it.missing.dedup();
            // Either will do: the last one named is the other way.
            it.missing.retain(|it| it != "AZURE_FEDERATED_TOKEN_FILE");
            found
        }
        EntraChoice::ManagedIdentity => {
            let client_id = it.text(options.client_id.as_deref(), &["AZURE_CLIENT_ID"]);
            let base = it.url("metadata_url", options.metadata_url, METADATA);
            base.map(|base| EntraSource::Managed { base, client_id })
        }
    };
    section.found(source.map(CredentialSpec::Entra))
}

/// The place of tokens and the application, which both ways need.
fn entra_application(section: &mut Section<'_>, own: &UpstreamOptions) -> Option<(Uri, String)> {
    let options = own.entra.clone().unwrap_or_default();
    let tenant = section.needed(options.tenant.as_deref(), &["AZURE_TENANT_ID"]);
    let client_id = section.needed(options.client_id.as_deref(), &["AZURE_CLIENT_ID"]);
    let authority = section.text(options.authority_url.as_deref(), &["AZURE_AUTHORITY_HOST"]);
    let (tenant, client_id) = (tenant?, client_id?);
    if !tenant.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '.')) {
        section.fault("tenant", "a tenant is letters, digits, `-` and `.`");
        return None;
    }
    let authority = authority.unwrap_or_else(|| ENTRA_AUTHORITY.to_owned());
    let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
    Some((section.url("authority_url", Some(url), "")?, client_id))
}

fn entra_secret(section: &mut Section<'_>, own: &UpstreamOptions) -> Option<EntraSource> {
    let application = entra_application(section, own);
    let written = own.entra.as_ref().and_then(|it| it.client_secret.as_ref());
    let secret = section.secret(written, "AZURE_CLIENT_SECRET");
    let ((token_url, client_id), secret) = (application?, secret?);
    Some(EntraSource::Secret { token_url, client_id, secret })
}

fn entra_federated(section: &mut Section<'_>, own: &UpstreamOptions) -> Option<EntraSource> {
    let application = entra_application(section, own);
    let written = own.entra.as_ref().and_then(|it| it.federated_token_file.as_deref());
    let token_file = section.file(written, "AZURE_FEDERATED_TOKEN_FILE");
    let ((token_url, client_id), token_file) = (application?, token_file?);
    Some(EntraSource::Federated { token_url, client_id, token_file })
}
