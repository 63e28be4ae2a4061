//! The OpenAI-shaped vocabulary: plain data, no I/O. What every layer may speak of without knowing a vendor.

pub mod edit;
pub mod error_body;
pub mod money;
pub mod request;
pub mod usage;
pub mod wants;
