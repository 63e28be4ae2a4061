//! Asks sentinels who the master is, and hears from them when that changes.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value, from_redis_value};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::session::redis::link::{Dialer, Link};
use crate::session::redis::plan::Place;
use crate::session::redis::server::Server;
use crate::session::store::StoreFault;

/// Between two tries to listen to a sentinel.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);
/// A sentinel that said nothing for so long is asked again, or another one: it may be gone without a word.
const LISTEN_MAX: Duration = Duration::from_secs(60);

/// The sentinels of one master.
pub(super) struct Sentinels {
    nodes: Vec<Place>,
    master: String,
    dialer: Arc<Dialer>,
    listener: OnceLock<AbortHandle>,
}

impl Sentinels {
    pub fn new(nodes: Vec<Place>, master: String, dialer: Dialer) -> Arc<Self> {
        Arc::new(Self { nodes, master, dialer: Arc::new(dialer), listener: OnceLock::new() })
    }

    /// A connection to the master. All sentinels are asked at once, so that a frozen one costs nothing; one that tells
    /// of a server which is no master, or is not there, is passed over for the next to answer.
    pub async fn master(self: &Arc<Self>, servers: &Arc<Dialer>) -> Result<Arc<Link>, StoreFault> {
        let mut asked = JoinSet::new();
        for node in &self.nodes {
            let (sentinels, node) = (Arc::clone(self), node.clone());
            asked.spawn(async move { sentinels.ask(&node).await });
        }
        let bound = servers.bound();
        let found = timeout(bound, async {
            let mut fault = StoreFault::Away("redis: no sentinel answers".into());
            let mut tried: Vec<Place> = Vec::new();
            while let Some(answer) = asked.join_next().await {
                let place = match answer {
                    Ok(Ok(place)) if !tried.contains(&place) => place,
                    Ok(Ok(_)) | Err(_) => continue,
                    Ok(Err(why)) => {
                        fault = why;
                        continue;
                    }
                };
                match master_at(servers, &place, bound).await {
                    Ok(link) => return Ok(link),
                    Err(why) => fault = why,
                }
                tried.push(place);
            }
            Err(fault)
        });
        found.await.unwrap_or_else(|_| {
            Err(StoreFault::Away(format!("redis: no master found within {} ms", bound.as_millis())))
        })
    }

    async fn ask(&self, node: &Place) -> Result<Place, StoreFault> {
        let link = self.dialer.dial(node).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let answer = link.exchange(&question, false, self.dialer.bound()).await;
        let fault = |why: &str| StoreFault::Away(format!("redis sentinel {node}: {why}"));
        match answer {
            Ok(Value::ServerError(error)) => Err(fault(error.code())),
            Ok(value) => match from_redis_value::<Option<(String, u16)>>(value) {
                Ok(Some((host, port))) => Ok(Place::Tcp(host.into(), port)),
                _ => Err(fault("it knows no master of that name")),
            },
            Err(_) => Err(fault("no answer")),
        }
    }

    /// Listens, from the first time this is called, for as long as there is the server.
    pub fn watch(self: &Arc<Self>, server: &Arc<Server>) {
        self.listener.get_or_init(|| {
            let (sentinels, server) = (Arc::downgrade(self), Arc::downgrade(server));
            tokio::spawn(listen(sentinels, server)).abort_handle()
        });
    }

    /// What one sentinel says of changes; its end when it is gone.
    async fn subscribe(&self, node: &Place) -> Option<(Arc<Link>, mpsc::UnboundedReceiver<PushInfo>)> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let link = self.dialer.dial_with(node, Some(sender)).await.ok()?;
        let mut subscribe = redis::cmd("SUBSCRIBE");
        subscribe.arg("+switch-master");
        link.exchange(&subscribe, false, self.dialer.bound()).await.ok()?;
        Some((link, pushes))
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

/// A connection to what says itself that it is a master. A user who may not ask is believed.
async fn master_at(servers: &Dialer, place: &Place, bound: Duration) -> Result<Arc<Link>, StoreFault> {
    let link = servers.dial(place).await?;
    let away = |why: &str| Err(StoreFault::Away(format!("redis {place}: {why}")));
    match link.exchange(&redis::cmd("ROLE"), false, bound).await {
        Ok(Value::Array(role)) if !says(role.first(), "master") => away("it is no master yet"),
        Ok(_) => Ok(link),
        Err(_) => away("no answer"),
    }
}

fn says(value: Option<&Value>, word: &str) -> bool {
    match value {
        Some(Value::BulkString(bytes)) => bytes == word.as_bytes(),
        Some(Value::SimpleString(text)) => text == word,
        _ => false,
    }
}

async fn listen(sentinels: Weak<Sentinels>, server: Weak<Server>) {
    for turn in 0.. {
        let Some(held) = sentinels.upgrade() else { return };
        let node = &held.nodes[turn % held.nodes.len()];
        let Some((link, mut pushes)) = held.subscribe(node).await else {
            drop(held);
            sleep(LISTEN_PAUSE).await;
            continue;
        };
        let master = held.master.clone();
        drop(held);
        while let Ok(Some(push)) = timeout(LISTEN_MAX, pushes.recv()).await {
            if push.kind == PushKind::Disconnection {
                break;
            }
            let Some(server) = server.upgrade() else { return };
            if tells_of(&push, &master) {
                server.leave();
            }
        }
        drop(link);
        sleep(LISTEN_PAUSE).await;
    }
}

/// Whether it is a message `<master> <old host> <old port> <new host> <new port>`.
fn tells_of(push: &PushInfo, master: &str) -> bool {
    let Some(Value::BulkString(message)) = push.data.get(1) else { return false };
    push.kind == PushKind::Message && message.split(|it| *it == b' ').next() == Some(master.as_bytes())
}
