//! How much of the gateway is taken, in all and by each client: calls in flight and bytes of request bodies. What is taken
//! is given back when its holder is dropped. When it is nearly full, whoever holds more than its share must wait: one
//! client alone cannot keep the others out. What a refusal looks like is `edge::admission`'s to say.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::names::ClientName;

/// Up to this many quarters of a bound anyone may take anything; beyond, shares count.
const FREE_QUARTERS: u64 = 3;

/// What all calls take together. Lives as long as the process: a reload changes bounds, not what is taken.
#[derive(Default)]
pub struct Room {
    calls: AtomicU64,
    body_bytes: AtomicU64,
    /// Clients with calls in flight.
    present: AtomicU64,
    /// Clients that may come, those without a name together being one.
    expected: AtomicU64,
    /// What the clients of every configuration take that is still in use. Locked while a configuration is built.
    tenants: Mutex<HashMap<Option<ClientName>, Weak<Tenant>>>,
}

/// What one client takes, whichever of its keys it shows.
#[derive(Debug, Default)]
pub struct Tenant {
    calls: AtomicU64,
    body_bytes: AtomicU64,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// For anyone.
    Full,
    /// For a client that holds more than its share, while there is little left.
    Share,
}

impl Room {
    /// Says how many clients may come.
    pub fn expect(&self, clients: usize) {
        self.expected.store(clients as u64, Relaxed);
    }

    /// What the client `name`, or all without one, takes; the same one for as long as anybody holds it.
    pub fn tenant(&self, name: Option<&ClientName>) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, it| it.strong_count() > 0);
        let known = tenants.get(&name.cloned()).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let tenant = Arc::default();
            tenants.insert(name.cloned(), Arc::downgrade(&tenant));
            tenant
        })
    }

    /// A place for one more call, unless `calls_max` are taken.
    pub fn enter(self: &Arc<Self>, calls_max: usize) -> Result<Place, Crowded> {
        let place = Place { room: Arc::clone(self), tenant: None };
        match self.calls.fetch_add(1, Relaxed) < calls_max as u64 {
            true => Ok(place),
            false => Err(Crowded::Full),
        }
    }

    /// Among how many a bound is shared: one more than are here, as long as there is one, so that the next to come finds
    /// room.
    fn sharers(&self) -> u64 {
        (self.present.load(Relaxed) + 1).min(self.expected.load(Relaxed)).max(1)
    }
}

/// Whether there is room for `own` of a client's among `all` that are taken, both with what is asked for.
pub fn judge(all: u64, own: u64, max: u64, sharers: u64) -> Result<(), Crowded> {
    let scarce = all.saturating_mul(4) > max.saturating_mul(FREE_QUARTERS);
    match scarce {
        _ if all > max => Err(Crowded::Full),
        // A client without anything is no client over its share, however small that is.
        true if own > (max / sharers).max(1) => Err(Crowded::Share),
        _ => Ok(()),
    }
}

/// One call in flight, until dropped.
pub struct Place {
    room: Arc<Room>,
    tenant: Option<Arc<Tenant>>,
}

impl Place {
    /// Counts the call as `tenant`'s. Returns how many it has now.
    pub fn assign(&mut self, tenant: &Arc<Tenant>) -> u64 {
        self.tenant = Some(Arc::clone(tenant));
        let before = tenant.calls.fetch_add(1, Relaxed);
        if before == 0 {
            self.room.present.fetch_add(1, Relaxed);
        }
        before + 1
    }

    /// Whether a client with `own` calls may have this one among `calls_max`.
    pub fn judge(&self, own: u64, calls_max: usize) -> Result<(), Crowded> {
        judge(self.room.calls.load(Relaxed), own, calls_max as u64, self.room.sharers())
    }

    /// Begins to count the bytes of this call's body, against `bytes_max` over all calls.
    pub fn body(&self, bytes_max: u64) -> BodyRoom {
        BodyRoom { room: Arc::clone(&self.room), tenant: self.tenant.clone(), bytes: 0, bytes_max }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(tenant) = &self.tenant
            && tenant.calls.fetch_sub(1, Relaxed) == 1
        {
            self.room.present.fetch_sub(1, Relaxed);
        }
        self.room.calls.fetch_sub(1, Relaxed);
    }
}

/// What one request body takes, until dropped.
pub struct BodyRoom {
    room: Arc<Room>,
    tenant: Option<Arc<Tenant>>,
    bytes: u64,
    bytes_max: u64,
}

impl BodyRoom {
    /// Whether there is room for so many bytes more, which are not here yet.
    pub fn check(&self, bytes: u64) -> Result<(), Crowded> {
        let own = self.tenant.as_ref().map_or(0, |it| it.body_bytes.load(Relaxed));
        let all = self.room.body_bytes.load(Relaxed);
        judge(all.saturating_add(bytes), own.saturating_add(bytes), self.bytes_max, self.room.sharers())
    }

    /// Takes room for bytes that came.
    pub fn take(&mut self, bytes: usize) -> Result<(), Crowded> {
        let bytes = bytes as u64;
        self.bytes += bytes;
        self.room.body_bytes.fetch_add(bytes, Relaxed);
        if let Some(tenant) = &self.tenant {
            tenant.body_bytes.fetch_add(bytes, Relaxed);
        }
        self.check(0)
    }

    /// The body itself, which gives its room back when the last piece of it is gone.
    pub fn hold(self, body: Bytes) -> Bytes {
        match body.is_empty() {
            true => body,
            false => Bytes::from_owner(HeldBody { body, _room: self }),
        }
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.room.body_bytes.fetch_sub(self.bytes, Relaxed);
        if let Some(tenant) = &self.tenant {
            tenant.body_bytes.fetch_sub(self.bytes, Relaxed);
        }
    }
}

struct HeldBody {
    body: Bytes,
    _room: BodyRoom,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_three_quarters_a_client_has_its_share_and_no_more() {
        let check = |all, own, sharers, expected| {
            assert_eq!(judge(all, own, 100, sharers), expected, "{own} of {all} among {sharers}");
        };
        check(75, 75, 2, Ok(()));
        check(76, 51, 2, Err(Crowded::Share));
        check(76, 50, 2, Ok(()));
        check(100, 100, 1, Ok(()));
        check(101, 1, 2, Err(Crowded::Full));
        check(100, 1, 1_000, Ok(()));
        check(100, 2, 1_000, Err(Crowded::Share));
    }

    #[test]
    fn the_next_client_finds_room_beside_one_that_takes_all_it_can() {
        let room = Arc::new(Room::default());
        room.expect(3);
        let (greedy, modest) = (room.tenant(Some(&"greedy".into())), room.tenant(Some(&"modest".into())));
        let ask = |tenant: &Arc<Tenant>| {
            let mut place = room.enter(100)?;
            let own = place.assign(tenant);
            place.judge(own, 100).map(|()| place)
        };
        let taken: Vec<Place> = (0..200).filter_map(|_| ask(&greedy).ok()).collect();
        assert_eq!(taken.len(), 75);
        let beside: Vec<Place> = (0..200).filter_map(|_| ask(&modest).ok()).collect();
        assert_eq!(beside.len(), 25);
        drop((taken, beside));
        assert_eq!((room.calls.load(Relaxed), room.present.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_client_keeps_what_it_holds_over_a_reload() {
        let room = Arc::new(Room::default());
        let mut place = room.enter(1).unwrap();
        place.assign(&room.tenant(Some(&"shop".into())));
        assert_eq!(room.tenant(Some(&"shop".into())).calls.load(Relaxed), 1);
        assert_eq!(room.tenant(None).calls.load(Relaxed), 0);
    }

    #[test]
    fn a_bodys_room_is_free_when_its_last_piece_is_gone() {
        let room = Arc::new(Room::default());
        let place = room.enter(1).unwrap();
        let mut body = place.body(8);
        assert_eq!((body.check(8), body.check(9)), (Ok(()), Err(Crowded::Full)));
        body.take(6).unwrap();
        let piece = body.hold(Bytes::from_static(b"prompt")).slice(1..3);
        assert_eq!(place.body(8).take(3), Err(Crowded::Full));
        drop(piece);
        assert_eq!(place.body(8).take(8), Ok(()));
        assert_eq!(room.body_bytes.load(Relaxed), 0);
    }
}
