//! The OpenAI-shaped vocabulary: plain data, no I/O. What every layer may speak of without knowing a vendor.

pub mod error_body;
pub mod usage;
