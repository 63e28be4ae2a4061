//! The gateway as its users meet it: the real binary, real sockets, scripted vendors. One binary, for one link.
//! Tests never sleep: they wait for an event, and a bound that only a failing test reaches.

// A helper that unwraps fails its test, which is all it should do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admin;
mod callers;
mod cli;
mod failover;
mod limits;
mod reload;
mod secrets;
mod shutdown;
mod smuggling;
mod support;
mod surface;
mod tls;
