//! The rules of health, one sentence a test.

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
    assert_eq!(health.missing.lock().unwrap().len(), MISSING_MODELS_MAX);
}
