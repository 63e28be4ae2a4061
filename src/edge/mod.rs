//! Speaks HTTP with clients and operators.

pub mod admin;
pub mod admin_listener;
pub mod admission;
pub mod ask;
pub mod auth;
pub mod body;
pub mod connection;
mod continuation;
pub mod cors;
pub mod endpoint;
pub mod explain;
pub mod flow;
pub mod form;
pub mod gateway;
pub mod headers;
pub mod intake;
pub mod listener;
pub mod models;
pub mod options;
pub mod rescue;
mod search;
pub mod serve;
pub mod shadow;
pub mod shared;
pub mod single_flight;
pub mod spec;
pub mod stall;
