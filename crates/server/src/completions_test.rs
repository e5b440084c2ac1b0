use super::*;
use clap::{CommandFactory as _, ValueEnum as _};

#[test]
fn every_shell_gets_every_command() {
    for shell in Shell::value_variants() {
        let mut text = Vec::new();
        clap_complete::generate(*shell, &mut crate::Cli::command(), "keyviz", &mut text);
        let text = String::from_utf8(text).unwrap();
        for command in crate::Cli::command().get_subcommands() {
            assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    write_manual(&ManArgs { dir: dir.clone() }, crate::Cli::command()).unwrap();
    for command in crate::Cli::command().get_subcommands() {
        let page = dir.join(format!("keyviz-{}.1", command.get_name()));
        assert!(std::fs::read_to_string(&page).unwrap().contains(".SH"), "{}", page.display());
    }
    let file = dir.join("keyviz.1");
    let nowhere = write_manual(&ManArgs { dir: file.join("deeper") }, crate::Cli::command());
    assert!(nowhere.unwrap_err().to_string().contains("keyviz.1"), "the folder is named");
}
