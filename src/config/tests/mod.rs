//! Whole configurations in, [`Loaded`] or faults out. Files live in a folder of the test's own.

mod chat;
mod clouds;
mod faults;
mod prices;
mod reload;
mod shipped;
mod sources;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Loaded;
use super::load::load_with;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tollgate-config-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
        let variables: HashMap<_, _> =
            variables.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let path = self.0.join("gateway.yaml");
        let loaded = load_with(&variables, &self.0.join(".env"), path.exists().then_some(path.as_path()));
        let folder = format!("{}/", self.0.display());
        loaded.map_err(|faults| faults.iter().map(|it| it.to_string().replace(&folder, "")).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let folder = Folder::new();
    folder.write("gateway.yaml", yaml);
    folder.load(variables)
}

/// The faults of a file, each as `line:column: message`.
fn check(yaml: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let faults = load(yaml, variables).map(|_| ()).err().unwrap_or_default();
    let faults: Vec<_> = faults.iter().map(|it| it.trim_start_matches("gateway.yaml:")).collect();
    assert_eq!(faults, expected, "{yaml}");
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded.upstreams.iter().map(|it| it.id.as_str()).collect()
}
