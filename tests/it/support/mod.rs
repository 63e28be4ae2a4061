//! What the tests stand on: the gateway as a process, vendors that do as they are told, a client that sees every byte.

// Each file of tests uses its own part of this.
#![allow(dead_code, unused_imports)]

use std::future::Future;
use std::time::Duration;

pub mod authority;
pub mod client;
pub mod clock;
pub mod desk;
pub mod gateway;
pub mod hop;
pub mod keyed;
pub mod redis;
pub mod script;
pub mod sigv4;
pub mod sim;
pub mod spoken;
pub mod steady;
pub mod talk;
pub mod tongue;
pub mod vendor;

pub use authority::{Authority, Identity};
pub use client::{Answer, Open, Raw};
pub use clock::Clock;
pub use desk::Desk;
pub use gateway::Gateway;
pub use hop::Hop;
pub use keyed::Keyed;
pub use redis::{RedisCluster, RedisServer, Sentinelled};
pub use script::{DONE, Gate, Reply, completion, delta, event, finish, role, usage};
pub use sim::Sim;
pub use steady::Steady;
pub use vendor::{Refusing, Seen, Vendor};

/// A configuration of these upstreams, by name and base URL, and of the route `smart`, which tries all of them in this
/// order, `model-a` at upstream `a`. `more` is appended.
pub fn over(upstreams: &[(&str, &str)], more: &str) -> String {
    let mut yaml = String::from("upstreams:\n");
    for (name, url) in upstreams {
        yaml += &format!(
            "  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", dialects: [chat, completions, responses] }}\n"
        );
    }
    let targets: Vec<_> = upstreams.iter().map(|(name, _)| format!("{name}/model-{name}")).collect();
    yaml + &format!("routes:\n  - {{ model: smart, targets: [{}] }}\n{more}", targets.join(", "))
}

/// A bound on a hang. No passing test waits it out.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What `future` gives, or the end of the test when it never comes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Asks again and again until `holds`. The question should be one that waits for its answer, or this spins.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    within(what, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
