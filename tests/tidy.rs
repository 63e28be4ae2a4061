//! The house's rules as tests: the direction of dependencies, the size of files and functions, what a file begins with,
//! and what no file may hold. A rule that a file must break is changed here, in the open, or the file is.

// What a test leans on may unwrap: it then fails that test, which is all it should do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 50;

/// Modules from left to right: each may use those of later ranks only. Members of one rank do not know each other.
const RANKS: &[&[&str]] = &[
    &["main"],
    &["app", "summary"],
    &["build"],
    &["config"],
    &["edge"],
    &["snapshot"],
    &["upstream"],
    &["route"],
    &["session"],
    &["vendor", "price", "health", "telemetry", "sim"],
    &["dialect"],
    &["api"],
    &["error"],
    &["names", "trust"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} holds no Rust file");
    files.sort();
    files
}

fn all_rust_files() -> Vec<(PathBuf, String)> {
    ["src", "tests", "benches"].iter().flat_map(|it| rust_files(it)).collect()
}

/// The part of a file before its inline tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

fn check(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn dependencies_point_right() {
    let rank: BTreeMap<&str, usize> =
        RANKS.iter().enumerate().flat_map(|(rank, names)| names.iter().map(move |it| (*it, rank))).collect();
    let mut faults = Vec::new();
    for (path, text) in rust_files("src") {
        let module = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = *rank.get(module).unwrap_or_else(|| panic!("{module} has no rank in tests/tidy.rs"));
        for line in without_tests(&text).lines().filter(|it| !it.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                if let Some(other) = rank.get(used.as_str())
                    && used != module
                    && *other <= own
                {
                    faults.push(format!("{}: {module} must not use {used}", path.display()));
                }
            }
        }
    }
    check(faults);
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Vec::new();
    for (path, text) in all_rust_files() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines", path.display()));
        }
        for (name, lines) in functions(&text) {
            if lines > FUNCTION_LINES_MAX {
                faults.push(format!("{}: fn {name} has {lines} lines", path.display()));
            }
        }
    }
    check(faults);
}

/// Names and lengths of functions: from `fn` to the brace that closes at the same depth, as rustfmt lays them out.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function = line
            .trim_start()
            .split(' ')
            .take_while(|it| *it != "fn")
            .all(|it| matches!(it, "pub" | "async" | "const" | "pub(crate)" | "pub(super)"))
            && line.contains("fn ");
        if !is_function {
            continue;
        }
        // A trait's function without a body ends where it is declared.
        let ending = lines[start..].iter().find(|it| it.ends_with(['{', ';', '}']));
        if ending.is_none_or(|it| it.ends_with(';')) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let Some(length) = lines[start..].iter().position(|it| *it == close) else { continue };
        let name = line.split("fn ").nth(1).unwrap().split(['(', '<']).next().unwrap();
        functions.push((name.to_owned(), length + 1));
    }
    functions
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = all_rust_files().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    check(silent.map(|(path, _)| format!("{}: begins without //!", path.display())).collect());
}

#[test]
fn nothing_is_left_for_others() {
    // Put together here, so that this file does not find itself.
    let words = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "todo".to_owned() + "!(",
        "unimplemented".to_owned() + "!(",
    ];
    let mut faults = Vec::new();
    for (path, text) in all_rust_files() {
        for word in &words {
            if text.contains(word.as_str()) {
                faults.push(format!("{}: {word}", path.display()));
            }
        }
    }
    check(faults);
}

#[test]
fn tests_do_not_sleep_to_wait() {
    let sleep = "thread::".to_owned() + "sleep(";
    let found = rust_files("tests").into_iter().filter(|(_, text)| text.contains(&sleep));
    check(found.map(|(path, _)| format!("{}: sleeps", path.display())).collect());
}

#[test]
fn only_config_reads_files_and_the_environment() {
    // But for the tokens that clouds renew in files: upstream::credential reads them anew each time, without blocking.
    let mut faults = Vec::new();
    for (path, text) in rust_files("src") {
        let readers =
            ["src/config", "src/main.rs", "src/sim", "src/session/file.rs", "src/session/scripted.rs"];
        let allowed = readers.iter().any(|it| path.starts_with(it));
        let reads = ["std::fs::", "use std::fs", "env::var", "env::vars"];
        if !allowed && reads.iter().any(|it| without_tests(&text).contains(it)) {
            faults.push(format!("{}: reads files or the environment", path.display()));
        }
    }
    check(faults);
}

#[test]
fn only_rescue_makes_an_error_answer() {
    let makers = rust_files("src").into_iter().filter(|(path, text)| {
        let own = ["src/edge/rescue.rs", "src/api/error_body.rs"].iter().any(|it| path == Path::new(it));
        !own && without_tests(text).contains("error_json(")
    });
    check(makers.map(|(path, _)| format!("{}: makes an error answer", path.display())).collect());
}
