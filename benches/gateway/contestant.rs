//! Starts the gateways that are compared, each as a child on its own core in front of the same vendor.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{self, Running};
use crate::pacing::Caller;
use crate::payload;
use crate::report::Column;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tollgate,
    Passthrough,
    Nginx,
    /// No gateway: the vendor itself.
    Direct,
}

impl Kind {
    pub const GATEWAYS: [Self; 3] = [Self::Tollgate, Self::Passthrough, Self::Nginx];
}

impl Column for Kind {
    const COLUMNS: &'static [Self] = &[Self::Tollgate, Self::Passthrough, Self::Nginx, Self::Direct];
    const YARDSTICK: Self = Self::Passthrough;
    const RATED: &'static [Self] = &[Self::Tollgate, Self::Nginx];

    fn name(self) -> &'static str {
        match self {
            Self::Tollgate => "tollgate",
            Self::Passthrough => "passthrough",
            Self::Nginx => "nginx",
            Self::Direct => "direct",
        }
    }
}

/// The vendor and how to start gateways in front of it.
pub struct Stage {
    vendor: Running,
    vendor_address: SocketAddr,
    gateway_core: Option<usize>,
    nginx: Option<PathBuf>,
}

/// A gateway that answers.
pub struct Gateway {
    pub kind: Kind,
    pub address: SocketAddr,
    /// From the start of the process until it was ready for calls.
    pub ready_after: Duration,
    process: Running,
}

impl Gateway {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Stage {
    pub fn set(pinned: bool) -> io::Result<Self> {
        let mut command = child::command(&own_program()?, pinned.then_some(child::OTHER_CORE));
        command.arg("vendor");
        let mut vendor = Running::start(command, child::directory()?)?;
        let vendor_address = vendor.ports()?.calls;
        let gateway_core = pinned.then_some(child::GATEWAY_CORE);
        Ok(Self { vendor, vendor_address, gateway_core, nginx: find_on_path("nginx") })
    }

    pub fn vendor_address(&self) -> SocketAddr {
        self.vendor_address
    }

    /// Starts one gateway. An error says what to print in its place.
    pub fn start(&self, kind: Kind) -> io::Result<Gateway> {
        match kind {
            Kind::Tollgate => self.start_tollgate("", ""),
            Kind::Passthrough => self.start_passthrough(),
            Kind::Nginx => self.start_nginx(),
            Kind::Direct => Err(io::Error::other("the vendor is no gateway")),
        }
    }

    pub fn vendor_lives(&mut self) -> bool {
        self.vendor.lives()
    }

    /// Starts Tollgate with more lines of `upstreams`, and of configuration behind them.
    pub fn start_tollgate(&self, upstreams: &str, more: &str) -> io::Result<Gateway> {
        let directory = child::directory()?;
        let config = directory.join("gateway.yaml");
        fs::write(&config, tollgate_config(self.vendor_address, upstreams, more))?;
        let mut command = child::command(Path::new(env!("CARGO_BIN_EXE_tollgate")), self.gateway_core);
        command.arg("--config").arg(config);
        let started = Instant::now();
        let mut process = Running::start(command, directory)?;
        let ports = process.ports()?;
        let admin = ports.admin.ok_or_else(|| io::Error::other("it did not say where its admin port is"))?;
        Caller::open(admin)?.call(&payload::livez(admin))?;
        Ok(Gateway { kind: Kind::Tollgate, address: ports.calls, ready_after: started.elapsed(), process })
    }

    fn start_passthrough(&self) -> io::Result<Gateway> {
        let mut command = child::command(&own_program()?, self.gateway_core);
        command.arg("passthrough").arg(self.vendor_address.to_string());
        let started = Instant::now();
        let mut process = Running::start(command, child::directory()?)?;
        let address = process.ports()?.calls;
        Ok(Gateway { kind: Kind::Passthrough, address, ready_after: started.elapsed(), process })
    }

    fn start_nginx(&self) -> io::Result<Gateway> {
        let nginx = self.nginx.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let directory = child::directory()?;
        let address = free_address()?;
        let config = directory.join("nginx.conf");
        fs::write(&config, nginx_config(address, self.vendor_address))?;
        let mut command = child::command(nginx, self.gateway_core);
        command.arg("-p").arg(&directory).arg("-c").arg(config).args(["-e", "stderr"]);
        let started = Instant::now();
        let mut process = Running::start(command, directory)?;
        // nginx does not say when it listens
        while TcpStream::connect(address).is_err() {
            if !process.lives() || started.elapsed() > child::START_MAX {
                return Err(io::Error::other(format!("it does not listen{}", process.last_words())));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(Gateway { kind: Kind::Nginx, address, ready_after: started.elapsed(), process })
    }
}

/// Everything on that is on by default: metrics, probes, usage, a log line per call.
fn tollgate_config(vendor: SocketAddr, upstreams: &str, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\n\
         admin: 127.0.0.1:0\n\
         discover: false\n\
         workers: 1\n\
         upstreams:\n  bench: {{ vendor: openai-compatible, base_url: \"http://{vendor}/v1\", prefixes: [gpt-] }}\n{upstreams}\
         log: {{ format: json, level: info, calls: true }}\n{more}"
    )
}

/// One process and no master, so that its CPU time and memory are found in one place.
fn nginx_config(address: SocketAddr, vendor: SocketAddr) -> String {
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream vendor {{ server {vendor}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://vendor;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"
    )
}

/// A port that was free a moment ago, for those who cannot be told to let the system choose.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file())
}
