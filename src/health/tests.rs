//! The rules of health, one sentence a test.

use super::keys::REFUSED_KEY_MS;
use super::missing::{MISSING_MODEL_MS, MISSING_MODELS_MAX};
use super::*;

const MODEL: &str = "m";

fn board(keys: usize) -> (UpstreamHealth, Instant) {
    let options = CircuitOptions { failures: 3, calls_min: 10, ..CircuitOptions::default() };
    let health = UpstreamHealth::new(options, keys);
    // Not before the clock that all share.
    let now = Instant::now().max(*START);
    (health, now)
}

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn failures_in_a_row_open_the_circuit_and_a_success_between_does_not() {
    let (health, now) = board(1);
    for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Alive, Verdict::Failed, Verdict::Failed] {
        assert_eq!(health.note(verdict, now), None);
    }
    assert_eq!(health.note(Verdict::Failed, now), Some(CircuitState::Open));
    assert_eq!(health.exclusion(MODEL, now), Some(Exclusion::CircuitOpen));
}

#[test]
fn a_share_of_failures_opens_the_circuit_only_over_enough_calls() {
    let (health, now) = board(1);
    for turn in 0..9 {
        let verdict = if turn % 2 == 0 { Verdict::Failed } else { Verdict::Alive };
        assert_eq!(health.note(verdict, now), None, "call {turn}");
    }
    assert_eq!(health.note(Verdict::Failed, now), Some(CircuitState::Open));
}

#[test]
fn the_window_forgets() {
    let (health, now) = board(1);
    for turn in 0..9 {
        health.note(if turn % 2 == 0 { Verdict::Failed } else { Verdict::Alive }, now);
    }
    assert_eq!(health.note(Verdict::Failed, now + ms(10_000)), None);
}

#[test]
fn half_open_lets_one_call_through_and_each_failure_doubles_the_wait() {
    let (health, now) = board(1);
    for _ in 0..3 {
        health.note(Verdict::Failed, now);
    }
    let half_open = now + ms(1_100);
    assert_eq!(health.circuit(half_open), CircuitState::HalfOpen);
    assert_eq!(health.exclusion(MODEL, half_open), None);
    assert!(health.begin_trial(half_open) && !health.begin_trial(half_open));
    assert_eq!(health.exclusion(MODEL, half_open), Some(Exclusion::CircuitOpen));
    assert_eq!(health.note(Verdict::Alive, half_open), None, "a call from before says nothing new");
    assert_eq!(health.conclude(Verdict::Failed, half_open), Some(CircuitState::Open));
    assert_eq!(health.circuit(half_open + ms(1_999)), CircuitState::Open);
    let again = half_open + ms(2_200);
    assert!(health.begin_trial(again));
    health.abandon_trial();
    assert!(health.begin_trial(again));
    assert_eq!(health.conclude(Verdict::Alive, again), Some(CircuitState::Closed));
    assert_eq!(health.exclusion(MODEL, again), None);
}

#[test]
fn a_rate_limited_key_rests_and_the_upstream_does_not() {
    let (health, now) = board(2);
    health.cool_key(0, Some(ms(2_000)), now);
    assert_eq!([health.pick_key(now), health.pick_key(now)], [1, 1]);
    assert_eq!(health.exclusion(MODEL, now), None);
    health.cool_key(1, Some(ms(900_000)), now);
    assert_eq!(health.exclusion(MODEL, now), Some(Exclusion::KeysCooling));
    assert_eq!(health.pick_key(now), 0);
    assert_eq!(health.exclusion(MODEL, now + ms(2_000)), None);
    assert_eq!(health.key_states(now + ms(60_000)), [KeyState::Usable, KeyState::Usable]);
}

#[test]
fn refused_keys_take_the_upstream_out_even_in_panic() {
    let (health, now) = board(1);
    health.refuse_key(0, now);
    let exclusion = health.exclusion(MODEL, now).unwrap();
    assert_eq!((exclusion, exclusion.yields_in_panic()), (Exclusion::KeysRefused, false));
    assert_eq!(health.exclusion(MODEL, now + ms(REFUSED_KEY_MS)), None);
}

#[test]
fn a_missing_model_rests_alone_and_the_memory_is_bounded() {
    let (health, now) = board(1);
    health.mark_missing(&MODEL.into(), now);
    assert_eq!(health.exclusion(MODEL, now), Some(Exclusion::ModelMissing));
    assert_eq!(health.exclusion("other", now), None);
    assert_eq!(health.exclusion(MODEL, now + ms(MISSING_MODEL_MS)), None);
    for name in 0..2 * MISSING_MODELS_MAX {
        health.mark_missing(&name.to_string().into(), now);
    }
    assert_eq!(health.missing.count(), MISSING_MODELS_MAX);
}

const RULES: RetryRules = RetryRules { share_percent: 20, floor: 2 };

/// Opens the circuit, waits out its time, and closes it by one good answer. Gives the time it closed.
fn opened_and_closed(health: &UpstreamHealth, now: Instant) -> Instant {
    for _ in 0..3 {
        health.note(Verdict::Failed, now);
    }
    let mut at = now;
    while !health.begin_trial(at) {
        at += ms(100);
    }
    assert_eq!(health.conclude(Verdict::Alive, at), Some(CircuitState::Closed));
    at
}

#[test]
fn the_share_grows_after_the_circuit_closed() {
    let (health, now) = board(1);
    assert_eq!(health.share(now), 1.0, "nothing ever happened");
    let closed = opened_and_closed(&health, now);
    for (after, share) in [(0, 0.0), (2_500, 0.25), (5_000, 0.5), (10_000, 1.0), (60_000, 1.0)] {
        assert_eq!(health.share(closed + ms(after)), share, "{after}");
    }
    for _ in 0..3 {
        health.note(Verdict::Failed, closed);
    }
    assert_eq!(
        health.share(closed),
        1.0,
        "an open circuit is left out anyway, and a half-open one needs its trial"
    );
    let options = CircuitOptions { slow_start_ms: 0, failures: 3, ..CircuitOptions::default() };
    let health = UpstreamHealth::new(options, 1);
    let closed = opened_and_closed(&health, now);
    assert_eq!(health.share(closed), 1.0, "switched off");
}

/// F20: each success closed the circuit and made its next time-out short again, so that an upstream that was down every
/// other second failed calls for ever.
#[test]
fn an_upstream_that_flaps_rests_longer_each_time_and_one_that_settled_does_not() {
    let (health, now) = board(1);
    let mut at = now;
    for wait in [1_000, 2_000, 4_000, 8_000] {
        let closed = opened_and_closed(&health, at);
        let rested = closed.duration_since(at).as_millis() as u64;
        assert!((wait..=wait + wait / 10 + 100).contains(&rested), "{rested} instead of {wait}");
        at = closed + ms(1_500);
    }
    let settled = at + ms(10_000);
    let rested = opened_and_closed(&health, settled).duration_since(settled);
    assert!(rested < ms(1_300), "{rested:?}");
}

#[test]
fn a_failing_upstream_gets_no_more_retries_than_its_budget_and_a_healthy_one_any_number() {
    let (health, now) = board(1);
    let passes = |count: usize| (0..count).map_while(|_| health.retry_pass(RULES, now)).collect::<Vec<_>>();
    assert_eq!(passes(1_000).len(), 1_000, "nothing failed yet");
    health.note(Verdict::Failed, now);
    for _ in 0..2 {
        health.retry_pass(RULES, now).unwrap().spend();
    }
    assert!(health.refuses_retries(RULES, now) && health.retry_pass(RULES, now).is_none());
    for _ in 0..5 {
        health.note_first_attempt(RULES);
    }
    assert_eq!(passes(10).len(), 1);
    for _ in 0..4 {
        health.note(Verdict::Alive, now);
    }
    assert_eq!(passes(10).len(), 10, "one failure in five is within the share");
    health.note(Verdict::Failed, now);
    assert_eq!(passes(10).len(), 1);
    assert_eq!(passes(10).len(), 1, "what did not fail gave its token back");
    assert!(health.retry_pass(RULES, now + ms(10_000)).is_some(), "the window forgets, the floor refills");
}

#[test]
fn a_key_with_nothing_left_rests_until_its_limit_is_full_again() {
    let (health, now) = board(2);
    health.note_headroom(0, 0.0, Some(ms(2_000)), now);
    assert_eq!([health.pick_key(now), health.pick_key(now)], [1, 1]);
    assert_eq!(health.key_states(now), [KeyState::Cooling, KeyState::Usable]);
    assert_eq!(health.key_states(now + ms(2_000)), [KeyState::Usable, KeyState::Usable]);
    health.note_headroom(1, 0.0, Some(ms(86_400_000)), now);
    assert_eq!(health.key_states(now + ms(60_000))[1], KeyState::Usable, "no hint benches a key for ever");
}

#[test]
fn the_share_shrinks_with_the_headroom_of_the_best_key() {
    let (health, now) = board(1);
    health.note_headroom(0, 0.05, Some(ms(1_000)), now);
    assert_eq!(health.share(now), 0.5);
    assert_eq!(health.share(now + ms(1_000)), 1.0);
}
