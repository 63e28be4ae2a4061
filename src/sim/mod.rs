//! The simulated vendor.
