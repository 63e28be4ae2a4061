//! Tests of planning: which targets, in which order, and why others are left out.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::{Ask, Wants};
use super::cause::{Fallback, FallbackOptions, Fallbacks};
use super::legs::Legs;
use super::options::PolicyName;
use super::plan::{Exclusion, Plan, plan, plan_with};
use super::table::{Canary, Route};
use super::target::{Experience, Offer, Target};
use crate::api::money::Money;
use crate::error::Kind;
use crate::health::warmth::Warm;
use crate::health::{CircuitOptions, Exclusion as Unwell, UpstreamHealth, Verdict};
use crate::names::UpstreamId;
use crate::price::PriceBook;
use crate::price::options::PriceOptions;
use crate::telemetry::metrics::Metrics;
use crate::vendor::models::FactOptions;

mod talks;

/// Noon of 2026-11-20, in Unix seconds.
const AT: u64 = 1_795_176_000;

/// A target as a test describes it.
#[derive(Default)]
struct Described {
    weight: u32,
    /// USD per million tokens in and out, as the operator would write it.
    price: Option<(&'static str, &'static str)>,
    /// Milliseconds to the first token, microseconds for each further one.
    pace: Option<(u64, u64)>,
    tags: &'static [&'static str],
    facts: FactOptions,
}

fn priced(input: &'static str, output: &'static str) -> Described {
    Described { price: Some((input, output)), ..Described::default() }
}

fn paced(first_ms: u64, per_token_us: u64) -> Described {
    Described { pace: Some((first_ms, per_token_us)), ..Described::default() }
}

fn target(slot: usize, described: &Described, now: Instant) -> Arc<Target> {
    let upstream = UpstreamId::from(slot.to_string());
    let circuit = CircuitOptions { failures: 1, ..CircuitOptions::default() };
    let price = described.price.map(|(input, output)| {
        serde_saphyr::from_str::<PriceOptions>(&format!("{{input: {input}, output: {output}}}")).unwrap()
    });
    let book = PriceBook::built_in();
    let offer = Offer::new((&upstream, "nobody"), Some("m"), book, price.as_ref(), described.facts);
    let target = Target {
        metrics: Metrics::new().target("r", upstream.as_str()),
        upstream,
        slot,
        model: Some("m".into()),
        weight: described.weight.max(1),
        tags: described.tags.iter().map(ToString::to_string).collect(),
        health: Arc::new(UpstreamHealth::new(circuit, 1)),
        experience: Experience::default(),
        offer,
    };
    if let Some((first_ms, per_token_us)) = described.pace {
        target.experience.pace.first_token(Duration::from_millis(first_ms), now);
        target.experience.pace.tokens(1_000, Duration::from_micros(per_token_us * 1_000), now);
    }
    Arc::new(target)
}

fn route(policy: PolicyName, targets: &[Described], now: Instant) -> Route {
    let targets = targets.iter().enumerate().map(|(slot, it)| target(slot, it, now)).collect();
    Route { policy, ..Route::plain("r", targets, &Arc::default()) }
}

fn ask() -> Ask {
    Ask { prompt_tokens: 1_000, output_max: Some(100), ..Ask::of_model("m", AT) }
}

fn order(plan: &Plan) -> Vec<usize> {
    plan.targets.iter().map(|it| it.slot).collect()
}

/// Plans with dice that always show `throw`.
fn planned(route: Route, ask: Ask, throw: f64, now: Instant) -> Plan {
    plan_with(&Arc::new(route), ask, now, &|| throw)
}

fn check(policy: PolicyName, targets: &[Described], expected: &[usize]) {
    let now = Instant::now();
    assert_eq!(order(&planned(route(policy, targets, now), ask(), 0.5, now)), expected);
}

#[test]
fn priority_is_the_order_written_without_those_that_are_out() {
    let now = Instant::now();
    let route = route(PolicyName::Priority, &[priced("1", "1"), priced("0", "0"), paced(1, 1)], now);
    route.targets[0].health.set_drained(true);
    let plan = planned(route, ask(), 0.5, now);
    assert_eq!(order(&plan), [1, 2]);
    assert_eq!(plan.excluded[0].1, Exclusion::Unwell(Unwell::Drained));
}

#[test]
fn when_all_are_out_the_least_recently_failed_is_tried_but_never_a_drained_one() {
    let now = Instant::now();
    let three = || [Described::default(), Described::default(), Described::default()];
    let route = route(PolicyName::Cheapest, &three(), now);
    route.targets[0].health.note(Verdict::Failed, now + Duration::from_millis(900));
    route.targets[1].health.note(Verdict::Failed, now + Duration::from_millis(500));
    route.targets[2].health.set_drained(true);
    let plan = planned(route, ask(), 0.5, now + Duration::from_millis(950));
    assert!(plan.panic);
    assert_eq!(order(&plan), [1, 0]);
}

#[test]
fn weights_are_shares_and_zero_is_a_last_resort() {
    let now = Instant::now();
    let mut route = route(PolicyName::Weighted, &[Described { weight: 3, ..Described::default() }], now);
    route.targets.push(target(1, &Described::default(), now));
    let mut zero = Arc::into_inner(target(2, &Described::default(), now)).unwrap();
    zero.weight = 0;
    route.targets.push(Arc::new(zero));
    let route = Arc::new(route);
    let mut first = [0; 3];
    for _ in 0..4_000 {
        let plan = plan(&route, ask(), now);
        first[plan.targets[0].slot] += 1;
        assert_eq!(plan.targets[2].slot, 2);
    }
    // 3,000 expected; six standard deviations are 164.
    assert!((2_836..=3_164).contains(&first[0]), "{first:?}");
}

#[test]
fn the_cheapest_is_so_for_this_very_call() {
    // 1,000 in and 100 out: 0.0012, 0.0011 and 0.0030 USD.
    check(PolicyName::Cheapest, &[priced("1", "2"), priced("0.1", "10"), priced("3", "0")], &[1, 0, 2]);
    // A free target is the cheapest, one of unknown price comes last.
    check(
        PolicyName::Cheapest,
        &[Described::default(), priced("0.01", "0.01"), priced("0", "0")],
        &[2, 1, 0],
    );
}

#[test]
fn equal_prices_share_the_calls() {
    let now = Instant::now();
    let route = Arc::new(route(PolicyName::Cheapest, &[priced("1", "1"), priced("1", "1")], now));
    let firsts = (0..400).filter(|_| plan(&route, ask(), now).targets[0].slot == 0).count();
    assert!((120..280).contains(&firsts), "{firsts}");
}

fn sized(context: u64) -> Described {
    Described {
        facts: FactOptions { context: Some(context), ..FactOptions::default() },
        ..Described::default()
    }
}

/// The slots that are tried when each fails of `kind`.
fn walked(plan: &Plan, kind: Kind, now: Instant) -> Vec<usize> {
    let mut legs = Legs::new(plan);
    let mut slots = Vec::new();
    while let Some(leg) = legs.next(now) {
        legs.failed(&leg, kind);
        slots.push(leg.target.slot);
    }
    slots
}

#[test]
fn a_prompt_that_is_too_long_goes_to_larger_windows_only() {
    let now = Instant::now();
    let unsized_one = Described::default();
    let sizes = [sized(8_000), sized(4_000), unsized_one, sized(8_000), sized(16_000), sized(32_000)];
    let plan = plan(&Arc::new(route(PolicyName::Priority, &sizes, now)), ask(), now);
    assert_eq!(walked(&plan, Kind::ContextLength, now), [0, 4, 5]);
    assert_eq!(walked(&plan, Kind::ContentFilter, now), [0]);
    assert_eq!(walked(&plan, Kind::Reset, now), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn where_every_window_is_too_small_the_place_for_long_prompts_comes_first() {
    let now = Instant::now();
    let large = target(9, &Described::default(), now);
    let options = FallbackOptions { context_length: vec!["x/y".into()], ..FallbackOptions::default() };
    let mut route = route(PolicyName::Priority, &[sized(100), sized(200)], now);
    let whole = Ask { prompt_tokens: 10, ..ask() };
    route.on = Fallbacks::new(&options, |_| Some(Fallback::Target(Arc::clone(&large))));
    let route = Arc::new(route);
    let fits = plan(&route, Ask { output_max: Some(10), ..whole }, now);
    assert_eq!(walked(&fits, Kind::Reset, now), [0, 1]);
    let too_long = plan(&route, ask(), now);
    assert_eq!(walked(&too_long, Kind::Reset, now), [9, 1, 0]);
}

#[test]
fn a_target_that_has_yet_to_show_its_pace_for_tokens_is_not_taken_for_the_fastest() {
    // It began after 200 ms, and nobody knows how fast it writes; or it only ever failed.
    let now = Instant::now();
    let route = route(PolicyName::Fastest, &[paced(600, 10_000), Described::default()], now);
    route.targets[1].experience.pace.first_token(Duration::from_millis(200), now);
    // 100 tokens: 600 + 1,000 ms against 200 + 1,000 ms; the other's pace is taken for its own.
    let route = Arc::new(route);
    let planned = || order(&plan_with(&route, ask(), now, &|| 0.5));
    assert_eq!(planned(), [1, 0]);
    for _ in 0..6 {
        route.targets[1].experience.pace.failed(Duration::from_millis(5), now);
    }
    assert_eq!(planned(), [0, 1]);
}

#[test]
fn the_fastest_is_so_for_the_whole_answer() {
    // 100 tokens: 100 + 1,000 ms, 600 + 100 ms, and one that nobody has asked yet.
    check(PolicyName::Fastest, &[paced(100, 10_000), paced(600, 1_000), Described::default()], &[1, 0, 2]);
}

#[test]
fn a_cold_target_is_asked_first_for_a_bounded_share_of_the_calls() {
    let now = Instant::now();
    let cold = || [paced(100, 1), Described::default(), paced(200, 1)];
    let mut route = route(PolicyName::Fastest, &cold(), now);
    route.explore_percent = 10;
    let route = Arc::new(route);
    let firsts = (0..2_000).filter(|_| plan(&route, ask(), now).targets[0].slot == 1).count();
    // 200 expected; six standard deviations are 80.
    assert!((120..=280).contains(&firsts), "{firsts}");
}

#[test]
fn balanced_weighs_price_and_time_as_the_operator_says() {
    let now = Instant::now();
    let both = || {
        [
            Described { pace: Some((100, 1)), ..priced("4", "4") },
            Described { pace: Some((300, 1)), ..priced("1", "1") },
        ]
    };
    let with = |price, latency| {
        let mut route = route(PolicyName::Balanced, &both(), now);
        (route.balance.price, route.balance.latency) = (price, latency);
        order(&planned(route, ask(), 0.5, now))
    };
    // Scores: 4 + 1 against 1 + 3; then 4 + 5 against 1 + 15.
    assert_eq!(with(1, 1), [1, 0]);
    assert_eq!(with(1, 5), [0, 1]);
}

fn left_out(described: Described, change: impl FnOnce(&mut Route), ask: Ask) -> Option<String> {
    let now = Instant::now();
    let mut route = route(PolicyName::Priority, &[described, Described::default()], now);
    change(&mut route);
    let plan = planned(route, ask, 0.5, now);
    plan.excluded.iter().find(|(it, _)| it.slot == 0).map(|(_, why)| why.to_string())
}

#[test]
fn a_target_that_cannot_serve_the_call_is_left_out_with_the_reason() {
    let says = |described, change: fn(&mut Route), ask: Ask, words: &str| {
        let why = left_out(described, change, ask);
        assert!(why.as_ref().is_some_and(|it| it.contains(words)), "{words}: {why:?}");
    };
    let facts = |facts| Described { facts, ..Described::default() };
    let blind = FactOptions { vision: Some(false), ..FactOptions::default() };
    let sees = Ask { wants: Wants { vision: true, ..Wants::default() }, ..ask() };
    says(facts(blind), |_| {}, sees.clone(), "no images");
    assert_eq!(left_out(facts(blind), |_| {}, ask()), None);
    assert_eq!(left_out(Described::default(), |_| {}, sees), None);
    let small = FactOptions { context: Some(1_099), ..FactOptions::default() };
    says(facts(small), |_| {}, ask(), "1099 tokens does not hold the 1100");
    let enough = FactOptions { context: Some(1_100), ..FactOptions::default() };
    assert_eq!(left_out(facts(enough), |_| {}, ask()), None);
    let bound = |it: &mut Route| it.bounds.price = Some(Money::from_picos(1_000_000_000));
    says(priced("1", "1"), bound, ask(), "cost 0.0011 USD, more than `max_price` 0.001");
    assert_eq!(left_out(Described::default(), bound, ask()), None);
    let patience = |it: &mut Route| it.bounds.first_token = Some(Duration::from_millis(200));
    says(paced(300, 1), patience, ask(), "300 ms");
    assert_eq!(left_out(paced(200, 1), patience, ask()), None);
    let tagged = Ask { tags: vec!["eu".into()], ..ask() };
    says(Described { tags: &["us"], ..Described::default() }, |_| {}, tagged.clone(), "tag `eu`");
    assert_eq!(left_out(Described { tags: &["us", "eu"], ..Described::default() }, |_| {}, tagged), None);
}

#[test]
fn where_no_window_is_large_enough_by_the_estimate_the_largest_is_tried() {
    let now = Instant::now();
    let window = |context| Described {
        facts: FactOptions { context: Some(context), ..FactOptions::default() },
        ..Described::default()
    };
    let plan = planned(route(PolicyName::Priority, &[window(500), window(900)], now), ask(), 0.5, now);
    assert!(!plan.panic);
    assert_eq!(order(&plan), [1, 0]);
}

#[test]
fn where_all_are_too_slow_the_quickest_is_tried_and_where_they_are_out_as_well_they_are_last_resorts() {
    let now = Instant::now();
    let mut route = route(PolicyName::Priority, &[paced(900, 1), paced(300, 1)], now);
    route.bounds.first_token = Some(Duration::from_millis(200));
    let route = Arc::new(route);
    let plan = plan_with(&route, ask(), now, &|| 0.5);
    assert!(!plan.panic);
    assert_eq!(order(&plan), [1, 0]);
    for target in &route.targets {
        target.health.note(Verdict::Failed, now);
    }
    let plan = plan_with(&route, ask(), now, &|| 0.5);
    assert!(plan.panic && !plan.fits_nowhere());
    assert_eq!(plan.targets.len(), 2);
}

#[test]
fn a_canary_takes_its_share_and_a_conversation_stays_on_its_side() {
    let now = Instant::now();
    let mut with = route(PolicyName::Priority, &[Described::default()], now);
    with.canary = Some(Canary { target: target(9, &Described::default(), now), percent: 30 });
    let with = Arc::new(with);
    let first = |ask: Ask, throw: f64| order(&plan_with(&with, ask, now, &|| throw))[0];
    assert_eq!((first(ask(), 0.29), first(ask(), 0.31)), (9, 0));
    let talk = |conversation| Ask { conversation: Some(conversation), ..ask() };
    assert_eq!((first(talk(129), 0.99), first(talk(130), 0.0)), (9, 0));
    let tagged = Ask { tags: vec!["eu".into()], ..ask() };
    assert!(
        plan_with(&with, tagged, now, &|| 0.0).targets.is_empty(),
        "what it lacks, it lacks on trial too"
    );
    with.canary.as_ref().unwrap().target.health.set_drained(true);
    assert_eq!(first(ask(), 0.0), 0);
}

#[test]
fn the_dice_are_thrown_only_where_something_is_drawn() {
    let now = Instant::now();
    let thrown = Cell::new(0);
    let dice = || {
        thrown.set(thrown.get() + 1);
        0.5
    };
    let route = Arc::new(route(PolicyName::Priority, &[priced("1", "1"), priced("2", "2")], now));
    plan_with(&route, ask(), now, &dice);
    assert_eq!(thrown.get(), 0);
}

/// Each route names both of the next two: there are more ways to the last ones than anybody could walk.
#[test]
fn a_route_is_walked_once_however_many_ways_lead_to_it() {
    let now = Instant::now();
    let options = FallbackOptions { any: vec!["0".into(), "1".into()], ..FallbackOptions::default() };
    let mut next: Vec<Arc<Route>> = Vec::new();
    for layer in 0..30 {
        let place = |it: &str| {
            let route = next.get(it.parse::<usize>().ok()?)?;
            Some(Fallback::Route { route: Arc::clone(route), model: None })
        };
        let routes = [0, 1].map(|side| {
            let mut route = route(PolicyName::Priority, &[], now);
            route.targets = vec![target(2 * layer + side, &Described::default(), now)];
            route.on = Fallbacks::new(&options, place);
            Arc::new(route)
        });
        next = routes.into();
    }
    let walked = walked(&plan(&next[0], ask(), now), Kind::Reset, now);
    assert_eq!((walked.len(), &walked[..5]), (59, &[58, 56, 54, 52, 50][..]));
}
