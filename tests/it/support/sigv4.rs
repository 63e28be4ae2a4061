//! Verifies AWS signatures (Signature Version 4) as AWS does, from the raw request: written by AWS's description alone,
//! with nothing of what the gateway signs by.

use sha2::{Digest, Sha256};

use super::vendor::Seen;

/// What a signature says of itself.
#[derive(Debug, PartialEq)]
pub struct Signed {
    pub key_id: String,
    pub region: String,
    pub service: String,
    pub headers: Vec<String>,
}

/// Reads the signature of `seen` and verifies it with the secret that belongs to its key.
pub fn verify(seen: &Seen, secret_of: impl Fn(&str) -> Option<String>) -> Result<Signed, String> {
    let authorization = seen.header("authorization").ok_or("no authorization")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another scheme")?;
    let part = |name: &str| {
        let found = rest.split(',').find_map(|it| it.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("no {name}"))
    };
    let scope = part("Credential")?;
    let [key_id, date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(format!("an odd scope: {scope}"));
    };
    let headers: Vec<&str> = part("SignedHeaders")?.split(';').collect();
    let moment = seen.header("x-amz-date").ok_or("no date")?;
    if !moment.starts_with(date) {
        return Err("two dates".into());
    }
    let request = canonical(seen, &headers)?;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let secret = secret_of(key_id).ok_or_else(|| format!("nobody's key: {key_id}"))?;
    let steps = [date, region, service, "aws4_request"];
    let key = steps
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, step| hmac(&key, step.as_bytes()).to_vec());
    if hex(&hmac(&key, text.as_bytes())) != part("Signature")? {
        return Err("the signature is another's".into());
    }
    let headers = headers.into_iter().map(Into::into).collect();
    Ok(Signed { key_id: key_id.into(), region: region.into(), service: service.into(), headers })
}

fn canonical(seen: &Seen, headers: &[&str]) -> Result<String, String> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    // Every service but S3 takes the path, which is escaped already, escaped once more.
    let path: String = path.split('/').map(escaped).collect::<Vec<_>>().join("/");
    let mut pairs: Vec<_> = query.split('&').filter(|it| !it.is_empty()).collect();
    pairs.sort_unstable();
    let mut lines = String::new();
    for name in headers {
        let value = seen.header(name).ok_or_else(|| format!("{name} is signed and not sent"))?;
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        lines += &format!("{name}:{value}\n");
    }
    let body = hex(&Sha256::digest(&seen.body));
    Ok([&seen.method, path.as_str(), &pairs.join("&"), &lines, &headers.join(";"), &body].join("\n"))
}

fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    match key.len() {
        ..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::new().chain_update(block.map(|it| it ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|it| it ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
