//! Real `redis-server`s, each a process of its test on ports of the system's choice: alone, as a cluster, watched by
//! sentinels. They are killed when their test drops them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use redis::{FromRedisValue, Value, from_redis_value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tollgate::session::redis::Redis;
use tollgate::session::redis::options::{RedisOptions, SentinelOptions};
use tollgate::session::store::Store;

use super::{until, within};

/// Ports that others took between the choice and the start are chosen again, so often.
const STARTS_MAX: usize = 20;

/// A server.
pub struct RedisServer {
    pub port: u16,
    pub directory: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl RedisServer {
    pub async fn start() -> Self {
        Self::start_with(|_, _| Vec::new()).await
    }

    /// With more arguments, made from its port and its directory.
    pub async fn start_with(more: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let (port, directory) = (free_port(), directory());
            let mut arguments = words(&format!("--port {port} --bind 127.0.0.1 --appendonly no --dir"));
            arguments.push(directory.to_str().unwrap().to_owned());
            arguments.extend(["--save".to_owned(), String::new()]);
            arguments.extend(more(port, &directory));
            match spawn(&arguments).await {
                Ok(child) => return Self { port, directory, arguments, child },
                Err(why) => said = why,
            }
            let _ = std::fs::remove_dir_all(&directory);
        }
        panic!("redis-server did not start: {said}");
    }

    /// A sentinel that watches the server on `master`'s port as `main`.
    async fn start_sentinel(master: u16) -> Self {
        for _ in 0..STARTS_MAX {
            let (port, directory) = (free_port(), directory());
            let config = directory.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 1\n\
                 sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n\
                 requirepass watch\n"
            );
            std::fs::write(&config, text).unwrap();
            let arguments = vec![config.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
            if let Ok(child) = spawn(&arguments).await {
                return Self { port, directory, arguments, child };
            }
        }
        panic!("redis-server --sentinel did not start");
    }

    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.place())
    }

    /// A gateway's store over it that waits for as long as a busy machine takes.
    pub fn store(&self) -> Store {
        store(&self.url(), &patient())
    }

    /// One that waits no longer than gateways do.
    pub fn brisk_store(&self) -> Store {
        store(&self.url(), &RedisOptions::default())
    }

    /// What it says to a command, words of it separated by spaces.
    pub async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let value = self.try_ask(command).await.unwrap_or_else(|why| panic!("{command}: {why}"));
        from_redis_value(value).unwrap_or_else(|why| panic!("{command}: {why}"))
    }

    pub async fn try_ask(&self, command: &str) -> redis::RedisResult<Value> {
        let client = redis::Client::open(self.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut words = command.split(' ');
        let mut question = redis::cmd(words.next().unwrap());
        words.for_each(|it| {
            question.arg(it);
        });
        question.query_async(&mut connection).await
    }

    /// Whether its answer holds `text`; one that is busy or about to change its role may not answer.
    pub async fn says(&self, command: &str, text: &str) -> bool {
        let answer = self.try_ask(command).await.and_then(|it| Ok(from_redis_value::<String>(it)?));
        answer.is_ok_and(|it| it.contains(text))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success(), "SIG{name} was not sent");
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Where it was before, with what it was told before.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.arguments).await.expect("its port is still free");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Bounds that a busy machine keeps.
pub fn patient() -> RedisOptions {
    RedisOptions { connect_ms: 10_000, command_ms: 10_000, ..RedisOptions::default() }
}

/// A gateway's store.
pub fn store(url: &str, options: &RedisOptions) -> Store {
    Store::Redis(Box::new(Redis::new(&url.into(), options).unwrap()))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(Into::into).collect()
}

/// Free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A new one with a short name: paths of sockets are short.
fn directory() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("tollgate-redis-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// What it said where it ended before it was ready, as it does when its port was taken.
async fn spawn(arguments: &[String]) -> Result<Child, String> {
    let mut command = Command::new("redis-server");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("redis-server is installed; tests/run sees to it");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = within("the start of redis-server", async {
        let mut said = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("Ready to accept connections") || line.contains("+monitor master") {
                return Ok(());
            }
            said += &line;
        }
        Err(said)
    });
    ready.await?;
    // It must not find its output closed.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(child)
}

/// Three masters that share the slots.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Self::start_node().await);
        }
        let cluster = Self { nodes };
        for (node, slots) in cluster.nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            let _: String = node.ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        }
        for node in &cluster.nodes[1..] {
            cluster.meet(node).await;
        }
        for node in &cluster.nodes {
            until("a whole cluster", || async {
                let info: String = node.ask("CLUSTER INFO").await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        cluster
    }

    async fn start_node() -> RedisServer {
        RedisServer::start_with(|_, _| {
            let bus = free_port();
            words(&format!("--cluster-enabled yes --cluster-port {bus} --cluster-node-timeout 1000"))
        })
        .await
    }

    async fn meet(&self, node: &RedisServer) {
        let (port, bus) = (node.port, node.ask::<Vec<String>>("CONFIG GET cluster-port").await.remove(1));
        let _: String = self.nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await;
    }

    /// Adds a node and makes it a replica of the node at that index.
    pub async fn add_replica(&mut self, of: usize) {
        let node = Self::start_node().await;
        self.meet(&node).await;
        let id: String = self.nodes[of].ask("CLUSTER MYID").await;
        until("a replica", || async { node.try_ask(&format!("CLUSTER REPLICATE {id}")).await.is_ok() }).await;
        until("a copy", || async { node.says("INFO replication", "master_link_status:up").await }).await;
        self.nodes.push(node);
    }

    pub fn store(&self) -> Store {
        self.store_with(patient())
    }

    pub fn store_with(&self, options: RedisOptions) -> Store {
        let cluster = self.nodes.iter().map(RedisServer::place).collect();
        store(&self.nodes[0].url(), &RedisOptions { cluster, ..options })
    }
}

/// A master and its replica, and one sentinel that decides alone.
pub struct Sentinelled {
    pub servers: [RedisServer; 2],
    pub sentinel: RedisServer,
}

impl Sentinelled {
    pub async fn start() -> Self {
        let master = RedisServer::start().await;
        let port = master.port;
        let replica = RedisServer::start_with(|_, _| {
            words(&format!("--repl-diskless-sync-delay 0 --replicaof 127.0.0.1 {port}"))
        })
        .await;
        until("a copy", || async { replica.says("INFO replication", "master_link_status:up").await }).await;
        let sentinel = RedisServer::start_sentinel(port).await;
        let this = Self { servers: [master, replica], sentinel };
        until("the sentinel's view of the replica", || async {
            !matches!(this.ask_sentinel("SENTINEL REPLICAS main").await, Value::Array(it) if it.is_empty())
        })
        .await;
        this
    }

    pub async fn ask_sentinel(&self, command: &str) -> Value {
        let client = redis::Client::open(format!("redis://:watch@{}", self.sentinel.place())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut words = command.split(' ');
        let mut question = redis::cmd(words.next().unwrap());
        words.for_each(|it| {
            question.arg(it);
        });
        question.query_async(&mut connection).await.unwrap_or(Value::Nil)
    }

    pub fn options(&self) -> SentinelOptions {
        let nodes = vec![self.sentinel.place()];
        SentinelOptions { nodes, password: Some("watch".into()), ..SentinelOptions::default() }
    }

    pub fn store(&self) -> Store {
        self.store_with(patient())
    }

    pub fn store_with(&self, options: RedisOptions) -> Store {
        store("redis://main", &RedisOptions { sentinel: Some(self.options()), ..options })
    }
}
