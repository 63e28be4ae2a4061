//! Credentials and addresses of clouds: what options, variables and files add up to, and what is wrong with them.

use super::{Folder, check, ids, load};
use crate::config::Loaded;
use crate::upstream::credential::spec::{AwsSource, CredentialSpec, EntraSource, GoogleSource, Held};
use crate::upstream::spec::UpstreamSpec;

const AWS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")];

fn first(loaded: &Loaded) -> &UpstreamSpec {
    &loaded.upstreams[0]
}

/// The first upstream of that file.
fn credential(yaml: &str, variables: &[(&str, &str)]) -> CredentialSpec {
    let loaded = load(yaml, variables).unwrap();
    first(&loaded).credential.clone().unwrap_or_else(|| panic!("{yaml} has no credentials"))
}

fn off(yaml: &str, variables: &[(&str, &str)], reason: &str) {
    let loaded = load(yaml, variables).unwrap();
    assert_eq!(loaded.off.first().map(|(_, it)| it.as_str()), Some(reason), "{yaml}");
}

#[test]
fn addresses_are_made_of_options_variables_and_defaults() {
    let check = |yaml: &str, variables: &[(&str, &str)], url: &str| {
        let loaded = load(&format!("upstreams: {{{yaml}}}"), variables).unwrap();
        assert_eq!(first(&loaded).base_url, url, "{yaml}");
    };
    check("azure: {key: k, resource: mine}", &[], "https://mine.openai.azure.com/openai/v1");
    check("azure: {key: k}", &[("AZURE_RESOURCE_NAME", "its")], "https://its.openai.azure.com/openai/v1");
    check("bedrock: {key: k, region: us-east-1}", &AWS, "https://bedrock-runtime.us-east-1.amazonaws.com/");
    check("bedrock-openai: {key: k}", &AWS, "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1");
    let metadata = "google: {credentials: metadata}";
    check(
        &format!("vertex: {{project: p, {metadata}}}"),
        &[],
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google",
    );
    check(
        &format!("vertex-anthropic: {{project: p, location: europe-west1, {metadata}}}"),
        &[],
        "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic",
    );
    check("bedrock: {key: k, base_url: 'http://h/x'}", &[], "http://h/x");
    check("bedrock: {key: k}", &[("BEDROCK_BASE_URL", "http://h")], "http://h/");
}

#[test]
fn what_an_address_lacks_is_a_fault_with_its_place() {
    let file = "upstreams:\n  azure:\n    key: k\n";
    let message = "2:3: upstream `azure`: needs a `resource`, or AZURE_RESOURCE_NAME or \
                   AZURE_OPENAI_RESOURCE_NAME in the environment";
    check(file, &[], &[message]);
    let plain = "2:21: upstream `bedrock`: `region` is 1 to 128 letters, digits, `-`, `_`, `.` or `:`";
    check("upstreams:\n  bedrock: {region: a/b, key: k}", &[], &[plain]);
    let region = "upstream `a`: needs a `region`, or AWS_REGION or AWS_DEFAULT_REGION in the environment";
    let signed = "upstreams:\n  a: {vendor: openai-compatible, base_url: 'http://h', auth: aws}";
    check(signed, &AWS[..2], &[&format!("2:3: {region}")]);
}

#[test]
fn the_older_interface_of_azure_has_a_version_in_its_query() {
    let query = |more: &str| {
        let yaml = format!("upstreams: {{azure-classic: {{key: k, resource: r{more}}}}}");
        first(&load(&yaml, &[]).unwrap()).query.as_ref().map(|it| it.reveal().to_owned())
    };
    assert_eq!(query("").unwrap(), "api-version=2024-10-21");
    assert_eq!(query(", api_version: 2025-01-01-preview").unwrap(), "api-version=2025-01-01-preview");
    assert_eq!(query(", query: {api-version: own, x: y}").unwrap(), "api-version=own&x=y");
}

#[test]
fn clouds_are_discovered_when_all_they_need_is_there() {
    let check = |variables: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(ids(&load("", variables).unwrap()), expected, "{variables:?}");
    };
    check(&AWS, &["bedrock", "sim"]);
    check(&AWS[..2], &["sim"]);
    check(&[("AWS_BEARER_TOKEN_BEDROCK", "t"), AWS[2]], &["bedrock", "sim"]);
    check(&[("AZURE_API_KEY", "k"), ("AZURE_RESOURCE_NAME", "r")], &["azure", "sim"]);
    check(&[("AZURE_API_KEY", "k")], &["sim"]);
    let absent = load("", &[("AZURE_API_KEY", "k")]).unwrap().absent;
    assert!(absent.contains(&("azure".into(), "AZURE_RESOURCE_NAME is not set".into())), "{absent:?}");
    assert!(absent.contains(&("bedrock".into(), "AWS_BEARER_TOKEN_BEDROCK is not set".into())));
}

#[test]
fn the_chain_of_aws_takes_the_first_that_is_there() {
    let source = |yaml: &str, variables: &[(&str, &str)]| {
        let yaml = format!("upstreams: {{bedrock: {{region: r, {yaml}}}}}");
        let CredentialSpec::Aws { source, .. } = credential(&yaml, variables) else { panic!("not AWS's") };
        source
    };
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn"), AWS[0]];
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1");
    let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t");
    assert!(matches!(source("", &AWS), AwsSource::Fixed(keys) if keys.id.reveal() == "AKIA1"));
    match source("", &web) {
        AwsSource::WebIdentity { sts, token_file, .. } => {
            assert_eq!(
                (sts.to_string().as_str(), token_file.to_str()),
                ("https://sts.r.amazonaws.com/", Some("/t"))
            );
        }
        other => panic!("{other:?}"),
    }
    let AwsSource::Container { url, token: None } = source("", &[full]) else { panic!("no container") };
    assert_eq!(url, "http://169.254.170.23/v1");
    let AwsSource::Container { url, token: Some(Held::Text(_)) } = source("", &[full, relative, token])
    else {
        panic!("no token")
    };
    assert_eq!(url, "http://169.254.170.2/v2/x");
    let chosen = source("aws: {credentials: instance}", &AWS);
    assert!(matches!(chosen, AwsSource::Instance { base } if base == "http://169.254.169.254"));
    off("upstreams: {bedrock: {region: r}}", &[], "AWS_ACCESS_KEY_ID is not set");
    off(
        "upstreams: {bedrock: {region: r, aws: {credentials: container}}}",
        &[],
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set",
    );
}

#[test]
fn a_key_of_bedrock_goes_before_a_signature_unless_credentials_are_written() {
    let keyed = [AWS[0], AWS[1], AWS[2], ("AWS_BEARER_TOKEN_BEDROCK", "t")];
    let loaded = load("upstreams: {bedrock: {}}", &keyed).unwrap();
    assert_eq!((first(&loaded).keys[0].reveal(), &first(&loaded).credential), ("t", &None));
    let loaded = load("upstreams: {bedrock: {aws: {credentials: environment}}}", &keyed).unwrap();
    assert!(first(&loaded).keys.is_empty() && first(&loaded).credential.is_some());
}

#[test]
fn a_containers_token_is_not_sent_just_anywhere_in_clear() {
    let message = "environment: upstream `bedrock`: AWS_CONTAINER_CREDENTIALS_FULL_URI is in clear, and not of this machine";
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/x"), AWS[2]];
    let yaml = "upstreams: {bedrock: {aws: {credentials: container}}}";
    let faults = load(yaml, &variables).map(|_| ()).unwrap_err();
    assert!(faults[0].ends_with(message.trim_start_matches("environment: ")), "{faults:?}");
}

#[test]
fn entra_takes_a_secret_or_a_federated_token() {
    let ids = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
    let yaml = "upstreams: {azure: {resource: r, auth: entra}}";
    let secret = credential(yaml, &[ids[0], ids[1], ("AZURE_CLIENT_SECRET", "s")]);
    match secret {
        CredentialSpec::Entra(EntraSource::Secret { token_url, client_id, .. }) => {
            assert_eq!(token_url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
            assert_eq!(client_id, "c");
        }
        other => panic!("{other:?}"),
    }
    let federated = credential(yaml, &[ids[0], ids[1], ("AZURE_FEDERATED_TOKEN_FILE", "/f")]);
    assert!(matches!(federated, CredentialSpec::Entra(EntraSource::Federated { .. })));
    off(yaml, &ids, "AZURE_CLIENT_SECRET is not set");
    let managed = "upstreams: {azure: {resource: r, auth: entra, entra: {credentials: managed_identity}}}";
    assert!(matches!(credential(managed, &[]), CredentialSpec::Entra(EntraSource::Managed { .. })));
}

fn google(file: &str, more: &str) -> Result<GoogleSource, Vec<String>> {
    let folder = Folder::new();
    folder.write("g.json", file);
    let yaml = format!("upstreams:\n  vertex: {{project: p, google: {{credentials_file: g.json{more}}}}}");
    folder.write("gateway.yaml", &yaml);
    match folder.load(&[])?.upstreams[0].credential.clone() {
        Some(CredentialSpec::Google(source)) => Ok(source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_googles_files_is_read() {
    let user = r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
    assert!(matches!(google(user, ""), Ok(GoogleSource::AuthorizedUser { token_url, .. })
        if token_url == "https://oauth2.googleapis.com/token"));
    let external = r#"{"type":"external_account","audience":"//iam","subject_token_type":"jwt",
        "token_url":"https://sts.googleapis.com/v1/token","credential_source":{"file":"/t","format":{"type":"json",
        "subject_token_field_name":"f"}}}"#;
    match google(external, "") {
        Ok(GoogleSource::External(it)) => {
            assert_eq!((it.subject_field.as_deref(), it.impersonation_url), (Some("f"), None));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_of_google_is_not_believed_about_where_secrets_go() {
    let check = |file: &str, more: &str, message: &str| {
        let faults = google(file, more).unwrap_err();
        assert!(faults[0].starts_with("gateway.yaml:2:") && faults[0].contains(message), "{faults:?}");
    };
    let user = |token_uri: &str| {
        format!(
            r#"{{"type":"authorized_user","client_id":"c","client_secret":"planted","refresh_token":"r","token_uri":"{token_uri}"}}"#
        )
    };
    check(&user("https://evil.example/token"), "", "not Google's");
    check(&user("http://oauth2.googleapis.com/token"), "", "not Google's");
    check(&user("https://evilgoogleapis.com/token"), "", "not Google's");
    assert!(google(&user("https://evil.example/token"), ", token_url: 'http://127.0.0.1:1/t'").is_ok());
    check(r#"{"type":"service_account","client_email":"e","private_key":"none"}"#, "", "PEM");
    check(r#"{"type":"service_account"}"#, "", "lacks a field");
    check(r#"{"type":"external_account","credential_source":{"executable":{}}}"#, "", "a `file` or a `url`");
    check("no", "", "no JSON object");
    check("{}", "", "`type` must be");
}

#[test]
fn credentials_that_no_request_shows_are_a_fault() {
    check(
        "upstreams:\n  openai: {key: k, aws: {}}",
        &[],
        &["2:20: upstream `openai`: `aws` does nothing without `auth: aws`"],
    );
    check(
        "upstreams:\n  azure: {key: k, resource: r, auth: none}",
        &[],
        &["2:16: upstream `azure`: no key is shown with this `auth`; remove it"],
    );
}
