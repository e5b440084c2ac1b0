//! The page as a picture, taken by a headless Chromium.
//!
//! Responsible for: the address of a view that does not move (absolute times, not live), and the
//! browser's flags.
//! Must not: leave a profile behind.
//! Proof: `screenshot_test.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// What the browser is called, by system.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const PATIENCE: Duration = Duration::from_secs(60);
/// A window with a frame is resized for the picture, and the page may not be drawn again in time;
/// one that fills a screen of the wanted size has that size from the start.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--virtual-time-budget=8000",
    "--window-size=1440,900",
    "--screen-info={1440x900}",
    "--kiosk",
];

/// The page at `http`, showing `[from_ms, to_ms)`.
pub(super) fn address(http: SocketAddr, (from_ms, to_ms): (u64, u64)) -> String {
    format!("http://{http}/?series=writes&from={from_ms}&to={to_ms}")
}

/// The first browser on PATH.
pub(super) async fn browser() -> Option<&'static str> {
    for name in BROWSERS {
        let mut command = Command::new(name);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(name);
        }
    }
    None
}

/// Takes the picture.
///
/// # Errors
/// The browser fails, or no file is there afterwards.
pub(super) async fn take(browser: &str, url: &str, file: &Path) -> anyhow::Result<()> {
    let profile = tempfile::Builder::new().prefix("keyviz-demo-browser-").tempdir()?;
    let file = std::path::absolute(file)?;
    let mut screenshot = std::ffi::OsString::from("--screenshot=");
    screenshot.push(&file);
    let mut user_data = std::ffi::OsString::from("--user-data-dir=");
    user_data.push(profile.path());
    let mut command = Command::new(browser);
    command.args(FLAGS).arg(user_data).arg(screenshot).arg(url);
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let ended = ended.with_context(|| format!("{browser} took longer than {PATIENCE:?}"))?;
    let output = ended.with_context(|| format!("{browser} could not be started"))?;
    if !output.status.success() || !file.is_file() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{browser} took no picture ({}): {}",
            output.status,
            said.lines().next_back().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "screenshot_test.rs"]
mod screenshot_test;
