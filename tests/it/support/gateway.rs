//! The gateway as a process: started on a file of its own, spoken to, signalled, ended with its test.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::within;

/// Sections that a test gets unless its configuration has them: ports of the system's choice, nothing found in the
/// environment, no probe that a scripted vendor would have to expect, a stop that waits for no load balancer.
const GIVEN: [(&str, &str); 5] = [
    ("listen", "127.0.0.1:0"),
    ("admin", "127.0.0.1:0"),
    ("discover", "false"),
    ("probe", "{ interval_ms: 0 }"),
    ("shutdown", "{ drain_delay_ms: 0, grace_ms: 5000 }"),
];

/// A running gateway. It is killed when its test drops it.
pub struct Gateway {
    child: Child,
    /// Where calls are served.
    pub calls: SocketAddr,
    /// Where metrics and /admin/* are served.
    pub admin: SocketAddr,
    log: watch::Receiver<Vec<Value>>,
    stderr: Arc<Mutex<String>>,
    directory: PathBuf,
}

impl Gateway {
    pub async fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[]).await
    }

    /// With variables in its otherwise empty environment. Files named in the configuration can be written with
    /// [`Gateway::write_file`] only once it runs; those needed at the start go into `files`.
    pub async fn start_with(yaml: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_among(yaml, environment, &[]).await
    }

    /// With files that stand beside the configuration.
    pub async fn start_among(yaml: &str, environment: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let directory = directory();
        std::fs::write(directory.join("gateway.yaml"), completed(yaml)).unwrap();
        for (name, content) in files {
            std::fs::write(directory.join(name), content).unwrap();
        }
        Self::run(directory, environment).await
    }

    /// Ends it as a crash would, and starts it anew on the same files.
    pub async fn crash_and_restart(mut self) -> Self {
        self.child.kill().await.unwrap();
        let directory = std::mem::take(&mut self.directory);
        drop(self);
        Self::run(directory, &[]).await
    }

    async fn run(directory: PathBuf, environment: &[(&str, &str)]) -> Self {
        let mut child = command(&directory, environment).spawn().expect("the gateway's binary was built");
        let log = read_log(child.stdout.take().unwrap());
        let stderr = read_text(child.stderr.take().unwrap());
        let mut heard = log.clone();
        let listening = |lines: &Vec<Value>| lines.iter().any(|it| it["event"] == "listening");
        let line = match within("the start of the gateway", heard.wait_for(listening)).await {
            Ok(lines) => lines.iter().find(|it| it["event"] == "listening").unwrap().clone(),
            Err(_) => {
                let _ = child.wait().await;
                panic!("the gateway did not start: {}", stderr.lock().unwrap())
            }
        };
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Self { calls: address("calls"), admin: address("admin"), child, log, stderr, directory }
    }

    /// The log so far, a JSON object a line.
    pub fn log_lines(&self) -> Vec<Value> {
        self.log.borrow().clone()
    }

    /// The first line that `wanted` accepts, as soon as it is written.
    pub async fn wait_for_log(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut log = self.log.clone();
        let found = within("a log line", log.wait_for(|lines| lines.iter().any(&wanted))).await;
        match found {
            Ok(lines) => lines.iter().find(|it| wanted(it)).unwrap().clone(),
            Err(_) => panic!("the gateway ended before the line came; it wrote {:#?}", self.log_lines()),
        }
    }

    /// The line of the `index`th call to end, counted from 0.
    pub async fn call_line(&self, index: usize) -> Value {
        let calls = |lines: &[Value]| -> Vec<Value> {
            lines.iter().filter(|it| it["event"] == "call").cloned().collect()
        };
        let mut log = self.log.clone();
        let found = within("a call's log line", log.wait_for(|lines| calls(lines).len() > index)).await;
        calls(&found.expect("the gateway runs"))[index].clone()
    }

    /// The process's log line named `event`.
    pub async fn event_line(&self, event: &str) -> Value {
        self.wait_for_log(|it| it["event"] == event).await
    }

    /// What it said to a person at a terminal.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Every sample of /metrics, by its name and labels as they are printed.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self.admin_get("/metrics").await.text();
        let samples = text.lines().filter(|it| !it.starts_with('#') && !it.is_empty());
        samples
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// The sum of a family's samples that have all of these labels; 0 when there is none.
    pub async fn metric(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let samples = self.metrics().await;
        let of_family = samples.iter().filter(|(name, _)| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        of_family
            .filter(|(name, _)| wanted.iter().all(|it| name.contains(it)))
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    pub fn config_path(&self) -> PathBuf {
        self.directory.join("gateway.yaml")
    }

    /// Replaces the configuration in place. Ports and the other sections every test gets are added again.
    pub fn write_config(&self, yaml: &str) {
        self.write_file("gateway.yaml", &completed(yaml));
    }

    /// Writes a file beside the configuration.
    pub fn write_file(&self, name: &str, content: &str) {
        std::fs::write(self.directory.join(name), content).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the gateway runs")
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success(), "SIG{name} was not sent");
    }

    /// Waits for the process to end.
    pub async fn wait(&mut self) -> ExitStatus {
        within("the end of the gateway", self.child.wait()).await.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        if !self.directory.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
        if std::thread::panicking() {
            let lines: Vec<String> = self.log.borrow().iter().map(Value::to_string).collect();
            eprintln!("the gateway's log:\n{}\n{}", lines.join("\n"), self.stderr());
        }
    }
}

/// The configuration with what every test gets.
fn completed(yaml: &str) -> String {
    let lacks = |key: &str| !yaml.lines().any(|it| it.starts_with(&format!("{key}:")));
    // Tests name any host they like; who has clients or asks about keys says so.
    let open = ("auth", "off");
    let open = Some(open).filter(|_| lacks("auth") && lacks("clients"));
    let given = GIVEN
        .iter()
        .copied()
        .filter(|(key, _)| lacks(key))
        .chain(open)
        .map(|(key, value)| format!("{key}: {value}\n"));
    given.collect::<String>() + yaml
}

/// A new directory below the one that cargo gives to tests.
fn directory() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("gateway-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// The binary that was built with the tests, or the one that `TOLLGATE_BIN` names, such as a release's.
pub fn binary() -> OsString {
    std::env::var_os("TOLLGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into())
}

fn command(directory: &PathBuf, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command.args(["--config", "gateway.yaml"]).current_dir(directory).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(environment.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read_log(stdout: impl AsyncRead + Send + Unpin + 'static) -> watch::Receiver<Vec<Value>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line.clone()));
            sender.send_modify(|it| it.push(value));
        }
    });
    receiver
}

fn read_text(mut stderr: impl AsyncRead + Send + Unpin + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    text
}
