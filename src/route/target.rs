//! One place a call may go, with all that decides whether it should: health, price, pace, abilities, tags.

use std::borrow::Cow;
use std::sync::Arc;

use crate::health::UpstreamHealth;
use crate::health::pace::Pace;
use crate::health::waits::Waits;
use crate::health::warmth::fingerprint;
use crate::names::{ModelName, UpstreamId};
use crate::price::estimate::Calibration;
use crate::price::options::PriceOptions;
use crate::price::{Price, PriceBook};
use crate::telemetry::TargetMetrics;
use crate::vendor::models::{self, FactOptions, ModelFacts};

/// One place a call may go.
pub struct Target {
    pub upstream: UpstreamId,
    /// Index of the upstream in the snapshot.
    pub slot: usize,
    /// The vendor's name for the model; `None`: the name the client used.
    pub model: Option<ModelName>,
    pub weight: u32,
    /// Its own tags and its upstream's.
    pub tags: Vec<String>,
    pub health: Arc<UpstreamHealth>,
    pub metrics: Arc<TargetMetrics>,
    pub experience: Experience,
    pub offer: Offer,
}

/// What a model showed of itself at an upstream; shared by the targets that name it.
#[derive(Clone, Default)]
pub struct Experience {
    pub pace: Arc<Pace>,
    /// How long answers are waited for; noted where the route hedges.
    pub waits: Arc<Waits>,
    /// How far estimates of prompts are off here.
    pub calibration: Arc<Calibration>,
}

/// What a target can do and what it costs, by model.
pub struct Offer {
    upstream: UpstreamId,
    /// Catalogue id of the upstream's vendor.
    vendor: String,
    book: Arc<PriceBook>,
    /// The target's own price, or the book's where the model is fixed.
    price: Option<Arc<Price>>,
    /// What the operator says of the model, over the catalogue.
    facts: FactOptions,
    /// The facts where the model is fixed.
    fixed: Option<ModelFacts>,
}

impl Offer {
    /// What `model` is to an upstream of `vendor`; `own` is what the target itself costs, `facts` what the operator says
    /// over the catalogue.
    pub fn new(
        (upstream, vendor): (&UpstreamId, &str),
        model: Option<&str>,
        book: &Arc<PriceBook>,
        own: Option<&PriceOptions>,
        facts: FactOptions,
    ) -> Self {
        // A price that cannot be read is refused when the configuration is loaded.
        let own = own.and_then(|it| book.own(it).ok());
        let price = own.or_else(|| book.price_at(upstream.as_str(), vendor, model?));
        let fixed = model.map(|it| facts.over(models::facts(vendor, it)));
        let (upstream, vendor) = (upstream.clone(), vendor.to_owned());
        Self { upstream, vendor, book: Arc::clone(book), price, facts, fixed }
    }
}

impl Target {
    /// The name the vendor is asked for when the client asked for `model`.
    pub fn model_for<'a>(&'a self, model: &'a str) -> &'a str {
        self.model.as_ref().map_or(model, |it| it.as_str())
    }

    /// The price of `model`, as the vendor is asked for it; `None` where it is not known.
    pub fn price(&self, model: &str) -> Option<Cow<'_, Arc<Price>>> {
        match (&self.offer.price, &self.model) {
            // Lent, for all cores count on it otherwise, at every plan.
            (Some(price), _) => Some(Cow::Borrowed(price)),
            (None, Some(_)) => None,
            (None, None) => {
                let Offer { upstream, vendor, book, .. } = &self.offer;
                book.price_at(upstream.as_str(), vendor, model).map(Cow::Owned)
            }
        }
    }

    /// What is known of `model`, as the vendor is asked for it.
    pub fn facts(&self, model: &str) -> ModelFacts {
        match self.offer.fixed {
            Some(facts) => facts,
            None => self.offer.facts.over(models::facts(&self.offer.vendor, model)),
        }
    }

    /// Who made the words that only its vendor understands: the vendor or, where that is but a dialect, the upstream.
    pub fn maker(&self) -> &str {
        match self.offer.vendor.as_str() {
            "openai-compatible" => self.upstream.as_str(),
            vendor => vendor,
        }
    }

    /// Tokens that prompt and answer may have together, where known.
    pub fn context(&self, model: &str) -> Option<u64> {
        self.facts(model).context
    }

    /// What names it among the places where a prompt cache may be.
    pub fn fingerprint(&self, model: &str) -> u32 {
        fingerprint(self.upstream.as_str(), self.model_for(model))
    }
}
