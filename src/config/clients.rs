//! Completes clients and the certificate of the public port: keys become digests, files are read.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::edge::options::ClientOptions;
use crate::edge::spec::{ClientSpec, TlsSpec};
use crate::names::Secret;

use super::GatewayOptions;
use super::files::key_lines;
use super::load::Draft;
use super::resolve::{Pem, pem};

pub(super) fn clients(draft: &mut Draft, options: &GatewayOptions) -> Vec<ClientSpec> {
    // Whose key it is, so that no key stands for two.
    let mut owners: HashMap<[u8; 32], &str> = HashMap::new();
    let mut specs = Vec::new();
    for (name, own) in &options.clients {
        let client = name.as_str();
        let key_digests = key_digests(draft, client, own);
        for digest in &key_digests {
            match owners.insert(*digest, client) {
                Some(other) if other != client => {
                    let message =
                        format!("client `{client}` has a key of client `{other}`; each needs its own");
                    draft.fault(&["clients", client], message);
                }
                _ => {}
            }
        }
        for (index, pattern) in own.models.iter().flatten().enumerate() {
            let stem = pattern.strip_suffix('*').unwrap_or(pattern);
            if pattern.is_empty() || stem.contains('*') {
                let path = ["clients", client, "models", &index.to_string()];
                draft.fault(&path, "a model is a name, or the beginning of one and `*`");
            }
        }
        if own.tenant.as_ref().is_some_and(String::is_empty) {
            draft.fault(&["clients", client, "tenant"], "a tenant needs a name");
        }
        let without_model = own.without_model.unwrap_or(own.models.is_none());
        specs.push(ClientSpec {
            name: name.clone(),
            key_digests,
            tenant: own.tenant.clone().unwrap_or_else(|| client.to_owned()),
            models: own.models.clone(),
            without_model,
            calls_max: own.calls_max,
        });
    }
    specs
}

fn key_digests(draft: &mut Draft, client: &str, own: &ClientOptions) -> Vec<[u8; 32]> {
    let mut digests = Vec::new();
    if let Some(key) = &own.key {
        digests.extend(digest(draft, &["clients", client, "key"], client, key));
    }
    for (index, key) in own.keys.iter().enumerate() {
        digests.extend(digest(draft, &["clients", client, "keys", &index.to_string()], client, key));
    }
    for (index, text) in own.key_sha256.iter().enumerate() {
        match unhex(text.trim()) {
            Some(digest) => digests.push(digest),
            None => {
                let message = "`key_sha256` must be 64 hexadecimal digits: `printf %s KEY | sha256sum`";
                draft.fault(&["clients", client, "key_sha256", &index.to_string()], message);
            }
        }
    }
    if let Some(name) = &own.key_file {
        digests.extend(in_file(draft, client, name));
    }
    let has_none =
        own.key.is_none() && own.keys.is_empty() && own.key_sha256.is_empty() && own.key_file.is_none();
    if has_none {
        let message = format!("client `{client}` has no key; add `key`, `keys`, `key_file` or `key_sha256`");
        draft.fault(&["clients", client], message);
    }
    digests
}

fn digest(draft: &mut Draft, path: &[&str], client: &str, key: &Secret) -> Option<[u8; 32]> {
    let key = key.reveal().trim();
    if key.is_empty() {
        draft.fault(path, format!("a key of client `{client}` is empty"));
        return None;
    }
    Some(Sha256::digest(key).into())
}

fn in_file(draft: &mut Draft, client: &str, name: &str) -> Vec<[u8; 32]> {
    let path = ["clients", client, "key_file"];
    let Some(contents) = draft.read(&path, name) else { return Vec::new() };
    match key_lines(&contents) {
        Ok(lines) if lines.is_empty() => draft.fault(&path, format!("`{name}` holds no key")),
        Ok(lines) => return lines.iter().map(|it| Sha256::digest(it).into()).collect(),
        Err(message) => draft.fault(&path, format!("`{name}` {message}")),
    }
    Vec::new()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

pub(super) fn tls(draft: &mut Draft, options: &GatewayOptions) -> Option<TlsSpec> {
    let own = options.tls.as_ref()?;
    let cert_pem = pem(draft, &["tls", "cert"], &own.cert, Pem::Certificates);
    let key_pem = pem(draft, &["tls", "key"], &own.key, Pem::Key);
    Some(TlsSpec { cert_pem: cert_pem?, key_pem: key_pem? })
}
