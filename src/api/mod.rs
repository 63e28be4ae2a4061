//! The OpenAI-shaped vocabulary: plain data, no I/O. What every layer may speak of without knowing a vendor.

pub mod edit;
pub mod error_body;
pub mod fields;
pub mod ink;
pub mod money;
pub mod request;
pub mod surrogates;
pub mod usage;
pub mod wants;
