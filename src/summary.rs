//! What the gateway tells a person in a terminal: at start, after `tollgate check`, and of [`prices`].

pub mod prices;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use crate::config::Loaded;
use crate::names::UpstreamId;
use crate::route::cause::{Cause, Named, named};
use crate::route::options::RouteOptions;
use crate::snapshot::Snapshot;

/// Printed at start: what is on, what is off and why, and a line to try.
pub fn start(loaded: &Loaded, snapshot: &Snapshot, calls: SocketAddr, admin: SocketAddr) -> String {
    let scheme = if loaded.tls.is_some() { "https" } else { "http" };
    let mut text = String::new();
    let _ = writeln!(text, "tollgate {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "  calls   {scheme}://{calls}/v1");
    let _ = writeln!(text, "  admin   http://{admin} (/livez /readyz /metrics /admin/upstreams)");
    let on: Vec<&str> = snapshot.upstreams.iter().map(|it| it.spec.id.as_str()).collect();
    upstreams(&mut text, &on, &snapshot.off, &loaded.absent);
    if let Some(model) = example_model(snapshot) {
        let _ = writeln!(text, "\nTry:");
        let key = if loaded.clients.is_empty() { "" } else { " -H 'authorization: Bearer <a client key>'" };
        let _ = write!(
            text,
            "  curl {scheme}://{calls}/v1/chat/completions -H 'content-type: application/json'{key} \\\n    -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
        );
    }
    text
}

/// A model that surely answers: the simulated vendor's, unless it is off.
fn example_model(snapshot: &Snapshot) -> Option<String> {
    match snapshot.upstream("sim") {
        Some(_) => Some("sim/sim-small".into()),
        None => snapshot.routes.aliases().next().map(ToString::to_string),
    }
}

/// Printed by `tollgate check`.
pub fn check(loaded: &Loaded) -> String {
    let mut text = String::new();
    let source =
        loaded.source.as_ref().map_or("the environment alone".to_owned(), |it| it.display().to_string());
    let _ = writeln!(text, "{source}: no faults");
    let on: Vec<&str> = loaded.upstreams.iter().map(|it| it.id.as_str()).collect();
    upstreams(&mut text, &on, &loaded.off, &loaded.absent);
    let _ = writeln!(text, "  routes  {}", loaded.options.routes.len());
    let _ = write!(text, "  clients {}", loaded.clients.len());
    for warning in &loaded.warnings {
        let _ = write!(text, "\n  warning {warning}");
    }
    for model in unpriced(loaded) {
        let _ = write!(text, "\n  note    no price of {model} is known");
    }
    text
}

/// Vendors whose models need no price: what OpenRouter's cost is in its answers, and the simulated one's cost nothing.
const WITHOUT_PRICES: [&str; 2] = ["openrouter", "sim"];

/// The models that routes and upstreams name and that have no price, each once, with the upstream.
fn unpriced(loaded: &Loaded) -> BTreeSet<String> {
    let routes = &loaded.options.routes;
    let mut models: Vec<(&str, &str)> = routes.iter().flat_map(|it| named_by(it, routes)).collect();
    for spec in &loaded.upstreams {
        let own = loaded.options.upstreams.get(&spec.id);
        let listed = spec.default_model.iter().chain(own.iter().flat_map(|it| &it.models));
        models.extend(listed.map(|it| (spec.id.as_str(), it.as_str())));
    }
    let is_unknown = |(id, model): &(&str, &str)| {
        let spec = loaded.upstreams.iter().find(|it| it.id.as_str() == *id);
        spec.is_some_and(|it| {
            !WITHOUT_PRICES.contains(&it.vendor.as_str())
                && loaded.prices.price_at(id, &it.vendor, model).is_none()
        })
    };
    models.into_iter().filter(is_unknown).map(|(id, model)| format!("{id}/{model}")).collect()
}

/// Upstream and model of all targets that a route names without a price, those aside and those it goes on to too.
fn named_by<'a>(route: &'a RouteOptions, routes: &'a [RouteOptions]) -> Vec<(&'a str, &'a str)> {
    let canary = route.canary.as_ref().map(|it| &it.target);
    let shadow = route.shadow.as_ref().map(|it| &it.target);
    let targets = route.targets.iter().chain(canary).chain(shadow).filter(|it| it.price.is_none());
    let targets = targets.filter_map(|it| {
        let model = it.model.as_ref().or(route.model.as_ref())?;
        Some((it.upstream.as_str(), model.as_str()))
    });
    let on = Cause::ALL.into_iter().flat_map(|it| route.on.of(it));
    let on = on.filter_map(|it| match named(it, routes)? {
        Named::Target { upstream, model } => Some((upstream, model)),
        Named::Route(_) => None,
    });
    targets.chain(on).collect()
}

fn upstreams(text: &mut String, on: &[&str], off: &[(UpstreamId, String)], absent: &[(UpstreamId, String)]) {
    let _ = writeln!(text, "  on      {}", on.join(", "));
    for (id, reason) in off {
        let _ = writeln!(text, "  off     {id}: {reason}");
    }
    for line in not_set(absent) {
        let _ = writeln!(text, "{line}");
    }
}

/// Width of a line that names variables.
const COLUMNS: usize = 110;

/// `not set: A_KEY (a), B_KEY (b), …` in as few lines as it takes: nobody asked for most of these vendors.
fn not_set(absent: &[(UpstreamId, String)]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, (id, reason)) in absent.iter().enumerate() {
        let variable = reason.strip_suffix(" is not set").unwrap_or(reason);
        let comma = if index + 1 < absent.len() { "," } else { "" };
        let item = format!(" {variable} ({id}){comma}");
        match lines.last_mut().filter(|it| it.len() + item.len() <= COLUMNS) {
            Some(line) => line.push_str(&item),
            None => {
                let margin = if lines.is_empty() { "  off     not set:" } else { "         " };
                lines.push(format!("{margin}{item}"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_whose_key_is_not_set_share_a_block() {
        let absent: Vec<(UpstreamId, String)> = (0..40)
            .map(|it| (format!("v{it}").as_str().into(), format!("V{it}_API_KEY is not set")))
            .collect();
        let mut text = String::new();
        let off = [("mine".into(), "MY_KEY is not set".to_owned())];
        upstreams(&mut text, &["sim"], &off, &absent);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["  on      sim", "  off     mine: MY_KEY is not set"]);
        assert!(lines[2].starts_with("  off     not set: V0_API_KEY (v0), V1_API_KEY (v1), V2"), "{text}");
        assert!(
            lines[3].starts_with("          V") && lines.last().unwrap().ends_with("V39_API_KEY (v39)"),
            "{text}"
        );
        assert!(lines.len() < 12 && lines.iter().all(|it| it.len() <= COLUMNS), "{text}");
        let words = text.split_whitespace().filter(|it| it.ends_with("_API_KEY")).count();
        assert_eq!(words, 40);
    }
}
