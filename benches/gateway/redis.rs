//! A Redis of the benchmark's own: started beside the vendor, counted and frozen.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{self, Running};
use crate::contestant::{find_on_path, free_address};

/// Longest time for the answer to a question of ours.
const ANSWER_MAX: Duration = Duration::from_secs(5);

pub struct Redis {
    pub address: SocketAddr,
    process: Running,
}

/// What a Redis has done so far; only the difference between two of them means something.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Scripts, which is what every operation on a session is.
    pub scripts: f64,
    /// Times that it read from a connection: at most one for each round trip of a client that waits for its answers.
    pub reads: f64,
}

impl Redis {
    /// Without persistence: what is measured is the gateway, and what it waits for.
    pub fn start(core: Option<usize>) -> io::Result<Self> {
        let program = find_on_path("redis-server").ok_or(io::ErrorKind::NotFound)?;
        let address = free_address()?;
        let mut command = child::command(&program, core);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        let mut process = Running::start(command, child::directory()?)?;
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if !process.lives() || started.elapsed() > child::START_MAX {
                return Err(io::Error::other(format!("redis does not listen{}", process.last_words())));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { address, process })
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Stops it where it is: connections stay open, and nothing is answered any more.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    pub fn thaw(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        let sent = Command::new(Path::new("kill")).args([name, &self.process.pid().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("kill failed")) }
    }

    pub fn counts(&self) -> io::Result<Counts> {
        let (stats, commands) = (self.info("stats")?, self.info("commandstats")?);
        let calls = |name: &str| number(&commands, &format!("cmdstat_{name}:calls="));
        let reads = number(&stats, "total_reads_processed:");
        Ok(Counts { scripts: calls("evalsha") + calls("eval"), reads })
    }

    fn info(&self, section: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        socket.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes())?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Counts {
    /// What happened since `earlier` but our own questions.
    pub fn since(&self, earlier: &Self) -> Self {
        Self { scripts: self.scripts - earlier.scripts, reads: self.reads - earlier.reads - OWN_READS }
    }
}

/// Reads that are ours between two counts: of the second question of the first, and of the first question of the second.
const OWN_READS: f64 = 2.0;

fn number(text: &str, name: &str) -> f64 {
    let digits = text.split(name).nth(1).unwrap_or_default();
    let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0.0)
}
