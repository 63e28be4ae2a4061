//! The route layer.

pub mod options;
