//! Tells operators: metrics, one line per call, and the process's own log.

pub mod options;
