//! What vendors' wire formats mean; no I/O. Today one dialect, OpenAI's, in all the spellings vendors give it.

pub mod catalogue;
pub mod cause;
pub mod failure;
pub mod filtered;
pub mod limits;
pub mod models;
pub mod sse;
pub mod stream;
pub mod when;
