use std::os::unix::fs::PermissionsExt as _;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn parsed(text: &str) -> Result<Vec<Token>, String> {
    parse(text, Path::new("tokens")).map_err(|error| error.to_string())
}

#[test]
fn a_line_is_a_token_or_a_name_and_a_token() {
    let text = format!("# who may read\n\n  {SECRET}  # the old one\ngrafana\t{SECRET}x\r\n");
    let tokens = parsed(&text).unwrap();
    let told: Vec<_> = tokens.iter().map(|t| (t.name.as_str(), t.secret.as_str())).collect();
    assert_eq!(told, [("line 3", SECRET), ("grafana", &format!("{SECRET}x"))]);
    assert!(!format!("{tokens:?}").contains(SECRET), "a token is never printed");
}

#[test]
fn what_cannot_be_used_names_the_line_and_never_the_token() {
    let many: String = (0..65).map(|n| format!("{SECRET}{n:02}\n")).collect();
    for (text, expected) in [
        ("\n# nothing\n".to_owned(), "it holds no token"),
        (format!("{SECRET}\nshort-token"), "line 2: a token has at least 32 characters"),
        (format!("a b {SECRET}"), "line 1: it has more than a name"),
        (format!("{SECRET} {SECRET}x"), "line 1: a name has less than 32"),
        (format!("{SECRET}ä"), "line 1: a token is of printable ASCII"),
        (format!("x {SECRET}\ny {SECRET}"), "line 2: the token stands above"),
        ("z".repeat(1_025), "line 1: a token has at most 1,024"),
        (many, "line 65: there are more than 64 tokens"),
    ] {
        let said = parsed(&text).unwrap_err();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains(SECRET) && !said.contains("short-token"), "{said}");
    }
}

#[test]
fn a_file_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, SECRET).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = read_file(&path).unwrap_err().to_string();
    assert!(said.contains("mode 640") && said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_file(&path).unwrap().len(), 1);
    let bearer = Bearer::from_file(Some(&path)).unwrap();
    assert_eq!(bearer.header(), Some(format!("Bearer {SECRET}").as_str()));
    assert!(!format!("{bearer:?}").contains(SECRET));
    let missing = read_file(&folder.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("none: it cannot be read"), "{missing}");
}
