//! All prices of one configuration, by vendor and model: the built-in `catalogue.yaml` and what the operator says over it.
//! Built by `config`; asked once per call and target, with names that clients choose.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use indexmap::{Equivalent, IndexMap};

use super::calendar::Holidays;
use super::clouds::{PRICED_AS, makers_name};
use super::options::{PriceOptions, PriceRowOptions, PricesOptions};
use super::rates::{Origin, Price, Row, Terms};
use super::{PriceFault, options::Amount};
use crate::api::money;

/// What is known about prices; immutable.
#[derive(Debug)]
pub struct PriceBook {
    by_vendor: Shelf,
    /// Prices that hold for one upstream only, laid over those of its vendor.
    by_upstream: Shelf,
    /// By upstream: prices of all its models.
    general: IndexMap<Box<str>, Arc<Price>>,
    entries: Vec<Entry>,
    terms: Terms,
}

/// Prices by owner (a vendor or an upstream) and model.
type Shelf = IndexMap<Named, Arc<Price>>;

/// One model that has a price of its own.
#[derive(Debug)]
pub struct Entry {
    pub owner: Owner,
    pub model: String,
    pub aliases: Vec<String>,
    pub price: Arc<Price>,
}

/// Whose model it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Vendor(String),
    /// One upstream only.
    Upstream(String),
}

/// An upstream as far as prices go.
pub struct PricedUpstream<'a> {
    pub id: &'a str,
    /// Catalogue id.
    pub vendor: &'a str,
    /// What all its models cost.
    pub price: Option<&'a PriceOptions>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Named {
    owner: Box<str>,
    model: Box<str>,
}

/// A key to look up by, without an allocation; it hashes as [`Named`] does, field by field.
#[derive(Hash)]
struct Name<'a> {
    owner: &'a str,
    model: &'a str,
}

impl Equivalent<Named> for Name<'_> {
    fn equivalent(&self, named: &Named) -> bool {
        *self.model == *named.model && *self.owner == *named.owner
    }
}

static CATALOGUE: LazyLock<PricesOptions> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("catalogue.yaml")).expect("the built-in prices are tested to parse")
});

static BUILT_IN: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
    let (book, _) = PriceBook::build(&PricesOptions::default(), &[]);
    Arc::new(book)
});

impl PriceBook {
    /// The prices that come with the program.
    pub fn built_in() -> &'static Arc<PriceBook> {
        &BUILT_IN
    }

    /// The built-in prices with the operator's over them, and what is wrong with those. Rows name vendors by their ids.
    /// Where there is a fault the book is not to be used.
    pub fn build(options: &PricesOptions, upstreams: &[PricedUpstream]) -> (Self, Vec<PriceFault>) {
        let mut faults = Vec::new();
        let mut holidays = Holidays::default();
        // A fault of the catalogue is a fault of ours, which a test finds.
        holidays.add(&CATALOGUE.holidays, &mut Vec::new());
        holidays.add(&options.holidays, &mut faults);
        let own = cny_per_usd(options.cny_per_usd.as_ref(), &mut faults);
        let cny_per_usd = own.or_else(|| cny_per_usd(CATALOGUE.cny_per_usd.as_ref(), &mut Vec::new()));
        let terms = Terms { cny_per_usd: cny_per_usd.unwrap_or(1), holidays };
        let mut book = Self {
            by_vendor: Shelf::new(),
            by_upstream: Shelf::new(),
            general: IndexMap::new(),
            entries: Vec::new(),
            terms,
        };
        book.add_rows(&CATALOGUE.rows, upstreams, false, &mut Vec::new());
        book.add_clouds();
        book.add_rows(&options.rows, upstreams, true, &mut faults);
        let mut faults: Vec<_> = faults.into_iter().map(|it| it.below(&["prices"])).collect();
        for upstream in upstreams {
            let Some(options) = upstream.price else { continue };
            match book.own(options) {
                Ok(price) => drop(book.general.insert(upstream.id.into(), price)),
                Err(own) => {
                    let path = ["upstreams", upstream.id, "price"];
                    let whose = format!("upstream `{}`", upstream.id);
                    faults.extend(own.into_iter().map(|it| it.of(&whose).below(&path)));
                }
            }
        }
        (book, faults)
    }

    /// The price that a vendor has for a model, by its name, an alias, or either with a date behind it; of a cloud also
    /// with what that puts around the name.
    /// `None`: unknown, which is not 0.
    pub fn price(&self, vendor: &str, model: &str) -> Option<Arc<Price>> {
        self.price_at("", vendor, model)
    }

    /// The same for one upstream of that vendor: what the operator said of the upstream, then rows, then the catalogue.
    pub fn price_at(&self, upstream: &str, vendor: &str, model: &str) -> Option<Arc<Price>> {
        if let Some(price) = self.general.get(upstream) {
            return Some(Arc::clone(price));
        }
        let find = |model: &str| {
            let own = self.by_upstream.get(&Name { owner: upstream, model });
            own.or_else(|| self.by_vendor.get(&Name { owner: vendor, model })).map(Arc::clone)
        };
        let find = |model: &str| find(model).or_else(|| find(without_date(model)?));
        find(model).or_else(|| find(makers_name(vendor, model)?))
    }

    /// A price that an operator wrote at one place, such as a target.
    pub fn own(&self, options: &PriceOptions) -> Result<Arc<Price>, Vec<PriceFault>> {
        let mut faults = Vec::new();
        let origin = Origin { is_configured: true, ..Origin::default() };
        let row = self.terms.price(options, origin, &mut faults);
        if faults.is_empty() { Ok(Arc::new(Price::new(vec![row], None))) } else { Err(faults) }
    }

    /// Every model with a price of its own, built-in ones first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Upstreams all of whose models have one price.
    pub fn upstream_prices(&self) -> impl Iterator<Item = (&str, &Arc<Price>)> {
        self.general.iter().map(|(id, price)| (&**id, price))
    }

    /// Millionths of a yuan to the dollar.
    pub fn cny_per_usd(&self) -> u64 {
        self.terms.cny_per_usd
    }
}

/// Reading rows into the book.
impl PriceBook {
    fn add_rows(
        &mut self,
        rows: &[PriceRowOptions],
        upstreams: &[PricedUpstream],
        is_configured: bool,
        faults: &mut Vec<PriceFault>,
    ) {
        let mut models = Models::default();
        for (index, options) in rows.iter().enumerate() {
            let mut own = Vec::new();
            let row = self.terms.row(options, is_configured, &mut own);
            models.add(row, options, &mut own);
            let (whose, path) = (format!("`{}`", options.model), ["rows", &index.to_string()]);
            faults.extend(own.into_iter().map(|it| it.of(&whose).below(&path)));
        }
        // Those of upstreams come last, for they are laid over those of vendors.
        models.by_name.sort_by(|one, _, other, _| one.is_upstream.cmp(&other.is_upstream));
        for (key, model) in models.by_name {
            let vendor = match key.is_upstream {
                true => upstreams.iter().find(|it| it.id == key.owner).map_or("", |it| it.vendor),
                false => key.owner,
            };
            self.shelve(key, vendor, model);
        }
    }

    /// Gives clouds the built-in prices of the makers whose models they sell, before the operator's rows of those makers:
    /// a contract with one says nothing of the other.
    fn add_clouds(&mut self) {
        for (cloud, maker) in PRICED_AS {
            let theirs = self.by_vendor.iter().filter(|(it, _)| *it.owner == *maker);
            let theirs = theirs.map(|(it, price)| {
                (Named { owner: cloud.into(), model: it.model.clone() }, Arc::clone(price))
            });
            let theirs: Vec<_> = theirs.collect();
            self.by_vendor.extend(theirs);
        }
    }

    /// Puts a model where it is found by all its names, over what its vendor had.
    fn shelve(&mut self, key: Key, vendor: &str, mut model: Model) {
        let below = self.price(vendor, key.model);
        model.aliases.extend(self.aliases(vendor, key.model));
        let price = Arc::new(Price::new(model.rows, below.as_deref()));
        let shelf = if key.is_upstream { &mut self.by_upstream } else { &mut self.by_vendor };
        for name in std::iter::once(key.model).chain(model.aliases.iter().map(String::as_str)) {
            shelf.insert(Named { owner: key.owner.into(), model: name.into() }, Arc::clone(&price));
        }
        let owner = key.owner.to_owned();
        let owner = if key.is_upstream { Owner::Upstream(owner) } else { Owner::Vendor(owner) };
        let entry = Entry { owner, model: key.model.into(), aliases: model.aliases, price };
        let same = |it: &&mut Entry| it.owner == entry.owner && it.model == entry.model;
        match self.entries.iter_mut().find(same) {
            Some(before) => *before = entry,
            None => self.entries.push(entry),
        }
    }

    /// What else a model of that vendor is called so far: a new price of it is one under all its names.
    fn aliases(&self, vendor: &str, model: &str) -> Vec<String> {
        let is_it = |it: &&Entry| it.model == model && it.owner == Owner::Vendor(vendor.into());
        self.entries.iter().find(is_it).map(|it| it.aliases.clone()).unwrap_or_default()
    }
}

/// Whose model rows are of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    is_upstream: bool,
    owner: &'a str,
    model: &'a str,
}

/// The models that rows are of, as they are gathered.
#[derive(Default)]
struct Models<'a> {
    by_name: IndexMap<Key<'a>, Model>,
    /// Every name, aliases too, and the model it stands for.
    names: HashMap<Key<'a>, &'a str>,
}

#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    aliases: Vec<String>,
}

impl<'a> Models<'a> {
    fn add(&mut self, row: Row, options: &'a PriceRowOptions, faults: &mut Vec<PriceFault>) {
        let (is_upstream, owner) = match (&options.vendor, &options.upstream) {
            (Some(vendor), None) => (false, vendor.as_str()),
            (None, Some(upstream)) => (true, upstream.as_str()),
            _ => return faults.push(PriceFault::new(&[], "needs either a `vendor` or an `upstream`")),
        };
        if options.model.is_empty() {
            faults.push(PriceFault::new(&["model"], "the model has no name"));
        }
        for name in options.aliases.iter().chain([&options.model]) {
            let other = self.names.insert(Key { is_upstream, owner, model: name }, &options.model);
            if let Some(other) = other.filter(|it| *it != options.model) {
                let message = format!("`{name}` is a name of `{other}` already");
                faults.push(PriceFault::new(&["model"], message));
            }
        }
        let model = self.by_name.entry(Key { is_upstream, owner, model: &options.model }).or_default();
        if model.rows.iter().any(|it| it.from == row.from) {
            let place = if options.from.is_some() { "from" } else { "model" };
            faults.push(PriceFault::new(&[place], "another row of the model begins at the same moment"));
        }
        model.rows.push(row);
        model.aliases.extend(options.aliases.iter().cloned());
    }
}

/// The rate in millionths.
fn cny_per_usd(amount: Option<&Amount>, faults: &mut Vec<PriceFault>) -> Option<u64> {
    let read = money::millionths(&amount?.0);
    let read = read.and_then(|it| if it == 0 { Err("must be above 0") } else { Ok(it) });
    let fault = |message| faults.push(PriceFault::new(&["cny_per_usd"], format!("`cny_per_usd` {message}")));
    read.map_err(fault).ok()
}

/// `gpt-6-sol` of `gpt-6-sol-2026-09-22` and of `gpt-6-sol-20260922`; `None` where no date ends the name.
fn without_date(model: &str) -> Option<&str> {
    let fits = |shape: &str| {
        let start = model.len().checked_sub(shape.len())?;
        let mut pairs = model.as_bytes()[start..].iter().zip(shape.bytes());
        let is_date = pairs.all(|(it, shape)| if shape == b'0' { it.is_ascii_digit() } else { *it == shape });
        // What matched is ASCII, so the cut falls between characters.
        (is_date && start > 0).then(|| &model[..start])
    };
    fits("-0000-00-00").or_else(|| fits("-00000000"))
}
