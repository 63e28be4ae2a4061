//! What calls cost at every vendor, by hand: the expected picos are tokens times dollars per million, times a million.

use super::ServiceTier::Default;
use super::{NOON, cost, usage};
use crate::api::usage::Usage;

#[test]
fn openai_counts_cached_and_written_tokens_inside_the_input() {
    // 1,000×2 + 500×10
    cost("openai", "gpt-6-sol", usage(1_000, 500), NOON, Default, 7_000_000_000);
    // 400×2 + 600×0.20 + 500×10
    cost(
        "openai",
        "gpt-6-sol",
        Usage { cached_input: 600, ..usage(1_000, 500) },
        NOON,
        Default,
        5_920_000_000,
    );
    // 300×10 + 600×1 + 100×12.5 + 500×50
    cost(
        "openai",
        "gpt-6-astra",
        Usage { cached_input: 600, cache_write: 100, reasoning: 300, ..usage(1_000, 500) },
        NOON,
        Default,
        29_850_000_000,
    );
    // 8×0.125 + 1×0.50
    cost("openai", "gpt-6-luna", Usage { cache_write: 8, ..usage(8, 1) }, NOON, Default, 1_500_000);
    // 1×0.005
    cost("openai", "gpt-5-nano", Usage { cached_input: 1, ..usage(1, 0) }, NOON, Default, 5_000);
    // 982×0.15 + 1,024×0.075 + 300×0.6
    cost(
        "openai",
        "gpt-4o-mini",
        Usage { cached_input: 1_024, ..usage(2_006, 300) },
        NOON,
        Default,
        404_100_000,
    );
    // 8×0.02
    cost("openai", "text-embedding-3-small", usage(8, 0), NOON, Default, 160_000);
}

#[test]
fn deepseek_counts_hits_and_misses() {
    // 3,000×0.15 + 6,000×0.003 + 4,000×0.60
    cost(
        "deepseek",
        "deepseek-flash",
        Usage { cached_input: 6_000, ..usage(9_000, 4_000) },
        NOON,
        Default,
        2_868_000_000,
    );
    // 36×0.66 + 64×0.022 + 1,000×1.98
    cost(
        "deepseek",
        "deepseek-v4-pro",
        Usage { cached_input: 64, reasoning: 900, ..usage(100, 1_000) },
        NOON,
        Default,
        2_005_168_000,
    );
    // 1×0.15 + 1×0.60
    cost("deepseek", "deepseek-v4-flash", usage(1, 1), NOON, Default, 750_000);
}

#[test]
fn what_xai_counts_apart_is_billed_as_output() {
    // 200×2 + 100×0.5 + 800×6
    cost(
        "xai",
        "grok-4.7",
        Usage { cached_input: 100, reasoning: 700, ..usage(300, 800) },
        NOON,
        Default,
        5_250_000_000,
    );
    // 40×1.25 + 60×2.5
    cost("xai", "grok-4-3", Usage { reasoning: 50, ..usage(40, 60) }, NOON, Default, 200_000_000);
}

#[test]
fn gemini_thoughts_are_output() {
    // 904×1.5 + 4,096×0.15 + 1,500×9
    cost(
        "gemini",
        "models/gemini-3.5-flash",
        Usage { cached_input: 4_096, reasoning: 1_200, ..usage(5_000, 1_500) },
        NOON,
        Default,
        15_470_400_000,
    );
    // 12×0.1 + 7×0.4
    cost("gemini", "gemini-2.5-flash-lite", usage(12, 7), NOON, Default, 4_000_000);
}

#[test]
fn anthropic_writes_to_the_cache_for_five_minutes_or_an_hour() {
    // 100×4 + 2,000×0.20 + 500×5 + 400×20
    cost(
        "anthropic",
        "claude-opus-5-5",
        Usage { cached_input: 2_000, cache_write: 500, ..usage(2_600, 400) },
        NOON,
        Default,
        11_300_000_000,
    );
    // 100×4 + 2,000×0.20 + 300×5 + 200×8 + 400×20
    cost(
        "anthropic",
        "claude-opus-5-5",
        Usage { cached_input: 2_000, cache_write: 500, cache_write_1h: 200, ..usage(2_600, 400) },
        NOON,
        Default,
        11_900_000_000,
    );
}

#[test]
fn an_hours_price_absent_is_that_of_five_minutes_and_that_absent_is_the_inputs() {
    // 1,000×20 + 10×50
    cost(
        "anthropic",
        "claude-fable-5-1",
        Usage { cache_write: 1_000, cache_write_1h: 1_000, ..usage(1_000, 10) },
        NOON,
        Default,
        20_500_000_000,
    );
    // 3×6.25 + 1×25
    cost(
        "anthropic",
        "claude-opus-4-5-20251101",
        Usage { cache_write: 3, ..usage(3, 1) },
        NOON,
        Default,
        43_750_000,
    );
    // 10×1 + 40×1.25 + 5×5
    cost(
        "anthropic",
        "claude-haiku-4-5-20251001",
        Usage { cache_write: 40, cache_write_1h: 40, ..usage(50, 5) },
        NOON,
        Default,
        85_000_000,
    );
    // 70×3 + 10×0.3 + 20×3 + 9×15
    cost(
        "anthropic",
        "claude-sonnet-4-6",
        Usage { cached_input: 10, cache_write: 20, ..usage(100, 9) },
        NOON,
        Default,
        408_000_000,
    );
}

#[test]
fn chinese_vendors_have_each_their_price() {
    // 200×0.95 + 700×0.16 + 400×4
    cost(
        "moonshot",
        "kimi-k2.6",
        Usage { cached_input: 700, ..usage(900, 400) },
        NOON,
        Default,
        1_902_000_000,
    );
    // 40×2 + 60×4 + 1×10
    cost(
        "moonshot",
        "kimi-k3.1-pro",
        Usage { cache_write: 100, cache_write_1h: 60, ..usage(100, 1) },
        NOON,
        Default,
        330_000_000,
    );
    // 1×0.6 + 1×0.11 + 3×2.2
    cost("zai", "glm-4.7", Usage { cached_input: 1, ..usage(2, 3) }, NOON, Default, 7_310_000);
    // 1×0.552 + 1×0.138 + 3×2.483
    cost("zhipu", "glm-5", Usage { cached_input: 1, ..usage(2, 3) }, NOON, Default, 8_139_000);
    // 1,000×0.115 + 100×0.287
    cost("qwen", "qwen-plus-2026-07-02", usage(1_000, 100), NOON, Default, 143_700_000);
    // 20×0.3 + 50×0.06 + 30×0.375 + 10×1.2
    cost(
        "minimax",
        "MiniMax-M2.7",
        Usage { cached_input: 50, cache_write: 30, ..usage(100, 10) },
        NOON,
        Default,
        32_250_000,
    );
}

#[test]
fn the_others_have_each_their_price() {
    // 5×0.075 + 3×0.0375 + 2×0.3
    cost("groq", "openai/gpt-oss-20b", Usage { cached_input: 3, ..usage(8, 2) }, NOON, Default, 1_087_500);
    // 10×0.11 + 10×0.34
    cost("groq", "llama-4-scout", usage(10, 10), NOON, Default, 4_500_000);
    // 2×1.50162 + 1×0.135 + 1×3.135
    cost(
        "siliconflow-intl",
        "deepseek-ai/DeepSeek-V4-Pro",
        Usage { cached_input: 1, ..usage(3, 1) },
        NOON,
        Default,
        6_273_240,
    );
    // 3×0.0375 + 5×0.15
    cost("cohere", "command-r7b", usage(3, 5), NOON, Default, 862_500);
    // 6×1.5 + 2×7.5
    cost(
        "mistral",
        "mistral-medium-latest",
        Usage { cached_input: 4, ..usage(6, 2) },
        NOON,
        Default,
        24_000_000,
    );
    // 2×0.95 + 4×0.16 + 2×4
    cost(
        "fireworks",
        "accounts/fireworks/models/kimi-k2p6",
        Usage { cached_input: 4, ..usage(6, 2) },
        NOON,
        Default,
        10_540_000,
    );
}

#[test]
fn a_request_may_have_a_fee_of_its_own() {
    // 100×1 + 200×1 micro-dollars, and the fee of 0.005 dollars
    cost("perplexity", "sonar", usage(100, 200), NOON, Default, 5_300_000_000);
    // 0×3 micro-dollars, and the fee of 0.006 dollars
    cost("perplexity", "sonar-pro", usage(0, 0), NOON, Default, 6_000_000_000);
}

#[test]
fn a_free_model_costs_nothing_and_that_is_known() {
    // 1,000,000×0
    cost("zai", "glm-4.7-flash", Usage { cached_input: 5, ..usage(1_000_000, 1_000_000) }, NOON, Default, 0);
}

#[test]
fn a_part_greater_than_its_whole_is_taken_at_the_whole() {
    // 10×0.20 + 5×10
    cost(
        "openai",
        "gpt-6-sol",
        Usage { cached_input: 20, cache_write: 20, audio_input: 20, reasoning: 20, ..usage(10, 5) },
        NOON,
        Default,
        52_000_000,
    );
}
