//! The prices of one model, read from options: rows with dates, and in each the prices of the hour and the prompt.

use super::PriceFault;
use super::calendar::{self, Holidays, Window};
use super::options::{Amount, Currency, PriceOptions, PriceRowOptions, ServiceTierOptions, WhenOptions};
use crate::api::money;

/// Picos (of a dollar or a yuan) per token. What a price list leaves out costs what the plainer part costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub input: u64,
    pub output: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub cache_write_1h: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    /// Picos per request.
    pub per_request: u64,
}

/// Rates in place of a row's own, for the whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// Least tokens of the prompt, cached ones included.
    pub tokens_min: u64,
    /// Hours; none: always.
    pub window: Option<Window>,
    pub rates: Rates,
}

/// What currency amounts are in, with what turns picos of it into pico-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denomination {
    Dollars,
    /// Millionths of a yuan to the dollar, above 0.
    Yuan {
        per_dollar: u64,
    },
}

/// Who says what a row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// From gateway.yaml, and not built in.
    pub is_configured: bool,
    pub source: String,
    /// The day of the source; empty where it was not said.
    pub date: String,
}

/// What a model costs between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub from: u64,
    /// Itself excluded.
    pub until: u64,
    pub money: Denomination,
    pub rates: Rates,
    /// The highest bound on the prompt first.
    pub when: Vec<When>,
    /// Thousandths by [`crate::api::usage::ServiceTier`].
    pub multipliers: [u32; 4],
    pub origin: Origin,
}

/// All dated rows of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The first that covers a moment is in force: an operator's before built-in ones, later ones before earlier.
    rows: Vec<Row>,
}

impl Price {
    /// Rows of one origin over those of `below`.
    pub(super) fn new(mut rows: Vec<Row>, below: Option<&Price>) -> Self {
        rows.sort_by_key(|it| std::cmp::Reverse(it.from));
        rows.extend(below.into_iter().flat_map(|it| it.rows.iter().cloned()));
        Self { rows }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row in force at `at`, in seconds since 1970.
    pub fn row(&self, at: u64) -> Option<&Row> {
        self.rows.iter().find(|it| it.from <= at && at < it.until)
    }

    /// When another row, or none, comes into force after `at`. Hours of the day are not counted.
    pub fn next_change(&self, at: u64) -> Option<u64> {
        let mut moments: Vec<u64> =
            self.rows.iter().flat_map(|it| [it.from, it.until]).filter(|it| *it > at).collect();
        moments.sort_unstable();
        let now = self.row(at).map(std::ptr::from_ref);
        moments.into_iter().find(|it| *it < u64::MAX && self.row(*it).map(std::ptr::from_ref) != now)
    }
}

impl Row {
    /// The condition met at `at` by a prompt of that many tokens; `None`: the row's own rates hold.
    pub fn met(&self, at: u64, prompt_tokens: u64) -> Option<&When> {
        self.when.iter().find(|it| {
            prompt_tokens >= it.tokens_min && it.window.as_ref().is_none_or(|window| window.contains(at))
        })
    }

    /// The rates at `at` for a prompt of that many tokens.
    pub fn rates_for(&self, at: u64, prompt_tokens: u64) -> &Rates {
        self.met(at, prompt_tokens).map_or(&self.rates, |it| &it.rates)
    }
}

impl Row {
    pub fn currency(&self) -> &'static str {
        match self.money {
            Denomination::Dollars => "usd",
            Denomination::Yuan { .. } => "cny",
        }
    }

    /// Who says what the row says, and when they did.
    pub fn source(&self) -> String {
        let origin = &self.origin;
        let place = if origin.is_configured { "gateway.yaml" } else { "" };
        let parts = [place, &origin.source, &origin.date];
        parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

impl Rates {
    /// Each part in its row's currency: per million tokens, and per request.
    pub fn in_decimals(&self) -> [(&'static str, String); 9] {
        [
            ("input", decimal(self.input)),
            ("output", decimal(self.output)),
            ("cached_input", decimal(self.cached_input)),
            ("cache_write", decimal(self.cache_write)),
            ("cache_write_1h", decimal(self.cache_write_1h)),
            ("reasoning", decimal(self.reasoning)),
            ("audio_input", decimal(self.audio_input)),
            ("audio_output", decimal(self.audio_output)),
            ("per_request", money::Money::from_picos(self.per_request).to_string()),
        ]
    }
}

/// Millionths as a plain decimal: picos per token are millionths of a dollar per million tokens.
pub fn decimal(millionths: u64) -> String {
    money::Money::from_picos(millionths.saturating_mul(1_000_000)).to_string()
}

/// What rows are read by.
#[derive(Debug)]
pub(super) struct Terms {
    /// Millionths of a yuan to the dollar.
    pub cny_per_usd: u64,
    pub holidays: Holidays,
}

impl Terms {
    /// A row that always holds.
    pub fn price(&self, options: &PriceOptions, origin: Origin, faults: &mut Vec<PriceFault>) -> Row {
        Row {
            from: 0,
            until: u64::MAX,
            money: self.money(options.currency),
            rates: rates(options.amounts(), faults),
            when: self.conditions(&options.when, faults),
            multipliers: multipliers(&options.service_tiers, faults),
            origin,
        }
    }

    /// A row with dates.
    pub fn row(&self, options: &PriceRowOptions, is_configured: bool, faults: &mut Vec<PriceFault>) -> Row {
        let mut moment = |name: &str, text: &Option<String>, default| match text.as_deref() {
            None => default,
            Some(text) => calendar::moment(text).unwrap_or_else(|| {
                let message = format!("`{text}` is neither a date nor a moment such as 2026-12-01T10:00:00Z");
                faults.push(PriceFault::new(&[name], message));
                default
            }),
        };
        let (from, until) = (moment("from", &options.from, 0), moment("until", &options.until, u64::MAX));
        if from >= until {
            faults.push(PriceFault::new(&["until"], "`until` must come after `from`"));
        }
        let source = options.source.clone().unwrap_or_default();
        let origin = Origin { is_configured, source, date: options.date.clone().unwrap_or_default() };
        Row {
            from,
            until,
            money: self.money(options.currency),
            rates: rates(options.amounts(), faults),
            when: self.conditions(&options.when, faults),
            multipliers: multipliers(&options.service_tiers, faults),
            origin,
        }
    }

    fn money(&self, currency: Currency) -> Denomination {
        match currency {
            Currency::Usd => Denomination::Dollars,
            Currency::Cny => Denomination::Yuan { per_dollar: self.cny_per_usd },
        }
    }

    fn conditions(&self, options: &[WhenOptions], faults: &mut Vec<PriceFault>) -> Vec<When> {
        let mut conditions = Vec::with_capacity(options.len());
        for (index, options) in options.iter().enumerate() {
            let mut own = Vec::new();
            conditions.push(self.condition(options, &mut own));
            faults.extend(own.into_iter().map(|it| it.below(&["when", &index.to_string()])));
        }
        conditions.sort_by_key(|it| std::cmp::Reverse(it.tokens_min));
        conditions
    }

    fn condition(&self, options: &WhenOptions, faults: &mut Vec<PriceFault>) -> When {
        let tokens_min = match (options.tokens_above, options.tokens_from) {
            (Some(_), Some(_)) => {
                faults.push(PriceFault::new(&["tokens_from"], "has either `tokens_above` or `tokens_from`"));
                0
            }
            (Some(above), None) => above.saturating_add(1),
            (None, from) => from.unwrap_or(0),
        };
        let window = Window::read(options, &self.holidays, faults);
        let has_bound = options.tokens_above.is_some() || options.tokens_from.is_some();
        if window.is_none() && !has_bound && faults.is_empty() {
            let message = "names no condition: `tokens_above`, `tokens_from`, `utc`, `days` or `except`";
            faults.push(PriceFault::new(&[], message));
        }
        When { tokens_min, window, rates: rates(options.amounts(), faults) }
    }
}

fn rates(amounts: [(&'static str, Option<&Amount>); 9], faults: &mut Vec<PriceFault>) -> Rates {
    let parts = amounts.map(|(name, amount)| {
        amount.map(|amount| {
            money::millionths(&amount.0).unwrap_or_else(|message| {
                faults.push(PriceFault::new(&[name], format!("`{name}` {message}")));
                0
            })
        })
    });
    let [input, output, cached_input, cache_write, cache_write_1h, reasoning, audio_input, audio_output, fee] =
        parts;
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let cache_write = cache_write.unwrap_or(input);
    Rates {
        input,
        output,
        cached_input: cached_input.unwrap_or(input),
        cache_write,
        cache_write_1h: cache_write_1h.unwrap_or(cache_write),
        reasoning: reasoning.unwrap_or(output),
        audio_input: audio_input.unwrap_or(input),
        audio_output: audio_output.unwrap_or(output),
        // Millionths of a whole dollar a request, and not of one a million tokens.
        per_request: fee.unwrap_or(0) * 1_000_000,
    }
}

/// Greatest multiple of a service tier, in thousandths.
const MULTIPLIER_MAX: u64 = 1_000_000;

fn multipliers(options: &ServiceTierOptions, faults: &mut Vec<PriceFault>) -> [u32; 4] {
    let mut thousandths = |name: &str, amount: &Option<Amount>| {
        let Some(amount) = amount else { return 1_000 };
        let read = money::millionths(&amount.0).and_then(|it| match (it / 1_000, it % 1_000) {
            (_, 1..) => Err("must not have more than three decimals"),
            (it, _) if it > MULTIPLIER_MAX => Err("must be at most 1000"),
            (it, _) => Ok(it as u32),
        });
        read.unwrap_or_else(|message| {
            faults.push(PriceFault::new(&["service_tiers", name], format!("`{name}` {message}")));
            1_000
        })
    };
    [
        1_000,
        thousandths("batch", &options.batch),
        thousandths("flex", &options.flex),
        thousandths("priority", &options.priority),
    ]
}
