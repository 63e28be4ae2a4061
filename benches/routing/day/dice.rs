//! Draws from the distributions that lengths and waits follow.

use fastrand::Rng;

/// A number around 0 with deviation 1 (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * rng.f64().max(f64::MIN_POSITIVE).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A log-normal factor whose median is 1.
pub fn around_median(rng: &mut Rng, sigma: f64) -> f64 {
    (sigma * normal(rng)).exp()
}

/// A log-normal factor whose mean is 1.
pub fn around_mean(rng: &mut Rng, sigma: f64) -> f64 {
    (sigma * normal(rng) - sigma * sigma / 2.0).exp()
}

/// A wait between events that come at random, in units of its mean.
pub fn gap(rng: &mut Rng) -> f64 {
    -rng.f64().max(f64::MIN_POSITIVE).ln()
}
