//! The route over the four vendors, as the configuration would build it.

use std::sync::Arc;

use tollgate::health::{CircuitOptions, UpstreamHealth};
use tollgate::names::UpstreamId;
use tollgate::price::options::PriceOptions;
use tollgate::price::{Price, PriceBook};
use tollgate::route::options::{PolicyName, RouteOptions};
use tollgate::route::table::Route;
use tollgate::route::target::{Experience, Offer, Target};
use tollgate::telemetry::metrics::Metrics;
use tollgate::vendor::models::FactOptions;

use super::vendors::{VENDORS, Vendor};

/// The Tuesday that is replayed, 2026-11-24, in Unix seconds.
pub const UNIX_MIDNIGHT: u64 = 1_795_478_400;

/// The name that clients ask for.
pub const MODEL: &str = "smart";

/// A route that nobody has used yet.
pub fn fresh(policy: PolicyName) -> Arc<Route> {
    let metrics = Metrics::new();
    let targets = VENDORS.iter().enumerate().map(|(slot, it)| Arc::new(target(slot, it, &metrics))).collect();
    let explore_percent = RouteOptions::default().explore_percent;
    Arc::new(Route { policy, explore_percent, ..Route::plain(MODEL, targets, &Arc::default()) })
}

fn target(slot: usize, vendor: &Vendor, metrics: &Metrics) -> Target {
    let upstream = UpstreamId::from(vendor.name);
    let price: PriceOptions = serde_saphyr::from_str(vendor.price).expect("the four prices can be read");
    let book = PriceBook::built_in();
    let offer = Offer::new((&upstream, vendor.name), Some(MODEL), book, Some(&price), FactOptions::default());
    Target {
        metrics: metrics.target(MODEL, vendor.name),
        upstream,
        slot,
        model: Some(MODEL.into()),
        weight: vendor.weight,
        tags: Vec::new(),
        health: Arc::new(UpstreamHealth::new(CircuitOptions::default(), 1)),
        experience: Experience::default(),
        offer,
    }
}

/// What the targets really charge.
pub fn prices(route: &Route) -> Vec<Arc<Price>> {
    let price = |it: &Arc<Target>| it.price(MODEL).expect("each of the four has a price").into_owned();
    route.targets.iter().map(price).collect()
}
