//! The raw texts of an object's values in a line of JSON.
//!
//! Responsible for: finding a member and returning its value exactly as written, so that a number
//! keeps every digit (a JSON parser would turn `1700000000.123456789` into a float).
//! Invariants: the line was checked to be JSON before; on anything else these functions return
//! nonsense or nothing, but do not panic and need no stack or heap for depth.
//! Must not: check JSON; `serde_json` does that before, and decodes the strings.
//! Proved by: `json_text_test.rs` (compared with `serde_json` on random objects).

use std::borrow::Cow;

#[cfg(test)]
#[path = "json_text_test.rs"]
mod tests;

/// The value at `path`, as written: a member of that very name, or else the path's parts (at its
/// dots) from object to object. Of members with the same name the last one counts.
pub(super) fn lookup<'a>(object: &'a str, path: &str) -> Option<&'a str> {
    let (mut object, mut path) = (object, path);
    loop {
        if let Some(value) = member(object, path) {
            return Some(value);
        }
        let (head, rest) = path.split_once('.')?;
        object = member(object, head).filter(|value| value.starts_with('{'))?;
        path = rest;
    }
}

/// The names of an object's members, in their order.
pub(super) fn names(object: &str) -> impl Iterator<Item = Cow<'_, str>> {
    Members::new(object).filter_map(|(name, _)| decode_string(name))
}

/// The text of a string, given with its quotes; `None` if an escape in it means nothing.
pub(super) fn decode_string(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    Members::new(object)
        .filter(|(quoted, _)| decode_string(quoted).is_some_and(|text| text == name))
        .last()
        .map(|(_, value)| value)
}

/// The members of an object as (quoted name, value).
struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    fn new(object: &'a str) -> Members<'a> {
        let start = object.find('{').map_or(object.len(), |at| at + 1);
        Members { text: object, at: start }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The first byte from `at` on that is neither white space nor `skipped`.
    fn skip_space_and(&self, mut at: usize, skipped: u8) -> usize {
        while self.byte(at).is_some_and(|b| b == skipped || b.is_ascii_whitespace()) {
            at += 1;
        }
        at
    }

    /// The end of the string that starts at `at`.
    fn string_end(&self, mut at: usize) -> Option<usize> {
        loop {
            at += 1;
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += 1,
                _ => {}
            }
        }
    }

    /// The end of the value that starts at `at`.
    fn value_end(&self, mut at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        loop {
            match self.byte(at)? {
                b'"' => {
                    at = self.string_end(at)?;
                    if depth == 0 {
                        return Some(at);
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return Some(at),
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                byte if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let name_start = self.skip_space_and(self.at, b',');
        if self.byte(name_start)? != b'"' {
            return None;
        }
        let name_end = self.string_end(name_start)?;
        let value_start = self.skip_space_and(name_end, b':');
        let value_end = self.value_end(value_start)?;
        self.at = value_end;
        Some((self.text.get(name_start..name_end)?, self.text.get(value_start..value_end)?))
    }
}
