//! The upstream layer.

pub mod options;
pub mod spec;
