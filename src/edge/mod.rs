//! The edge layer.

pub mod options;
pub mod spec;
