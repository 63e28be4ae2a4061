//! Writes requests: what Converse has a field for, and in the maker's own words what it has none for.

use super::blocks::Writer;
use super::limits::is_metadata;
use super::maker::Maker;
use super::thinking::{Plan, Told};
use super::tools;
use crate::api::fields::{Fields, text};
use crate::api::ink::{Ink, LIST, OBJECT};
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Format, Prompt};
use crate::dialect::terms::Terms;
use crate::error::Error;

/// Fields of Converse itself that a client may send along with a chat completion; they are passed on as they are.
const OWN_FIELDS: [&str; 4] =
    ["guardrailConfig", "performanceConfig", "promptVariables", "additionalModelResponseFieldPaths"];

/// Converse's field for what only the model's maker knows; a client's own joins what is written into it.
const MAKERS_FIELDS: &str = "additionalModelRequestFields";

/// What Converse has no words for at all.
const UNSAID: [&str; 9] = [
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "verbosity",
    "messages[].name",
];

/// Most entries of `requestMetadata`.
const METADATA_MAX: usize = 16;

pub fn write(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
    let maker = Maker::of(&terms.model);
    let plan = Plan::of(prompt, terms, maker, losses);
    let mut body = Vec::with_capacity(1024);
    body.open(b'{');
    let mut writer = Writer::new(&mut body, losses, maker);
    writer.system(prompt);
    writer.messages(prompt)?;
    let sampling = Sampling { prompt, plan: &plan, fixed: terms.fixed_sampling, maker };
    sampling.write(&mut body, losses);
    tools::write(prompt, terms, maker, &mut body, losses);
    body.filled(MAKERS_FIELDS, OBJECT, |body| {
        sampling.write_top_k(body, losses);
        plan.write(maker, body);
        tools::write_single(prompt, maker, body, losses);
        let own = prompt.extra.iter().filter(|(name, _)| name == MAKERS_FIELDS);
        for fields in own.filter_map(|(_, value)| Fields::read(value.get())) {
            fields.each().for_each(|(name, value)| {
                body.raw_field(&escaped(name), value);
            });
        }
    });
    write_output(prompt, terms, &plan, &mut body, losses);
    write_rest(prompt, maker, &mut body, losses);
    losses.add_asked(prompt, &UNSAID);
    body.close(b'}');
    Ok(body)
}

/// A client's name of a field, fit to stand between quotes.
fn escaped(name: &str) -> String {
    let quoted = crate::api::fields::quoted(name);
    quoted[1..quoted.len() - 1].to_owned()
}

/// `inferenceConfig`, and what else says how tokens are drawn.
struct Sampling<'a> {
    prompt: &'a Prompt,
    plan: &'a Plan,
    fixed: bool,
    maker: Maker,
}

impl Sampling<'_> {
    fn write(&self, body: &mut Vec<u8>, losses: &mut Losses) {
        let output_max = self.plan.output_max(self.prompt, losses);
        let temperature = self.temperature(losses);
        // Newer models of Anthropic refuse both together.
        let both = temperature.is_some() && self.maker == Maker::Anthropic;
        let top_p = self.prompt.top_p.as_ref().filter(|it| !is_one(it));
        let top_p = kept(top_p, self.is_fixed() || both, "top_p", losses);
        body.filled("inferenceConfig", OBJECT, |body| {
            output_max.into_iter().for_each(|it| _ = body.number_field("maxTokens", it));
            temperature.iter().for_each(|it| _ = body.raw_field("temperature", it));
            top_p.iter().for_each(|it| _ = body.raw_field("topP", it.get()));
            // Blank ones are refused.
            let (stop, blank): (Vec<_>, Vec<_>) =
                self.prompt.stop.iter().partition(|it| !it.trim().is_empty());
            losses.add_if(!blank.is_empty(), "stop");
            body.filled("stopSequences", LIST, |body| stop.iter().for_each(|it| _ = body.text(it)));
        });
    }

    /// Converse's goes from 0 to 1, chat's up to 2: a higher one is 1, and named as lost.
    fn temperature(&self, losses: &mut Losses) -> Option<String> {
        let wanted = self.prompt.temperature.as_ref();
        let wanted = match self.is_fixed() {
            true => kept(wanted.filter(|it| !is_one(it)), true, "temperature", losses)?,
            false => wanted?,
        };
        if wanted.as_f64().is_some_and(|it| it > 1.0) {
            losses.add("temperature");
            return Some("1".into());
        }
        Some(wanted.get().to_owned())
    }

    fn write_top_k(&self, body: &mut Vec<u8>, losses: &mut Losses) {
        let knows = self.maker.is_perhaps_anthropic() || self.maker == Maker::Nova;
        let top_k = kept(self.prompt.top_k.as_ref(), self.is_fixed() || !knows, "top_k", losses);
        let Some(top_k) = top_k else { return };
        match self.maker {
            Maker::Nova => body.filled("inferenceConfig", OBJECT, |it| _ = it.raw_field("topK", top_k.get())),
            _ => _ = body.raw_field("top_k", top_k.get()),
        }
    }

    /// While they think, models of Anthropic and Nova at its highest draw as they want.
    fn is_fixed(&self) -> bool {
        self.fixed || self.plan.fixes_sampling()
    }
}

/// The value, unless it is lost.
fn kept<'a>(
    value: Option<&'a Json>,
    lost: bool,
    name: &'static str,
    losses: &mut Losses,
) -> Option<&'a Json> {
    losses.add_if(lost && value.is_some(), name);
    value.filter(|_| !lost)
}

fn is_one(value: &Json) -> bool {
    value.as_f64() == Some(1.0)
}

/// `outputConfig`: the form of the answer and the effort ("OutputConfig").
fn write_output(prompt: &Prompt, terms: &Terms, plan: &Plan, body: &mut Vec<u8>, losses: &mut Losses) {
    body.filled("outputConfig", OBJECT, |body| {
        match &prompt.format {
            Some(Format::Schema { name, description, schema, .. }) if terms.json_schema != Some(false) => {
                write_format(name.as_deref(), description.as_deref(), schema, body);
            }
            Some(Format::Schema { .. } | Format::JsonObject) => losses.add("response_format"),
            Some(Format::Text) | None => (),
        }
        if let Told::Adaptive { effort, .. } | Told::Disabled { effort } = plan.told {
            body.text_if("effort", effort);
        }
    });
}

fn write_format(name: Option<&str>, description: Option<&str>, schema: &Json, body: &mut Vec<u8>) {
    body.filled("textFormat", OBJECT, |body| {
        body.text_field("type", "json_schema");
        body.filled("structure", OBJECT, |body| {
            body.filled("jsonSchema", OBJECT, |body| {
                // A text that holds the schema, not the schema.
                body.text_field("schema", schema.get());
                name.into_iter().for_each(|it| _ = body.text_field("name", it));
                description.into_iter().for_each(|it| _ = body.text_field("description", it));
            });
        });
    });
}

fn write_rest(prompt: &Prompt, maker: Maker, body: &mut Vec<u8>, losses: &mut Losses) {
    match prompt.service_tier.as_deref() {
        None | Some("auto" | "default") => (),
        Some(tier @ ("flex" | "priority")) => {
            body.filled("serviceTier", OBJECT, |it| _ = it.text_field("type", tier));
        }
        Some("scale") => _ = body.raw_field("serviceTier", r#"{"type":"reserved"}"#),
        Some(_) => losses.add("service_tier"),
    }
    let metadata = prompt.metadata.as_ref().filter(|it| fits_as_metadata(it));
    metadata.into_iter().for_each(|it| _ = body.raw_field("requestMetadata", it.get()));
    let asks_paths = prompt.extra.iter().any(|(name, _)| name == OWN_FIELDS[3]);
    if maker == Maker::Anthropic && !prompt.stop.is_empty() && !asks_paths {
        // Only so does the answer say which sequence stopped it.
        body.raw_field(OWN_FIELDS[3], r#"["/delta/stop_sequence"]"#);
    }
    for (name, value) in prompt.extra.iter().filter(|(name, _)| name != MAKERS_FIELDS) {
        match OWN_FIELDS.contains(&name.as_str()) {
            true => _ = body.raw_field(name, value.get()),
            false => losses.add_field(name, value),
        }
    }
}

/// Metadata is a hint: what Bedrock would refuse is left out.
fn fits_as_metadata(metadata: &Json) -> bool {
    let fits = |(name, value): (&str, &str)| {
        is_metadata(name) && !name.is_empty() && text(value).is_some_and(|it| is_metadata(&it))
    };
    Fields::read(metadata.get()).is_some_and(|it| {
        let count = it.each().count();
        (1..=METADATA_MAX).contains(&count) && it.each().all(fits)
    })
}
