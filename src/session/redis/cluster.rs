//! Knows which node of a Redis Cluster serves which slot, and learns it anew when that changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::session::redis::flight::Flight;
use crate::session::redis::link::Dialer;
use crate::session::redis::plan::Place;
use crate::session::redis::server::{Server, Whereabouts};
use crate::session::store::StoreFault;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;
/// Nodes asked at once for the map of slots.
const ASKED_MAX: usize = 8;

/// Which masters serve which slots: ranges without overlap, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slots(Vec<(u16, u16, Place)>);

impl Slots {
    fn place(&self, slot: u16) -> Option<&Place> {
        let at = self.0.partition_point(|(_, last, _)| *last < slot);
        self.0.get(at).filter(|(first, _, _)| *first <= slot).map(|(_, _, place)| place)
    }

    /// Each master and its lowest slot.
    pub fn masters(&self) -> Vec<(u16, Place)> {
        let mut masters: Vec<(u16, Place)> = Vec::new();
        for (first, _, place) in &self.0 {
            if !masters.iter().any(|(_, known)| known == place) {
                masters.push((*first, place.clone()));
            }
        }
        masters
    }

    /// Reads the answer to CLUSTER SLOTS. A node that does not know its own name is the one that was `asked`.
    fn read(answer: Value, asked: &Place) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut slots = Vec::with_capacity(ranges.len());
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
                return None;
            };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host: Arc<str> = match (host, asked) {
                (Value::BulkString(host), _) if !host.is_empty() && host != b"?" => {
                    std::str::from_utf8(host).ok()?.into()
                }
                (_, Place::Tcp(host, _)) => host.clone(),
                _ => return None,
            };
            let place = Place::Tcp(host, u16::try_from(*port).ok()?);
            slots.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, place));
        }
        slots.sort();
        (!slots.is_empty()).then_some(Self(slots))
    }
}

/// A cluster.
pub(super) struct Cluster {
    /// What the operator named: asked when no other node answers.
    seeds: Vec<Place>,
    dialer: Arc<Dialer>,
    slots: ArcSwap<Slots>,
    /// Of the masters known, and no others. The lock is held for a look-up.
    servers: Mutex<HashMap<Place, Arc<Server>>>,
    learning: Flight<Arc<Slots>>,
    command: Duration,
}

impl Cluster {
    pub fn new(seeds: Vec<Place>, dialer: Arc<Dialer>, command: Duration) -> Arc<Self> {
        let (slots, servers) = (ArcSwap::default(), Mutex::default());
        Arc::new(Self { seeds, dialer, slots, servers, learning: Flight::new(), command })
    }

    /// The master of the slot of a key.
    pub async fn server(self: &Arc<Self>, key: &str) -> Result<Arc<Server>, StoreFault> {
        let slot = slot(key.as_bytes());
        if let Some(place) = self.slots.load().place(slot) {
            return Ok(self.at(place));
        }
        match self.learn().await?.place(slot) {
            Some(place) => Ok(self.at(place)),
            None => Err(StoreFault::Away("redis: no node of the cluster serves this slot".into())),
        }
    }

    /// The node there.
    pub fn at(&self, place: &Place) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Server::new(Whereabouts::Known(place.clone()), Arc::clone(&self.dialer));
        Arc::clone(servers.entry(place.clone()).or_insert_with(make))
    }

    /// Asks who serves what; many who need to know wait for the same answer.
    pub async fn learn(self: &Arc<Self>) -> Result<Arc<Slots>, StoreFault> {
        let cluster = Arc::clone(self);
        self.learning.join(|| None, || async move { cluster.ask().await }).await
    }

    /// As [`Self::learn`], while others go on.
    pub fn learn_aside(self: &Arc<Self>) {
        let cluster = Arc::clone(self);
        tokio::spawn(async move { cluster.learn().await });
    }

    /// Asks several nodes at once: the first to answer is believed, for the others may be frozen.
    async fn ask(&self) -> Result<Arc<Slots>, StoreFault> {
        let mut places: Vec<Place> =
            self.slots.load().masters().into_iter().map(|(_, place)| place).collect();
        fastrand::shuffle(&mut places);
        places.truncate(ASKED_MAX);
        for seed in &self.seeds {
            if !places.contains(seed) && places.len() < 2 * ASKED_MAX {
                places.push(seed.clone());
            }
        }
        let mut asked = JoinSet::new();
        for place in places {
            let (server, bound) = (self.at(&place), self.command);
            asked.spawn(async move { slots_at(&server, bound).await });
        }
        let bound = self.dialer.bound() + self.command;
        let found = timeout(bound, async {
            let mut fault = StoreFault::Away("redis: no node of the cluster answers".into());
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok(Ok(slots)) => return Ok(slots),
                    Ok(Err(why)) => fault = why,
                    Err(_) => {}
                }
            }
            Err(fault)
        });
        let unanswered = |_| Err(StoreFault::Away("redis: no node of the cluster answers".into()));
        let slots = Arc::new(found.await.unwrap_or_else(unanswered)?);
        self.take(&slots);
        Ok(slots)
    }

    fn take(&self, slots: &Arc<Slots>) {
        let masters = slots.masters();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|place, _| masters.iter().any(|(_, it)| it == place));
        drop(servers);
        self.slots.store(Arc::clone(slots));
    }
}

async fn slots_at(server: &Arc<Server>, bound: Duration) -> Result<Slots, StoreFault> {
    let link = server.link().await?;
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let fault = |why: &str| StoreFault::Away(format!("redis {}: {why}", link.place));
    match link.exchange(&question, false, bound).await {
        Ok(Value::ServerError(error)) => Err(fault(error.details().unwrap_or(error.code()))),
        Ok(answer) => {
            Slots::read(answer, &link.place).ok_or_else(|| fault("it is in no cluster that serves slots"))
        }
        Err(_) => Err(fault("no answer")),
    }
}

/// Of what stands between the first braces, or of all.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|it| *it == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|it| *it == b'}').filter(|length| *length > 0).map(|length| &rest[..length])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        let check = |key: &str, expected| assert_eq!(slot(key.as_bytes()), expected, "{key}");
        assert_eq!(crc16(b"123456789"), 0x31c3);
        check("123456789", 0x31c3);
        check("foo", 12_182);
        check("tollgate:{foo}:meta", 12_182);
        check("{foo}{bar}", 12_182);
        check("foo{}", slot(b"foo{}"));
        assert_ne!(slot(b"{}foo"), slot(b""));
    }

    #[test]
    fn the_map_of_slots_is_read() {
        let node =
            |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())]);
        let text = |host: &str| Value::BulkString(host.into());
        let range = |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let answer = Value::Array(vec![
            range(8_000, 16_383, node(text("b"), 2)),
            range(0, 5_000, node(Value::Nil, 1)),
            range(6_000, 7_999, node(text(""), 1)),
        ]);
        let asked = Place::Tcp("a".into(), 9);
        let slots = Slots::read(answer, &asked).unwrap();
        let (a, b) = (Place::Tcp("a".into(), 1), Place::Tcp("b".into(), 2));
        let check = |slot, expected| assert_eq!(slots.place(slot), expected, "{slot}");
        check(0, Some(&a));
        check(5_000, Some(&a));
        check(5_001, None);
        check(6_000, Some(&a));
        check(8_000, Some(&b));
        check(16_383, Some(&b));
        assert_eq!(slots.masters(), [(0, a), (8_000, b)]);
        assert_eq!(Slots::read(Value::Array(Vec::new()), &asked), None);
        assert_eq!(Slots::read(Value::Okay, &asked), None);
    }
}
