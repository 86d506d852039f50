//! The envelope around every receipt, and the reader and writers of its parts.
//!
//! ```text
//! "ZKRC"  version: u16  zkvm: u8  kind: u8  journal: blob  body: blob        (integers little-endian)
//! blob = length: u64, bytes
//! ```
//!
//! What a body contains is up to the extension that the zkVM's number belongs to.

use std::fmt;

use crate::{Error, Result};

const MAGIC: &[u8; 4] = b"ZKRC";
pub const VERSION: u16 = 1;

/// A zkVM as envelopes and their error messages name it.
pub struct Zkvm {
    pub number: u8,
    pub name: &'static str,
}

/// The envelope of a receipt.
pub fn encode_envelope(zkvm: &Zkvm, kind: u8, journal: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(journal.len() + body.len() + 24);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[zkvm.number, kind]);
    put_blob(&mut out, journal);
    put_blob(&mut out, body);
    out
}

/// Check an envelope's header. Returns the receipt's kind and a reader of what follows the header.
pub fn open_envelope<'a>(bytes: &'a [u8], zkvm: &Zkvm) -> Read<(u8, Reader<'a>)> {
    let mut input = Reader::new(bytes);
    if input.take(4)? != MAGIC {
        return Err(Malformed::Header(
            "does not start with the receipt magic".into(),
        ));
    }
    let version = u16::from_le_bytes(input.array()?);
    if version != VERSION {
        return Err(Malformed::Header(format!(
            "encoding version {version}, this build reads {VERSION}"
        )));
    }
    let [number, kind] = input.array()?;
    if number != zkvm.number {
        return Err(Malformed::Header(format!(
            "made by zkVM number {number}, not by {} ({})",
            zkvm.name, zkvm.number
        )));
    }
    Ok((kind, input))
}

pub fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count)
        .map_err(|_| Error::BadArgument("more than 2^32 parts in one receipt".into()))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

/// The error for bytes that are no receipt.
pub fn malformed(reason: &str) -> Error {
    Error::MalformedReceipt(format!("not a receipt: {reason}"))
}

/// Refuse bytes that decode to a receipt and are not the encoding of that receipt. A byte that the
/// decoder does not tell from another could be changed unnoticed.
pub fn is_canonical(bytes: &[u8], encoded: &[u8]) -> Result<()> {
    if bytes == encoded {
        return Ok(());
    }
    let same = bytes
        .iter()
        .zip(encoded)
        .take_while(|(one, other)| one == other);
    let at = same.count();
    Err(malformed(&format!(
        "its bytes from {at} on are not its encoding"
    )))
}

/// What is wrong with the outer form of an encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    Header(String),
    CutShort { wanted: usize, left: usize },
    LengthBeyondMemory,
    LeftOver(usize),
}

type Read<T> = std::result::Result<T, Malformed>;

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Header(problem) => out.write_str(problem),
            Malformed::CutShort { wanted, left } => {
                write!(out, "cut short: {wanted} bytes wanted, {left} left")
            }
            Malformed::LengthBeyondMemory => out.write_str("a length beyond memory"),
            Malformed::LeftOver(bytes) => write!(out, "{bytes} bytes after its end"),
        }
    }
}

impl From<Malformed> for Error {
    fn from(problem: Malformed) -> Error {
        malformed(&problem.to_string())
    }
}

/// Reads the parts of an encoding one after the other. It never believes a length: what it returns
/// are slices of the bytes that are there.
#[derive(Debug, PartialEq, Eq)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(Malformed::CutShort {
            wanted: count,
            left: self.0.len(),
        })?;
        self.0 = tail;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn count(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn blob(&mut self) -> Read<&'a [u8]> {
        let length = u64::from_le_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| Malformed::LengthBeyondMemory)?;
        self.take(length)
    }

    pub fn end(&self) -> Read<()> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Malformed::LeftOver(left)),
        }
    }

    /// The journal and the body of an envelope, after which nothing may follow.
    pub fn payload(mut self) -> Read<(&'a [u8], &'a [u8])> {
        let parts = (self.blob()?, self.blob()?);
        self.end()?;
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZKVM: Zkvm = Zkvm {
        number: 7,
        name: "a zkVM",
    };

    fn sealed() -> Vec<u8> {
        encode_envelope(&ZKVM, 3, b"journal", b"body")
    }

    fn opened(bytes: &[u8]) -> Read<(u8, &[u8], &[u8])> {
        let (kind, rest) = open_envelope(bytes, &ZKVM)?;
        let (journal, body) = rest.payload()?;
        Ok((kind, journal, body))
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let expected = [
            b"ZKRC".as_slice(),
            &[1, 0, 7, 3],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            b"journal",
            &[4, 0, 0, 0, 0, 0, 0, 0],
            b"body",
        ];
        assert_eq!(sealed(), expected.concat());
    }

    #[test]
    fn opening_reverses_encoding() {
        let bytes = sealed();
        let parts = (3, b"journal".as_slice(), b"body".as_slice());
        assert_eq!(opened(&bytes), Ok(parts));
    }

    #[test]
    fn a_foreign_header_is_refused_with_the_reason() {
        for (at, reason) in [
            (0, "not a receipt: does not start with the receipt magic"),
            (4, "not a receipt: encoding version 254, this build reads 1"),
            (
                6,
                "not a receipt: made by zkVM number 248, not by a zkVM (7)",
            ),
        ] {
            let mut bytes = sealed();
            bytes[at] ^= 0xff;
            let error = Error::from(opened(&bytes).unwrap_err());
            assert_eq!(error, Error::MalformedReceipt(reason.into()));
        }
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let mut bytes = sealed();
        for length in 0..bytes.len() {
            let problem = opened(&bytes[..length]).unwrap_err();
            assert!(matches!(problem, Malformed::CutShort { .. }), "{length}");
        }
        bytes.push(0);
        assert_eq!(opened(&bytes), Err(Malformed::LeftOver(1)));
    }

    #[test]
    fn lengths_are_not_believed() {
        for at in [8, 23] {
            let mut bytes = sealed();
            bytes[at..at + 8].fill(0xff);
            let problem = opened(&bytes).unwrap_err();
            let refused = matches!(
                problem,
                Malformed::CutShort { .. } | Malformed::LengthBeyondMemory
            );
            assert!(refused, "{at}");
        }
    }

    #[test]
    fn a_part_that_is_cut_short_leaves_the_reader_where_it_was() {
        let mut input = Reader::new(&[2, 0, 0, 0, 5]);
        assert_eq!(input.count(), Ok(2));
        let problem = Malformed::CutShort { wanted: 2, left: 1 };
        assert_eq!(input.take(2), Err(problem.clone()));
        assert_eq!(problem.to_string(), "cut short: 2 bytes wanted, 1 left");
        assert_eq!(input.end(), Err(Malformed::LeftOver(1)));
        assert_eq!(input.array(), Ok([5]));
        assert_eq!(input.end(), Ok(()));
    }

    #[test]
    fn only_the_encoding_of_a_receipt_is_that_receipt() {
        assert_eq!(is_canonical(b"abc", b"abc"), Ok(()));
        for (bytes, at) in [(b"abd".as_slice(), 2), (b"ab", 2), (b"abcd", 3), (b"", 0)] {
            let reason = format!("not a receipt: its bytes from {at} on are not its encoding");
            let refused = is_canonical(bytes, b"abc");
            assert_eq!(refused, Err(Error::MalformedReceipt(reason)));
        }
    }

    #[test]
    fn a_count_has_four_bytes() {
        let mut out = Vec::new();
        put_count(&mut out, 258).unwrap();
        assert_eq!(out, [2, 1, 0, 0]);
        #[cfg(target_pointer_width = "64")]
        assert!(put_count(&mut out, 1 << 32).is_err());
    }
}
