use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

async fn start(folder: &Path, script: &str) -> anyhow::Result<(Process, String)> {
    Process::start("it", shell(script), &folder.join("log"), "ready: ").await
}

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_ok()
}

#[tokio::test]
async fn a_process_is_heard_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'exit 0' TERM; echo ready: port 7; while :; do sleep 0.05; done";
    let (process, said) = start(folder.path(), script).await.unwrap();
    assert_eq!(said, "port 7");
    let pid = process.pid();
    assert!(is_alive(pid));
    process.stop().await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_bad_end_is_an_error_with_the_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "trap 'echo out of luck >&2; exit 3' TERM; echo 'ready: '; while :; do sleep 0.05; done";
    let (mut process, _) = start(folder.path(), script).await.unwrap();
    assert_eq!(process.obituary(), None);
    let error = process.stop().await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("out of luck"), "{error}");
}

#[tokio::test]
async fn one_that_ends_on_its_own_leaves_an_obituary() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = start(folder.path(), "echo 'ready: '; exit 7").await.unwrap();
    while process.obituary().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(process.obituary().unwrap(), "it ended on its own (exit status: 7)");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = start(folder.path(), "echo no room >&2; exit 1").await.unwrap_err().to_string();
    assert!(error.contains("exit status: 1") && error.contains("no room"), "{error}");
    let error = start(folder.path(), "echo hello; exec sleep 60").await.unwrap_err().to_string();
    assert!(error.contains("hello"), "{error}");
}

#[tokio::test]
async fn a_kill_and_a_drop_end_it_and_one_that_is_left_stays() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo 'ready: '; exec sleep 60";
    let (process, _) = start(folder.path(), script).await.unwrap();
    let pid = process.pid();
    process.kill().await.unwrap();
    assert!(!is_alive(pid));

    let (process, _) = start(folder.path(), script).await.unwrap();
    let pid = process.pid();
    process.leave_running();
    assert!(is_alive(pid));
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();

    let (process, _) = start(folder.path(), script).await.unwrap();
    let path = format!("/proc/{}/cmdline", process.pid());
    drop(process);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // A zombie has no command line.
        if std::fs::read(&path).unwrap_or_default().is_empty() {
            return;
        }
    }
    panic!("still there");
}
