//! LEB128 variable-length integers, length-prefixed bytes and key ranges: the atoms of every layout
//! here. An integer has one form only: one with needless bytes is refused.

use keyviz_lineage::KeyRange;

use crate::CodecError;

/// How many bytes a value takes.
pub(crate) fn bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends values to a byte vector.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.uint((value << 1 ^ value >> 63) as u64);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn prefixed(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Two keys, each length-prefixed.
    pub(crate) fn range(&mut self, range: &KeyRange) {
        self.prefixed(range.start());
        self.prefixed(range.end());
    }

    /// Distinct numbers, ascending: how many, the first, then gaps - 1.
    pub(crate) fn ascending<'a>(&mut self, numbers: impl ExactSizeIterator<Item = &'a u64>) {
        self.uint(numbers.len() as u64);
        let mut next = 0u64;
        for &number in numbers {
            self.uint(number.wrapping_sub(next));
            next = number.wrapping_add(1);
        }
    }
}

/// The bits that an integer takes.
pub(crate) fn varint_bits(value: u64) -> u64 {
    bytes(value) as u64 * 8
}

/// Takes values off the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn truncated(&self) -> CodecError {
        CodecError::Truncated { what: self.what }
    }

    pub(crate) fn invalid(&self, field: &'static str) -> CodecError {
        CodecError::Invalid { what: self.what, field }
    }

    #[inline]
    pub(crate) fn uint(&mut self) -> Result<u64, CodecError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_uint(),
        }
    }

    fn long_uint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or_else(|| self.truncated())?;
            self.rest = rest;
            if shift == 63 && byte > 1 {
                return Err(self.invalid("a varint beyond 64 bits"));
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(self.invalid("a varint with needless bytes"));
                }
                return Ok(value);
            }
        }
        Err(self.invalid("a varint beyond 64 bits"))
    }

    /// Takes so many integers off the front.
    pub(crate) fn skip_uints(&mut self, count: usize) -> Result<(), CodecError> {
        (0..count).try_for_each(|_| self.uint().map(|_| ()))
    }

    /// Takes these bytes off the front, if they are there.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(bytes);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Everything that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn int(&mut self) -> Result<i64, CodecError> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of things that each take at least one byte: never more than what is left, so that it
    /// is safe to allocate for.
    pub(crate) fn count(&mut self) -> Result<usize, CodecError> {
        let count = self.uint()?;
        if count > self.rest.len() as u64 { Err(self.truncated()) } else { Ok(count as usize) }
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.count()?;
        self.raw(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        let bytes = self.prefixed()?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid("text that is not UTF-8"))
    }

    pub(crate) fn range(&mut self) -> Result<KeyRange, CodecError> {
        let (start, end) = (self.prefixed()?, self.prefixed()?);
        KeyRange::new(start, end).map_err(|_| self.invalid("an inverted range"))
    }

    /// At most `limit` numbers, as [`Writer::ascending`] wrote them.
    pub(crate) fn ascending(&mut self, limit: usize) -> Result<Vec<u64>, CodecError> {
        let count = self.count()?;
        if count > limit {
            return Err(self.invalid("a list that is too long"));
        }
        let mut numbers: Vec<u64> = Vec::with_capacity(count);
        for _ in 0..count {
            let gap = self.uint()?;
            let number = match numbers.last() {
                None => Some(gap),
                Some(last) => last.checked_add(1).and_then(|next| next.checked_add(gap)),
            };
            numbers.push(number.ok_or_else(|| self.invalid("a number beyond 64 bits"))?);
        }
        Ok(numbers)
    }

    pub(crate) fn part(&mut self) -> Result<Reader<'a>, CodecError> {
        Ok(Reader { rest: self.prefixed()?, what: self.what })
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid("bytes behind the end")) }
    }
}
