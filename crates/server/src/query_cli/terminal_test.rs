use super::*;

#[test]
fn sizes_are_lines_first() {
    assert_eq!(parse_size("24 80\n"), Some((80, 24)));
    assert_eq!(parse_size("0 0\n"), None);
    assert_eq!(parse_size("stty: not a terminal"), None);
    assert_eq!(parse_size(""), None);
}

#[test]
fn colours_only_where_they_are_wanted() {
    assert_eq!(auto(true, false, false), ColourMode::TrueColour);
    assert_eq!(auto(false, false, false), ColourMode::Plain);
    assert_eq!(auto(true, true, false), ColourMode::Plain);
    assert_eq!(auto(true, false, true), ColourMode::Plain);
}
