//! Times of small things: rounds of many, the median and the spread of the rounds, in time on the processor.

use std::time::{Duration, Instant};

/// Rounds of one measurement.
const ROUNDS: usize = 7;

/// A round lasts at least so long.
const ROUND: Duration = Duration::from_millis(150);

/// Nanoseconds of one, a value for each round.
pub struct Rounds(Vec<f64>);

impl Rounds {
    pub fn new(mut nanos: Vec<f64>) -> Self {
        nanos.sort_by(f64::total_cmp);
        Self(nanos)
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// Median and spread in that unit of so many nanoseconds.
    pub fn told(&self, unit: f64, name: &str) -> String {
        let (least, most) = (self.0[0] / unit, self.0[self.0.len() - 1] / unit);
        format!("{:.2} {name} ({least:.2}–{most:.2})", self.median() / unit)
    }
}

/// Times `work` in rounds, the first of which only warms up.
pub fn rounds(mut work: impl FnMut()) -> Rounds {
    let rounds: Vec<f64> = (0..=ROUNDS).map(|_| round(&mut work)).collect();
    Rounds::new(rounds[1..].to_vec())
}

/// Nanoseconds of one in a single round.
pub fn round(work: &mut impl FnMut()) -> f64 {
    let (begun, begun_ns, mut done) = (Instant::now(), cpu_ns(), 0_u32);
    while begun.elapsed() < ROUND {
        for _ in 0..16 {
            work();
        }
        done += 16;
    }
    let on_cpu = cpu_ns().zip(begun_ns).map(|(now, then)| now - then);
    on_cpu.unwrap_or_else(|| begun.elapsed().as_nanos() as f64) / f64::from(done)
}

/// What this thread has had of the processor, in nanoseconds, so that other processes do not count; `None` where the system
/// does not tell.
fn cpu_ns() -> Option<f64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}
