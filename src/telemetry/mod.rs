//! Tells operators what happens: metrics, one line per call, and what the process itself has to say.
//! Every layer above reports here; nothing here decides anything, answers a client or waits for one.
//!
//! A call costs one line put in a queue and about a dozen atomic additions. An event costs an addition in memory
//! of its own call. Label lookups happen when a configuration is loaded, never on the path of a call.

pub mod costs;
mod families;
mod kinds;
mod line;
pub mod log;
pub mod metrics;
mod operator;
pub mod options;
mod rare;
pub mod record;
pub mod series;
pub mod sessions;
pub mod streams;

#[cfg(test)]
mod exposition;

pub use kinds::{EXCLUSIONS, Ended, EndpointKind, HedgeResult};
pub use log::LogHandle;
pub use metrics::{ConfigSeries, Metrics};
pub use record::{Attempt, CallRecord};
pub use series::{CircuitState, InFlight, KeyState, TargetMetrics, TokenGaps, UpstreamMetrics};
pub use sessions::SessionMetrics;
