//! Turns gateway.yaml, the environment and the files both name into one complete [`Loaded`], or into every fault.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::edge::chat_api::spec::ChatSpec;
use crate::edge::spec::{ClientSpec, TlsSpec};
use crate::names::UpstreamId;
use crate::price::PriceBook;
use crate::upstream::spec::{ProxySpec, UpstreamSpec};

use super::env::{self, Environment};
use super::fault::{ConfigFault, Faults, Position};
use super::files::Files;
use super::resolve::{self, Resolved};
use super::tree::{self, Node};
use super::{GatewayOptions, chat, check, clients, mend, prices, schema, sessions};

/// The file read when none is named.
const DEFAULT_FILE: &str = "gateway.yaml";
const DOTENV: &str = ".env";

/// A configuration without a fault: defaults filled in, variables replaced, files read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was written. `upstreams`, `clients` and `tls` are better read in their complete form below.
    pub options: GatewayOptions,
    /// Upstreams in use: configured ones in the file's order, then discovered ones, then `sim`, whose port is 0 until
    /// the simulated vendor listens. Targets of `options.routes` may also name one of `off` or `absent`.
    pub upstreams: Vec<UpstreamSpec>,
    /// Configured upstreams that are not used, and why.
    pub off: Vec<(UpstreamId, String)>,
    /// Catalogue vendors that discovery did not find, and why.
    pub absent: Vec<(UpstreamId, String)>,
    pub clients: Vec<ClientSpec>,
    pub tls: Option<TlsSpec>,
    /// The interface of the earlier chat service, if it is on.
    pub chat_api: Option<ChatSpec>,
    /// What models cost: the built-in prices with `prices` and the upstreams' `price` over them. What a target says of
    /// itself is read by [`PriceBook::own`] and comes before.
    pub prices: Arc<PriceBook>,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// What an operator should know though nothing is wrong.
    pub warnings: Vec<String>,
    /// The file read; none: everything comes from the environment.
    pub source: Option<PathBuf>,
    /// SHA-256 over every file read, in hexadecimal; equal hashes mean there is nothing to reload.
    pub hash: String,
    /// Every file whose change is a change of the configuration.
    pub watched: Vec<PathBuf>,
}

/// Loads the named file, or else `gateway.yaml` of the current folder if it exists, or else the environment alone.
pub fn load(path: Option<&Path>) -> Result<Loaded, Vec<ConfigFault>> {
    let default = Path::new(DEFAULT_FILE);
    let path = path.or_else(|| default.exists().then_some(default));
    load_with(&env::process(), Path::new(DOTENV), path)
}

/// Loads with the given variables instead of the process's.
pub(super) fn load_with(
    process: &HashMap<String, String>,
    dotenv: &Path,
    path: Option<&Path>,
) -> Result<Loaded, Vec<ConfigFault>> {
    let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
    let mut files = Files::beside(folder);
    let mut faults = Faults::of(path.unwrap_or(Path::new("environment")));
    let environment = Environment::read(process, dotenv, &mut files, &mut faults);
    let text = match path.map(|it| read_text(it, &mut files)).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(message) => {
            faults.at(Position::default(), message);
            return Err(faults.into_list());
        }
    };
    let mut draft = Draft {
        environment,
        files,
        faults,
        warnings: Vec::new(),
        proxy: ProxySpec::Off,
        raw: Node::default(),
        tree: Node::default(),
    };
    match draft.complete(&text) {
        Some(loaded) if draft.faults.is_empty() => {
            let (hash, watched) = draft.files.finish();
            let warnings = draft.warnings;
            Ok(Loaded { warnings, source: path.map(Into::into), hash, watched, ..loaded })
        }
        _ => Err(draft.faults.into_list()),
    }
}

/// The file as text. It is named without its folder, which `files` knows.
fn read_text(path: &Path, files: &mut Files) -> Result<String, String> {
    let contents = files.read(Path::new(path.file_name().ok_or("this is no file")?))?;
    String::from_utf8(contents).map_err(|_| "this is not UTF-8 text".to_owned())
}

/// A configuration on its way to being complete.
pub(super) struct Draft {
    pub environment: Environment,
    pub files: Files,
    pub faults: Faults,
    pub warnings: Vec<String>,
    /// What the environment says about proxies.
    pub proxy: ProxySpec,
    /// The file as written.
    pub raw: Node,
    /// The file with variables replaced.
    pub tree: Node,
}

/// A reference to an unset variable inside an upstream: a fault only if that upstream is used.
type Unset = (String, Position, String);

impl Draft {
    /// Everything but what `load_with` fills in. `None` where later steps have nothing to go by.
    fn complete(&mut self, text: &str) -> Option<Loaded> {
        self.raw = self.parse(text, false)?;
        self.tree = self.parse(text, true)?;
        let unset = self.note_unset();
        let mends = schema::check(&self.tree, &mut self.faults);
        let mut options = match self.parse(text, true) {
            Some(options) => options,
            // Numbers that no option can hold must not hide the faults behind them.
            None => mend::parse(&self.tree, &mends)?,
        };
        check::tidy(&mut options);
        chat::take_aliases(self, &mut options);
        sessions::complete(self, &mut options.sessions);
        let (proxy, mut warnings) = self.environment.proxy();
        self.proxy = proxy;
        self.warnings.append(&mut warnings);
        let resolved = resolve::upstreams(self, &options);
        for (upstream, position, message) in unset {
            if resolved.is_used(&upstream) {
                self.faults.explain_by(position, message);
            }
        }
        chat::take_provider(self, &mut options, &resolved);
        let clients = clients::clients(self, &options);
        let tls = clients::tls(self, &options);
        check::check(self, &options, &resolved);
        let chat_api = chat::spec(self, &options, &resolved);
        let prices = prices::book(self, &options, &resolved);
        let (listen, admin) = check::addresses(self, &options, &resolved);
        let Resolved { upstreams, off, absent, .. } = resolved;
        Some(Loaded {
            options,
            upstreams,
            off,
            absent,
            clients,
            tls,
            chat_api,
            prices,
            listen: listen?,
            admin: admin?,
            warnings: Vec::new(),
            source: None,
            hash: String::new(),
            watched: Vec::new(),
        })
    }

    fn parse<T: DeserializeOwned>(&mut self, text: &str, replace: bool) -> Option<T> {
        let variables = replace.then(|| self.environment.variables());
        match tree::parse(text, variables) {
            Ok(parsed) => Some(parsed),
            Err((position, message)) => {
                // After a fault of shape this one says the same in other words.
                if self.faults.is_empty() {
                    self.faults.at(position, message);
                }
                None
            }
        }
    }

    /// Reports references to variables that are not set, for nothing good comes of an address or a header with a
    /// hole in it. Those of upstreams are handed back; the keys of upstreams turn them off instead.
    fn note_unset(&mut self) -> Vec<Unset> {
        let (environment, faults) = (&self.environment, &mut self.faults);
        let mut in_upstreams = Vec::new();
        self.raw.texts(&mut Vec::new(), &mut |path, node, raw| {
            let names = environment.unset(raw);
            if names.is_empty() {
                return;
            }
            let message = format!("{}; if it may be empty, write `${{{}:-}}`", not_set(&names), names[0]);
            match path {
                ["upstreams", _, "key" | "keys"] => {}
                ["upstreams", id, ..] => {
                    faults.explain(node.at);
                    in_upstreams.push(((*id).to_owned(), node.at, message));
                }
                _ => faults.explain_by(node.at, message),
            }
        });
        in_upstreams
    }

    /// A fault about the value at `path`.
    pub fn fault(&mut self, path: &[&str], message: impl Into<String>) {
        self.faults.at(self.tree.position(path), message);
    }

    /// A fault about an option of an upstream; where that was discovered, about the environment it came from.
    pub fn upstream_fault(&mut self, id: &str, option: &[&str], message: &str) {
        let path = [&["upstreams", id], option].concat();
        if self.tree.has(&path[..2]) {
            self.fault(&path, format!("upstream `{id}`: {message}"));
        } else {
            self.faults.elsewhere("environment", 0, format!("upstream `{id}`: {message}"));
        }
    }

    /// A file that the option at `path` names.
    pub fn read(&mut self, path: &[&str], name: &str) -> Option<Vec<u8>> {
        match self.files.read(Path::new(name)) {
            Ok(contents) => Some(contents),
            Err(message) => {
                self.fault(path, format!("`{name}` {message}"));
                None
            }
        }
    }
}

/// `A is not set`, `A and B are not set`.
pub(super) fn not_set(names: &[String]) -> String {
    match names {
        [name] => format!("{name} is not set"),
        names => format!("{} are not set", names.join(" and ")),
    }
}
