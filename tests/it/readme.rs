//! The README's examples work as printed: each section's commands run against a gateway with that section's configuration,
//! and print what the README says they print.

use std::path::Path;

use tokio::process::Command;

use crate::support::gateway::Gateway;
use crate::support::within;

/// A fenced block: its language and its text.
type Block = (String, String);

/// The sections of the README that have a command to run, by their titles.
fn sections() -> Vec<(String, Vec<Block>)> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let with_blocks = readme.split("\n## ").map(|section| {
        let title = section.lines().next().unwrap().to_owned();
        let fenced = section.split("\n```").skip(1).step_by(2);
        let blocks = fenced.map(|it| {
            let (language, text) = it.split_once('\n').unwrap();
            (language.to_owned(), text.to_owned())
        });
        (title, blocks.collect::<Vec<Block>>())
    });
    with_blocks.filter(|(_, blocks)| blocks.iter().any(|(language, _)| language == "sh")).collect()
}

/// Runs the commands of one block beside `gateway`'s configuration and returns what they print.
async fn run(gateway: &Gateway, commands: &str) -> String {
    let folder = gateway.config_path().parent().unwrap().to_owned();
    let commands = commands
        .replace("127.0.0.1:8080", &gateway.calls.to_string())
        .replace("127.0.0.1:8081", &gateway.admin.to_string())
        .replace("tollgate ", concat!(env!("CARGO_BIN_EXE_tollgate"), " "));
    let done = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .output();
    let done = within("the README's commands end", done).await.unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{commands}\n{printed}{}", String::from_utf8_lossy(&done.stderr));
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_readme_prints_what_it_says() {
    let mut compared = 0;
    for (title, blocks) in sections() {
        let yaml =
            blocks.iter().find(|(language, _)| language == "yaml").map_or("", |(_, text)| text.as_str());
        let gateway = Gateway::start(yaml).await;
        let mut printed = None;
        for (language, text) in &blocks {
            match (language.as_str(), &printed) {
                ("sh", _) => printed = Some(run(&gateway, text).await),
                ("text", Some(printed)) => {
                    for line in text.lines() {
                        assert!(printed.contains(line), "{title}: `{line}` is not in\n{printed}");
                        compared += 1;
                    }
                }
                _ => {}
            }
        }
    }
    assert!(compared > 20, "only {compared} lines of the README were compared");
}
