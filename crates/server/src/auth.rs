//! Who may ask what: bearer tokens for reading and for writing, the same on both ports.
//!
//! | asked for | needs |
//! |---|---|
//! | `/healthz`, `/readyz`, the page's own files, `grpc.health.v1` | nothing |
//! | `GET` and `HEAD`, every gRPC call that answers | a read or a write token |
//! | everything else | a write token |
//!
//! Where client certificates are asked for (`tls`), who has shown none gets no further than the first line,
//! and without token files a certificate lets into everything. Without either nobody is asked (and the
//! ports stay on loopback, see `config`). Every token of a
//! file is valid, so that a new one can be rotated in before an old one goes; a file that changes is
//! read again within a second, and one that cannot be read any more leaves the old tokens in force.
//! Invariants: tokens are compared in constant time, all of them each time; none is logged; every
//! refusal (of one address ten, then one a second) and every write is told on the log's target
//! `keyviz::audit`; what is asked for without a
//! token learns nothing, not even whether the path exists.
//! Must not: know HTTP or gRPC (see `http::door` and `grpc`).
//! Proof: `auth_test.rs`, and `tests/tests/auth.rs` with real processes.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use keyviz_api::token::{Token, TokenError, read_file};
use subtle::{Choice, ConstantTimeEq as _};

use crate::followed::Followed;
use crate::listen::Peer;

/// How often a token file is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Refusals of one peer that are answered one by one before it is told to slow down.
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;
/// Peers that refusals are remembered of.
const MAX_PEERS: usize = 4_096;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Why nobody gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No certificate was shown.
    NoCertificate,
    /// No token was shown.
    Missing,
    /// It is not one of the valid ones.
    Unknown,
    /// A read token, and writing was asked for.
    ReadOnly,
    /// One of the above, too often.
    TooMany,
}

impl Refusal {
    /// Every reason, with the name that metrics and the audit log give it.
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::NoCertificate, "no_certificate"),
        (Self::Missing, "missing"),
        (Self::Unknown, "unknown"),
        (Self::ReadOnly, "read_only"),
        (Self::TooMany, "too_many"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(refusal, _)| *refusal == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => {
                "this node asks for a client certificate (--tls-cert-file and --tls-key-file for keyviz's own tools)"
            }
            Self::Missing => {
                "this node asks for a token: send `Authorization: Bearer TOKEN` (--token-file for keyviz's own tools)"
            }
            Self::Unknown => "the token is not one of this node's; was it rotated out?",
            Self::ReadOnly => "this token may only read; a write token is needed",
            Self::TooMany => "too many refused requests from this address; wait a second",
        })
    }
}

/// A token file, followed.
struct Tokens {
    path: PathBuf,
    valid: Followed<Vec<Token>>,
}

impl Tokens {
    fn open(path: &Path) -> Result<Self, TokenError> {
        let valid = Followed::open(vec![path.to_owned()], || read_file(path))?;
        Ok(Self { path: path.to_owned(), valid })
    }

    fn follow(&self) {
        match self.valid.follow(|| read_file(&self.path)) {
            None => {}
            Some(Ok(tokens)) => {
                let names: Vec<&str> = tokens.iter().map(|token| token.name.as_str()).collect();
                tracing::info!(target: "keyviz::audit", path = %self.path.display(), ?names, "tokens are read again");
            }
            Some(Err(error)) => tracing::error!(%error, "the tokens from before stay in force"),
        }
    }

    /// The name of the token that was shown, if it is valid. Looks at every one.
    fn find(&self, shown: &[u8]) -> Option<String> {
        let valid = self.valid.load();
        let equal: Vec<Choice> = valid.iter().map(|token| token.secret().ct_eq(shown)).collect();
        let at = equal.into_iter().position(bool::from)?;
        Some(valid[at].name.clone())
    }
}

/// Both ports' door.
pub(crate) struct Auth {
    tokens: Option<Both>,
    /// Whether who comes has to have shown a certificate; TLS has verified it.
    asks_certificate: bool,
    refusals: DefaultKeyedRateLimiter<IpAddr>,
    refused: [AtomicU64; Refusal::ALL.len()],
}

struct Both {
    read: Option<Tokens>,
    write: Tokens,
}

impl Auth {
    /// Asks for the tokens of these files; without any, nobody.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn open(
        read: Option<&Path>,
        write: Option<&Path>,
        asks_certificate: bool,
    ) -> Result<Self, TokenError> {
        let open = |write| {
            Ok(Both { read: read.map(Tokens::open).transpose()?, write: Tokens::open(write)? })
        };
        let quota = Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSALS_AT_ONCE);
        Ok(Self {
            tokens: write.map(open).transpose()?,
            asks_certificate,
            refusals: RateLimiter::keyed(quota),
            refused: Default::default(),
        })
    }

    /// Follows the files for as long as it runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        let Some(both) = &self.tokens else { return };
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            both.read.iter().chain([&both.write]).for_each(Tokens::follow);
        }
    }

    /// How often each reason was given.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        Refusal::ALL.iter().map(|(_, name)| *name).zip(counts)
    }

    /// Lets in who shows what is asked for. `what` is told to the audit log: the method and the path.
    pub(crate) fn admit(
        &self,
        access: Access,
        peer: Option<Peer>,
        authorization: Option<&[u8]>,
        what: fmt::Arguments<'_>,
    ) -> Result<(), Refusal> {
        let address = peer.map(|peer| peer.address);
        match self.judge(access, peer, authorization) {
            Ok(None) => Ok(()),
            Ok(Some(name)) => {
                if access == Access::Write {
                    tracing::info!(target: "keyviz::audit", token = name, peer = ?address, %what, "write");
                }
                Ok(())
            }
            Err(refusal) => {
                let refusal = if self.is_patient(address) { refusal } else { Refusal::TooMany };
                if refusal != Refusal::TooMany {
                    let why = refusal.name();
                    tracing::warn!(target: "keyviz::audit", why, peer = ?address, %what, "refused");
                }
                let at = Refusal::ALL.iter().position(|(one, _)| *one == refusal);
                let count = at.and_then(|at| self.refused.get(at));
                let _ = count.map(|count| count.fetch_add(1, Ordering::Relaxed));
                Err(refusal)
            }
        }
    }

    /// The name of what lets in; `None` where nobody is asked.
    fn judge(
        &self,
        access: Access,
        peer: Option<Peer>,
        authorization: Option<&[u8]>,
    ) -> Result<Option<String>, Refusal> {
        if self.asks_certificate && !peer.is_some_and(|peer| peer.is_certified) {
            return Err(Refusal::NoCertificate);
        }
        match &self.tokens {
            Some(both) => both.judge(access, authorization).map(Some),
            None => Ok(self.asks_certificate.then(|| "a client certificate".to_owned())),
        }
    }

    /// Whether a peer has not been refused too often of late. Who is let in is never asked.
    fn is_patient(&self, peer: Option<SocketAddr>) -> bool {
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| neighbourhood(peer.ip()));
        if self.refusals.len() > MAX_PEERS {
            self.refusals.retain_recent();
        }
        // More than can be remembered: one budget for all that are new.
        let peer =
            if self.refusals.len() > MAX_PEERS { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { peer };
        self.refusals.check_key(&peer).is_ok()
    }
}

impl Both {
    /// The name of the token that lets in.
    fn judge(&self, access: Access, authorization: Option<&[u8]>) -> Result<String, Refusal> {
        let shown = authorization.ok_or(Refusal::Missing)?;
        let scheme = shown.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let shown = scheme.and_then(|_| shown.get(7..)).ok_or(Refusal::Unknown)?;
        let writer = self.write.find(shown);
        let reader = self.read.as_ref().and_then(|read| read.find(shown));
        match (access, writer, reader) {
            (_, Some(name), _) | (Access::Read, None, Some(name)) => Ok(name),
            (Access::Write, None, Some(_)) => Err(Refusal::ReadOnly),
            (_, None, None) => Err(Refusal::Unknown),
        }
    }
}

/// An IPv6 host has a whole /64 to speak from.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
#[path = "auth_test.rs"]
mod auth_test;
