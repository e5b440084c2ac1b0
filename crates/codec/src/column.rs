//! One column of counts: split Rice codes around a base. What hour blocks and roll-ups are made of.
//!
//! A number is the base plus or minus something small. What is small is cut at bit `k`: the lower part
//! is stored as it is, the upper part as that many zeros and a one. All lower parts come first, then
//! all upper parts, so that both are read many at a time.
//!
//! ```text
//! head:  k in bits 0..5 | coding in bits 6..7                                 byte
//! coding 3 only: 2 x (how many escapes, at least 1), + 1 if around the base   varint
//! base                                                                        varint, see below
//! coding 3 only: the escapes                                                  varints
//!
//! bits:  n x (k bits)                     u & (2^k - 1)
//!        n x (q zeros, a one)             q = min(u >> k, 16); with 16 the next escape is added to it
//!
//! | coding       | number                    | base, plain          | base, signed |
//! | 0 same       | base; no bits             | as it is: min(it, 63) in place of k,    |
//! |              |                           | with 63 the rest follows; signed zigzag |
//! | 1 up         | base + u                  | base >> max(k - 2,0) | zigzag       |
//! | 2 around     | base + zigzag^-1(u)       | base >> max(k - 2,0) | none: 0      |
//! | 3            | as 1 or 2, with escapes   |                      |              |
//! ```
//!
//! Sums are taken modulo 2^64, so that every u64 has a code; a signed column is one of differences.
//! zigzag(x) is 2x, or -2x - 1 when x is negative.
//! Invariants: what is written comes back (K1); the coding is the cheapest of those that were looked at,
//! never dearer than 9.3 bytes a number and the head (K2).
//! Must not: know what the numbers count, or how many there are (the owner says).
//! Proof: `column_test.rs`.

use crate::CodecError;
use crate::bits::{self, BitWriter};
use crate::varint::{Reader, Writer, varint_bits};

/// The highest upper part that is written as zeros: from here on it is an escape.
const ESCAPE: u64 = 16;
const ESCAPED: u8 = 3;
/// Of so many numbers it is worth trying both codings.
const FEW: usize = 32;
/// The head of equal numbers that are not in it.
const SAME_LONG: u64 = 63;

/// How `u` becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Same,
    Up,
    Around,
}

/// Whether numbers are counts, or differences that may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Signed,
}

/// Whether a column of equal numbers may be written without any bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Yes,
    No,
}

pub(crate) fn zigzag(value: u64) -> u64 {
    value << 1 ^ ((value as i64) >> 63) as u64
}

pub(crate) fn unzigzag(value: u64) -> u64 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

/// How many low bits of a base are left out.
fn base_shift(k: u32) -> u32 {
    k.saturating_sub(2)
}

/// A column as it is going to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    coding: Coding,
    kind: Kind,
    k: u32,
    base: u64,
    escapes: usize,
    /// Bits, the head's included.
    cost: u64,
}

impl Plan {
    fn u(&self, number: u64) -> u64 {
        let apart = number.wrapping_sub(self.base);
        if self.coding == Coding::Around { zigzag(apart) } else { apart }
    }

    /// The base as it is written.
    fn said(&self) -> u64 {
        match self.kind {
            Kind::Plain => self.base >> base_shift(self.k),
            Kind::Signed => zigzag(self.base),
        }
    }

    fn is_baseless(&self) -> bool {
        (self.kind, self.coding) == (Kind::Signed, Coding::Around)
    }

    /// Bits that it takes.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// The head, the base and the escapes.
    pub(crate) fn write_head(&self, numbers: &[u64], out: &mut Writer) {
        let coding = match self.coding {
            Coding::Same => return write_same(self.said(), out),
            _ if self.escapes > 0 => ESCAPED,
            Coding::Up => 1,
            Coding::Around => 2,
        };
        out.raw(&[coding << 6 | self.k as u8]);
        if self.escapes > 0 {
            out.uint((self.escapes as u64) << 1 | u64::from(self.coding == Coding::Around));
        }
        if !self.is_baseless() {
            out.uint(self.said());
        }
        if self.escapes > 0 {
            let upper = numbers.iter().map(|&number| self.u(number) >> self.k);
            upper.filter(|&q| q >= ESCAPE).for_each(|q| out.uint(q - ESCAPE));
        }
    }

    /// The bits.
    pub(crate) fn write_bits(&self, numbers: &[u64], out: &mut BitWriter) {
        let base = self.base;
        match self.coding {
            Coding::Same => {}
            Coding::Up => self.write_us(numbers, out, |number| number.wrapping_sub(base)),
            Coding::Around => {
                self.write_us(numbers, out, |number| zigzag(number.wrapping_sub(base)));
            }
        }
    }

    #[inline(always)]
    fn write_us(&self, numbers: &[u64], out: &mut BitWriter, u: impl Fn(u64) -> u64) {
        let (k, mask) = (self.k, (1u64 << self.k) - 1);
        out.put_all(numbers.len() * k as usize, numbers.iter().map(|&n| (u(n) & mask, k)));
        let gaps = numbers.iter().map(|&n| (u(n) >> k).min(ESCAPE) as u32);
        let most_bits = numbers.len() * (ESCAPE as usize + 1);
        out.put_all(most_bits, gaps.map(|zeros| (1 << zeros, zeros + 1)));
    }
}

/// The head of equal numbers, with the number in it.
fn write_same(said: u64, out: &mut Writer) {
    out.raw(&[said.min(SAME_LONG) as u8]);
    if let Some(rest) = said.checked_sub(SAME_LONG) {
        out.uint(rest);
    }
}

/// Room to look for a coding in.
#[derive(Debug, Default)]
pub(crate) struct Room {
    numbers: Vec<u64>,
}

/// Looks for the cheapest coding.
pub(crate) fn plan(numbers: &[u64], kind: Kind, fold: Fold, room: &mut Room) -> Plan {
    // Differences sort as signed numbers.
    let turn = if kind == Kind::Signed { 1 << 63 } else { 0 };
    let empty = Plan { coding: Coding::Same, kind, k: 0, base: 0, escapes: 0, cost: 8 };
    let Some(&first) = numbers.first() else { return empty };
    let (mut low, mut high) = (first ^ turn, first ^ turn);
    for number in numbers.iter().map(|&number| number ^ turn) {
        (low, high) = (low.min(number), high.max(number));
    }
    if low == high && fold == Fold::Yes {
        let mut same = Plan { base: first, ..empty };
        same.cost += same.said().checked_sub(SAME_LONG).map_or(0, varint_bits);
        return same;
    }
    let middle = if kind == Kind::Signed { 0 } else { middle(numbers, low, high, room) };
    let up = Plan { coding: Coding::Up, base: low ^ turn, ..empty };
    let around = Plan { coding: Coding::Around, base: middle, ..empty };
    if numbers.len() > FEW {
        // The smaller `u` are the cheaper, but for what is far out.
        let far = (middle ^ turn).saturating_sub(low).saturating_mul(32).saturating_add(32);
        let spread = high - low;
        let of_up = if spread <= far && spread < 1 << 48 {
            // None is too far: all of them without the base of each.
            let sum = numbers.iter().fold(0u64, |sum, &number| sum.wrapping_add(number));
            sum.wrapping_sub(up.base.wrapping_mul(numbers.len() as u64))
        } else {
            sum_of(numbers, far, |number| number.wrapping_sub(up.base))
        };
        let is_up = of_up < sum_of(numbers, far, |number| zigzag(number.wrapping_sub(middle)));
        return cheapest(numbers, if is_up { up } else { around }, room);
    }
    let (up, around) = (cheapest(numbers, up, room), cheapest(numbers, around, room));
    if up.cost <= around.cost { up } else { around }
}

/// The sum of what a coding makes of the numbers, each taken for `far` where it is more.
#[inline(always)]
fn sum_of(numbers: &[u64], far: u64, u: impl Fn(u64) -> u64) -> u64 {
    let us = numbers.iter().map(|&number| u(number).min(far));
    // At most 2^16 numbers.
    if far < 1 << 48 { us.sum() } else { us.fold(0, u64::saturating_add) }
}

/// The mean, or the median where some are far out.
fn middle(numbers: &[u64], low: u64, high: u64, room: &mut Room) -> u64 {
    if high < 1 << 48 {
        let mean = numbers.iter().sum::<u64>() / numbers.len() as u64;
        if high - mean <= 4 * (mean - low) {
            return mean;
        }
    }
    room.numbers.clear();
    room.numbers.extend_from_slice(numbers);
    *room.numbers.select_nth_unstable(numbers.len() / 2).1
}

/// The best `k` for one coding: looked for downwards from where the mean of all `u` has it, because
/// what is far out only makes the mean larger.
fn cheapest(numbers: &[u64], plan: Plan, room: &mut Room) -> Plan {
    match plan.coding {
        Coding::Around => cheapest_of(numbers, plan, room, |n, base| zigzag(n.wrapping_sub(base))),
        _ => cheapest_of(numbers, plan, room, u64::wrapping_sub),
    }
}

/// `u` makes `u` of a number and the base.
#[inline(always)]
fn cheapest_of(
    numbers: &[u64],
    mut plan: Plan,
    room: &mut Room,
    u: impl Fn(u64, u64) -> u64,
) -> Plan {
    let us = &mut room.numbers;
    us.clear();
    us.extend(numbers.iter().map(|&number| u(number, plan.base)));
    let scale = us.iter().fold(0, |all, &u| all | u);
    let shift = 16u32.saturating_sub(scale.leading_zeros());
    // At most 2^16 numbers below 2^48 each.
    let mean = us.iter().map(|&u| u >> shift).sum::<u64>() / us.len() as u64;
    let mut k = (shift + (mean * 11 / 16).checked_ilog2().unwrap_or(0)).min(63);
    let mut cost = rice_bits(us, scale, k);
    let above = if k < 63 { rice_bits(us, scale, k + 1) } else { u64::MAX };
    if above < cost {
        (k, cost) = (k + 1, above);
    }
    while let Some(below) = k.checked_sub(1) {
        let bits = rice_bits(us, scale, below);
        if bits >= cost {
            break;
        }
        (k, cost) = (below, bits);
    }
    plan.k = k;
    if plan.kind == Kind::Plain && plan.base != 0 {
        plan.base = plan.base >> base_shift(k) << base_shift(k);
        us.clear();
        us.extend(numbers.iter().map(|&number| u(number, plan.base)));
    }
    measure(&mut plan, us);
    plan
}

/// About how many bits they take. `scale` has every bit that one of them has.
fn rice_bits(us: &[u64], scale: u64, k: u32) -> u64 {
    let sum: u64 = if scale >> k < ESCAPE {
        us.iter().map(|&u| u >> k).sum()
    } else {
        let long = |q: u64| q.checked_sub(ESCAPE).map_or(q, |more| ESCAPE + varint_bits(more));
        us.iter().map(|&u| long(u >> k)).sum()
    };
    us.len() as u64 * u64::from(k + 1) + sum
}

fn measure(plan: &mut Plan, us: &[u64]) {
    let (mut sum, mut all) = (0, 0);
    for q in us.iter().map(|&u| u >> plan.k) {
        sum += q.min(ESCAPE);
        all |= q;
    }
    let base = if plan.is_baseless() { 0 } else { varint_bits(plan.said()) };
    plan.cost = 8 + base + us.len() as u64 * u64::from(plan.k + 1) + sum;
    plan.escapes = 0;
    if all >= ESCAPE {
        let (mut escapes, mut cost) = (0, 0);
        for q in us.iter().map(|&u| u >> plan.k).filter(|&q| q >= ESCAPE) {
            escapes += 1;
            cost += varint_bits(q - ESCAPE);
        }
        plan.escapes = escapes;
        plan.cost += cost + varint_bits((escapes as u64) << 1);
    }
}

/// The head of a stored column.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    coding: Coding,
    k: u32,
    base: u64,
    escapes: usize,
    /// The escapes, and what follows them.
    escaped: &'a [u8],
}

impl<'a> Column<'a> {
    /// Takes a head off the front.
    #[inline(always)]
    pub(crate) fn parse(input: &mut Reader<'a>, kind: Kind) -> Result<Self, CodecError> {
        let [head] = input.array()?;
        let (k, mut escapes) = (u32::from(head & 63), 0);
        let coding = match head >> 6 {
            0 => return Self::parse_same(u64::from(head), input, kind),
            1 => Coding::Up,
            2 => Coding::Around,
            _ => {
                let said = input.uint()?;
                escapes = usize::try_from(said >> 1).unwrap_or(usize::MAX);
                if said & 1 == 0 { Coding::Up } else { Coding::Around }
            }
        };
        if (head >> 6 == ESCAPED) != (escapes > 0) {
            return Err(input.invalid("a column with no escape that says it has"));
        }
        let base = match (kind, coding) {
            (Kind::Signed, Coding::Around) => 0,
            (Kind::Signed, _) => unzigzag(input.uint()?),
            (Kind::Plain, _) => {
                let (said, shift) = (input.uint()?, base_shift(k));
                if said > u64::MAX >> shift {
                    return Err(input.invalid("a base beyond 64 bits"));
                }
                said << shift
            }
        };
        let escaped = input.rest();
        if escapes > 0 {
            input.skip_uints(escapes)?;
        }
        Ok(Self { coding, k, base, escapes, escaped })
    }

    fn parse_same(head: u64, input: &mut Reader<'a>, kind: Kind) -> Result<Self, CodecError> {
        let rest = if head == SAME_LONG { input.uint()? } else { 0 };
        let said = head.checked_add(rest);
        let said = said.ok_or_else(|| input.invalid("a number beyond 64 bits"))?;
        let base = if kind == Kind::Signed { unzigzag(said) } else { said };
        Ok(Self { coding: Coding::Same, k: 0, base, escapes: 0, escaped: &[] })
    }

    /// Where the bits of `count` numbers end that begin at `start`.
    pub(crate) fn skip(&self, bytes: &[u8], start: usize, count: usize) -> Option<usize> {
        if self.coding == Coding::Same {
            return Some(start);
        }
        bits::skip_gaps(bytes, self.upper_start(start, count), count)
    }

    fn upper_start(&self, start: usize, count: usize) -> usize {
        // At most 3,600 numbers of 63 bits.
        start + count * self.k as usize
    }

    /// Fills `numbers` and returns where their bits end; `None` if they do not add up. `gaps` is room to
    /// work in.
    pub(crate) fn read(
        &self,
        bytes: &[u8],
        start: usize,
        numbers: &mut [u64],
        gaps: &mut Vec<u8>,
    ) -> Option<usize> {
        if self.coding == Coding::Same {
            numbers.fill(self.base);
            return Some(start);
        }
        let upper_start = self.upper_start(start, numbers.len());
        let end = bits::read_gaps(bytes, upper_start, numbers.len(), gaps)?;
        let uppers = &gaps[..numbers.len()];
        bits::append_bits(bytes, start, self.k, uppers, numbers);
        let most = u64::from(uppers.iter().fold(0, |most, &q| q.max(most)));
        if most >= ESCAPE || self.escapes > 0 {
            self.patch(uppers, numbers)?;
        }
        if most > ESCAPE || most > u64::MAX >> self.k {
            return None;
        }
        let base = self.base;
        if self.coding == Coding::Around {
            numbers.iter_mut().for_each(|u| *u = base.wrapping_add(unzigzag(*u)));
        } else {
            numbers.iter_mut().for_each(|u| *u = base.wrapping_add(*u));
        }
        Some(end)
    }

    /// Adds the escapes to the numbers that ask for them.
    fn patch(&self, uppers: &[u8], numbers: &mut [u64]) -> Option<()> {
        let (mut left, mut escaped) = (self.escapes, Reader::new(self.escaped, "column"));
        let asking = uppers.iter().zip(numbers).filter(|&(&q, _)| u64::from(q) == ESCAPE);
        for (_, number) in asking {
            left = left.checked_sub(1)?;
            let more = escaped.uint().ok()?;
            if more.checked_add(ESCAPE)? > u64::MAX >> self.k {
                return None;
            }
            *number += more << self.k;
        }
        (left == 0).then_some(())
    }
}

#[cfg(test)]
#[path = "column_test.rs"]
mod column_test;
