//! The gateway as its users meet it: the real binary, real sockets, scripted vendors. One binary, for one link.
//! Tests never sleep: they wait for an event, and a bound that only a failing test reaches.

// A helper that unwraps fails its test, which is all it should do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admin;
mod bytes;
mod callers;
mod circuit;
mod cli;
mod exhausted;
mod failover;
mod forms;
mod hang_up;
mod headers;
mod keys;
mod limits;
mod operator;
mod pool;
mod readme;
mod reload;
mod secrets;
mod shutdown;
mod smuggling;
mod stream_ends;
mod streams;
mod support;
mod surface;
mod tls;
mod waiting;
