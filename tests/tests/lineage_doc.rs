//! Property: `docs/lineage.md` tells the truth: its shell blocks, run in order against a new node, print
//! exactly the text blocks that follow them.
//!
//! The block that starts the node is left out; the test's node stands in for it. With
//! `KEYVIZ_WRITE_DOC=1` the text blocks are written anew instead of compared.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keyviz_tests::process::{NodeSpec, binary};
use keyviz_tests::skipped;

/// What the page's commands need besides `keyviz`.
const TOOLS: [&str; 3] = ["bash", "curl", "awk"];
/// A line that no command prints, between the outputs of two blocks.
const NEXT: &str = "@@@ next block @@@";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/lineage.md")
}

/// A shell block and where the lines of the text block right behind it are, if there is one.
#[derive(Debug)]
struct Block {
    script: String,
    output: Option<std::ops::Range<usize>>,
}

fn blocks(lines: &[&str]) -> Vec<Block> {
    let end = |from: usize| (from..lines.len()).find(|&at| lines[at] == "```").unwrap();
    let mut blocks = Vec::new();
    for at in (0..lines.len()).filter(|&at| lines[at] == "```sh") {
        let script = lines[at + 1..end(at + 1)].join("\n");
        let after = (end(at + 1) + 1..lines.len()).find(|&at| !lines[at].is_empty());
        let output = after.filter(|&at| lines[at] == "```text").map(|at| at + 1..end(at + 1));
        if !script.contains("keyviz serve") {
            blocks.push(Block { script, output });
        }
    }
    blocks
}

/// What each script prints, all in one shell.
fn run(scripts: &[&str], folder: &Path, http: &str, grpc: &str) -> Vec<String> {
    let all = scripts.iter().map(|script| format!("{script}\necho '{NEXT}'\n")).collect::<String>();
    let all = all.replace("127.0.0.1:8080", http);
    std::os::unix::fs::symlink(binary("keyviz").parent().unwrap(), folder.join("bin")).unwrap();
    let mut command = Command::new("bash");
    command.args(["-e", "-u", "-o", "pipefail", "-c", &all]).current_dir(folder);
    command.env("KEYVIZ_ENDPOINT", grpc).env("RUST_LOG", "warn").stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{}\n{out}\n{err}", output.status);
    let mut outputs: Vec<String> = out.split(&format!("{NEXT}\n")).map(str::to_owned).collect();
    assert_eq!(outputs.pop().as_deref(), Some(""), "{out}");
    outputs
}

#[test]
fn every_output_of_the_page_comes_from_its_commands() {
    for tool in TOOLS {
        let mut command = Command::new(tool);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_err() {
            return skipped(&format!("there is no {tool}"));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = NodeSpec::new(folder.path()).with("--retention=36500d").with("--step=60s");
    let node = spec.start();
    let text = fs::read_to_string(document()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let blocks = blocks(&lines);
    assert!(blocks.iter().filter(|block| block.output.is_some()).count() > 5, "{blocks:?}");
    let scripts: Vec<&str> = blocks.iter().map(|block| block.script.as_str()).collect();
    let printed = run(&scripts, folder.path(), &node.http, &node.grpc);
    let mut fresh: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    for (block, printed) in blocks.iter().zip(&printed).rev() {
        match &block.output {
            Some(lines) => {
                fresh.splice(lines.clone(), printed.lines().map(|line| line.trim_end().to_owned()));
            }
            None => {
                assert_eq!(printed, "", "nothing is shown of what this prints: {}", block.script);
            }
        }
    }
    if std::env::var_os("KEYVIZ_WRITE_DOC").is_some() {
        fs::write(document(), fresh.join("\n") + "\n").unwrap();
        return;
    }
    for (at, (line, fresh)) in lines.iter().zip(&fresh).enumerate() {
        let near = &lines[at.saturating_sub(20)..at];
        assert_eq!(line, fresh, "line {} of docs/lineage.md, after\n{}", at + 1, near.join("\n"));
    }
    assert_eq!(lines.len(), fresh.len());
    spec.assert_no_panic();
}
