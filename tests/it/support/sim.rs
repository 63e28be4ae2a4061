//! `tollgate sim` as a process: an upstream that can be killed as upstreams are.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::gateway::binary;
use super::within;

/// A simulated vendor in a process of its own. It is killed when its test drops it.
pub struct Sim {
    child: Child,
    url: String,
}

impl Sim {
    /// On a port of the system's choice, with more arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["sim", "--listen", "127.0.0.1:0"]).args(arguments).env_clear().kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the gateway's binary was built");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("the start of the simulated vendor", lines.next_line()).await.unwrap();
        let url = line.as_deref().and_then(|it| it.rsplit_once(' ')).expect("it says where it listens").1;
        Self { url: url.to_owned(), child }
    }

    /// For `base_url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `kill -9`: it has no time for a last word.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}
