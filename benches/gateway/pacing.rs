//! Calls whose time counts: one blocking connection per thread, because a blocked read wakes sooner and more evenly than an
//! event loop, and because a thread can be punctual to the microsecond.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::{Intake, Side};

/// Connections of the open loop. While fewer calls than this are under way, no call waits for another.
const SENDERS: usize = 16;

/// The end of each wait that is spent spinning; more than a timer of the kernel is late.
const SPIN: Duration = Duration::from_micros(150);

/// Longest silence of a contestant before the run gives up on it.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// One connection, one call at a time.
pub struct Caller {
    socket: TcpStream,
    intake: Intake,
    buffer: Vec<u8>,
}

impl Caller {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self { socket, intake: Intake::new(Side::Response), buffer: vec![0; 16 * 1024] })
    }

    /// Sends `request` and reads the answer to its end; anything but 200 is an error.
    pub fn call(&mut self, request: &[u8]) -> io::Result<()> {
        match self.ask(request)? {
            200 => Ok(()),
            status => Err(io::Error::other(format!("it answered {status}"))),
        }
    }

    /// One call, whatever it is answered.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.intake.begin();
        self.socket.write_all(request)?;
        loop {
            let read = self.socket.read(&mut self.buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.intake.push(&self.buffer[..read])? {
                return Ok(self.intake.summary().status);
            }
        }
    }
}

/// Sends `calls` requests, one every `period`, and returns how long each took, counted from the moment it was due: a call
/// that a slow predecessor held up is not forgiven. The connections share `requests` out among them.
pub fn open_loop(
    address: SocketAddr,
    requests: &[impl AsRef<[u8]>],
    period: Duration,
    calls: u32,
) -> io::Result<Vec<Duration>> {
    let mut callers = Vec::new();
    for request in requests.iter().map(AsRef::as_ref).cycle().take(SENDERS) {
        let mut caller = Caller::open(address)?;
        caller.call(request)?;
        callers.push((caller, request));
    }
    let next = AtomicU32::new(0);
    let start = Instant::now() + Duration::from_millis(20);
    thread::scope(|scope| {
        let senders: Vec<_> = callers
            .into_iter()
            .map(|(mut caller, request)| {
                let next = &next;
                scope.spawn(move || {
                    let mut times = Vec::new();
                    loop {
                        let turn = next.fetch_add(1, Ordering::Relaxed);
                        if turn >= calls {
                            return Ok(times);
                        }
                        let due = start + period * turn;
                        wait_until(due);
                        caller.call(request)?;
                        times.push(due.elapsed());
                    }
                })
            })
            .collect();
        let mut times = Vec::new();
        for sender in senders {
            let part: io::Result<Vec<Duration>> =
                sender.join().map_err(|_| io::Error::other("a sender came to grief"))?;
            times.extend(part?);
        }
        Ok(times)
    })
}

/// Sends `calls` requests one after the other and returns how long each took.
pub fn one_by_one(address: SocketAddr, request: &[u8], calls: usize) -> io::Result<Vec<Duration>> {
    let mut caller = Caller::open(address)?;
    caller.call(request)?;
    let mut times = Vec::new();
    for _ in 0..calls {
        let started = Instant::now();
        caller.call(request)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now() + SPIN));
    while Instant::now() < due {
        // the vendor lives on this core too
        thread::yield_now();
    }
}
