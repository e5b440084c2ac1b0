//! Generated wire types, their conversions, and the client that sends columns.
//!
//! Responsible for: `proto/` as Rust ([`wire`]), wire <-> domain ([`convert`]), the ordered stream
//! with its resend buffer ([`client`]), the tokens that clients show ([`token`]), how they reach a node, in
//! plain or over TLS ([`tls`]), and the one place that asks the machine for time and randomness
//! ([`ambient`]).
//! Must not: know how anything is stored.

pub mod ambient;
pub mod client;
pub mod convert;
pub mod tls;
pub mod token;

/// The generated messages and services.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
pub mod wire {
    /// `keyviz.ingest.v1`
    pub mod ingest {
        tonic::include_proto!("keyviz.ingest.v1");
    }
    /// `keyviz.history.v1`
    pub mod history {
        tonic::include_proto!("keyviz.history.v1");
    }
    /// `Admin`, which has no package.
    pub mod admin {
        tonic::include_proto!("_");
    }
    /// Every file's descriptor, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
