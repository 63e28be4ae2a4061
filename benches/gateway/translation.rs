//! What it costs to put a call of one dialect into another, beside forwarding it in its own: a table of its own, a column
//! for each dialect of a vendor, with the dialects of clients as rows.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use tollgate::dialect::Dialect;
use tollgate::dialect::prompt::Prompt;

use crate::contestant::Gateway;
use crate::dialects::{self, CLIENTS, EVENTS, STREAM, UPSTREAMS, WHOLE};
use crate::load;
use crate::measure::Bench;
use crate::report::{Column, Row};

/// Connections that are never idle, and streams at once.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 8;

const LARGE_BYTES: usize = 100_000;

/// The dialect of the vendor that is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Upstream(Dialect);

impl Column for Upstream {
    const COLUMNS: &'static [Self] =
        &[Self(UPSTREAMS[0]), Self(UPSTREAMS[1]), Self(UPSTREAMS[2]), Self(UPSTREAMS[3]), Self(UPSTREAMS[4])];
    const YARDSTICK: Self = Self(UPSTREAMS[0]);
    const RATED: &'static [Self] = &[];

    fn name(self) -> &'static str {
        self.0.as_str()
    }
}

impl Bench {
    /// Of each pair of dialects the CPU time of an event, of a request of 100 KB, and of a coding agent's.
    pub fn translation(&self) -> io::Result<Vec<Row<Upstream>>> {
        let vendor = self.stage.vendor_address();
        let mut upstreams = String::new();
        for dialect in UPSTREAMS {
            let name = dialect.as_str();
            let version = match dialect {
                Dialect::Converse => "",
                Dialect::Gemini => "/v1beta",
                _ => "/v1",
            };
            let _ = writeln!(
                upstreams,
                "  {name}: {{ vendor: openai-compatible, base_url: \"http://{vendor}{version}\", dialects: [{name}] }}"
            );
        }
        let gateway = self.stage.start_tollgate(&upstreams, "sessions: { store: memory }\n")?;
        let rows = CLIENTS.iter().flat_map(|client| {
            ["event", "request of 100 KB", "coding agent's request"]
                .map(|what| Row::new(&format!("{}: CPU µs per {what}", client.as_str()), 1))
        });
        let (large, agents) = (dialects::question(LARGE_BYTES), dialects::agents_talk());
        let (small, calls) = (dialects::question(500), self.size.translated_calls);
        Ok(self.rounds("translation", rows.collect(), Upstream::COLUMNS, |Upstream(upstream)| {
            let mut values = Vec::new();
            for client in CLIENTS {
                values.push(self.event(&gateway, client, upstream, &small)?);
                values.push(self.asked(&gateway, client, upstream, &large, calls)?);
                values.push(self.asked(&gateway, client, upstream, &agents, calls)?);
            }
            Ok(values)
        }))
    }

    /// Per piece of text that the vendor streams.
    fn event(
        &self,
        gateway: &Gateway,
        client: Dialect,
        upstream: Dialect,
        prompt: &Prompt,
    ) -> io::Result<f64> {
        let request = |model| written(gateway, client, upstream, model, prompt);
        let (warm, request) = (request(WHOLE)?, request(STREAM)?);
        let connections = self.wait(async {
            let connections = load::open(gateway.address, STREAMS).await?;
            load::saturate(connections, &warm, STREAMS * 4).await
        })?;
        let (cost, arrival) = self.cost(gateway, || self.wait(load::stream(connections, &request)))?;
        if arrival.events < STREAMS * EVENTS {
            return Err(io::Error::other(format!("{} events arrived", arrival.events)));
        }
        Ok(cost.each(STREAMS * EVENTS).cpu_us)
    }

    fn asked(
        &self,
        gateway: &Gateway,
        client: Dialect,
        upstream: Dialect,
        prompt: &Prompt,
        calls: usize,
    ) -> io::Result<f64> {
        let request = written(gateway, client, upstream, WHOLE, prompt)?;
        let connections = self.wait(async {
            let connections = load::open(gateway.address, CONNECTIONS).await?;
            load::saturate(connections, &request, calls / 10 + 1).await
        })?;
        let (cost, _) = self.cost(gateway, || self.wait(load::saturate(connections, &request, calls)))?;
        Ok(cost.each(calls).cpu_us)
    }
}

fn written(
    gateway: &Gateway,
    client: Dialect,
    upstream: Dialect,
    model: &str,
    prompt: &Prompt,
) -> io::Result<Arc<[u8]>> {
    let request = dialects::request(gateway.address, client, upstream, model, prompt);
    request.map(Into::into).ok_or_else(|| io::Error::other("the client's dialect cannot be written"))
}
