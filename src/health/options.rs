//! What an operator may say about when an upstream is taken out.

use schemars::JsonSchema;
use serde::Deserialize;

/// When an upstream is taken out by the failures of live calls, and for how long.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitOptions {
    /// Failures in a row that open the circuit. Default 5; 1 to 1,000.
    #[schemars(range(min = 1, max = 1_000))]
    pub failures: u32,
    /// Share of failed calls in a window that opens it, in per cent. Default 50; 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub failure_percent: u32,
    /// Length of that window, in milliseconds. Default 10,000; 100 to 3,600,000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub window_ms: u64,
    /// Calls in the window below which the share says nothing. Default 20; 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls_min: u32,
    /// First time-out of an open circuit, in milliseconds, doubled with each re-opening. Default 1,000; 1 to 3,600,000.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub open_ms: u64,
    /// Longest time-out of an open circuit, and of a key that was told to wait, in milliseconds. Default 60,000; 1 to 3,600,000.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub open_ms_max: u64,
    /// Time in which an upstream's share of calls grows to its full size after its circuit closed, in milliseconds, where
    /// other targets can take the rest. A circuit that opens again within it rests for longer. Default 10,000; 0 = off,
    /// at most 3,600,000.
    #[schemars(range(max = 3_600_000))]
    pub slow_start_ms: u64,
}

impl Default for CircuitOptions {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_percent: 50,
            window_ms: 10_000,
            calls_min: 20,
            open_ms: 1_000,
            open_ms_max: 60_000,
            slow_start_ms: 10_000,
        }
    }
}
