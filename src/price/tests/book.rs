//! What the book finds, what an operator lays over it, and what it refuses.

use std::sync::Arc;

use proptest::prelude::*;

use super::{ServiceTier, moment, usage};
use crate::api::money::Money;
use crate::api::usage::Usage;
use crate::price::book::{Owner, PricedUpstream};
use crate::price::options::{PriceOptions, PricesOptions};
use crate::price::rates::Price;
use crate::price::{PriceBook, cost};

const NOW: u64 = 1_795_434_000;

fn book(yaml: &str) -> PriceBook {
    let options: PricesOptions = serde_saphyr::from_str(yaml).unwrap();
    let upstreams = [PricedUpstream { id: "mine", vendor: "openai", price: None }];
    let (book, faults) = PriceBook::build(&options, &upstreams);
    assert_eq!(faults, [], "{yaml}");
    book
}

/// The cost of a million tokens of input, in whole millionths of a dollar, at `at`.
fn input(price: Option<Arc<Price>>, at: u64) -> Option<u64> {
    Some(price?.cost(&usage(1_000_000, 0), at, ServiceTier::Default)?.picos() / 1_000_000)
}

fn refuse(yaml: &str, expected: &[(&str, &str)]) {
    let options: PricesOptions = serde_saphyr::from_str(yaml).unwrap();
    let (_, faults) = PriceBook::build(&options, &[]);
    let faults: Vec<_> = faults.iter().map(|it| (it.path.join("."), it.message.as_str())).collect();
    let faults: Vec<_> = faults.iter().map(|(path, message)| (path.as_str(), *message)).collect();
    assert_eq!(faults, expected, "{yaml}");
}

#[test]
fn every_built_in_row_has_a_source_and_no_fault() {
    let book = PriceBook::built_in();
    assert!(book.entries().len() > 100, "{}", book.entries().len());
    assert_eq!(book.cny_per_usd(), 6_820_000);
    for entry in book.entries() {
        for row in entry.price.rows() {
            assert!(!row.origin.is_configured && !row.origin.source.is_empty(), "{}", entry.model);
            assert!(moment(&row.origin.date).is_some(), "{}", entry.model);
            assert!(row.until == u64::MAX && row.rates.input < 1_000_000_000, "{}", entry.model);
        }
        let Owner::Vendor(vendor) = &entry.owner else { panic!("{} has no vendor", entry.model) };
        for name in entry.aliases.iter().chain([&entry.model]) {
            assert!(Arc::ptr_eq(&book.price(vendor, name).unwrap(), &entry.price), "{vendor}/{name}");
        }
    }
    let catalogue: PricesOptions = serde_saphyr::from_str(include_str!("../catalogue.yaml")).unwrap();
    let (_, faults) = PriceBook::build(
        &PricesOptions { rows: catalogue.rows, holidays: catalogue.holidays, cny_per_usd: None },
        &[],
    );
    assert_eq!(faults, []);
}

#[test]
fn a_model_is_found_by_its_name_an_alias_or_either_with_a_date() {
    let book = PriceBook::built_in();
    let check = |vendor: &str, model: &str, expected: Option<u64>| {
        assert_eq!(input(book.price(vendor, model), NOW), expected, "{vendor}/{model}");
    };
    check("openai", "gpt-5-mini", Some(250_000));
    check("openai", "gpt-5-mini-2025-08-07", Some(250_000));
    check("anthropic", "claude-opus-5.5", Some(4_000_000));
    check("anthropic", "claude-opus-5-5-20260923", Some(4_000_000));
    check("openai", "gpt-5-mini-2025-08", None);
    check("openai", "gpt-5-mini-202508077", None);
    check("openai", "gpt-5-mini-", None);
    check("openai", "-2025-08-07", None);
    check("openai", "é-2025-08-07", None);
    check("openai", "GPT-5-mini", None);
    check("groq", "gpt-5-mini", None);
    check("openrouter", "openai/gpt-5-mini", None);
    check("", "", None);
}

#[test]
fn unknown_is_none_and_zero_is_a_price() {
    let free = PriceBook::built_in().price("zai", "glm-4.7-flash");
    assert_eq!(cost(free.as_deref(), &usage(9, 9), NOW, ServiceTier::Default), Some(Money::ZERO));
    assert_eq!(cost(None, &usage(9, 9), NOW, ServiceTier::Default), None);
}

#[test]
fn what_the_vendor_states_wins_even_where_nothing_is_known() {
    let stated = Usage { stated_cost: Some(Money::from_picos(77)), ..usage(1_000, 1_000) };
    assert_eq!(cost(None, &stated, NOW, ServiceTier::Batch), Some(Money::from_picos(77)));
    let price = PriceBook::built_in().price("openai", "gpt-5").unwrap();
    assert_eq!(price.cost(&stated, NOW, ServiceTier::Default), Some(Money::from_picos(77)));
}

#[test]
fn a_row_is_laid_over_the_catalogue_while_it_is_in_force() {
    let book = book(
        "rows: [{ vendor: openai, model: gpt-5.4, from: 2026-12-01, until: 2027-01-01, input: 1, output: 2 }]",
    );
    let price = book.price("openai", "gpt-5.4").unwrap();
    let check = |at: &str, expected| {
        assert_eq!(input(Some(Arc::clone(&price)), moment(at).unwrap()), expected, "{at}");
    };
    // A million tokens are above the catalogue's bound of 272,000.
    check("2026-11-30T23:59:59Z", Some(5_000_000));
    check("2026-12-01", Some(1_000_000));
    check("2026-12-31T23:59:59Z", Some(1_000_000));
    check("2027-01-01", Some(5_000_000));
    assert_eq!(price.next_change(NOW), moment("2026-12-01"));
    assert_eq!(price.next_change(moment("2026-12-01").unwrap()), moment("2027-01-01"));
    assert_eq!(price.next_change(moment("2027-01-01").unwrap()), None);
}

#[test]
fn a_price_outside_its_dates_is_unknown() {
    let book = book(
        "rows: [{ vendor: openai, model: new, from: '2026-12-01T10:00:00Z', until: 2027-01-01, input: 1, output: 2 }]",
    );
    let price = book.price("openai", "new").unwrap();
    let at = |text: &str| price.cost(&usage(1, 0), moment(text).unwrap(), ServiceTier::Default);
    assert_eq!(at("2026-12-01T09:59:59Z"), None);
    assert_eq!(at("2026-12-01T10:00:00Z"), Some(Money::from_picos(1_000_000)));
    assert_eq!(at("2027-01-01"), None);
}

#[test]
fn a_row_of_an_upstream_is_its_alone_and_what_the_upstream_says_wins() {
    let options: PricesOptions = serde_saphyr::from_str(
        "rows:
          - { upstream: mine, model: gpt-5.4-mini, aliases: [mini], input: 7, output: 8 }
          - { vendor: openai, model: gpt-5.4-mini, input: 9, output: 9 }",
    )
    .unwrap();
    let own: PriceOptions = serde_saphyr::from_str("{ input: '0.5', output: 0 }").unwrap();
    let upstreams = [
        PricedUpstream { id: "mine", vendor: "openai", price: None },
        PricedUpstream { id: "flat", vendor: "openai", price: Some(&own) },
    ];
    let (book, faults) = PriceBook::build(&options, &upstreams);
    assert_eq!(faults, []);
    let check = |upstream: &str, model: &str, expected| {
        assert_eq!(input(book.price_at(upstream, "openai", model), NOW), expected, "{upstream}/{model}");
    };
    check("mine", "gpt-5.4-mini", Some(7_000_000));
    check("mine", "gpt-5.4-mini-2026-01-01", Some(7_000_000));
    check("mine", "mini", Some(7_000_000));
    check("other", "gpt-5.4-mini", Some(9_000_000));
    check("other", "mini", None);
    check("mine", "gpt-5", Some(1_250_000));
    check("flat", "gpt-5.4-mini", Some(500_000));
    check("flat", "anything", Some(500_000));
}

#[test]
fn a_new_price_of_a_model_is_one_under_all_its_names() {
    let book = book("rows: [{ vendor: anthropic, model: claude-opus-5-5, input: 1, output: 2 }]");
    for name in ["claude-opus-5-5", "claude-opus-5.5", "claude-opus-5-5-20260923"] {
        assert_eq!(input(book.price("anthropic", name), NOW), Some(1_000_000), "{name}");
    }
    assert_eq!(book.entries().iter().filter(|it| it.model == "claude-opus-5-5").count(), 1);
}

#[test]
fn an_operators_rate_and_holidays_hold_for_the_catalogue_too() {
    let book = book("{ cny_per_usd: 7.5, holidays: { china: [2026-11-23] } }");
    // 1,000,000 tokens at 6 yuan, at 7.5 to the dollar.
    assert_eq!(input(book.price("ark", "doubao-seed-2.1-pro"), NOW), Some(800_000));
    let peak = moment("2026-11-23T02:00:00Z").unwrap();
    assert_eq!(input(book.price("deepseek", "deepseek-flash"), peak), Some(150_000));
    assert_eq!(input(PriceBook::built_in().price("deepseek", "deepseek-flash"), peak), Some(300_000));
}

#[test]
fn of_the_conditions_met_the_highest_bound_counts() {
    let book = book(
        "rows:
          - vendor: openai
            model: m
            input: 1
            output: 1
            when:
              - { tokens_above: 100, input: 2, output: 2 }
              - { tokens_from: 1000, input: 3, output: 3 }
              - { days: [sat], input: 5, output: 5 }
              - { days: [sat, sun], tokens_from: 1000, input: 4, output: 4 }",
    );
    let price = book.price("openai", "m").unwrap();
    let check = |at: &str, tokens: u64, expected: u64| {
        let cost = price.cost(&usage(tokens, 0), moment(at).unwrap(), ServiceTier::Default).unwrap();
        assert_eq!(cost.picos() / tokens, expected * 1_000_000, "{at} {tokens}");
    };
    check("2026-11-20", 100, 1);
    check("2026-11-20", 101, 2);
    check("2026-11-20", 1_000, 3);
    check("2026-11-21", 100, 5);
    check("2026-11-21", 101, 2);
    check("2026-11-21", 1_000, 3);
}

#[test]
fn parts_without_a_price_cost_what_the_plainer_part_costs() {
    let book = book(
        "rows:
          - { vendor: a, model: bare, input: 3, output: 5 }
          - { vendor: a, model: full, input: 3, output: 5, cached_input: 1, cache_write: 4, cache_write_1h: 6,
              reasoning: 7, audio_input: 11, audio_output: 13, per_request: 0.000002, service_tiers: { batch: 0.333 } }
          - { vendor: a, model: write, input: 3, output: 5, cache_write: 4 }",
    );
    let usage = Usage {
        input: 100,
        cached_input: 10,
        cache_write: 30,
        cache_write_1h: 20,
        audio_input: 5,
        output: 50,
        reasoning: 8,
        audio_output: 2,
        ..Usage::default()
    };
    let check = |model: &str, tier, expected: u64| {
        let price = book.price("a", model).unwrap();
        assert_eq!(price.cost(&usage, NOW, tier).map(Money::picos), Some(expected), "{model}");
    };
    // 100×3 + 50×5
    check("bare", ServiceTier::Default, 550_000_000);
    // 55×3 + 10×1 + 10×4 + 20×6 + 5×11 + 40×5 + 8×7 + 2×13 = 672 micro-dollars, and the fee of 2
    check("full", ServiceTier::Default, 674_000_000);
    // 672×0.333 = 223.776, and the whole fee of 2
    check("full", ServiceTier::Batch, 225_776_000);
    // 60×3 + 10×3 + ... the hour's write costs as any: 70×3 + 30×4 + 50×5
    check("write", ServiceTier::Default, 580_000_000);
}

#[test]
fn sums_too_great_stay_at_the_greatest_amount() {
    let book = book(
        "{ cny_per_usd: 0.000001, rows: [{ vendor: a, model: dear, input: 1000000, output: 1000000, per_request: 1000000,
          service_tiers: { priority: 1000 } }, { vendor: a, model: yuan, currency: cny, input: 1000000, output: 1 }] }",
    );
    let most = usage(u64::MAX, u64::MAX);
    for (model, tier) in
        [("dear", ServiceTier::Default), ("dear", ServiceTier::Priority), ("yuan", ServiceTier::Default)]
    {
        let cost = book.price("a", model).unwrap().cost(&most, NOW, tier);
        assert_eq!(cost, Some(Money::from_picos(u64::MAX)), "{model}");
    }
}

#[test]
fn halves_are_rounded_up() {
    let book = book(
        "{ cny_per_usd: 4, rows: [{ vendor: a, model: m, input: 0.000001, output: 0, service_tiers: { batch: 0.5 } },
           { vendor: a, model: y, currency: cny, input: 0.000001, output: 0 }] }",
    );
    let check = |model: &str, tier, tokens, picos| {
        let cost = book.price("a", model).unwrap().cost(&usage(tokens, 0), NOW, tier);
        assert_eq!(cost, Some(Money::from_picos(picos)), "{model} {tokens}");
    };
    // Half a pico, one and a half; a quarter, a half, three quarters.
    check("m", ServiceTier::Batch, 1, 1);
    check("m", ServiceTier::Batch, 2, 1);
    check("m", ServiceTier::Batch, 3, 2);
    check("y", ServiceTier::Default, 1, 0);
    check("y", ServiceTier::Default, 2, 1);
    check("y", ServiceTier::Default, 3, 1);
}

#[test]
fn what_is_wrong_with_a_row_is_said_with_its_place() {
    refuse(
        "rows: [{ vendor: a, model: m, input: 0.0000001, output: -1 }]",
        &[
            ("prices.rows.0.input", "price of `m`: `input` must not have more than six decimals"),
            ("prices.rows.0.output", "price of `m`: `output` must be a plain decimal number, such as 0.0375"),
        ],
    );
    refuse(
        "rows: [{ model: m, input: 1, output: 1 }, { vendor: a, model: '', input: 1, output: 1 }]",
        &[
            ("prices.rows.0", "price of `m`: needs either a `vendor` or an `upstream`"),
            ("prices.rows.1.model", "price of ``: the model has no name"),
        ],
    );
    refuse(
        "rows: [{ vendor: a, model: m, from: 2026-12-01, until: 2026-12-01, input: 1, output: 1 },
                { vendor: a, model: m, from: 2026-12-01, input: 1, output: 1 },
                { vendor: a, model: n, from: tomorrow, input: 1, output: 1, service_tiers: { flex: 0.0001 } }]",
        &[
            ("prices.rows.0.until", "price of `m`: `until` must come after `from`"),
            ("prices.rows.1.from", "price of `m`: another row of the model begins at the same moment"),
            (
                "prices.rows.2.from",
                "price of `n`: `tomorrow` is neither a date nor a moment such as 2026-12-01T10:00:00Z",
            ),
            (
                "prices.rows.2.service_tiers.flex",
                "price of `n`: `flex` must not have more than three decimals",
            ),
        ],
    );
    refuse(
        "rows: [{ vendor: a, model: m, aliases: [x], input: 1, output: 1 },
                { vendor: a, model: x, input: 1, output: 1 }]",
        &[("prices.rows.1.model", "price of `x`: `x` is a name of `m` already")],
    );
}

#[test]
fn what_is_wrong_inside_a_condition_is_said_with_its_place() {
    refuse(
        "{ cny_per_usd: 0, holidays: { china: [soon] }, rows: [{ vendor: a, model: m, input: 1, output: 1, when:
          [{ input: 1, output: 1 }, { tokens_above: 1, tokens_from: 1, input: 1, output: 1 },
           { utc: ['04:00-01:00'], except: mars, input: 1, output: x }] }] }",
        &[
            ("prices.holidays.china.0", "`soon` is no date, such as 2027-02-09"),
            ("prices.cny_per_usd", "`cny_per_usd` must be above 0"),
            (
                "prices.rows.0.when.0",
                "price of `m`: names no condition: `tokens_above`, `tokens_from`, `utc`, `days` or `except`",
            ),
            (
                "prices.rows.0.when.1.tokens_from",
                "price of `m`: has either `tokens_above` or `tokens_from`",
            ),
            (
                "prices.rows.0.when.2.utc.0",
                "price of `m`: `04:00-01:00` is no span of a day, such as 01:00-04:00 or 22:00-24:00",
            ),
            ("prices.rows.0.when.2.except", "price of `m`: no holidays are called `mars`"),
            (
                "prices.rows.0.when.2.output",
                "price of `m`: `output` must be a plain decimal number, such as 0.0375",
            ),
        ],
    );
}

const TIERS: [ServiceTier; 4] =
    [ServiceTier::Default, ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority];

proptest! {
    /// More tokens of any part never cost less, at any built-in price.
    #[test]
    fn cost_grows_with_every_part(
        index in 0_usize..1_000,
        parts in prop::array::uniform8(0_u64..300_000),
        more in prop::array::uniform8(0_u64..50_000),
        at in 1_700_000_000_u64..1_900_000_000,
        tier in 0_usize..4,
    ) {
        let entries = PriceBook::built_in().entries();
        let price = &entries[index % entries.len()].price;
        let cost = |parts: &[u64; 8]| price.cost(&of_parts(parts), at, TIERS[tier]).unwrap();
        let before = cost(&parts);
        for part in 0..8 {
            let mut grown = parts;
            grown[part] += more[part];
            prop_assert!(cost(&grown) >= before, "part {part}");
        }
    }

    /// Whatever a vendor counts, and whenever, there is a sum.
    #[test]
    fn no_usage_is_too_odd(counts in prop::array::uniform8(any::<u64>()), at: u64, index in 0_usize..1_000) {
        let entries = PriceBook::built_in().entries();
        let [input, cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output] = counts;
        let usage = Usage {
            input, cached_input, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output,
            ..Usage::default()
        };
        for tier in TIERS {
            prop_assert!(entries[index % entries.len()].price.cost(&usage, at, tier).is_some());
        }
    }
}

/// Usage made of its parts, each counted in its whole.
fn of_parts(parts: &[u64; 8]) -> Usage {
    let [plain, cached_input, write, hour, audio_input, text, reasoning, audio_output] = *parts;
    Usage {
        input: plain + cached_input + write + hour + audio_input,
        cached_input,
        cache_write: write + hour,
        cache_write_1h: hour,
        audio_input,
        output: text + reasoning + audio_output,
        reasoning,
        audio_output,
        ..Usage::default()
    }
}
