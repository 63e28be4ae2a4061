//! What an operator may say about logs.

use schemars::JsonSchema;
use serde::Deserialize;

/// The log on standard output.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// How lines look. Default `auto`: text on a terminal, JSON elsewhere.
    pub format: LogFormat,
    /// Least level shown. Default `info`.
    pub level: LogLevel,
    /// Whether each call writes a line. Default true.
    pub calls: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info, calls: true }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}
