//! The `tollgate` command: flags, subcommands, exit codes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use sha2::{Digest, Sha256};
use tollgate::app::App;
use tollgate::build::Builder;
use tollgate::config::{self, Loaded};
use tollgate::edge::ask::Caller;
use tollgate::edge::explain::{explain, explain_body};
use tollgate::edge::options::AuthMode;
use tollgate::session;
use tollgate::session::import::{Imported, Making};
use tollgate::session::key::Owner;
use tollgate::session::migrate::Migrated;
use tollgate::session::options::SessionsOptions;
use tollgate::session::place::Place;
use tollgate::session::store::Store;
use tollgate::sim::{self, SimOptions};
use tollgate::summary;
use tollgate::telemetry::{Metrics, log};

/// An OpenAI-compatible gateway in front of every LLM vendor.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration [default: gateway.yaml if it exists, else the environment alone].
    #[arg(long, global = true, env = "TOLLGATE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve calls (the default).
    Serve,
    /// Validate the configuration and say what it means; exit code 1 if it has a fault.
    Check,
    /// Say where a call would go and why; nothing is sent.
    Explain {
        /// The model as a client would name it.
        #[arg(long, required_unless_present = "body")]
        model: Option<String>,
        /// A file with a request body, whose `model` is taken.
        #[arg(long)]
        body: Option<PathBuf>,
    },
    /// Say what models cost: what is known, from where and since when.
    Prices {
        /// A model, also behind `vendor/` or `upstream/`, of which to tell everything; without one, all that is known.
        model: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look after stored sessions.
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Print the JSON Schema of gateway.yaml, for editors.
    Schema,
    /// Run the simulated vendor alone.
    Sim {
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
        #[command(flatten)]
        options: SimOptions,
    },
}

#[derive(Subcommand)]
enum SessionsCommand {
    /// Copy all sessions and stored completions from one store to another. A store is `configured` (what gateway.yaml says),
    /// `embedded:<file>` or the URL of a Redis; one that needs options or keeps its password to itself is best `configured`.
    /// Nothing at the target is taken away; it can be repeated, and then copies what came since. Exit code 1 if a record was refused because
    /// the target has another of its name.
    Migrate {
        #[arg(long)]
        from: String,
        #[arg(long)]
        to: String,
    },
    /// Take over the chats of the earlier chat service from its Redis, each user's apart. Sessions that are there already stay
    /// as they are, so it can be repeated. Exit code 1 if one was refused because of its id.
    ImportChat {
        /// The URL of the earlier service's Redis, or `configured`: the one that gateway.yaml names, if it is the same.
        #[arg(long)]
        from: String,
        /// A store, as for `migrate`.
        #[arg(long, default_value = "configured")]
        into: String,
        /// Whose the users are: the clients of this tenant, which is a client's name unless it has another.
        #[arg(long, conflicts_with = "key_file")]
        tenant: Option<String>,
        /// Whose the users are: those who show the key in this file. Without it and `--tenant`: those who show none.
        #[arg(long)]
        key_file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = arguments.config.as_deref();
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => load(config).and_then(|loaded| serve(arguments.config.clone(), loaded)),
        Command::Check => load(config).map(|loaded| print(&summary::check(&loaded))),
        Command::Explain { model, body } => load(config).and_then(|loaded| explained(&loaded, model, body)),
        Command::Prices { model, json } => {
            load(config).and_then(|loaded| prices(&loaded, model.as_deref(), json))
        }
        Command::Sessions { command: SessionsCommand::Migrate { from, to } } => {
            load(config).and_then(|loaded| migrate(&loaded, &from, &to))
        }
        Command::Sessions { command: SessionsCommand::ImportChat { from, into, tenant, key_file } } => {
            load(config).and_then(|loaded| {
                let owner = chat_owner(&loaded, tenant.as_deref(), key_file.as_deref())?;
                import_chat(&loaded, &from, &into, owner)
            })
        }
        Command::Schema => {
            print(&config::schema());
            Ok(())
        }
        Command::Sim { listen, options } => simulate(listen, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing is left to do where even this cannot be written.
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) {
    // A reader that left, such as `head`, is no failure of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The configuration, or all its faults, one a line.
fn load(path: Option<&Path>) -> Result<Loaded, String> {
    config::load(path).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().map_err(|it| format!("cannot start the runtime: {it}"))
}

fn serve(path: Option<PathBuf>, loaded: Loaded) -> Result<(), String> {
    let log = log::start(&loaded.options.log);
    let runtime = runtime(loaded.options.workers)?;
    let result = runtime.block_on(async {
        let app = App::start(path, loaded.clone(), log.clone()).await?;
        let text = summary::start(&loaded, &app.gateway().serving().snapshot, app.calls_at, app.admin_at);
        let _ = writeln!(std::io::stderr(), "{text}");
        app.run().await.map_err(|it| it.to_string())
    });
    // Nothing is left that is worth waiting for, such as a file that cannot be read.
    runtime.shutdown_background();
    log.close();
    result
}

fn explained(loaded: &Loaded, model: Option<String>, body: Option<PathBuf>) -> Result<(), String> {
    // Building an upstream's connections needs a runtime, though none is opened.
    let runtime = runtime(1)?;
    let _inside = runtime.enter();
    let snapshot = Builder::new(Arc::new(Metrics::new())).snapshot(loaded, None, None);
    let (now, depth_max) = (std::time::Instant::now(), loaded.options.limits.json_depth_max);
    let explained = match (model, body) {
        (_, Some(path)) => {
            let body = std::fs::read(&path).map_err(|it| format!("{}: {it}", path.display()))?;
            explain_body(&snapshot, &body, depth_max, Caller::default(), now)
                .map_err(|it| format!("{}: {}", path.display(), it.message))?
        }
        (Some(model), None) => {
            explain(&snapshot, &model, None, Caller::default(), now).map_err(|it| it.message.clone())?
        }
        (None, None) => return Err("name a model (--model) or a request body (--body)".into()),
    };
    print(&format!("{explained:#}"));
    Ok(())
}

fn prices(loaded: &Loaded, model: Option<&str>, json: bool) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    match json {
        true => print(&format!("{:#}", summary::prices::json(loaded, model, now)?)),
        false => print(&summary::prices::text(loaded, model, now)?),
    }
    Ok(())
}

fn migrate(loaded: &Loaded, from: &str, to: &str) -> Result<(), String> {
    let (from, to) = (Chosen::named("--from", from, loaded)?, Chosen::named("--to", to, loaded)?);
    if from.place == to.place || (from.file.is_some() && from.file == to.file) {
        return Err(format!("--from and --to are the same store: {}", from.place));
    }
    if let Some(file) = from.file.as_ref().filter(|it| !it.exists()) {
        return Err(format!("--from: there is no file {}", file.display()));
    }
    let mut done = Migrated::default();
    let compress_bytes_min = loaded.options.sessions.compress_bytes_min;
    // Connections need the runtime from the beginning.
    let runtime = runtime(0)?;
    let _inside = runtime.enter();
    let (from, to) = (from.store()?, to.store()?);
    let ended = runtime.block_on(session::migrate::migrate(&from, &to, compress_bytes_min, &mut done));
    match ended {
        Ok(()) if done.refused.is_empty() => {
            print(&done.to_string());
            Ok(())
        }
        Ok(()) => Err(done.to_string()),
        Err(fault) => Err(format!("{done}\nstopped: {fault}\nwhat was copied stays; repeat this to go on")),
    }
}

fn import_chat(loaded: &Loaded, from: &str, into: &str, owner: Owner) -> Result<(), String> {
    let (from, into) = (Chosen::named("--from", from, loaded)?, Chosen::named("--into", into, loaded)?);
    let Place::Redis(url) = &from.place else {
        return Err("--from: the earlier service kept its chats in a Redis; give its URL".into());
    };
    let sessions = &loaded.options.sessions;
    let ttl_ms = sessions.ttl_s * 1_000;
    let making = Making { owner, ttl_ms, compress_bytes_min: sessions.compress_bytes_min };
    let mut done = Imported::default();
    let runtime = runtime(0)?;
    let _inside = runtime.enter();
    let source = session::import::source(url, &from.options.redis).map_err(|it| format!("--from: {it}"))?;
    let store = into.store()?;
    let ended = runtime.block_on(session::import::import(&source, &store, &making, &mut done));
    match ended {
        Ok(()) if done.refused.is_empty() => {
            print(&done.to_string());
            Ok(())
        }
        Ok(()) => Err(done.to_string()),
        Err(fault) => Err(format!("{done}\nstopped: {fault}\nwhat was imported stays; repeat this to go on")),
    }
}

/// Who will find what is imported.
fn chat_owner(loaded: &Loaded, tenant: Option<&str>, key_file: Option<&Path>) -> Result<Owner, String> {
    let clients = &loaded.clients;
    let is_open = clients.is_empty() || loaded.options.auth == AuthMode::Off;
    if let Some(tenant) = tenant {
        let known = clients.iter().any(|it| it.tenant == tenant);
        return known.then(|| Owner::tenant(tenant)).ok_or_else(|| {
            format!("--tenant: no client under `clients` is `{tenant}` or has it as its `tenant`")
        });
    }
    let Some(path) = key_file else {
        return is_open.then(|| Owner::shown_key(None)).ok_or_else(|| {
            "say whose the chats become, by --tenant or --key-file: this gateway has `clients`".into()
        });
    };
    let text = std::fs::read_to_string(path).map_err(|it| format!("{}: {it}", path.display()))?;
    let key = text.lines().map(str::trim).find(|it| !it.is_empty());
    let key = key.ok_or_else(|| format!("{} holds no key", path.display()))?;
    let digest: [u8; 32] = Sha256::digest(key).into();
    match clients.iter().find(|it| it.key_digests.contains(&digest)) {
        Some(client) => Ok(Owner::tenant(&client.tenant)),
        None if is_open => Ok(Owner::shown_key(Some(key.as_bytes()))),
        None => Err(format!("the key in {} is no client's", path.display())),
    }
}

/// A store named at the command line.
struct Chosen {
    place: Place,
    options: SessionsOptions,
    folder: PathBuf,
    file: Option<PathBuf>,
}

impl Chosen {
    fn named(option: &str, name: &str, loaded: &Loaded) -> Result<Self, String> {
        let mut options = loaded.options.sessions.clone();
        let beside = loaded.source.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let is_typed = name != "configured";
        let written = if is_typed { name } else { options.store.reveal() };
        let place = Place::parse(written).map_err(|it| format!("{option}: {it}"))?;
        // A path typed here is meant from here, and options are not about a URL typed here.
        let is_own = is_typed && place != Place::Embedded(None);
        let folder = if is_own { Path::new("") } else { beside }.to_owned();
        if is_own {
            options.redis = SessionsOptions::default().redis;
        }
        let file = place.file(&options, &folder).and_then(|it| std::path::absolute(it).ok());
        Ok(Self { place, options, folder, file })
    }

    fn store(&self) -> Result<Store, String> {
        let store = match self.place {
            Place::Memory => None,
            _ => self.place.store(&self.options, &self.folder)?,
        };
        store.ok_or_else(|| format!("`{}` keeps nothing that could be copied", self.place))
    }
}

fn simulate(listen: SocketAddr, options: SimOptions) -> Result<(), String> {
    options.validate()?;
    runtime(0)?.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|it| format!("cannot listen on {listen}: {it}"))?;
        let address = listener.local_addr().map_err(|it| it.to_string())?;
        print(&format!("simulated vendor on http://{address}/v1"));
        tokio::select! {
            () = sim::serve(listener, options) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    })
}
