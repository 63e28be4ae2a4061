//! The time that records are written with.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time, in milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64)
}
