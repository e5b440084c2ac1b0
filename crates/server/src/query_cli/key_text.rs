//! Keys and other strangers' text, made fit to be shown, and keys as people type them.
//!
//! Responsible for: one form for the terminal ([`label`], [`inert`]) and one that can be given back
//! to `--start` and `--end` ([`exact`], [`Key`]).
//! Invariants: nothing that comes out holds control, bidirectional, invisible or combining
//! characters; what goes to the terminal also has a width that is known for certain.
//! Must not: know rows or answers.
//! Proof: `key_text_test.rs`.

use std::fmt::Write as _;
use std::str::FromStr;

/// A key bound from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).map(Self).map_err(|error| {
                format!(
                    "after 0x come pairs of hexadecimal digits ({error}); a key whose text begins \
                     with 0x is given in hex too"
                )
            }),
            None => Ok(Self(text.as_bytes().to_vec())),
        }
    }
}

/// Clean text as it is, anything else as `0x` and hex. [`Key`] reads it back to the same bytes.
pub(crate) fn exact(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.starts_with("0x") && !text.chars().any(is_hidden) => text.to_owned(),
        _ => format!("0x{}", hex::encode(key)),
    }
}

/// Longer keys keep their head and their tail, so that a hostile key costs no more than a long one.
const HEAD_BYTES: usize = 160;
const TAIL_BYTES: usize = 48;

/// A key for the terminal: printable text with `\xNN` for what is not, or `0x...` when most of it
/// is not text. At most `columns` wide; what is cut out of the middle leaves a `…`.
pub(crate) fn label(key: &[u8], columns: usize) -> String {
    let (head, tail) = if key.len() > HEAD_BYTES + TAIL_BYTES {
        (&key[..HEAD_BYTES], &key[key.len() - TAIL_BYTES..])
    } else {
        (key, &[][..])
    };
    let (mut text, mut clean) = escape(head);
    if !tail.is_empty() {
        let (tail_text, tail_clean) = escape(tail);
        text.push('…');
        text.push_str(&tail_text);
        clean += tail_clean;
    }
    if !key.is_empty() && clean * 2 <= head.len() + tail.len() {
        text = format!("0x{}", hex::encode(head));
        if !tail.is_empty() {
            text.push('…');
            text.push_str(&hex::encode(tail));
        }
    }
    middle(&text, columns)
}

/// The printable form of some bytes, and how many of them were clean.
fn escape(bytes: &[u8]) -> (String, usize) {
    let mut text = String::with_capacity(bytes.len());
    let mut clean = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                shown if is_certain(shown) => text.push(shown),
                _ => {
                    let mut buffer = [0; 4];
                    push_escaped(&mut text, character.encode_utf8(&mut buffer).as_bytes());
                    continue;
                }
            }
            clean += character.len_utf8();
        }
        push_escaped(&mut text, chunk.invalid());
    }
    (text, clean)
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // invariant: writing to a string does not fail
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Words from a node (warnings, refusals, flag names) for the terminal: what is unfit becomes `�`.
pub(crate) fn inert(text: &str) -> String {
    text.chars().take(2_000).map(inert_character).collect()
}

/// One line of a tree from a node: as [`inert`], but with the characters that draw it.
pub(crate) fn inert_drawing(line: &str) -> String {
    let draws = |character| matches!(character, '├' | '└' | '─' | '│' | '▼');
    let one = |shown| if draws(shown) { shown } else { inert_character(shown) };
    line.chars().take(2_000).map(one).collect()
}

fn inert_character(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        shown if is_certain(shown) => shown,
        _ => '\u{fffd}',
    }
}

/// At most `columns` wide, cut in the middle so that a common prefix and what differs both stay.
pub(crate) fn middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let head = fitting(text.chars(), room.div_ceil(2));
    let tail = fitting(text.chars().rev(), room - head.1);
    let tail: String = tail.0.chars().rev().collect();
    format!("{}…{tail}", head.0)
}

fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> (String, usize) {
    let mut used = 0;
    let text = characters
        .take_while(|&character| {
            used += character_width(character);
            used <= columns
        })
        .collect::<String>();
    let taken = width(&text);
    (text, taken)
}

/// Columns on the terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

fn character_width(character: char) -> usize {
    if is_wide(character) { 2 } else { 1 }
}

/// Blocks that every terminal shows two columns wide.
fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x1100..=0x115e | 0x2e80..=0x303e | 0x3041..=0x3247 | 0x3250..=0x4dbf | 0x4e00..=0xa4cf
        | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xff01..=0xff60 | 0xffe0..=0xffe6
        | 0x2_0000..=0x3_fffd)
}

/// Visible, and of a width that terminals agree on: Latin to Arabic, Georgian, extended Latin and
/// Greek, punctuation of node messages, and the wide blocks. Emoji and the like are not.
fn is_certain(character: char) -> bool {
    let letters = 0xa1..=0x6ff;
    let narrow = matches!(u32::from(character), 0x20..=0x7e | 0x10a0..=0x10ff | 0x1e00..=0x1fff)
        || letters.contains(&u32::from(character))
        || matches!(character, '…' | '–' | '—' | '‘' | '’' | '“' | '”' | '€' | '\u{fffd}');
    (narrow || is_wide(character)) && !is_hidden(character)
}

/// Control, format (bidi, zero width), private, unassigned and combining characters, spaces other
/// than the space, and letters that are drawn as nothing.
fn is_hidden(character: char) -> bool {
    // The standard library escapes exactly the unprintable and the combining, besides quoting.
    let quoted = matches!(character, '\\' | '\'' | '"');
    (!quoted && character.escape_debug().len() > 1)
        || matches!(u32::from(character),
            0x34f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x2800 | 0x3164
            | 0xfe00..=0xfe0f | 0xffa0 | 0xe_0000..=0xe_0fff)
}

#[cfg(test)]
#[path = "key_text_test.rs"]
mod key_text_test;
