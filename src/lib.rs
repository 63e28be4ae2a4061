//! Tollgate: an OpenAI-compatible gateway in front of every LLM vendor.

pub mod api;
pub mod config;
pub mod edge;
pub mod error;
pub mod health;
pub mod names;
pub mod route;
pub mod sim;
pub mod telemetry;
pub mod upstream;
pub mod vendor;
