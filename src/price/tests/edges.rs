//! Costs on both sides of every bound, by hand: long prompts, hours, dates, tiers, currencies.

use std::sync::Arc;

use super::ServiceTier::{Batch, Default, Flex, Priority};
use super::{NOON, cost, moment, usage};
use crate::api::usage::Usage;
use crate::price::PriceBook;
use crate::price::options::PricesOptions;

#[test]
fn above_means_more_than_the_bound() {
    // 272,000×2 + 1,000×10
    cost("openai", "gpt-6.1-sol", usage(272_000, 1_000), NOON, Default, 554_000_000_000);
    // 272,001×4 + 1,000×15
    cost("openai", "gpt-6.1-sol", usage(272_001, 1_000), NOON, Default, 1_103_004_000_000);
    // 1×4 + 272,000×0.20 + 1×15
    cost(
        "openai",
        "gpt-6.1-sol",
        Usage { cached_input: 272_000, ..usage(272_001, 1) },
        NOON,
        Default,
        54_419_000_000,
    );
    // 100,000×0.10 + 10×0.50
    cost("anthropic", "claude-haiku-5-5", usage(100_000, 10), NOON, Default, 10_005_000_000);
    // 1×0.50 + 100,000×0.05 + 10×2.50
    cost(
        "anthropic",
        "claude-haiku-5-5",
        Usage { cached_input: 100_000, ..usage(100_001, 10) },
        NOON,
        Default,
        5_025_500_000,
    );
    // 200,000×1.25 + 1×10
    cost("gemini", "gemini-2.5-pro", usage(200_000, 1), NOON, Default, 250_010_000_000);
    // 200,001×2.5 + 1×15
    cost("gemini", "gemini-2.5-pro", usage(200_001, 1), NOON, Default, 500_017_500_000);
    // 512,001×0.6 + 2×2.4
    cost("minimax", "MiniMax-M3", usage(512_001, 2), NOON, Default, 307_205_400_000);
    // 128,001×0.2 + 2×0.8
    cost("ark-intl", "seed-2.0-mini", usage(128_001, 2), NOON, Default, 25_601_800_000);
}

#[test]
fn from_means_the_bound_and_more() {
    // 199,999×2 + 100×6
    cost("xai", "grok-4.6", usage(199_999, 100), NOON, Default, 400_598_000_000);
    // 200,000×4 + 100×12
    cost("xai", "grok-4.6", usage(200_000, 100), NOON, Default, 801_200_000_000);
}

#[test]
fn the_peak_begins_and_ends_to_the_second() {
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T00:59:59Z", Default, 750_000_000);
    // 1,000×0.30 + 1,000×1.20
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T01:00:00Z", Default, 1_500_000_000);
    // 1,000×0.30 + 1,000×1.20
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T03:59:59Z", Default, 1_500_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T04:00:00Z", Default, 750_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T05:59:59Z", Default, 750_000_000);
    // 1,000×0.30 + 1,000×1.20
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-23T06:00:00Z", Default, 1_500_000_000);
    // 1,000×0.30 + 1,000×1.20
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-27T09:59:59Z", Default, 1_500_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-27T10:00:00Z", Default, 750_000_000);
    // 100×1.32 + 900×0.044 + 10×3.96
    cost(
        "deepseek",
        "deepseek-v4-pro",
        Usage { cached_input: 900, ..usage(1_000, 10) },
        "2026-11-23T02:00:00Z",
        Default,
        211_200_000,
    );
}

#[test]
fn weekends_and_chinese_holidays_have_no_peak() {
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-28T02:00:00Z", Default, 750_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-11-29T02:00:00Z", Default, 750_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-10-07T02:00:00Z", Default, 750_000_000);
    // 1,000×0.30 + 1,000×1.20
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-10-08T02:00:00Z", Default, 1_500_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2026-10-10T02:00:00Z", Default, 750_000_000);
    // 1,000×0.15 + 1,000×0.60
    cost("deepseek", "deepseek-flash", usage(1_000, 1_000), "2027-01-01T02:00:00Z", Default, 750_000_000);
}

#[test]
fn dated_prices_begin_with_their_day() {
    // 90×2 + 10×0.10 + 50×10
    cost(
        "gemini",
        "gemini-4-argon",
        Usage { cached_input: 10, ..usage(100, 50) },
        "2026-11-30T23:59:59Z",
        Default,
        681_000_000,
    );
    // 90×4 + 10×0.20 + 50×20
    cost(
        "gemini",
        "gemini-4-argon",
        Usage { cached_input: 10, ..usage(100, 50) },
        "2026-12-01",
        Default,
        1_362_000_000,
    );
    // 1,000×0.75 + 1,000×3.75
    cost("gemini", "gemini-3.8-flash", usage(1_000, 1_000), "2026-12-31T23:59:59Z", Default, 4_500_000_000);
    // 1,000×1.50 + 1,000×7.50
    cost("gemini", "models/gemini-3.8-flash", usage(1_000, 1_000), "2027-01-01", Default, 9_000_000_000);
    // 1,000×0.20
    cost(
        "anthropic",
        "claude-sonnet-5-5",
        Usage { cached_input: 1_000, ..usage(1_000, 0) },
        "2026-10-06T23:59:59Z",
        Default,
        200_000_000,
    );
    // 1,000×0.10
    cost(
        "anthropic",
        "claude-sonnet-5-5",
        Usage { cached_input: 1_000, ..usage(1_000, 0) },
        "2026-10-07",
        Default,
        100_000_000,
    );
}

#[test]
fn service_tiers_multiply_the_price_of_tokens() {
    // 0.5×(1,000×2 + 1,000×10)
    cost("openai", "gpt-6.1-sol", usage(1_000, 1_000), NOON, Batch, 6_000_000_000);
    // 0.5×(1,000×2 + 1,000×10)
    cost("openai", "gpt-6.1-sol", usage(1_000, 1_000), NOON, Flex, 6_000_000_000);
    // 2×(1,000×2 + 1,000×10)
    cost("openai", "gpt-6.1-sol", usage(1_000, 1_000), NOON, Priority, 24_000_000_000);
    // 2×(272,001×4 + 1×15)
    cost("openai", "gpt-6.1-sol", usage(272_001, 1), NOON, Priority, 2_176_038_000_000);
    // 2×(1,000×2 + 1,000×6)
    cost("xai", "grok-4.7", usage(1_000, 1_000), NOON, Priority, 16_000_000_000);
    // 1,000×2 + 1,000×6
    cost("xai", "grok-4.7", usage(1_000, 1_000), NOON, Batch, 8_000_000_000);
    // 1,000×2.5 + 1,000×10
    cost("openai", "gpt-4o", usage(1_000, 1_000), NOON, Flex, 12_500_000_000);
}

#[test]
fn yuan_become_dollars_once_at_the_end_of_the_sum() {
    // (1,000×6 + 500×30) ÷ 6.82
    cost("ark", "doubao-seed-2.1-pro", usage(1_000, 500), NOON, Default, 3_079_178_886);
    // (1×6) ÷ 6.82
    cost("ark", "doubao-seed-2-1-pro", usage(1, 0), NOON, Default, 879_765);
    // (3×6 + 1×30) ÷ 6.82
    cost("ark", "doubao-seed-2.1-pro", usage(3, 1), NOON, Default, 7_038_123);
}

#[test]
fn clouds_have_the_prices_of_the_makers_whose_models_they_sell() {
    let book = PriceBook::built_in();
    let check = |cloud: &str, model: &str, maker: &str, name: &str| {
        let theirs = book.price(maker, name).unwrap_or_else(|| panic!("{maker}/{name}"));
        assert!(book.price(cloud, model).is_some_and(|it| Arc::ptr_eq(&it, &theirs)), "{cloud}/{model}");
    };
    check("bedrock", "us.anthropic.claude-opus-5-5-v1:0", "anthropic", "claude-opus-5-5");
    check("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic", "claude-sonnet-4-5");
    check("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic", "claude-haiku-4-5");
    check("vertex-anthropic", "claude-sonnet-4-5@20250929", "anthropic", "claude-sonnet-4-5");
    check("vertex", "gemini-2.5-pro", "gemini", "gemini-2.5-pro");
    check("azure", "gpt-5-mini", "openai", "gpt-5-mini");
    check("azure-classic", "gpt-5-mini-2025-08-07", "openai", "gpt-5-mini");
    for (cloud, unknown) in [
        ("azure", "our-deployment"),
        ("azure", "claude-opus-5-5"),
        ("bedrock", "amazon.nova-pro-v1:0"),
        ("bedrock-openai", "openai.gpt-oss-120b-1:0"),
        ("anthropic", "us.anthropic.claude-opus-5-5-v1:0"),
    ] {
        assert!(book.price(cloud, unknown).is_none(), "{cloud}/{unknown}");
    }
}

#[test]
fn an_operators_price_of_a_cloud_is_not_that_of_the_maker() {
    let rows = "rows:
        - { vendor: bedrock, model: claude-opus-5-5, input: 7, output: 8 }
        - { vendor: openai, model: gpt-5-mini, input: 9, output: 9 }";
    let options: PricesOptions = serde_saphyr::from_str(rows).unwrap();
    let (book, faults) = PriceBook::build(&options, &[]);
    assert_eq!(faults, []);
    let check = |vendor: &str, model: &str, picos| {
        let price = book.price(vendor, model).unwrap();
        let cost = price.cost(&usage(1, 0), moment(NOON).unwrap(), Default);
        assert_eq!(cost.map(|it| it.picos()), Some(picos), "{vendor}/{model}");
    };
    check("bedrock", "eu.anthropic.claude-opus-5-5-v1:0", 7_000_000);
    check("anthropic", "claude-opus-5-5", 4_000_000);
    check("openai", "gpt-5-mini", 9_000_000);
    check("azure", "gpt-5-mini", 250_000);
}
