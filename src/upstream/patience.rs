//! How long an answer may be silent, and how long it may last: one timer, set again only when it fires, so that a frame
//! costs no timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The time limits of one answer.
pub struct Patience {
    idle: Duration,
    deadline: Instant,
    last_life: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    pub fn new(idle: Duration, deadline: Instant) -> Self {
        let now = Instant::now();
        Self {
            idle,
            deadline,
            last_life: now,
            timer: Box::pin(tokio::time::sleep_until(deadline.min(now + idle))),
        }
    }

    /// Bytes came.
    pub fn note_life(&mut self) -> Instant {
        self.last_life = Instant::now();
        self.last_life
    }

    pub fn last_life(&self) -> Instant {
        self.last_life
    }

    /// Ready, with what to tell, when a limit has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let silent_until = self.last_life + self.idle;
            if now >= self.deadline {
                return Poll::Ready("The call took longer than `timeouts.call_ms`.");
            }
            if now >= silent_until {
                return Poll::Ready("The upstream fell silent (`timeouts.idle_ms`).");
            }
            self.timer.as_mut().reset(silent_until.min(self.deadline));
        }
    }
}
