//! Prices as an operator writes them, and the built-in ones against the vendors they are of.

use super::{check, load};
use crate::api::usage::{ServiceTier, Usage};
use crate::price::PriceBook;
use crate::price::book::Owner;
use crate::vendor::catalogue;

/// 2026-11-23T12:00:00Z.
const NOW: u64 = 1_795_435_200;

#[test]
fn built_in_prices_are_of_vendors_in_the_catalogue() {
    for entry in PriceBook::built_in().entries() {
        let Owner::Vendor(vendor) = &entry.owner else { panic!("{} has no vendor", entry.model) };
        assert_eq!(catalogue::vendor(vendor).map(|it| &it.id), Some(vendor), "{}", entry.model);
    }
}

#[test]
fn a_target_comes_before_its_upstream_and_that_before_rows_and_the_catalogue() {
    let yaml = "\
upstreams:
  openai: { key: k }
  second: { vendor: openai, key: k, price: { input: \"${PRICE}\", output: '0.0375' } }
prices:
  rows:
    - { vendor: openai, model: gpt-4o, input: 3, output: 0 }
    - { vendor: google, model: gemini-9, input: 0.000001, output: 0 }
    - { upstream: openai, model: gpt-5, input: 0.0375, output: 0 }
routes:
  - { model: m, targets: [{ upstream: second, model: gpt-4o, price: { input: 1, output: 0 } }] }
";
    let loaded = load(yaml, &[("PRICE", "2")]).unwrap();
    let usage = Usage { input: 1, ..Usage::default() };
    let book = &loaded.prices;
    let of = |upstream: &str, model: &str| {
        let vendor = if model.starts_with("gemini") { "gemini" } else { "openai" };
        let price = book.price_at(upstream, vendor, model)?;
        price.cost(&usage, NOW, ServiceTier::Default).map(|it| it.picos())
    };
    assert_eq!(of("second", "gpt-4o"), Some(2_000_000));
    assert_eq!(of("second", "unheard-of"), Some(2_000_000));
    assert_eq!(of("openai", "gpt-4o"), Some(3_000_000));
    assert_eq!(of("openai", "gpt-5"), Some(37_500));
    assert_eq!(of("other", "gpt-5"), Some(1_250_000));
    assert_eq!(of("openai", "gpt-4.1"), Some(2_000_000));
    assert_eq!(of("google", "gemini-9"), Some(1));
    assert_eq!(of("openai", "unheard-of"), None);
    let own = loaded.options.routes[0].targets[0].price.as_ref().unwrap();
    let own = book.own(own).unwrap().cost(&usage, NOW, ServiceTier::Default);
    assert_eq!(own.map(|it| it.picos()), Some(1_000_000));
}

#[test]
fn what_is_wrong_with_prices_is_told_in_its_place() {
    let yaml = "\
upstreams:
  openai: { key: k, price: { input: 1, output: 0.0000001 } }
  dark: { vendor: groq, off: true, price: { input: 1, output: 1, when: [{ input: 1, output: 1 }] } }
prices:
  cny_per_usd: 0
  rows:
    - { vendor: opnai, model: a, input: 1, output: 1 }
    - { upstream: openia, model: b, input: 1, output: 1 }
    - { vendor: openai, model: c, from: soon, input: 0.12345678, output: 1 }
    - { vendor: openai, upstream: openai, model: d, input: 1, output: 1 }
routes:
  - { model: m, targets: [{ upstream: openai, price: { input: 1, output: 1, service_tiers: { batch: 2000 } } }] }
";
    let expected = [
        "2:48: price of upstream `openai`: `output` must not have more than six decimals",
        "3:73: price of upstream `dark`: names no condition: `tokens_above`, `tokens_from`, `utc`, `days` or `except`",
        "5:16: `cny_per_usd` must be above 0",
        "7:17: price of `a`: `opnai` is no vendor of the catalogue; did you mean `openai`?",
        "8:19: price of `b`: no upstream is called `openia`; did you mean `openai`?",
        "9:41: price of `c`: `soon` is neither a date nor a moment such as 2026-12-01T10:00:00Z",
        "9:54: price of `c`: `input` must not have more than six decimals",
        "10:7: price of `d`: needs either a `vendor` or an `upstream`",
        "12:101: price of target `openai`: `batch` must be at most 1000",
    ];
    check(yaml, &[], &expected);
}

#[test]
fn a_price_of_the_wrong_shape_is_told_as_any_option_is() {
    let yaml = "\
prices:
  rows:
    - { vendor: openai, model: a, input: cheap, output: -1, whem: 1 }
    - { vendor: openai, model: b, output: 1 }
";
    let expected = [
        "3:42: `prices.rows.0.input` must be a number, 0 to 1000000",
        "3:57: `prices.rows.0.output` must be a number, 0 to 1000000",
        "3:61: `prices.rows.0.whem` is no option; did you mean `when`?",
        "4:7: `prices.rows.1` needs `input`",
    ];
    check(yaml, &[], &expected);
}
