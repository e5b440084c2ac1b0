//! `keyviz`: the history service and its tools.
//!
//! Each subcommand is one module; this file only names them.

mod adapters;
mod admin_cli;
mod asked_node;
mod auth;
mod biography;
mod cluster;
mod colours;
mod completions;
mod config;
mod demo;
mod followed;
mod grpc;
mod hot_keys;
mod hot_keys_cli;
mod http;
mod http_client;
mod id_cli;
mod lineage_cli;
mod listen;
mod measured;
mod node;
mod profile;
mod query_cli;
mod queue;
mod reopen;
mod replay;
mod report;
mod serve;
mod shown_token;
mod tls;
mod tools;
mod top;
mod top_cli;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use config::LogFormat;

/// Which keys were hot, minute by minute, through every split, merge, move and restart since.
#[derive(Parser)]
#[command(name = "keyviz", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node: take columns, keep history, answer
    Serve(config::ServeArgs),
    /// Turn timestamped accesses from a file into history
    Replay(replay::ReplayArgs),
    /// Show time x key range as a terminal heatmap, JSON or CSV
    Query(query_cli::QueryArgs),
    /// Tell where a range came from and what became of it
    Lineage(lineage_cli::LineageArgs),
    /// Name the most frequent keys of the last windows
    #[command(name = "hotkeys")]
    HotKeys(hot_keys_cli::HotKeysArgs),
    /// Name the ranges with the most traffic, or that changed the most
    Top(top_cli::TopArgs),
    /// List splits, merges, moves, changes of leader, and windows that nobody recorded
    Events(admin_cli::EventsArgs),
    /// Write one file for the post-mortem: the picture, the busiest ranges, what happened
    Report(report::ReportArgs),
    /// Say how a running node is; 0: well, 1: there are warnings, 2: not ready or not there
    Status(admin_cli::StatusArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual, one page a command
    Man(completions::ManArgs),
    /// Derive a lineage id, or tell what an id says
    Id(id_cli::IdArgs),
    /// Read everything in a data folder and say what is wrong, without changing a byte
    Check(tools::check::CheckArgs),
    /// Set aside what does not decode, so that a node starts and answers with the rest
    Repair(tools::repair::RepairArgs),
    /// Say what takes the space in a data folder
    Stats(tools::stats::StatsArgs),
    /// Look into the write-ahead log of a stopped node, without changing a byte
    Wal(tools::wal::WalArgs),
    /// Rewrite the files of a stopped node into one level
    Compact(tools::compact::CompactArgs),
    /// Take a backup of a stopped folder or a running node; list and verify backups
    Backup(tools::backup::BackupArgs),
    /// Make a data folder of a backup, and read all of it
    Restore(tools::restore::RestoreArgs),
    /// Show how garbage collection stands, or tell it that the clock is right
    Gc(admin_cli::GcArgs),
    /// Keep a past window beyond the retention
    Pin(admin_cli::PinArgs),
    /// List what is kept beyond the retention, or export it
    Pins(admin_cli::PinsArgs),
    /// No longer keep a window beyond the retention
    Unpin(admin_cli::UnpinArgs),
    /// Show the main job: live traffic, a split, a merge, kill -9, every count compared
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let parsed = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let ended = match parsed.command {
        Command::Serve(args) => {
            serve_command(args, matches.subcommand().map(|(_, matches)| matches))
        }
        Command::Replay(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(replay::run(args))
        }
        Command::Query(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(query_cli::run(args))
        }
        Command::Lineage(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(lineage_cli::run(args))
        }
        Command::HotKeys(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(hot_keys_cli::run(args))
        }
        Command::Top(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(top_cli::run(args))
        }
        Command::Events(args) => block_on(admin_cli::events(args)),
        Command::Report(args) => block_on(report::run(args)),
        Command::Status(args) => return exit_code(block_on(admin_cli::status(args))),
        Command::Completions(args) => completions::print(&args, Cli::command()),
        Command::Man(args) => completions::write_manual(&args, Cli::command()),
        Command::Id(args) => id_cli::run(&args),
        Command::Check(args) => return exit_code(tools::check::run(&args)),
        Command::Repair(args) => return exit_code(tools::repair::run(&args)),
        Command::Stats(args) => return exit_code(tools::stats::run(&args)),
        Command::Wal(args) => return exit_code(tools::wal::run(&args)),
        Command::Compact(args) => return exit_code(tools::compact::run(&args)),
        Command::Backup(args) => return exit_code(block_on(tools::backup::run(args))),
        Command::Restore(args) => return exit_code(tools::restore::run(&args)),
        Command::Gc(args) => block_on(admin_cli::gc(args)),
        Command::Pin(args) => block_on(admin_cli::pin(args)),
        Command::Pins(args) => block_on(admin_cli::pins(args)),
        Command::Unpin(args) => block_on(admin_cli::unpin(args)),
        Command::Demo(args) => {
            log_to_stderr(LogFormat::Text);
            block_on(demo::run(args))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keyviz: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Of a tool: its own, or 2 when it could not do its work.
fn exit_code(ended: anyhow::Result<ExitCode>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        eprintln!("keyviz: {}", in_one_line(&error));
        ExitCode::from(2)
    })
}

fn serve_command(
    args: config::ServeArgs,
    matches: Option<&clap::ArgMatches>,
) -> anyhow::Result<()> {
    let matches = matches.ok_or_else(|| anyhow::anyhow!("the subcommand is missing"))?;
    let config = args.settle(matches)?;
    if let Some(print) = &config.print {
        println!("{print}");
        return Ok(());
    }
    log_to_stderr(config.log);
    block_on(serve::run(config))
}

/// An error and its causes, without repeating a cause that the message above it ends with.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(task)
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
