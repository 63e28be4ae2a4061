//! Printed by `tollgate prices`: what is known of prices, from where, since when, and what holds now.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::money::Money;
use crate::config::Loaded;
use crate::price::book::Owner;
use crate::price::calendar::describe;
use crate::price::rates::{Rates, Row, When, decimal};
use crate::price::{Price, PriceBook};

/// A price and what it is the price of.
struct Known {
    /// A vendor, `upstream x` or `route x`.
    owner: String,
    /// `*` stands for all models.
    model: String,
    aliases: Vec<String>,
    price: Arc<Price>,
}

/// A table of all prices at `now`, in seconds since 1970, or of one model everything that is known of it.
/// An error where nothing is.
pub fn text(loaded: &Loaded, model: Option<&str>, now: u64) -> Result<String, String> {
    let known = selected(loaded, model)?;
    let rate = decimal(loaded.prices.cny_per_usd());
    let mut text = format!("Per million tokens at {}; 1 usd is {rate} cny.\n\n", describe(now));
    match model {
        Some(_) => known.iter().for_each(|it| details(&mut text, it, now)),
        None => text.push_str(&table(&known, now)),
    }
    Ok(text.trim_end().to_owned())
}

/// The same as JSON; amounts are text, for a number would not hold them exactly.
pub fn json(loaded: &Loaded, model: Option<&str>, now: u64) -> Result<Value, String> {
    let prices: Vec<Value> = selected(loaded, model)?.iter().map(|it| known_json(it, now)).collect();
    let cny_per_usd = decimal(loaded.prices.cny_per_usd());
    Ok(json!({ "at": describe(now), "cny_per_usd": cny_per_usd, "prices": prices }))
}

fn selected(loaded: &Loaded, model: Option<&str>) -> Result<Vec<Known>, String> {
    let known = everything(loaded);
    let Some(model) = model else { return Ok(known) };
    let known: Vec<_> = known.into_iter().filter(|it| is_meant(&loaded.prices, it, model)).collect();
    if known.is_empty() { Err(format!("no price of `{model}` is known")) } else { Ok(known) }
}

/// In the order in which prices are looked for: targets, upstreams, then rows and the catalogue.
fn everything(loaded: &Loaded) -> Vec<Known> {
    let book = &loaded.prices;
    let mut known = Vec::new();
    for route in &loaded.options.routes {
        let name = route.model.as_ref().map(|it| it.as_str()).or(route.prefix.as_deref()).unwrap_or_default();
        for target in &route.targets {
            if let Some(Ok(price)) = target.price.as_ref().map(|it| book.own(it)) {
                let owner = format!("route {name}, {}", target.upstream);
                let model = target.model.as_ref().map_or("*", |it| it.as_str()).to_owned();
                known.push(Known { owner, model, aliases: Vec::new(), price });
            }
        }
    }
    for (id, price) in book.upstream_prices() {
        let (owner, price) = (format!("upstream {id}"), Arc::clone(price));
        known.push(Known { owner, model: "*".to_owned(), aliases: Vec::new(), price });
    }
    known.extend(book.entries().iter().map(|it| Known {
        owner: match &it.owner {
            Owner::Vendor(vendor) => vendor.clone(),
            Owner::Upstream(id) => format!("upstream {id}"),
        },
        model: it.model.clone(),
        aliases: it.aliases.clone(),
        price: Arc::clone(&it.price),
    }));
    known
}

/// Whether a price is found by that name, alone or behind `vendor/` or `upstream/`.
fn is_meant(book: &PriceBook, known: &Known, model: &str) -> bool {
    let owner = known.owner.strip_prefix("upstream ").unwrap_or(&known.owner);
    let found = |model: &str| {
        let price = book.price_at(owner, owner, model);
        known.model == model || price.is_some_and(|it| known.model != "*" && Arc::ptr_eq(&it, &known.price))
    };
    found(model) || model.split_once('/').is_some_and(|(first, rest)| first == owner && found(rest))
}

/// `always`, or the moment it begins.
fn since(row: &Row) -> String {
    if row.from == 0 { "always".to_owned() } else { describe(row.from) }
}

/// Where a row has prices by the hour: which of them hold.
fn hours(row: &Row, now: u64) -> &'static str {
    let sum = |rates: &Rates| rates.input + rates.output;
    let Some(other) = row.when.iter().find(|it| it.window.is_some()) else { return "" };
    let is_peak = sum(&other.rates) > sum(&row.rates);
    match (row.met(now, other.tokens_min).is_some_and(|it| it.window.is_some()), is_peak) {
        (true, true) => "peak",
        (true, false) => "reduced",
        (false, true) => "off-peak",
        (false, false) => "regular",
    }
}

const HEADER: [&str; 10] =
    ["of", "model", "input", "cached", "output", "in", "now", "since", "next change", "source"];

fn table(known: &[Known], now: u64) -> String {
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(known.iter().map(|it| line(it, now)));
    let widths: Vec<usize> =
        (0..HEADER.len()).map(|column| lines.iter().map(|it| it[column].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn line(known: &Known, now: u64) -> [String; 10] {
    let next = known.price.next_change(now).map_or("-".to_owned(), describe);
    let (owner, model) = (known.owner.clone(), known.model.clone());
    let Some(row) = known.price.row(now) else {
        let none = || "-".to_owned();
        return [owner, model, none(), none(), none(), none(), "none".into(), none(), next, String::new()];
    };
    let rates = row.rates_for(now, 0);
    [
        owner,
        model,
        decimal(rates.input),
        decimal(rates.cached_input),
        decimal(rates.output),
        row.currency().into(),
        hours(row, now).into(),
        since(row),
        next,
        row.source(),
    ]
}

/// Every dated row of a model with its conditions.
fn details(text: &mut String, known: &Known, now: u64) {
    let _ = write!(text, "{} {}", known.owner, known.model);
    if !known.aliases.is_empty() {
        let _ = write!(text, ", also {}", known.aliases.join(", "));
    }
    text.push('\n');
    let in_force = known.price.row(now).map(std::ptr::from_ref);
    for row in known.price.rows() {
        let now_in_force = in_force == Some(std::ptr::from_ref(row));
        let mark = if now_in_force { "in force" } else { "not now" };
        let until =
            if row.until == u64::MAX { String::new() } else { format!(" until {}", describe(row.until)) };
        let _ = writeln!(text, "  since {}{until}: {mark}; {}", since(row), row.source());
        let own_holds = now_in_force && row.met(now, 0).is_none();
        let _ = writeln!(text, "    {}{}", parts(row, &row.rates), if own_holds { "  <- now" } else { "" });
        for when in &row.when {
            let holds = now_in_force && row.met(now, 0).is_some_and(|it| std::ptr::eq(it, when));
            let arrow = if holds { "  <- now" } else { "" };
            let _ = writeln!(text, "    {}: {}{arrow}", condition(when), parts(row, &when.rates));
        }
        for (tier, multiple) in multiples(row) {
            let _ = writeln!(text, "    service tier {tier}: × {multiple}");
        }
    }
    if let Some(at) = known.price.next_change(now) {
        let _ = writeln!(text, "  next change {}", describe(at));
    }
    text.push('\n');
}

/// The parts that differ from the plainer ones they default to.
fn parts(row: &Row, rates: &Rates) -> String {
    let mut text = format!("{} input {}", row.currency(), decimal(rates.input));
    let parts = [
        ("cached", rates.cached_input, rates.input),
        ("cache write", rates.cache_write, rates.input),
        ("for 1 h", rates.cache_write_1h, rates.cache_write),
        ("audio input", rates.audio_input, rates.input),
        ("output", rates.output, u64::MAX),
        ("reasoning", rates.reasoning, rates.output),
        ("audio output", rates.audio_output, rates.output),
    ];
    for (name, rate, plainer) in parts {
        if rate != plainer {
            let _ = write!(text, ", {name} {}", decimal(rate));
        }
    }
    if rates.per_request > 0 {
        let _ = write!(text, ", request {}", Money::from_picos(rates.per_request));
    }
    text
}

fn condition(when: &When) -> String {
    let mut parts = Vec::new();
    if when.tokens_min > 0 {
        parts.push(format!("prompts of {} tokens and more", when.tokens_min));
    }
    parts.extend(when.window.as_ref().map(|it| it.describe()));
    parts.join(", ")
}

/// Service tiers that cost other than the default one.
fn multiples(row: &Row) -> impl Iterator<Item = (&'static str, String)> {
    let tiers = ["default", "batch", "flex", "priority"].into_iter().zip(row.multipliers);
    tiers.filter(|(_, it)| *it != 1_000).map(|(name, it)| (name, decimal(u64::from(it) * 1_000)))
}

fn known_json(known: &Known, now: u64) -> Value {
    let in_force = known.price.row(now).map(std::ptr::from_ref);
    let rows = known.price.rows().iter().map(|row| {
        let is_in_force = in_force == Some(std::ptr::from_ref(row));
        let conditions = row.when.iter().map(|when| {
            json!({ "tokens_min": when.tokens_min, "hours": when.window.as_ref().map(|it| it.describe()),
                "rates": rates_json(&when.rates),
                "holds_now": is_in_force && row.met(now, 0).is_some_and(|it| std::ptr::eq(it, when)) })
        });
        json!({
            "from": (row.from > 0).then(|| describe(row.from)),
            "until": (row.until < u64::MAX).then(|| describe(row.until)),
            "in_force": is_in_force,
            "origin": if row.origin.is_configured { "gateway.yaml" } else { "catalogue" },
            "source": row.origin.source,
            "date": row.origin.date,
            "currency": row.currency(),
            "rates": rates_json(&row.rates),
            "when": conditions.collect::<Vec<_>>(),
            "service_tiers": multiples(row).collect::<std::collections::BTreeMap<_, _>>(),
        })
    });
    json!({
        "of": known.owner,
        "model": known.model,
        "aliases": known.aliases,
        "hours_now": known.price.row(now).map(|it| hours(it, now)).filter(|it| !it.is_empty()),
        "next_change": known.price.next_change(now).map(describe),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn rates_json(rates: &Rates) -> Value {
    rates.in_decimals().into_iter().map(|(part, amount)| (part.to_owned(), Value::from(amount))).collect()
}
