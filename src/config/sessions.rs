//! Completes where sessions are kept: reads the files that a Redis needs, and checks that it could be connected to.

use crate::names::Secret;
use crate::session::options::SessionsOptions;
use crate::session::place::Place;
use crate::session::redis::Redis;

use super::load::Draft;
use super::resolve::{Pem, pem};

pub(super) fn complete(draft: &mut Draft, options: &mut SessionsOptions) {
    options.store = Secret::from(options.store.reveal().trim());
    match Place::parse(options.store.reveal()) {
        Ok(Place::Off | Place::Memory | Place::Embedded(None)) => {}
        Ok(Place::Embedded(Some(_))) => {
            draft.fault(&["sessions", "store"], "write `embedded`, and its file in `sessions.file`");
        }
        // What it is not either, it says itself.
        Ok(Place::Redis(_)) | Err(_) => redis(draft, options),
    }
}

fn redis(draft: &mut Draft, options: &mut SessionsOptions) {
    if read(draft, options).is_none() {
        return;
    }
    if let Err(fault) = Redis::new(&options.store, &options.redis) {
        draft.fault(&[&["sessions"], fault.option].concat(), fault.message);
    }
}

/// None after a fault.
fn read(draft: &mut Draft, options: &mut SessionsOptions) -> Option<()> {
    let redis = &mut options.redis;
    let mut file = |option: &str, name: &Option<String>, kind: Pem| match name {
        Some(name) => pem(draft, &["sessions", "redis", option], name, kind).map(Some),
        None => Some(None),
    };
    let ca = file("ca_file", &redis.ca_file, Pem::Certificates);
    let cert = file("cert_file", &redis.cert_file, Pem::Certificates);
    let key = file("key_file", &redis.key_file, Pem::Key);
    (redis.pems.ca, redis.pems.cert) = (ca?, cert?);
    // PEM is ASCII: what is not was no key above.
    redis.pems.key = key?.map(|it| Secret::from(String::from_utf8_lossy(&it).into_owned()));
    Some(())
}
