//! The order of a route's targets under each policy. Pure but for the dice, which are handed in.

use std::time::Duration;

use crate::health::warmth::Warm;
use crate::route::options::{BalanceOptions, PolicyName};
use crate::route::plan::Candidate;
use crate::route::table::Route;

/// A conversation stays where its prefix is cached unless another target is this much faster.
const STAY_FACTOR: f64 = 1.2;

/// Orders `candidates`, best first. `dice` gives numbers from 0 to 1.
pub fn order(route: &Route, candidates: &mut [Candidate<'_>], dice: &impl Fn() -> f64) {
    match route.policy {
        PolicyName::Priority => {}
        PolicyName::Weighted => by_weight(candidates, dice),
        PolicyName::Cheapest => {
            candidates.sort_by_cached_key(|it| (cost(it), share_ties(dice)));
        }
        PolicyName::Fastest => {
            let token = slowest_token(candidates);
            let time = |it: &Candidate<'_>| it.figures.whole_us(token).unwrap_or(u64::MAX);
            candidates.sort_by_cached_key(|it| (time(it), share_ties(dice)));
            explore(route, candidates, dice);
        }
        PolicyName::Balanced => {
            let scale = Scale::of(candidates);
            candidates.sort_by_cached_key(|it| (scale.score(it, route.balance), share_ties(dice)));
            explore(route, candidates, dice);
        }
    }
}

/// Expected outlay in picos; unknown prices come after all known ones.
fn cost(candidate: &Candidate<'_>) -> u64 {
    candidate.figures.outlay().map_or(u64::MAX, |it| it.picos())
}

/// What a token takes where it is not known: as long as at the slowest of the others. A target of which only the first
/// token was seen, or only failures, must not pass for one that writes in no time.
fn slowest_token(candidates: &[Candidate<'_>]) -> Duration {
    candidates.iter().filter_map(|it| it.figures.pace).map(|it| it.per_token).max().unwrap_or_default()
}

/// Equal targets share the calls.
fn share_ties(dice: &impl Fn() -> f64) -> u32 {
    (dice() * f64::from(u32::MAX)) as u32
}

/// Weighted order without replacement (Efraimidis and Spirakis 2006: sort by `u^(1/w)`, here by `-ln(u)/w`).
/// Weight 0 comes last, in the order written.
fn by_weight(candidates: &mut [Candidate<'_>], dice: &impl Fn() -> f64) {
    candidates.sort_by_cached_key(|it| weighted_key(it, dice()));
}

fn weighted_key(candidate: &Candidate<'_>, drawn: f64) -> u64 {
    match candidate.target.weight {
        0 => u64::MAX,
        weight => (-(drawn.max(f64::MIN_POSITIVE)).ln() / f64::from(weight) * 1e12) as u64,
    }
}

/// Now and then a cold target goes first: its speed is known only by asking it.
fn explore(route: &Route, candidates: &mut [Candidate<'_>], dice: &impl Fn() -> f64) {
    let cold = candidates.iter().filter(|it| it.figures.pace.is_none()).count();
    if cold == 0 || cold == candidates.len() || dice() * 100.0 >= f64::from(route.explore_percent) {
        return;
    }
    let chosen = (dice() * cold as f64) as usize;
    let mut places = candidates.iter().enumerate().filter(|(_, it)| it.figures.pace.is_none());
    if let Some((place, _)) = places.nth(chosen) {
        candidates[..=place].rotate_right(1);
    }
}

/// What `balanced` measures against: the best of the candidates at hand.
struct Scale {
    cost: Option<u64>,
    cost_worst: u64,
    time: Option<u64>,
    time_worst: u64,
    /// Time of a token where it is not known.
    token: Duration,
}

impl Scale {
    fn of(candidates: &[Candidate<'_>]) -> Self {
        let costs = || candidates.iter().filter_map(|it| it.figures.outlay()).map(|it| it.picos());
        let token = slowest_token(candidates);
        let times = || candidates.iter().filter_map(|it| it.figures.whole_us(token));
        Self {
            cost: costs().min(),
            cost_worst: costs().max().unwrap_or(1),
            time: times().min(),
            time_worst: times().max().unwrap_or(1),
            token,
        }
    }

    /// `price × (cost ÷ lowest cost) + latency × (time ÷ shortest time)`, in thousandths. What is not known counts as
    /// the worst that is.
    fn score(&self, candidate: &Candidate<'_>, weights: BalanceOptions) -> u64 {
        let ratio = |value: Option<u64>, worst: u64, best: Option<u64>| {
            value.unwrap_or(worst) as f64 / best.unwrap_or(1).max(1) as f64
        };
        let cost = ratio(candidate.figures.outlay().map(|it| it.picos()), self.cost_worst, self.cost);
        let time = ratio(candidate.figures.whole_us(self.token), self.time_worst, self.time);
        ((f64::from(weights.price) * cost + f64::from(weights.latency) * time) * 1_000.0) as u64
    }
}

/// Puts the target that holds the conversation's prefix first where that is worth it: under `weighted` while it is not
/// dearer than the one drawn, under `fastest` while it is not much slower. The other policies have reckoned it already.
pub fn stay(route: &Route, candidates: &mut [Candidate<'_>], warm: Warm, model: &str) {
    let holder = candidates.iter().position(|it| it.target.fingerprint(model) == warm.target);
    let Some(place) = holder.filter(|it| *it > 0) else { return };
    let (first, held) = (&candidates[0].figures, &candidates[place].figures);
    let token = slowest_token(candidates);
    let stays = match route.policy {
        PolicyName::Priority | PolicyName::Balanced => false,
        PolicyName::Cheapest => held.cost.is_some() && held.outlay() == first.outlay(),
        PolicyName::Weighted => match (held.cost, first.cost) {
            (Some(held), Some(first)) => held <= first,
            _ => true,
        },
        PolicyName::Fastest => match (held.whole_us(token), first.whole_us(token)) {
            (Some(held), Some(first)) => held as f64 <= first as f64 * STAY_FACTOR,
            _ => false,
        },
    };
    if stays {
        candidates[..=place].rotate_right(1);
    }
}

/// The place of a conversation that its client wants to stay: by a draw by weight that gives the same in every gateway, and
/// moves few conversations when targets come and go (rendezvous hashing). Under `priority` the order is the same for all.
pub fn stick(route: &Route, candidates: &mut [Candidate<'_>], conversation: u64, model: &str) {
    if route.policy != PolicyName::Priority {
        candidates.sort_by_cached_key(|it| {
            let drawn = mixed(conversation ^ u64::from(it.target.fingerprint(model)).rotate_left(32));
            weighted_key(it, (drawn >> 11) as f64 / (1_u64 << 53) as f64)
        });
    }
}

/// Spreads the bits of a number (the finaliser of SplitMix64, Steele and others 2014).
fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A target that recovers, or nears a limit, goes behind the others for the part of its calls that it should not get.
pub fn spare(candidates: &mut [Candidate<'_>], dice: &impl Fn() -> f64) {
    if candidates.len() < 2 || candidates.iter().all(|it| it.figures.share >= 1.0) {
        return;
    }
    candidates.sort_by_cached_key(|it| dice() >= f64::from(it.figures.share));
}

/// For `explain`: where the candidate stands by the policy's own measure.
pub fn reason(policy: PolicyName, candidate: &Candidate<'_>) -> String {
    let figures = &candidate.figures;
    match (policy, figures.cost, figures.whole_us(Duration::ZERO)) {
        (PolicyName::Priority, ..) => "in service; stands here in the order written".to_owned(),
        (PolicyName::Weighted, ..) => {
            let weight = candidate.target.weight;
            format!("in service; drawn at random with weight {weight} (another call may differ)")
        }
        (PolicyName::Cheapest, Some(cost), _) => match figures.next_turn {
            Some(next) => format!("in service; expected to cost {cost} USD, and the next turn {next} USD"),
            None => format!("in service; expected to cost {cost} USD"),
        },
        (PolicyName::Cheapest, None, _) => "in service; its price is not known".to_owned(),
        (PolicyName::Fastest, _, Some(time)) => {
            format!("in service; expected to answer in {} ms", time / 1_000)
        }
        (PolicyName::Fastest, _, None) => "in service; its speed is not known yet".to_owned(),
        (PolicyName::Balanced, ..) => "in service; placed by cost and time together".to_owned(),
    }
}

/// The order in which last resorts are tried: the one that failed longest ago first.
pub fn last_failed_first(candidates: &mut [Candidate<'_>]) {
    candidates.sort_by_key(|it| it.target.health.last_failure_ms());
}
