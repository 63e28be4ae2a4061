//! What every store does, asked of each of them.

mod cases;

use std::sync::Arc;

use tollgate::session::embedded::Embedded;
use tollgate::session::redis::options::{RedisOptions, RedisPems};
use tollgate::session::store::Store;

use cases::conform;
pub use cases::{new_append, new_turn};

use crate::cli::Folder;
use crate::support::redis::{patient, store};
use crate::support::{Authority, RedisCluster, RedisServer, Sentinelled};

/// A file is open once: both handles are the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_gateways_own_conforms() {
    let folder = Folder::with(&[]);
    let store = Arc::new(Store::Embedded(Embedded::file(folder.path().join("sessions.redb"))));
    conform([Arc::clone(&store), store]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let store = Arc::new(Store::Embedded(Embedded::memory()));
    conform([Arc::clone(&store), store]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_conforms() {
    let server = RedisServer::start().await;
    conform([server.store(), server.store()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_on_a_unix_socket_conforms_in_a_database_of_its_own() {
    let socket = |directory: &std::path::Path| directory.join("s").to_str().unwrap().to_owned();
    let server = RedisServer::start_with(|_, it| vec!["--unixsocket".into(), socket(it)]).await;
    let url = format!("unix://{}?db=3", socket(&server.directory));
    conform([store(&url, &patient()), store(&url, &patient())]).await;
    assert_eq!(server.ask::<u64>("DBSIZE").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_speaks_resp2_alone_conforms() {
    let old = |_: u16, _: &std::path::Path| ["--rename-command", "HELLO", ""].map(Into::into).into();
    let server = RedisServer::start_with(old).await;
    let _: String = server.ask("ACL SETUSER shop on >secret ~* +@all").await;
    let url = format!("redis://shop:secret@{}", server.place());
    conform([store(&url, &patient()), store(&url, &patient())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_conforms() {
    let cluster = RedisCluster::start().await;
    conform([cluster.store(), cluster.store()]).await;
    for node in &cluster.nodes {
        assert!(node.ask::<u64>("DBSIZE").await > 0, "a node got nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_behind_sentinels_conforms() {
    let servers = Sentinelled::start().await;
    conform([servers.store(), servers.store()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_tls_and_a_user_of_few_rights_conforms() {
    let authority = Authority::new();
    let (server, options) = secured(&authority).await;
    let port: u16 = server.ask::<Vec<String>>("CONFIG GET tls-port").await[1].parse().unwrap();
    let url = format!("rediss://shop:s%40fe@127.0.0.1:{port}");
    conform([store(&url, &options), store(&url, &options)]).await;
}

/// A server that wants certificates, and what a client needs for it. Tests themselves ask it without TLS.
async fn secured(authority: &Authority) -> (RedisServer, RedisOptions) {
    let (own, client) = (authority.vouch("127.0.0.1"), authority.vouch("tollgate"));
    let server = RedisServer::start_with(|_, directory| {
        let file = |name: &str, text: &str| {
            std::fs::write(directory.join(name), text).unwrap();
            directory.join(name).to_str().unwrap().to_owned()
        };
        let pems = [
            ("--tls-port", crate::support::redis::free_port().to_string()),
            ("--tls-ca-cert-file", file("ca.pem", &authority.pem)),
            ("--tls-cert-file", file("cert.pem", &own.cert)),
            ("--tls-key-file", file("key.pem", &own.key)),
        ];
        pems.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    })
    .await;
    let rights = "ACL SETUSER shop on >s@fe ~tollgate:* +@read +@write +@scripting +@connection +time";
    let _: String = server.ask(rights).await;
    let pems = RedisPems {
        ca: Some(authority.pem.clone().into()),
        cert: Some(client.cert.into()),
        key: Some(client.key.as_str().into()),
    };
    let [ca_file, cert_file, key_file] = ["ca", "cert", "key"].map(|it| Some(it.to_owned()));
    (server, RedisOptions { ca_file, cert_file, key_file, pems, ..patient() })
}
