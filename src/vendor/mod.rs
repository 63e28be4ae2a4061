//! What vendors say and want; no I/O. Their answers as chat completions in all the spellings they are given, failures,
//! limits and models in whatever dialect; what it takes to read and write the other dialects is in [`crate::dialect`].

pub mod auth;
pub mod aws_events;
pub mod catalogue;
pub mod cause;
pub mod failure;
mod filled;
pub mod filtered;
pub mod graft;
pub mod limits;
pub mod models;
pub mod prefill;
pub mod quirks;
pub mod said;
pub mod sse;
pub mod stream;
pub mod think_tags;
pub mod when;
