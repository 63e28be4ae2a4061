//! What the tests stand on: the gateway as a process, vendors that do as they are told, a client that sees every byte.

// Each file of tests uses its own part of this.
#![allow(dead_code, unused_imports)]

use std::future::Future;
use std::time::Duration;

pub mod client;
pub mod gateway;
pub mod script;
pub mod vendor;

pub use client::{Answer, Open, Raw};
pub use gateway::Gateway;
pub use script::{DONE, Gate, Reply, delta, finish, role, usage};
pub use vendor::{Refusing, Seen, Vendor};

/// A bound on a hang. No passing test waits it out.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What `future` gives, or the end of the test when it never comes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}
