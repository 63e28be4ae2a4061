//! What the kernel knows about a process: CPU time, memory, open files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// A reading of a process's CPU time; only the difference between two of them means something.
pub struct CpuTime {
    /// Nanoseconds on a CPU, and nanoseconds of waiting for one, by thread.
    threads: HashMap<PathBuf, (u64, u64)>,
}

/// What lies between two readings.
pub struct Spent {
    pub running_us: f64,
    /// Ready to run, but something else was on the core.
    pub waiting_us: f64,
}

impl CpuTime {
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            // a thread may end between the listing and the reading
            let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
            let mut numbers = text.split_whitespace().map(|it| it.parse().unwrap_or(0));
            threads.insert(path, (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)));
        }
        if threads.is_empty() {
            return Err(io::Error::other("the kernel keeps no /proc/<pid>/task/*/schedstat"));
        }
        Ok(Self { threads })
    }

    /// What threads have spent that ended since is lost: contestants keep theirs.
    pub fn since(&self, earlier: &Self) -> Spent {
        let mut spent = Spent { running_us: 0.0, waiting_us: 0.0 };
        for (thread, (running, waiting)) in &self.threads {
            let (ran, waited) = earlier.threads.get(thread).copied().unwrap_or_default();
            spent.running_us += running.saturating_sub(ran) as f64 / 1e3;
            spent.waiting_us += waiting.saturating_sub(waited) as f64 / 1e3;
        }
        spent
    }
}

/// Resident memory in megabytes (10^6 bytes).
pub fn resident_mb(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib =
        status.lines().find_map(|it| it.strip_prefix("VmRSS:")).and_then(|it| it.split_whitespace().next());
    let kib: f64 = kib.and_then(|it| it.parse().ok()).ok_or_else(|| io::Error::other("no VmRSS"))?;
    Ok(kib * 1024.0 / 1e6)
}

/// Open files that this process may have: now, and after asking for more. `None` is no limit.
pub fn open_files_max() -> io::Result<(Option<usize>, Option<usize>)> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|it| it.strip_prefix("Max open files"));
    let mut columns = line.unwrap_or_default().split_whitespace().map(|it| it.parse().ok());
    Ok((columns.next().flatten(), columns.next().flatten()))
}

/// Version of the kernel and model of the CPU: figures mean nothing without them.
pub fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = cpus.lines().filter(|it| it.starts_with("model name")).collect();
    let model = models.first().and_then(|it| it.split(": ").nth(1)).unwrap_or("unknown CPU");
    format!("{} × {model}, Linux {}", models.len().max(1), kernel.trim())
}
