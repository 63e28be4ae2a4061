//! Child processes, seen from both sides: starting, pinning and ending them here; announcing and going away there.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The core of the gateway under test, and the one of everything else.
pub const GATEWAY_CORE: usize = 0;
pub const OTHER_CORE: usize = 1;

/// How long a child may take until it listens.
pub const START_MAX: Duration = Duration::from_secs(10);

/// Whether processes can be bound to the two cores here.
pub fn can_pin() -> bool {
    [GATEWAY_CORE, OTHER_CORE].iter().all(|core| {
        let trial =
            Command::new("taskset").args(["-c", &core.to_string(), "true"]).stderr(Stdio::null()).status();
        trial.is_ok_and(|it| it.success())
    })
}

/// A command for `program`, bound to `core` if there is one.
pub fn command(program: &Path, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A process that is ended, and whose directory is removed, when this is dropped.
pub struct Running {
    process: Child,
    directory: PathBuf,
}

/// Addresses from the line that a child prints once it listens.
pub struct Ports {
    pub calls: SocketAddr,
    pub admin: Option<SocketAddr>,
}

impl Running {
    /// Starts `command` in `directory` with an empty environment but for PATH: no key, proxy or `.env` of the developer counts.
    pub fn start(mut command: Command, directory: PathBuf) -> io::Result<Self> {
        let errors = File::create(directory.join("stderr"))?;
        let process = command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|it| ("PATH", it)))
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()?;
        Ok(Self { process, directory })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the line that says where the child listens, and empties its standard output from then on.
    pub fn ports(&mut self) -> io::Result<Ports> {
        let output =
            self.process.stdout.take().ok_or_else(|| io::Error::other("its output is taken already"))?;
        let (announced, waiting) = mpsc::channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let ports = first_ports(&mut output);
            // the starter may have given up; the pipe has to be emptied all the same
            drop(announced.send(ports));
            drain(&mut output);
        });
        let ports = waiting.recv_timeout(START_MAX).ok().flatten();
        ports.ok_or_else(|| io::Error::other(format!("it did not say where it listens{}", self.last_words())))
    }

    /// Whether the process is still there.
    pub fn lives(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The last line of its standard error, for a message.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
        text.lines().last().map_or(String::new(), |it| format!(": {it}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // each can only fail because the thing is gone already
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn first_ports(output: &mut impl BufRead) -> Option<Ports> {
    for line in output.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(&line.ok()?) else { continue };
        if line["event"] == "listening" {
            let calls = line["calls"].as_str()?.parse().ok()?;
            return Some(Ports { calls, admin: line["admin"].as_str().and_then(|it| it.parse().ok()) });
        }
    }
    None
}

/// Reads in sips of a millisecond: a reader that always waits would be woken by, and charged to, each line of the log.
fn drain(output: &mut BufReader<ChildStdout>) {
    let mut buffer = vec![0; 64 * 1024];
    while output.read(&mut buffer).is_ok_and(|read| read > 0) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A new empty directory for one child.
pub fn directory() -> io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("tollgate-bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    fs::create_dir(&directory)?;
    Ok(directory)
}

/// In the child: says where it listens, in the words of the gateway, and ends the process when the parent goes.
pub fn announce(calls: SocketAddr) -> io::Result<()> {
    println!("{}", serde_json::json!({"event": "listening", "calls": calls.to_string()}));
    thread::spawn(|| {
        let end = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(i32::from(end.is_err()));
    });
    Ok(())
}

/// In the child and in the load generator: one thread, all there is on its core.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
