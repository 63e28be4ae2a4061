//! The search for a target that answers, as the edge knows it: it survives a panic, ends with the process, and leaves what
//! the answer's head says in the record. Called for every call, and once more for a stream that is to be continued.

use crate::edge::admission::OVERLOADED_WAIT;
use crate::edge::gateway::Serving;
use crate::edge::rescue;
use crate::error::{Error, Kind, Origin};
use crate::route::plan::Plan;
use crate::upstream::call::Call;
use crate::upstream::dispatch::{Delivery, DispatchBounds, Dispatcher};
use crate::upstream::finish::FinishGuard;

/// Where vendors name a request: OpenAI and most others, Anthropic, AWS, Azure.
const VENDORS_IDS: [&str; 4] = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];

/// Looks for a target that answers, and takes what its head says into the record.
pub(super) async fn search(
    serving: &Serving,
    call: &Call,
    plan: &Plan,
    bounds: &DispatchBounds,
    end: &mut FinishGuard,
) -> Result<Delivery, Error> {
    let dispatcher = Dispatcher { upstreams: &serving.snapshot.upstreams, bounds };
    let cut = end.cut().clone();
    // On the heap, or every future around it would be as large as this one.
    let mut searching = Box::pin(async {
        tokio::select! {
            biased;
            result = dispatcher.run(call, plan, end) => result,
            () = cut.cancelled() => Err(stopping()),
        }
    });
    let result = rescue::caught(searching.as_mut()).await;
    drop(searching);
    if let Ok(delivery) = &result {
        end.record.status = delivery.status.as_u16();
        end.record.vendor_request_id = VENDORS_IDS.iter().find_map(|it| delivery.headers.get(*it)).cloned();
    }
    result
}

fn stopping() -> Error {
    Error::new(Kind::Overloaded, Origin::Gateway, "The gateway is stopping; send the request again.")
        .code("gateway_stopping")
        .retry_after(Some(OVERLOADED_WAIT))
}
