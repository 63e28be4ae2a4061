//! What vendors' wire formats mean; no I/O. Today one dialect, OpenAI's, in all the spellings vendors give it.

pub mod catalogue;
pub mod cause;
pub mod failure;
mod filled;
pub mod filtered;
pub mod graft;
pub mod limits;
pub mod models;
pub mod prefill;
pub mod said;
pub mod sse;
pub mod stream;
pub mod when;
