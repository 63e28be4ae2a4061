//! The gateway as its users meet it: the real binary, real sockets, scripted vendors. One binary, for one link.
//! Tests never sleep: they wait for an event, and a bound that only a failing test reaches.

// A helper that unwraps fails its test, which is all it should do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bytes;
mod circuit;
mod exhausted;
mod failover;
mod forms;
mod hang_up;
mod headers;
mod keys;
mod operator;
mod pool;
mod readme;
mod stream_ends;
mod streams;
mod support;
mod waiting;
