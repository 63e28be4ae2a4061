//! The `tollgate` command: flags, subcommands, exit codes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use tollgate::app::App;
use tollgate::build::Builder;
use tollgate::config::{self, Loaded};
use tollgate::edge::ask::Caller;
use tollgate::edge::explain::{explain, explain_body};
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
