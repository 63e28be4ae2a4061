//! What a store is called, in the configuration and at the command line, and how it is had from that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::names::Secret;
use crate::session::embedded::Embedded;
use crate::session::options::SessionsOptions;
use crate::session::redis::Redis;
use crate::session::store::Store;

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Off,
    Memory,
    /// A file of the gateway's own; None: the one that the options name.
    Embedded(Option<PathBuf>),
    /// By its URL.
    Redis(Secret),
}

impl Place {
    /// Reads `off`, `memory`, `embedded`, `embedded:<file>` or what may be the URL of a Redis; or says what to write instead,
    /// without what was written: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "off" => Ok(Self::Off),
            "memory" => Ok(Self::Memory),
            "embedded" => Ok(Self::Embedded(None)),
            other => match other.strip_prefix("embedded:").filter(|it| !it.is_empty()) {
                Some(path) => Ok(Self::Embedded(Some(path.into()))),
                None if other.contains("://") => Ok(Self::Redis(other.into())),
                None => {
                    Err("a store is `embedded`, `embedded:<file>`, `memory`, `off` or the URL of a Redis: \
                             redis://user:password@host:6379/0, rediss://… for TLS, unix:///path?db=0"
                        .into())
                }
            },
        }
    }

    /// The store, not opened or connected yet; None: there is none. `folder`: where files named relatively are.
    pub fn store(&self, options: &SessionsOptions, folder: &Path) -> Result<Option<Store>, String> {
        let store = match self {
            Self::Off => return Ok(None),
            Self::Memory => Store::Embedded(Embedded::memory()),
            Self::Embedded(_) => {
                Store::Embedded(Embedded::file(self.file(options, folder).unwrap_or_default()))
            }
            Self::Redis(url) => {
                let redis = Redis::new(url, &options.redis).map_err(|it| it.to_string())?;
                Store::Redis(Box::new(redis))
            }
        };
        Ok(Some(store))
    }

    /// Its file, if it is one.
    pub fn file(&self, options: &SessionsOptions, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Embedded(Some(path)) => Some(folder.join(path)),
            Self::Embedded(None) => Some(folder.join(&options.file)),
            Self::Off | Self::Memory | Self::Redis(_) => None,
        }
    }
}

/// The store that an operator chose; None: sessions are off. `folder`: of the configuration.
pub fn store(options: &SessionsOptions, folder: &Path) -> Option<Arc<Store>> {
    // What is no store is refused when the configuration is loaded.
    Place::parse(options.store.reveal()).and_then(|it| it.store(options, folder)).ok()?.map(Arc::new)
}

/// What that store is called where people read.
pub fn name(options: &SessionsOptions) -> String {
    Place::parse(options.store.reveal()).unwrap_or(Place::Off).to_string()
}

/// Whether both choose the same store, to be reached in the same way.
pub fn is_same(one: &SessionsOptions, other: &SessionsOptions) -> bool {
    (&one.store, &one.file, &one.redis) == (&other.store, &other.file, &other.redis)
}

/// For people: of a URL neither user nor password, nor what stands behind `?` or `#`, which may be a password too.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Memory => f.write_str("memory"),
            Self::Embedded(None) => f.write_str("embedded"),
            Self::Embedded(Some(path)) => write!(f, "embedded:{}", path.display()),
            Self::Redis(url) => {
                let (scheme, rest) = url.reveal().split_once("://").unwrap_or(("redis", ""));
                write!(f, "{scheme}://{}", without_login(scheme, rest))
            }
        }
    }
}

/// Of a URL behind its scheme: where the server is. `@` behind the host may belong to a password that was written there or
/// was not escaped: then nothing is shown.
fn without_login<'a>(scheme: &str, rest: &'a str) -> &'a str {
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    if scheme.ends_with("unix") {
        return shown.find('/').map_or("…", |at| &shown[at..]);
    }
    let (login, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match login.rfind('@') {
        _ if behind.contains('@') => "…",
        Some(at) => &shown[at + 1..],
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_found_by_its_name_and_named_without_its_password() {
        let check = |text: &str, shown: Option<&str>| {
            assert_eq!(Place::parse(text).ok().map(|it| it.to_string()).as_deref(), shown, "{text}");
        };
        for name in ["off", "memory", "embedded", "embedded:a/b.redb", "redis://localhost:6379/3"] {
            check(name, Some(name));
        }
        check(" memory ", Some("memory"));
        check("rediss://user:pa@ss@[::1]:6379/0#insecure", Some("rediss://[::1]:6379/0"));
        for unescaped in [":pa?ss@host/0", ":pa/ss@host/0", ":p@a#ss@host/0", "host/0?password=x@hunter2"] {
            check(&format!("redis://{unescaped}"), Some("redis://…"));
        }
        check("unix:///run/redis.sock?db=1&pass=hunter2", Some("unix:///run/redis.sock"));
        check("unix:///run/redis.sock?pass=a@b", Some("unix:///run/redis.sock"));
        check("unix:///run/a@b.sock?pass=a/b#c@d", Some("unix:///run/a@b.sock"));
        check("redis+unix://hunter2@host/run/s", Some("redis+unix:///run/s"));
        for name in ["", "embedded:", "hunter2", "Memory"] {
            check(name, None);
        }
        assert!(!Place::parse("hunter2").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn files_named_relatively_are_beside_the_configuration() {
        let options = SessionsOptions::default();
        let check = |name: &str, file: Option<&str>| {
            let found = Place::parse(name).unwrap().file(&options, Path::new("/etc/tollgate"));
            assert_eq!(found, file.map(PathBuf::from), "{name}");
        };
        check("embedded", Some("/etc/tollgate/tollgate-sessions.redb"));
        check("embedded:old.redb", Some("/etc/tollgate/old.redb"));
        check("embedded:/var/old.redb", Some("/var/old.redb"));
        check("memory", None);
    }
}
