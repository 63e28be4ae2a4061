//! Speaks with the places that give out credentials: one request, one bounded answer, each on a connection of its own.
//! Follows no redirect, so that what is shown to one endpoint goes to no other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncReadExt;

use crate::names::Secret;
use crate::telemetry::series::UpstreamMetrics;
use crate::upstream::dial::Dialer;
use crate::upstream::spec::{ProxySpec, UpstreamSpec, UpstreamTls};
use crate::upstream::tls;

/// Longest answer of such a place, and longest token in a file, in bytes; tokens are a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Time that one exchange may take.
const EXCHANGE_TIME: Duration = Duration::from_secs(10);

/// Longest name of an error that is repeated.
const ERROR_NAME_MAX: usize = 64;

/// Asks on behalf of one upstream: through its proxy, with the authorities it trusts, but without its client certificate,
/// which is for the upstream itself.
pub struct Exchange<'a> {
    upstream: &'a UpstreamSpec,
    metrics: &'a Arc<UpstreamMetrics>,
}

impl<'a> Exchange<'a> {
    pub fn new(upstream: &'a UpstreamSpec, metrics: &'a Arc<UpstreamMetrics>) -> Self {
        Self { upstream, metrics }
    }

    /// Sends a form; the answer's body if the status is 200. Whatever fails is told without a word of what was sent.
    pub async fn post_form(&self, url: &Uri, fields: &[(&str, &str)]) -> Result<Bytes, String> {
        let mut body = String::new();
        for (name, value) in fields {
            if !body.is_empty() {
                body.push('&');
            }
            body.push_str(&escaped(name));
            body.push('=');
            body.push_str(&escaped(value));
        }
        let mut request = Request::new(Full::from(body));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        self.ask(request, Proxied::Yes).await
    }

    /// Sends JSON with a token in front.
    pub async fn post_json(&self, url: &Uri, bearer: &str, body: String) -> Result<Bytes, String> {
        let bearer = sensitive(&format!("Bearer {bearer}"))?;
        let mut request = Request::new(Full::from(body));
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        self.ask(request, Proxied::Yes).await
    }

    /// Asks a service of this machine or its host, which no proxy could reach.
    pub async fn local(&self, method: Method, url: Uri, headers: &[(&str, &str)]) -> Result<Bytes, String> {
        self.plain(method, url, headers, Proxied::No).await
    }

    /// Asks any place.
    pub async fn get(&self, url: Uri, headers: &[(&str, &str)]) -> Result<Bytes, String> {
        self.plain(Method::GET, url, headers, Proxied::Yes).await
    }

    async fn plain(
        &self,
        method: Method,
        url: Uri,
        headers: &[(&str, &str)],
        proxied: Proxied,
    ) -> Result<Bytes, String> {
        let mut request = Request::new(Full::default());
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().map_err(|_| "a header's name is none".to_owned())?;
            request.headers_mut().insert(name, sensitive(value)?);
        }
        *request.method_mut() = method;
        *request.uri_mut() = url;
        self.ask(request, proxied).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>, proxied: Proxied) -> Result<Bytes, String> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let asked = tokio::time::timeout(EXCHANGE_TIME, self.answer(request, proxied)).await;
        asked.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(|it| format!("{host}: {it}"))
    }

    async fn answer(&self, request: Request<Full<Bytes>>, proxied: Proxied) -> Result<Bytes, String> {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(self.dialer(request.uri(), proxied)?);
        let answer = client.request(request).await.map_err(|it| match it.is_connect() {
            true => "cannot be reached".to_owned(),
            false => "the connection broke".to_owned(),
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| "the answer broke off or is too long".to_owned())?.to_bytes();
        match status.as_u16() {
            200 => Ok(body),
            status => Err(format!("answered {status}{}", error_name(&body))),
        }
    }

    fn dialer(&self, url: &Uri, proxied: Proxied) -> Result<Dialer, String> {
        let tls =
            UpstreamTls { extra_ca_pem: self.upstream.tls.extra_ca_pem.clone(), ..UpstreamTls::default() };
        let proxy = match proxied {
            Proxied::Yes => self.upstream.proxy.clone(),
            Proxied::No => ProxySpec::Off,
        };
        let spec = UpstreamSpec { base_url: url.clone(), http2: 0, tls, proxy, ..self.upstream.clone() };
        let tls = tls::client_config(&spec)?;
        Ok(Dialer::new(&spec, tls, Arc::clone(self.metrics)))
    }
}

#[derive(Clone, Copy)]
enum Proxied {
    Yes,
    No,
}

fn sensitive(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "a token holds characters that no header may".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// ` (name)`, where the answer names its error by one word: OAuth's `error`, or the `Code` of AWS. Their descriptions may
/// repeat what was sent.
fn error_name(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let of_oauth = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|it| {
        let named = it["error"].as_str().or(it["error"]["status"].as_str()).or(it["Code"].as_str())?;
        Some(named.to_owned())
    });
    let name = of_oauth.or_else(|| tag(&text, "Code").map(Into::into));
    let is_name = |it: &String| {
        it.len() <= ERROR_NAME_MAX
            && it.chars().all(|it| it.is_ascii_alphabetic() || matches!(it, '_' | '.' | '-'))
    };
    name.filter(is_name).map(|it| format!(" ({it})")).unwrap_or_default()
}

/// The text of the first element of that name in XML without entities.
pub fn tag<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("<{name}>");
    let from = xml.find(&begin)? + begin.len();
    let to = xml[from..].find(&format!("</{name}>"))?;
    Some(&xml[from..from + to])
}

/// `application/x-www-form-urlencoded`, with everything but unreserved characters escaped.
pub fn escaped(text: &str) -> String {
    const RESERVED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

/// `path` below `base`, whose own path may end in a slash.
pub fn below(base: &Uri, path: &str) -> Result<Uri, String> {
    let base = base.to_string();
    format!("{}{path}", base.trim_end_matches('/')).parse().map_err(|_| "its URL makes no address".to_owned())
}

/// The token in a file that somebody else renews.
pub async fn token_in(path: &Path) -> Result<Secret, String> {
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        let mut text = String::new();
        file.take(ANSWER_BYTES_MAX as u64).read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    let text = read.await.map_err(|it| format!("`{}` cannot be read: {}", path.display(), it.kind()))?;
    match text.trim() {
        "" => Err(format!("`{}` is empty", path.display())),
        text => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_a_refusal_is_repeated() {
        let check = |body: &str, expected: &str| assert_eq!(error_name(body.as_bytes()), expected, "{body}");
        check(r#"{"error":"invalid_grant","error_description":"planted"}"#, " (invalid_grant)");
        check(
            r#"{"error":{"code":403,"message":"planted","status":"PERMISSION_DENIED"}}"#,
            " (PERMISSION_DENIED)",
        );
        check(
            "<Error><Code>ExpiredTokenException</Code><Message>planted</Message></Error>",
            " (ExpiredTokenException)",
        );
        check(r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#, " (AssumeRoleUnauthorizedAccess)");
        check(r#"{"error":"it was planted"}"#, "");
        check("planted", "");
    }

    #[test]
    fn forms_escape_what_is_not_plain() {
        assert_eq!(escaped("a b&c=d/é~"), "a%20b%26c%3Dd%2F%C3%A9~");
    }

    #[test]
    fn a_path_goes_below_any_base() {
        let check = |base: &'static str, expected: &str| {
            assert_eq!(below(&Uri::from_static(base), "/x?a=b").unwrap(), expected, "{base}");
        };
        check("http://h", "http://h/x?a=b");
        check("http://h:1/deep/", "http://h:1/deep/x?a=b");
    }
}
