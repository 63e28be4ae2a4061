//! Makes the price book of a configuration: rows under `prices`, `price` of upstreams, and a look at `price` of targets.

use std::sync::Arc;

use crate::price::book::PricedUpstream;
use crate::price::options::PricesOptions;
use crate::price::{PriceBook, PriceFault};
use crate::vendor::catalogue;

use super::GatewayOptions;
use super::fault::hint;
use super::load::Draft;
use super::resolve::Resolved;

pub(super) fn book(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) -> Arc<PriceBook> {
    let prices = with_vendors(draft, options, resolved);
    let used = resolved.upstreams.iter().map(|it| PricedUpstream {
        id: it.id.as_str(),
        vendor: &it.vendor,
        price: options.upstreams.get(&it.id).and_then(|own| own.price.as_ref()),
    });
    // What an upstream that is off says is looked at all the same.
    let others =
        options.upstreams.iter().filter(|(id, _)| !resolved.upstreams.iter().any(|it| it.id == **id));
    let others =
        others.map(|(id, own)| PricedUpstream { id: id.as_str(), vendor: "", price: own.price.as_ref() });
    let (book, faults) = PriceBook::build(&prices, &used.chain(others).collect::<Vec<_>>());
    report(draft, faults);
    for (index, route) in options.routes.iter().enumerate() {
        for (position, target) in route.targets.iter().enumerate() {
            if let Some(Err(faults)) = target.price.as_ref().map(|it| book.own(it)) {
                let path = ["routes", &index.to_string(), "targets", &position.to_string(), "price"];
                let whose = format!("target `{}`", target.upstream);
                report(draft, faults.into_iter().map(|it| it.of(&whose).below(&path)).collect());
            }
        }
    }
    Arc::new(book)
}

fn report(draft: &mut Draft, faults: Vec<PriceFault>) {
    for fault in faults {
        let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
        draft.fault(&path, fault.message);
    }
}

/// The rows with vendors by their ids; names that nothing bears are faults.
fn with_vendors(draft: &mut Draft, options: &GatewayOptions, resolved: &Resolved) -> PricesOptions {
    let mut prices = options.prices.clone();
    for (index, row) in prices.rows.iter_mut().enumerate() {
        let index = index.to_string();
        if let Some(name) = &mut row.vendor {
            match catalogue::vendor(name) {
                Some(vendor) => name.clone_from(&vendor.id),
                None => {
                    let hint = hint(name, catalogue::vendors().iter().map(|it| it.id.as_str()));
                    let message =
                        format!("price of `{}`: `{name}` is no vendor of the catalogue{hint}", row.model);
                    draft.fault(&["prices", "rows", &index, "vendor"], message);
                }
            }
        }
        if let Some(name) = &row.upstream
            && !resolved.names().chain(resolved.faulty.iter().map(|it| it.as_str())).any(|it| it == name)
        {
            let hint = hint(name, resolved.names());
            let message = format!("price of `{}`: no upstream is called `{name}`{hint}", row.model);
            draft.fault(&["prices", "rows", &index, "upstream"], message);
        }
    }
    prices
}
