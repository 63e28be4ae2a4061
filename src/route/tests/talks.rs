//! Tests of planning the turns of a conversation: who holds its prefix counts.

use super::*;

#[test]
fn a_warm_prefix_makes_a_dearer_target_the_cheaper_one() {
    let now = Instant::now();
    let cached = |yaml: &str| serde_saphyr::from_str::<PriceOptions>(yaml).unwrap();
    let mut route = route(PolicyName::Cheapest, &[priced("1", "1"), priced("2", "1")], now);
    let own = cached("{input: 2, cached_input: 0.2, output: 1}");
    let mut dearer = Arc::into_inner(route.targets.pop().unwrap()).unwrap();
    let book = PriceBook::built_in();
    dearer.offer =
        Offer::new((&dearer.upstream, "nobody"), Some("m"), book, Some(&own), FactOptions::default());
    let holder = dearer.fingerprint("m");
    route.targets.push(Arc::new(dearer));
    let talk = Ask { conversation: Some(7), ..ask() };
    let route = Arc::new(route);
    assert_eq!(order(&plan_with(&route, talk.clone(), now, &|| 0.5)), [0, 1]);
    route.warmth.note(7, Warm { target: holder, key: 2, tokens: 900 }, now);
    let plan = plan_with(&route, talk, now, &|| 0.5);
    assert_eq!(order(&plan), [1, 0]);
    let mut legs = Legs::new(&plan);
    assert_eq!(legs.next(now).map(|it| it.key), Some(Some(2)));
    assert_eq!(legs.next(now).map(|it| it.key), Some(None));
}

#[test]
fn a_conversation_that_goes_on_moves_to_where_it_will_be_cached_cheaply() {
    let now = Instant::now();
    let mut route = route(PolicyName::Cheapest, &[priced("2", "1"), priced("3", "1")], now);
    let own = serde_saphyr::from_str("{input: 3, cached_input: 0.1, output: 1}").unwrap();
    let mut keeper = Arc::into_inner(route.targets.pop().unwrap()).unwrap();
    let book = PriceBook::built_in();
    keeper.offer =
        Offer::new((&keeper.upstream, "nobody"), Some("m"), book, Some(&own), FactOptions::default());
    route.targets.push(Arc::new(keeper));
    let (route, talk) = (Arc::new(route), Ask { conversation: Some(7), ..ask() });
    let planned = || order(&plan_with(&route, talk.clone(), now, &|| 0.5));
    // A first turn goes where it costs least: 0.0021 against 0.0031 USD.
    assert_eq!(planned(), [0, 1]);
    let holds = |tokens| Warm { target: route.targets[0].fingerprint("m"), key: 0, tokens };
    // The next turn will cost 0.0023 there and 0.00021 here: together 0.0044 against 0.00331.
    route.warmth.note(7, holds(900), now);
    assert_eq!(planned(), [1, 0]);
    // What is shorter than what was said before is no further turn of it.
    route.warmth.note(7, holds(1_126), now);
    assert_eq!(planned(), [0, 1]);
}

#[test]
fn a_conversation_stays_where_it_is_while_that_costs_nothing() {
    let now = Instant::now();
    let talk = || Ask { conversation: Some(7), ..ask() };
    let stays = |policy, targets: &[Described], expected: &[usize]| {
        let route = Arc::new(route(policy, targets, now));
        route.warmth.note(7, Warm { target: route.targets[1].fingerprint("m"), key: 0, tokens: 1 }, now);
        assert_eq!(order(&plan_with(&route, talk(), now, &|| 0.5)), expected, "{policy:?}");
    };
    stays(PolicyName::Fastest, &[paced(100, 1_000), paced(110, 1_000)], &[1, 0]);
    stays(PolicyName::Fastest, &[paced(100, 1_000), paced(900, 1_000)], &[0, 1]);
    let heavy = || Described { weight: 1_000, ..priced("1", "1") };
    stays(PolicyName::Weighted, &[heavy(), priced("1", "1")], &[1, 0]);
    stays(PolicyName::Weighted, &[heavy(), priced("9", "9")], &[0, 1]);
    stays(PolicyName::Priority, &[priced("1", "1"), priced("1", "1")], &[0, 1]);
}
