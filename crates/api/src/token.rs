//! Bearer tokens: what a token file says, and how a client shows one.
//!
//! Responsible for: reading the file, for the node (every token in it is valid, so that one can be
//! rotated in before another is rotated out) and for its clients (the first one is shown).
//! A line holds a token, or a name for the audit log and a token; `#` begins a comment.
//! Invariants: a token is never printed, logged or put into an error; a file that others than its owner
//! can reach is refused.
//! Must not: decide who may do what (that is the server's `auth`).
//! Proof: `token_test.rs`.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// The fewest bytes of a token: 32 hexadecimal digits are 128 bits.
pub const MIN_TOKEN_BYTES: usize = 32;
/// The most bytes of a token.
pub const MAX_TOKEN_BYTES: usize = 1_024;
const MAX_TOKENS: usize = 64;
const MAX_FILE_BYTES: u64 = 128 << 10;

/// One valid token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the audit log calls it: the name in the file, or `line N`.
    pub name: String,
    secret: String,
}

impl Token {
    /// What has to be shown, to compare in constant time and for nothing else.
    pub fn secret(&self) -> &[u8] {
        self.secret.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a token file cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages name the fields
pub enum TokenError {
    #[error("token file {}: it cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "token file {}: others than its owner can reach it (mode {mode:03o}); say `chmod 600` and use new tokens",
        path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("token file {}: {problem}", path.display())]
    Content { path: PathBuf, problem: &'static str },
    #[error("token file {}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: &'static str },
}

/// The tokens of a file, in its order; at least one.
///
/// # Errors
/// See [`TokenError`].
pub fn read_file(path: &Path) -> Result<Vec<Token>, TokenError> {
    let cannot = |source| TokenError::Read { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.by_ref().take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(TokenError::Content { path: path.to_owned(), problem: "it is too large" });
    }
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Token>, TokenError> {
    let mut tokens: Vec<Token> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let refuse = |problem| TokenError::Line { path: path.to_owned(), line, problem };
        let content = content.split('#').next().unwrap_or_default();
        let words: Vec<&str> = content.split_ascii_whitespace().collect();
        let (name, secret) = match words[..] {
            [] => continue,
            [secret] => (format!("line {line}"), secret),
            [name, secret] => (name.to_owned(), secret),
            _ => return Err(refuse("it has more than a name and a token")),
        };
        if name.len() >= MIN_TOKEN_BYTES {
            return Err(refuse(
                "a name has less than 32 characters; are there two tokens in the line?",
            ));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("a token is of printable ASCII"));
        }
        if secret.len() < MIN_TOKEN_BYTES {
            return Err(refuse(
                "a token has at least 32 characters; `openssl rand -hex 32` makes one",
            ));
        }
        if secret.len() > MAX_TOKEN_BYTES {
            return Err(refuse("a token has at most 1,024 characters"));
        }
        if tokens.iter().any(|token| token.secret == secret) {
            return Err(refuse("the token stands above already"));
        }
        if tokens.len() == MAX_TOKENS {
            return Err(refuse("there are more than 64 tokens"));
        }
        tokens.push(Token { name, secret: secret.to_owned() });
    }
    if tokens.is_empty() {
        return Err(TokenError::Content {
            path: path.to_owned(),
            problem: "it holds no token; `openssl rand -hex 32` makes one",
        });
    }
    Ok(tokens)
}

/// The `authorization` that a client shows, if it has a token.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// Shows the first token of a file; nothing without one. The file is read now: read it again at a
    /// new connection, and a rotation needs no restart.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn from_file(path: Option<&Path>) -> Result<Self, TokenError> {
        let Some(path) = path else { return Ok(Self(None)) };
        let tokens = read_file(path)?;
        let value =
            tokens.first().and_then(|token| format!("Bearer {}", token.secret).parse().ok());
        let mut value: MetadataValue<Ascii> = value.ok_or_else(|| TokenError::Content {
            path: path.to_owned(),
            problem: "its first token cannot be sent",
        })?;
        // Kept out of what is logged of a request.
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// The value of an HTTP `Authorization` header.
    pub fn header(&self) -> Option<&str> {
        self.0.as_ref()?.to_str().ok()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
#[path = "token_test.rs"]
mod token_test;
