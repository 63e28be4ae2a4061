//! A cluster's slot on its way from one node to another: whom each command goes to, and what waits.

use tollgate::session::key::{SessionKey, hex};
use tollgate::session::record::{Change, Changed, Meta, Window};
use tollgate::session::store::{Store, StoreFault};

use crate::redis_faults::{key, node_of};
use crate::stores::{new_append, new_turn};
use crate::support::{RedisCluster, RedisServer};

const ALL: Window = Window { turns_max: 100, bytes_max: 1 << 30 };

/// The slot of the session `a`, under way.
struct Move {
    cluster: RedisCluster,
    tag: String,
    slot: u16,
    from: usize,
    to: usize,
}

impl Move {
    fn of(cluster: RedisCluster, slot: u16, from: usize) -> Self {
        Self { cluster, tag: hex(&key("a").tag()), slot, from, to: (from + 1) % 3 }
    }

    fn node(&self, nth: usize) -> &RedisServer {
        &self.cluster.nodes[nth]
    }

    async fn id(&self, nth: usize) -> String {
        self.node(nth).ask("CLUSTER MYID").await
    }

    async fn begin(&self) {
        let (slot, from, to) = (self.slot, self.id(self.from).await, self.id(self.to).await);
        let importing = format!("CLUSTER SETSLOT {slot} IMPORTING {from}");
        let _: String = self.node(self.to).ask(&importing).await;
        let migrating = format!("CLUSTER SETSLOT {slot} MIGRATING {to}");
        let _: String = self.node(self.from).ask(&migrating).await;
    }

    async fn bring(&self, parts: &[&str]) {
        let tag = &self.tag;
        let keys: Vec<String> = parts.iter().map(|it| format!("tollgate:{{{tag}}}:{it}")).collect();
        let port = self.node(self.to).port;
        let command = format!("MIGRATE 127.0.0.1 {port}  0 5000 KEYS {}", keys.join(" "));
        assert_eq!(self.node(self.from).ask::<String>(&command).await, "OK");
    }

    async fn end(&self) {
        let id = self.id(self.to).await;
        for nth in [self.to, self.from] {
            let _: String = self.node(nth).ask(&format!("CLUSTER SETSLOT {} NODE {id}", self.slot)).await;
        }
    }
}

async fn start() -> Move {
    let cluster = RedisCluster::start().await;
    let tag = hex(&key("a").tag());
    let slot: u16 = cluster.nodes[0].ask(&format!("CLUSTER KEYSLOT {{{tag}}}")).await;
    let from = node_of(&cluster, &tag).await;
    Move::of(cluster, slot, from)
}

async fn turns(store: &Store, key: &SessionKey) -> usize {
    store.load(key, ALL).await.unwrap().unwrap().turns.len()
}

#[tokio::test]
async fn a_slot_that_moves_is_followed_to_its_new_node() {
    let moving = start().await;
    let store = moving.cluster.store();
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    moving.begin().await;
    assert_eq!(turns(&store, &key("a")).await, 1);
    // All of its keys are there already, and the map still says here: ASK.
    moving.bring(&["meta", "turns", "ids"]).await;
    assert_eq!(turns(&store, &key("a")).await, 1);
    store.append(&key("a"), &new_append("t2")).await.unwrap();
    moving.end().await;
    // MOVED.
    assert_eq!(turns(&store, &key("a")).await, 2);
    store.append(&key("a"), &new_append("t3")).await.unwrap();
    assert_eq!(turns(&store, &key("a")).await, 3);
}

#[tokio::test]
async fn a_session_that_is_not_there_is_made_and_missed_while_its_slot_moves() {
    let moving = start().await;
    let store = moving.cluster.store();
    moving.begin().await;
    assert_eq!(store.load(&key("a"), ALL).await.unwrap(), None);
    assert_eq!(store.turns(&key("a"), 0, 9).await.unwrap(), None);
    assert!(!store.delete(&key("a")).await.unwrap());
    let clear = Change::Clear { epoch: 1 };
    assert_eq!(store.change(&key("a"), Some(1), &clear).await.unwrap(), Changed::Missing);
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    store.append(&key("a"), &new_append("t2")).await.unwrap();
    assert_eq!(turns(&store, &key("a")).await, 2);
    assert!(store.delete(&key("a")).await.unwrap());
    assert!(store.create(&Meta::new(key("a"), 0, 60_000), &[new_turn("t3")], 0).await.unwrap());
    assert_eq!(turns(&store, &key("a")).await, 1);
    moving.end().await;
    assert_eq!(turns(&store, &key("a")).await, 1);
    let tag = &moving.tag;
    let keys: Vec<String> = moving.node(moving.to).ask(&format!("KEYS tollgate:{{{tag}}}:*")).await;
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[tokio::test]
async fn a_session_in_two_parts_is_busy_until_it_is_whole_and_the_store_is_well() {
    let moving = start().await;
    let store = moving.cluster.store();
    for (id, first) in [("t1", "meta"), ("t2", "turns")] {
        let _ = store.delete(&key("a")).await;
        store.append(&key("a"), &new_append(id)).await.unwrap();
        moving.begin().await;
        moving.bring(&[first]).await;
        let is_busy = |fault: StoreFault| assert!(matches!(fault, StoreFault::Busy(_)), "{first} {fault:?}");
        is_busy(store.load(&key("a"), ALL).await.unwrap_err());
        is_busy(store.append(&key("a"), &new_append("t3")).await.unwrap_err());
        is_busy(store.delete(&key("a")).await.unwrap_err());
        store.check().await.unwrap();
        let rest: Vec<&str> = ["meta", "turns", "ids"].into_iter().filter(|it| *it != first).collect();
        let late = async {
            tokio::task::yield_now().await;
            moving.bring(&rest).await;
        };
        // Whoever asks waits a little for the rest.
        let asked = key("a");
        let (held, ()) = tokio::join!(store.load(&asked, ALL), late);
        assert_eq!(held.unwrap().unwrap().turns.len(), 1);
        assert!(store.delete(&key("a")).await.unwrap());
        let stable = format!("CLUSTER SETSLOT {} STABLE", moving.slot);
        for nth in [moving.to, moving.from] {
            let _: String = moving.node(nth).ask(&stable).await;
        }
    }
}
