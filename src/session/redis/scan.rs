//! Goes through all records of all servers, for moving a store.

use std::sync::Arc;

use redis::from_redis_value;
use tokio::task::JoinSet;

use crate::session::key::SessionKey;
use crate::session::redis::form;
use crate::session::redis::plan::Place;
use crate::session::redis::request::Request;
use crate::session::redis::topology::Topology;
use crate::session::store::StoreFault;

/// Keys that one step of a scan looks at.
const SCAN_COUNT: u64 = 500;

/// Where a scan of a cluster is: at the master that serves this slot, which was found there.
struct Spot {
    slot: u16,
    place: Option<Place>,
    cursor: String,
}

impl Spot {
    /// `cursor` of a single server, `slot/host:port/cursor` of a cluster.
    fn read(text: &str) -> Option<Self> {
        let Some((slot, rest)) = text.split_once('/') else {
            return Some(Self { slot: 0, place: None, cursor: text.to_owned() });
        };
        let (place, cursor) = rest.rsplit_once('/')?;
        Some(Self { slot: slot.parse().ok()?, place: Some(Place::parse(place)?), cursor: cursor.to_owned() })
    }

    fn text(&self) -> String {
        match &self.place {
            Some(place) => format!("{}/{place}/{}", self.slot, self.cursor),
            None => self.cursor.clone(),
        }
    }
}

/// One step of SCAN over one server; after its last step over the next master of a cluster, in the order of their
/// slots. Where another server has become the master, its keys are gone through from the beginning.
pub(super) async fn scan(
    topology: &Arc<Topology>,
    cursor: Option<String>,
) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
    let asked = cursor.as_deref().map_or(Some(Spot { slot: 0, place: None, cursor: "0".into() }), Spot::read);
    let Some(mut spot) = asked else {
        return Err(StoreFault::Corrupt("redis: this is no cursor of a scan".into()));
    };
    let masters = topology.masters().await?;
    let here = masters.iter().filter(|(slot, _)| *slot <= spot.slot).max_by_key(|(slot, _)| *slot);
    if let Some((slot, place)) = here.or(masters.first())
        && spot.place.as_ref() != Some(place)
    {
        spot = Spot { slot: *slot, place: Some(place.clone()), cursor: "0".into() };
    }
    let request = Request::command("SCAN").arg(spot.cursor.as_str()).arg("MATCH").arg("tollgate:{*}:meta");
    let request = request.arg("COUNT").number(SCAN_COUNT).repeatable();
    let answer = match &spot.place {
        Some(place) => topology.ask_at(&request, place).await?,
        None => topology.ask(&request).await?,
    };
    let (next, found): (String, Vec<String>) =
        from_redis_value(answer).map_err(|_| form::corrupt("the answer to a scan"))?;
    let names = names(topology, found).await?;
    if next != "0" {
        return Ok((names, Some(Spot { cursor: next, ..spot }.text())));
    }
    let following = masters.into_iter().filter(|(slot, _)| *slot > spot.slot).min_by_key(|(slot, _)| *slot);
    let following = following.map(|(slot, place)| Spot { slot, place: Some(place), cursor: "0".into() });
    Ok((names, following.map(|it| it.text())))
}

/// What the records of these keys are called; those that are gone or not ours are left out.
async fn names(topology: &Arc<Topology>, found: Vec<String>) -> Result<Vec<SessionKey>, StoreFault> {
    let mut asked = JoinSet::new();
    for key in found {
        let topology = Arc::clone(topology);
        asked.spawn(async move {
            let request = Request::command("HMGET").keys([key]).repeatable();
            topology.ask(&request.arg("kind").arg("owner").arg("id")).await
        });
    }
    let mut names = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let Ok(answer) = answer else { continue };
        let fields: Option<(String, String, String)> = from_redis_value(answer?).ok();
        names.extend(fields.and_then(|(kind, owner, id)| form::key(&kind, &owner, &id)));
    }
    Ok(names)
}
