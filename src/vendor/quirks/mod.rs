//! What vendors want otherwise than OpenAI has it, as data: `quirks.yaml`, built in, and what an operator says over it.
//! A chat completion on its way to such a vendor is changed in place; what is not concerned stays byte for byte, and a
//! request that nothing concerns is not even parsed. Pure. Called when a request is encoded for a target.
//!
//! One quirk is one entry of `quirks.yaml`: no code knows a vendor or a model by name.

mod body;
mod documents;
mod functions;
mod list;
mod messages;
mod model;
pub mod options;
mod pattern;
mod reasoning;
mod roles;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod tools;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde::Deserialize;

pub use functions::Fitted;
pub use model::ModelQuirks;
use options::QuirkOptions;

/// Models whose quirks are remembered at one upstream. Clients make up names as they like.
const MODELS_MAX: usize = 256;
/// Longer names are not remembered, in bytes.
const MODEL_BYTES_MAX: usize = 200;

/// Some vendors, by their ids in the catalogue, and their quirks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuirkRow {
    pub vendors: Vec<String>,
    pub quirks: Vec<QuirkOptions>,
}

static ROWS: LazyLock<Vec<QuirkRow>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("../quirks.yaml")).expect("the built-in quirks are tested to parse")
});

/// Every row, in the order of the file.
pub fn rows() -> &'static [QuirkRow] {
    &ROWS
}

/// The quirks of one upstream.
#[derive(Debug, Default)]
pub struct Quirks {
    all: Vec<Arc<QuirkOptions>>,
    models: RwLock<HashMap<String, Arc<ModelQuirks>>>,
}

impl Quirks {
    /// Those of a vendor, by its id in the catalogue, and the operator's own behind them.
    pub fn of(vendor: &str, own: &[QuirkOptions]) -> Self {
        let rows = rows().iter().filter(|row| row.vendors.iter().any(|it| it == vendor));
        let all = rows.flat_map(|row| &row.quirks).chain(own).cloned().map(Arc::new).collect();
        Self { all, models: RwLock::default() }
    }

    /// Those of a model, by the vendor's name of it.
    pub fn for_model(&self, model: &str) -> Arc<ModelQuirks> {
        let known = self.models.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned();
        known.unwrap_or_else(|| {
            let covering = self.all.iter().filter(|it| it.covers(model)).cloned();
            let quirks = Arc::new(ModelQuirks::new(covering.collect()));
            self.remember(model, &quirks);
            quirks
        })
    }

    fn remember(&self, model: &str, quirks: &Arc<ModelQuirks>) {
        if model.len() > MODEL_BYTES_MAX {
            return;
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= MODELS_MAX {
            // The names in use are back at once.
            models.clear();
        }
        models.insert(model.to_owned(), Arc::clone(quirks));
    }
}
