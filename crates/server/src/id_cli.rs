//! `keyviz id`: lineage ids, derived and explained, for people who debug.
//!
//! Responsible for: the flags, and what the bits of an id say in words. The bits themselves are
//! `keyviz_lineage::id`'s.
//! Must not: ask a node, or read a clock.
//! Proof: `id_cli_test.rs` (with the vectors of the contract), and `tests/tests/lineage_cli.rs`.

use std::io::{self, Write};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use keyviz_lineage::{GroupId, Hlc, LineageId, ProposalId, id};
use serde_json::{Value, json};
use uuid::{Uuid, Variant};

use crate::node::rfc3339;

/// Bits of an id that come from the digest.
const TAIL_BITS: u32 = 58;
/// What a row of several ranges is called in an answer.
const VIRTUAL: &str = "virtual:";

/// Derive a lineage id from what made it, or tell what an id says.
#[derive(Args, Clone, Debug)]
pub(crate) struct IdArgs {
    #[command(subcommand)]
    command: IdCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum IdCommand {
    /// Print the id of a lineage that a command creates
    Derive(DeriveArgs),
    /// Tell what an id says: when and by whom it was made
    Explain(ExplainArgs),
}

#[derive(Args, Clone, Debug)]
struct DeriveArgs {
    /// The command's HLC: a whole number (Unix milliseconds in the high 48 bits, a logical counter in
    /// the low 16), or milliseconds and counter as in 1750000000000.7.
    #[arg(long, value_name = "N", value_parser = hlc)]
    hlc: Hlc,
    /// The group that the command changes.
    #[arg(long, value_name = "G", value_parser = group)]
    group: GroupId,
    /// The command's proposal id: 16 bytes in hex, or written as a UUID.
    #[arg(long, value_name = "HEX")]
    proposal: Proposal,
    /// Which of the lineages that the command creates; children count in key order, from 0.
    #[arg(long, value_name = "I", default_value_t = 0)]
    ordinal: u64,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Args, Clone, Debug)]
struct ExplainArgs {
    /// A UUID, as in a lineage record or in a row's `virtual:<id>`.
    #[arg(value_name = "UUID", value_parser = uuid)]
    id: Uuid,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proposal(ProposalId);

impl FromStr for Proposal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = match text.len() {
            36 => Uuid::parse_str(text).map_err(|error| error.to_string())?.simple().to_string(),
            _ => text.to_owned(),
        };
        let bytes = hex::decode(&digits).map_err(|error| {
            format!("a proposal id is 32 hexadecimal digits (16 bytes): {error}")
        })?;
        let count = bytes.len();
        bytes.try_into().map(Self).map_err(|_| {
            format!("a proposal id is 16 bytes (32 hexadecimal digits), and this is {count}")
        })
    }
}

fn hlc(text: &str) -> Result<Hlc, String> {
    let wrong = "an HLC is a whole number below 2^64, or milliseconds and a counter below 65536 as \
                 in 1750000000000.7";
    match text.split_once('.') {
        None => text.parse().map(Hlc).map_err(|_| wrong.to_owned()),
        Some((unix_ms, logical)) => {
            let unix_ms = unix_ms.parse().ok().filter(|&unix_ms: &u64| unix_ms < 1 << 48);
            let parts = unix_ms.zip(logical.parse().ok());
            parts
                .map(|(unix_ms, logical)| Hlc::new(unix_ms, logical))
                .ok_or_else(|| wrong.to_owned())
        }
    }
}

fn group(text: &str) -> Result<GroupId, String> {
    match text.parse() {
        Ok(0) => Err("group 0 is reserved; group ids are non-zero".to_owned()),
        Ok(group) => Ok(group),
        Err(_) => Err("a group id is a whole number from 1 to 2^64 - 1".to_owned()),
    }
}

fn uuid(text: &str) -> Result<Uuid, String> {
    let text = text.strip_prefix(VIRTUAL).unwrap_or(text);
    Uuid::parse_str(text).map_err(|error| error.to_string())
}

/// Prints the answer.
///
/// # Errors
/// An HLC without so many successors, an id that keyviz does not make, an output that cannot be written.
pub(crate) fn run(args: &IdArgs) -> anyhow::Result<()> {
    let text = match &args.command {
        IdCommand::Derive(args) => args.answer()?,
        IdCommand::Explain(args) => args.answer()?,
    };
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

impl DeriveArgs {
    fn answer(&self) -> anyhow::Result<String> {
        let Self { hlc, group, proposal, ordinal, output } = *self;
        if hlc.0.checked_add(ordinal).is_none() {
            bail!(
                "--hlc {} and --ordinal {ordinal} together are more than 2^64 - 1; no command has such an id",
                hlc.0
            );
        }
        let id = id::derive(hlc, group, &proposal.0, ordinal);
        match output {
            Output::Text => Ok(id.to_string()),
            Output::Json => Ok(described(id, Some((group, proposal, ordinal))).to_string()),
        }
    }
}

impl ExplainArgs {
    fn answer(&self) -> anyhow::Result<String> {
        let id = self.id;
        match (id.get_variant(), id.get_version_num()) {
            (Variant::RFC4122, 7) => Ok(match self.output {
                Output::Json => described(id, None).to_string(),
                Output::Text => lineage_in_words(id),
            }),
            (Variant::RFC4122, 8) => Ok(match self.output {
                Output::Json => json!({ "id": id, "kind": "digest", "version": 8 }).to_string(),
                Output::Text => format!(
                    "{id} is a digest id (UUID version 8): of a virtual bucket, made from its key \
                     bounds, or of a source that gave no boot id. It holds no time and no group; the \
                     same bounds have the same id everywhere"
                ),
            }),
            _ => bail!(
                "{id} is {}; keyviz makes ids of version 7 (lineages) and of version 8 (virtual buckets)",
                foreign(id)
            ),
        }
    }
}

/// What an id is that keyviz did not make.
fn foreign(id: Uuid) -> String {
    if id.is_nil() {
        return "the nil UUID".to_owned();
    }
    if id.is_max() {
        return "the max UUID".to_owned();
    }
    let made = match id.get_version_num() {
        1 => " (time and node)",
        2 => " (DCE security)",
        3 => " (MD5 of a name)",
        4 => " (random)",
        5 => " (SHA-1 of a name)",
        6 => " (reordered time)",
        _ => "",
    };
    match id.get_variant() {
        Variant::RFC4122 => format!("a UUID of version {}{made}", id.get_version_num()),
        Variant::NCS => "a UUID of variant NCS (reserved)".to_owned(),
        Variant::Microsoft => "a UUID of variant Microsoft (a GUID)".to_owned(),
        _ => "a UUID of a variant that is reserved for the future".to_owned(),
    }
}

fn tail(id: LineageId) -> u64 {
    id.as_u128() as u64 & ((1 << TAIL_BITS) - 1)
}

fn lineage_in_words(id: LineageId) -> String {
    let hlc = id::tick_of(id);
    let (unix_ms, logical) = (hlc.unix_ms(), hlc.logical());
    format!(
        "{id} is a lineage id (UUID version 7)\n\
         \x20 time  {} ({unix_ms} ms after 1970)\n\
         \x20 hlc   {} ({unix_ms} ms, logical {logical})\n\
         \x20 tail  {:015x} (58 bits of BLAKE2b-256 over group and proposal)",
        rfc3339(unix_ms),
        hlc.0,
        tail(id)
    )
}

fn described(id: LineageId, made_by: Option<(GroupId, Proposal, u64)>) -> Value {
    let hlc = id::tick_of(id);
    let mut described = json!({
        "id": id,
        "kind": "lineage",
        "version": 7,
        "time": rfc3339(hlc.unix_ms()),
        "unix_ms": hlc.unix_ms(),
        "hlc": hlc.0,
        "logical": hlc.logical(),
        "tail": format!("{:015x}", tail(id)),
    });
    if let Some((group, proposal, ordinal)) = made_by {
        described["group_id"] = json!(group);
        described["proposal_id"] = json!(hex::encode(proposal.0));
        described["ordinal"] = json!(ordinal);
    }
    described
}

#[cfg(test)]
#[path = "id_cli_test.rs"]
mod id_cli_test;
