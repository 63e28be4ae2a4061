//! Where credentials come from: each source of AWS, Google and Entra, asked as its cloud asks to be asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::support::desk::{Desk, field};
use crate::support::script::completion;
use crate::support::sigv4::{Signed, verify};
use crate::support::{Gateway, Reply, Seen, Vendor};

/// Long after every test.
const FAR: &str = "2099-01-01T00:00:00Z";

/// Access keys as containers and instances tell them.
fn keys(id: &str) -> String {
    json!({ "Code": "Success", "AccessKeyId": id, "SecretAccessKey": format!("secret of {id}"), "Token": "session",
            "Expiration": FAR })
    .to_string()
}

fn secret_of(id: &str) -> Option<String> {
    Some(format!("secret of {id}"))
}

/// A Bedrock that serves whoever signs well.
async fn bedrock() -> Desk {
    Desk::start(|_, seen| match verify(seen, secret_of) {
        Ok(_) => (200, completion("signed")),
        Err(why) => (403, json!({ "message": why }).to_string()),
    })
    .await
}

/// A gateway whose upstream `a` is at `bedrock`, with these AWS options.
async fn signing(bedrock: &Desk, aws: &str, environment: &[(&str, &str)], files: &[(&str, &str)]) -> Gateway {
    let url = bedrock.url("/openai/v1");
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: bedrock-openai, base_url: \"{url}\", region: eu-west-1, aws: {{ {aws} }} }}\n"
    );
    Gateway::start_among(&yaml, environment, files).await
}

/// A call is signed by that key.
async fn signs(gateway: &Gateway, bedrock: &Desk, key_id: &str) -> Seen {
    let answer = gateway.chat("a/m").await;
    assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "signed"), "{}", answer.text());
    let seen = bedrock.seen().pop().unwrap();
    let Signed { key_id: id, region, service, headers } = verify(&seen, secret_of).unwrap();
    assert_eq!((id.as_str(), region.as_str(), service.as_str()), (key_id, "eu-west-1", "bedrock"));
    assert!(["host", "content-type", "x-amz-date"].iter().all(|it| headers.contains(&(*it).to_owned())));
    seen
}

#[tokio::test]
async fn a_request_is_signed_over_the_very_bytes_that_are_sent() {
    let bedrock = bedrock().await;
    let url = bedrock.url("/a%20b/v1");
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{url}\", auth: aws, region: eu-west-1, query: {{ z: \"c/d e+f\", a: é }} }}\n"
    );
    let environment = [("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "secret of AKIA1")];
    let gateway = Gateway::start_with(&yaml, &environment).await;
    let seen = signs(&gateway, &bedrock, "AKIA1").await;
    assert_eq!(seen.header("x-amz-security-token"), None);
    assert!(seen.target.starts_with("/a%20b/v1/chat/completions?"), "{}", seen.target);
    // The signature is no formality: another body would not pass.
    let other = Seen { body: b"{}".to_vec(), ..seen };
    assert_eq!(verify(&other, secret_of), Err("the signature is another's".into()));
}

#[tokio::test]
async fn a_temporary_key_of_the_environment_brings_its_token() {
    let bedrock = bedrock().await;
    let environment = [
        ("AWS_ACCESS_KEY_ID", "ASIA1"),
        ("AWS_SECRET_ACCESS_KEY", "secret of ASIA1"),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    let gateway = signing(&bedrock, "", &environment, &[]).await;
    let seen = signs(&gateway, &bedrock, "ASIA1").await;
    assert_eq!(seen.header("x-amz-security-token"), Some("session"));
    let signed = verify(&seen, secret_of).unwrap().headers;
    assert!(signed.contains(&"x-amz-security-token".to_owned()), "{signed:?}");
}

#[tokio::test]
async fn a_web_identity_is_exchanged_for_a_role() {
    let bedrock = bedrock().await;
    let sts = Desk::start(|_, _| {
        let keys = format!("<Credentials><AccessKeyId>ASIA2</AccessKeyId><SecretAccessKey>secret of ASIA2</SecretAccessKey><SessionToken>session</SessionToken><Expiration>{FAR}</Expiration></Credentials>");
        (200, format!("<AssumeRoleWithWebIdentityResponse>{keys}</AssumeRoleWithWebIdentityResponse>"))
    })
    .await;
    let aws = format!(
        "credentials: web_identity, role_arn: \"arn:aws:iam::1:role/x\", web_identity_token_file: jwt, sts_url: \"{}\"",
        sts.url("/")
    );
    let gateway = signing(&bedrock, &aws, &[], &[("jwt", "a.b+c/d=\n")]).await;
    signs(&gateway, &bedrock, "ASIA2").await;
    let asked = &sts.asked(1).await[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(field(asked, "Action"), "AssumeRoleWithWebIdentity");
    assert_eq!(field(asked, "RoleArn"), "arn:aws:iam::1:role/x");
    assert_eq!(field(asked, "RoleSessionName"), "tollgate");
    assert_eq!(field(asked, "WebIdentityToken"), "a.b+c/d=");
}

#[tokio::test]
async fn a_container_asks_its_agent() {
    let (bedrock, agent) = (bedrock().await, Desk::start(|_, _| (200, keys("ASIA3"))).await);
    let url = agent.url("/v1/credentials");
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agents-token"),
    ];
    let gateway = signing(&bedrock, "credentials: chain", &environment, &[]).await;
    signs(&gateway, &bedrock, "ASIA3").await;
    let asked = &agent.asked(1).await[0];
    assert_eq!(
        (asked.target.as_str(), asked.header("authorization")),
        ("/v1/credentials", Some("agents-token"))
    );
}

#[tokio::test]
async fn an_instance_asks_its_metadata_service_in_a_session() {
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let bedrock = bedrock().await;
    let service = Desk::start(|_, seen| {
        let in_session = seen.header("x-aws-ec2-metadata-token") == Some("session-token");
        match (seen.method.as_str(), seen.target.as_str()) {
            ("PUT", "/latest/api/token") if seen.header("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
                (200, "session-token".into())
            }
            ("GET", ROLES) if in_session => (200, "my-role\n".into()),
            ("GET", path) if in_session && path == format!("{ROLES}my-role") => (200, keys("ASIA4")),
            _ => (401, String::new()),
        }
    })
    .await;
    let aws = format!("credentials: instance, metadata_url: \"{}\"", service.url(""));
    let gateway = signing(&bedrock, &aws, &[], &[]).await;
    signs(&gateway, &bedrock, "ASIA4").await;
    assert_eq!(service.calls(), 3);
}

/// A gateway whose upstream `a` shows Google's or Entra's tokens, and the vendor behind it.
async fn showing(
    vendor: &str,
    section: &str,
    environment: &[(&str, &str)],
    files: &[(&str, &str)],
) -> (Gateway, Vendor) {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let url = a.url();
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{url}\", auth: {vendor}, {vendor}: {{ {section} }} }}\n"
    );
    (Gateway::start_among(&yaml, environment, files).await, a)
}

async fn shows(gateway: &Gateway, a: &Vendor, token: &str) {
    let answer = gateway.chat("a/m").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = a.request(0).await;
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
}

fn granted(token: &str) -> (u16, String) {
    (200, json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }).to_string())
}

#[tokio::test]
async fn a_service_account_signs_for_itself() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let desk = Desk::start(|_, _| granted("ya29.service")).await;
    let file = json!({ "type": "service_account", "client_email": "me@p.iam.gserviceaccount.com",
        "private_key": key.serialize_pem(), "private_key_id": "key-1", "token_uri": "https://oauth2.googleapis.com/token" });
    let section = format!("credentials_file: sa.json, token_url: \"{}\"", desk.url("/token"));
    let (gateway, a) = showing("google", &section, &[], &[("sa.json", &file.to_string())]).await;
    shows(&gateway, &a, "ya29.service").await;
    let asked = &desk.asked(1).await[0];
    assert_eq!(field(asked, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = field(asked, "assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(read(parts[0]), json!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" }));
    let claims = read(parts[1]);
    assert_eq!(claims["iss"], "me@p.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3_600);
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let message = format!("{}.{}", parts[0], parts[1]);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let fits = algorithms
        .all
        .iter()
        .any(|it| it.verify_signature(key.public_key_raw(), message.as_bytes(), &signature).is_ok());
    assert!(fits, "the assertion is signed by its key");
}

#[tokio::test]
async fn an_authorized_user_shows_a_refresh_token() {
    let desk = Desk::start(|_, _| granted("ya29.user")).await;
    let file = r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
    let section = format!("credentials_file: user.json, token_url: \"{}\"", desk.url("/token"));
    let (gateway, a) = showing("google", &section, &[], &[("user.json", file)]).await;
    shows(&gateway, &a, "ya29.user").await;
    let asked = &desk.asked(1).await[0];
    let shown = ["grant_type", "client_id", "client_secret", "refresh_token"].map(|it| field(asked, it));
    assert_eq!(shown, ["refresh_token", "c", "s", "r"]);
}

#[tokio::test]
async fn a_workload_of_another_cloud_exchanges_its_token_and_takes_on_an_account() {
    let desk = Desk::start(|_, seen| match seen.target.as_str() {
        "/subject" if seen.header("x-own") == Some("header") => (200, r#"{"jwt":"subject-token"}"#.into()),
        "/sts" => granted("federated"),
        "/take-on" if seen.header("authorization") == Some("Bearer federated") => {
            (200, json!({ "accessToken": "ya29.taken-on", "expireTime": FAR }).to_string())
        }
        _ => (403, "{}".into()),
    })
    .await;
    let file = json!({ "type": "external_account", "audience": "//iam.googleapis.com/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken",
        "credential_source": { "url": desk.url("/subject"), "headers": { "x-own": "header" },
            "format": { "type": "json", "subject_token_field_name": "jwt" } } });
    let section = format!(
        "token_url: \"{}\", impersonation_url: \"{}\", credentials_file: wif.json",
        desk.url("/sts"),
        desk.url("/take-on")
    );
    let (gateway, a) = showing("google", &section, &[], &[("wif.json", &file.to_string())]).await;
    shows(&gateway, &a, "ya29.taken-on").await;
    let asked = desk.asked(3).await;
    assert_eq!(field(&asked[1], "subject_token"), "subject-token");
    assert_eq!(field(&asked[1], "audience"), "//iam.googleapis.com/x");
    assert_eq!(field(&asked[1], "grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(asked[2].json()["scope"], json!(["https://www.googleapis.com/auth/cloud-platform"]));
}

#[tokio::test]
async fn machines_of_google_and_azure_ask_their_metadata_servers() {
    let desk = Desk::start(|_, seen| match seen.header("metadata-flavor").or(seen.header("metadata")) {
        Some("Google") if seen.target == "/computeMetadata/v1/instance/service-accounts/default/token" => {
            granted("ya29.machine")
        }
        Some("true") => (200, json!({ "access_token": "eyJ.machine", "expires_in": "3599" }).to_string()),
        _ => (403, "{}".into()),
    })
    .await;
    let section = format!("credentials: metadata, metadata_url: \"{}\"", desk.url(""));
    let (gateway, a) = showing("google", &section, &[], &[]).await;
    shows(&gateway, &a, "ya29.machine").await;
    let section = format!("credentials: managed_identity, client_id: c, metadata_url: \"{}\"", desk.url(""));
    let (gateway, a) = showing("entra", &section, &[], &[]).await;
    shows(&gateway, &a, "eyJ.machine").await;
    let asked = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=c";
    assert_eq!(desk.seen()[1].target, asked);
}

#[tokio::test]
async fn an_application_of_entra_shows_its_secret_or_a_federated_token() {
    for (variable, value, shown) in [
        ("AZURE_CLIENT_SECRET", "entra-secret", ("client_secret", "entra-secret")),
        ("AZURE_FEDERATED_TOKEN_FILE", "token", ("client_assertion", "federated-token")),
    ] {
        let desk = Desk::start(|_, _| granted("eyJ.entra")).await;
        let authority = desk.url("/");
        let environment = [
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_AUTHORITY_HOST", authority.as_str()),
            (variable, value),
        ];
        let (gateway, a) = showing("entra", "", &environment, &[("token", "federated-token\n")]).await;
        shows(&gateway, &a, "eyJ.entra").await;
        let asked = &desk.asked(1).await[0];
        assert_eq!(asked.target, "/tenant-1/oauth2/v2.0/token");
        assert_eq!(field(asked, "scope"), "https://cognitiveservices.azure.com/.default");
        assert_eq!(
            (field(asked, "client_id").as_str(), field(asked, shown.0).as_str()),
            ("client-1", shown.1)
        );
    }
}
