//! Finds what is wrong with the quirks that an operator adds to an upstream, where the schema cannot.

use super::GatewayOptions;
use super::load::Draft;

pub(super) fn check(draft: &mut Draft, options: &GatewayOptions) {
    for (id, own) in &options.upstreams {
        for (index, quirk) in own.quirks.iter().enumerate() {
            let index = index.to_string();
            for (place, message) in quirk.faults() {
                let path: Vec<&str> =
                    ["quirks", &index].into_iter().chain(place.iter().map(String::as_str)).collect();
                draft.upstream_fault(id.as_str(), &path, &message);
            }
        }
    }
}
