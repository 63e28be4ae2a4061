//! Reads URL and options into what is connected to, and how. No I/O: a configuration is checked by this.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use rustls::ClientConfig;

use crate::names::Secret;
use crate::session::redis::options::{RedisOptions, SentinelOptions};
use crate::session::redis::tls;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Tcp(Arc<str>, u16),
    Unix(Arc<PathBuf>),
}

impl Place {
    /// `host:port`, where a host may hold colons and stand in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        let port: u16 = port.parse().ok()?;
        (!host.is_empty() && port > 0).then(|| Self::Tcp(host.into(), port))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An option that nothing can be done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misset {
    /// Below `sessions`.
    pub option: &'static [&'static str],
    /// Says what to do; names no value of the URL.
    pub message: String,
}

impl fmt::Display for Misset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`sessions.{}`: {}", self.option.join("."), self.message)
    }
}

fn misset<T>(option: &'static [&'static str], message: impl Into<String>) -> Result<T, Misset> {
    Err(Misset { option, message: message.into() })
}

const STORE: &[&str] = &["store"];
const CLUSTER: &[&str] = &["redis", "cluster"];
const SENTINEL_NODES: &[&str] = &["redis", "sentinel", "nodes"];

/// How connections are made.
pub(super) struct Login {
    pub redis: RedisConnectionInfo,
    pub tls: Option<Arc<ClientConfig>>,
    pub connect: Duration,
}

/// What is connected to.
pub(super) enum Shape {
    Single(Place),
    Sentinel { nodes: Vec<Place>, master: String, login: Login },
    Cluster(Vec<Place>),
}

/// All there is to know before the first connection.
pub(super) struct Plan {
    pub login: Login,
    pub shape: Shape,
    pub command: Duration,
}

impl Plan {
    pub fn read(url: &Secret, options: &RedisOptions) -> Result<Self, Misset> {
        let (info, is_tls) = parse(url)?;
        let tls = tls(is_tls, options)?;
        let place = place(&info)?;
        let login =
            |redis| Login { redis, tls: tls.clone(), connect: Duration::from_millis(options.connect_ms) };
        let shape = match &options.sentinel {
            Some(_) if !options.cluster.is_empty() => {
                return misset(CLUSTER, "either `sentinel` or `cluster`: sentinels watch no cluster");
            }
            Some(sentinel) => {
                let (nodes, master) = sentinels(sentinel, &place)?;
                Shape::Sentinel {
                    nodes,
                    master,
                    login: login(user(
                        sentinel.username.as_deref(),
                        sentinel.password.as_ref().map(Secret::reveal),
                    )),
                }
            }
            None if options.cluster.is_empty() => Shape::Single(place),
            None => Shape::Cluster(cluster(options, place, &info)?),
        };
        let settings = info.redis_settings();
        let redis = user(settings.username(), settings.password()).set_db(settings.db());
        Ok(Self { login: login(redis), shape, command: Duration::from_millis(options.command_ms) })
    }
}

/// What a URL says, and whether by TLS. The crate is asked without it: TLS is ours, and only then it needs none of its own.
/// Its messages may hold parts of the URL, and so of a password.
fn parse(url: &Secret) -> Result<(ConnectionInfo, bool), Misset> {
    let text = url.reveal().trim();
    let tls = [("rediss://", "redis://"), ("valkeys://", "redis://")]
        .iter()
        .find_map(|(tls, plain)| Some(format!("{plain}{}", text.strip_prefix(tls)?)));
    let is_tls = tls.is_some();
    let Ok(info) = tls.unwrap_or_else(|| text.to_owned()).into_connection_info() else {
        let message = "must be `embedded`, `memory`, `off` or the URL of a Redis: redis://user:password@host:6379/0, \
                       rediss://… for TLS, unix:///path?db=0; `%`, `@`, `:`, `/`, `?` and `#` in a password are written \
                       %25, %40, %3A, %2F, %3F and %23";
        return misset(STORE, message);
    };
    if text.contains('#') {
        let message = "`#` and what follows is not taken: certificates are always checked, by `redis.ca_file` if it is given; \
                       in a password it is written %23";
        return misset(STORE, message);
    }
    if asks_for_a_login_behind_the_host(text, &info) {
        let message = "user and password stand before the host, not behind `?`: redis://user:password@host:6379/0; of a \
                       socket they are called user and pass: unix:///path?user=name&pass=password";
        return misset(STORE, message);
    }
    if info.redis_settings().db() < 0 {
        return misset(STORE, "the number of the database must be 0 or more");
    }
    if info.redis_settings().username().is_some()
        && info.redis_settings().password().unwrap_or_default().is_empty()
    {
        let message =
            "the URL has a user without a password; for a password alone write redis://:password@host";
        return misset(STORE, message);
    }
    Ok((info, is_tls))
}

/// Parameters that mean a login and would be passed over in silence.
fn asks_for_a_login_behind_the_host(text: &str, info: &ConnectionInfo) -> bool {
    let is_socket = matches!(info.addr(), ConnectionAddr::Unix(_));
    let parameters = text.split_once('?').map_or("", |it| it.1).split('&');
    parameters.map(|it| it.split('=').next().unwrap_or_default().to_ascii_lowercase()).any(|name| {
        let is_read = is_socket && ["user", "pass"].contains(&&*name);
        !is_read && ["user", "pass", "auth"].iter().any(|it| name.contains(it))
    })
}

fn place(info: &ConnectionInfo) -> Result<Place, Misset> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => Ok(Place::Tcp(host.as_str().into(), *port)),
        ConnectionAddr::Unix(path) => Ok(Place::Unix(Arc::new(path.clone()))),
        _ => misset(STORE, "the URL names no server this can connect to"),
    }
}

fn tls(is_tls: bool, options: &RedisOptions) -> Result<Option<Arc<ClientConfig>>, Misset> {
    const FILES: [&[&str]; 3] = [&["redis", "ca_file"], &["redis", "cert_file"], &["redis", "key_file"]];
    let given = [&options.ca_file, &options.cert_file, &options.key_file].map(Option::is_some);
    if !is_tls {
        return match given.iter().position(|it| *it) {
            Some(at) => misset(FILES[at], "is for TLS: write rediss:// in `store`"),
            None => Ok(None),
        };
    }
    match given {
        [_, true, false] => return misset(FILES[1], "needs `key_file` beside it"),
        [_, false, true] => return misset(FILES[2], "needs `cert_file` beside it"),
        _ => {}
    }
    let option = if given[1] { FILES[1] } else { FILES[0] };
    match tls::client_config(&options.pems) {
        Ok(config) => Ok(Some(Arc::new(config))),
        Err((tls::Part::Authority, message)) => misset(FILES[0], message),
        Err((tls::Part::Own, message)) => misset(option, message),
    }
}

fn places(texts: &[String], option: &'static [&'static str]) -> Result<Vec<Place>, Misset> {
    let place = |text: &String| {
        let message = || format!("`{text}` must be host:port");
        Place::parse(text.trim()).ok_or_else(|| Misset { option, message: message() })
    };
    texts.iter().map(place).collect()
}

fn sentinels(options: &SentinelOptions, url: &Place) -> Result<(Vec<Place>, String), Misset> {
    let Place::Tcp(host, _) = url else {
        return misset(STORE, "sentinels know servers by host and port: write redis:// or rediss://");
    };
    if options.nodes.is_empty() {
        return misset(SENTINEL_NODES, "at least one sentinel is needed, as host:port");
    }
    if options.username.is_some() && options.password.as_ref().is_none_or(|it| it.reveal().is_empty()) {
        return misset(&["redis", "sentinel", "username"], "needs `password` beside it");
    }
    let master = options.master.clone().unwrap_or_else(|| host.as_ref().to_owned());
    Ok((places(&options.nodes, SENTINEL_NODES)?, master))
}

/// An empty password, as of a variable that may be empty, is none.
fn user(name: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let login = RedisConnectionInfo::default().set_lib_name("tollgate", env!("CARGO_PKG_VERSION"));
    match (name, password.filter(|it| !it.is_empty())) {
        (_, None) => login,
        (None, Some(password)) => login.set_password(password),
        (Some(name), Some(password)) => login.set_username(name).set_password(password),
    }
}

fn cluster(options: &RedisOptions, url: Place, info: &ConnectionInfo) -> Result<Vec<Place>, Misset> {
    if matches!(url, Place::Unix(_)) {
        return misset(STORE, "nodes of a cluster have host and port: write redis:// or rediss://");
    }
    if info.redis_settings().db() != 0 {
        return misset(STORE, "a cluster has the database 0 alone");
    }
    let mut nodes = places(&options.cluster, CLUSTER)?;
    nodes.insert(0, url);
    nodes.dedup();
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(url: &str, options: &RedisOptions) -> Option<String> {
        Plan::read(&url.into(), options).err().map(|it| it.option.join("."))
    }

    fn place_of(url: &str) -> String {
        match Plan::read(&url.into(), &RedisOptions::default()).map(|it| it.shape) {
            Ok(Shape::Single(place)) => place.to_string(),
            _ => "none".into(),
        }
    }

    #[test]
    fn a_url_says_where_redis_is() {
        let check = |url: &str, expected: &str| assert_eq!(place_of(url), expected, "{url}");
        check("redis://h", "h:6379");
        check(" redis://u:p%40@h:7/3\n", "h:7");
        check("rediss://:p@[::1]:7", "[::1]:7");
        check("valkeys://h", "h:6379");
        check("unix:///tmp/s?db=2", "/tmp/s");
        check("unix:///tmp/s?user=u&pass=p", "/tmp/s");
        check("redis://h?protocol=resp3", "h:6379");
        let plan = Plan::read(&"redis://u:p%40@h:7/3".into(), &RedisOptions::default()).ok().unwrap();
        let login = plan.login.redis;
        assert_eq!((login.username(), login.password(), login.db()), (Some("u"), Some("p@"), 3));
        let plan = Plan::read(&"redis://:@h".into(), &RedisOptions::default()).ok().unwrap();
        assert_eq!(plan.login.redis.password(), None);
    }

    #[test]
    fn a_url_that_cannot_be_connected_to_is_named_without_its_password() {
        let plain = RedisOptions::default();
        let urls = [
            "embeded",
            "http://h",
            "redis://",
            "redis://u:planted/x@h",
            "redis://:planted@h/x",
            "redis://u@h",
            "redis://h/-1",
            "rediss://:planted@h/#insecure",
            "redis://h/0?password=planted",
            "redis://h?protocol=resp3&PASS=planted",
            "unix:///s?password=planted",
        ];
        for url in urls {
            let misset = Plan::read(&url.into(), &plain).err().unwrap();
            assert_eq!(misset.option, STORE, "{url}");
            assert!(!misset.to_string().contains("planted"), "{misset}");
        }
    }

    #[test]
    fn an_option_that_cannot_be_used_is_named() {
        let with = |file: fn(&mut RedisOptions)| {
            let mut options = RedisOptions::default();
            file(&mut options);
            options
        };
        let ca = with(|it| it.ca_file = Some("a".into()));
        let cert = with(|it| it.cert_file = Some("a".into()));
        let key = with(|it| it.key_file = Some("a".into()));
        let bad = with(|it| (it.ca_file, it.pems.ca) = (Some("a".into()), Some("no".into())));
        let cluster = with(|it| it.cluster = vec!["h:1".into()]);
        let no_node = with(|it| it.cluster = vec!["h".into()]);
        let sentinel = with(|it| it.sentinel = Some(SentinelOptions::default()));
        let mut both = sentinel.clone();
        both.cluster = vec!["h:1".into()];
        let check = |url, options, expected: &str| {
            assert_eq!(
                faults(url, options).as_deref(),
                Some(expected).filter(|it| !it.is_empty()),
                "{url} {options:?}"
            );
        };
        check("redis://h", &ca, "redis.ca_file");
        check("rediss://h", &cert, "redis.cert_file");
        check("rediss://h", &key, "redis.key_file");
        check("rediss://h", &bad, "redis.ca_file");
        check("redis://h", &cluster, "");
        check("redis://h/1", &cluster, "store");
        check("unix:///s", &cluster, "store");
        check("redis://h", &no_node, "redis.cluster");
        check("redis://h", &both, "redis.cluster");
        check("redis://h", &sentinel, "redis.sentinel.nodes");
    }

    #[test]
    fn places_are_host_and_port() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Place::parse(text).map(|it| it.to_string()).as_deref(), expected, "{text}");
        };
        check("h:1", Some("h:1"));
        check("[::1]:2", Some("[::1]:2"));
        check("::1:2", Some("[::1]:2"));
        for text in ["h", "h:", ":1", "h:0", "h:65536", "h:x"] {
            check(text, None);
        }
    }
}
