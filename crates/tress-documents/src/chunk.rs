//! The outside of a change: Automerge's chunk format, as far as it has to be understood to bound a
//! change before Automerge sees it. (Automerge binary format, chunks and columns:
//! <https://automerge.org/automerge-binary-format-spec>.)
//!
//! Automerge inflates without a limit, and its run-length encoding lets a few bytes stand for any
//! number of operations. So a change is inflated here, and its columns are counted here.

use std::borrow::Cow;
use std::io::Read;

use crate::limits::{CHANGE_BYTES_MAX, CHANGE_OPS_MAX};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const TYPE_CHANGE: u8 = 1;
const TYPE_COMPRESSED: u8 = 2;
/// In a column's specification: that it is deflated (never in a change).
const DEFLATED: u64 = 0b1000;

const TORN: &str = "it ends too early";

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).map_err(|_| TORN.to_owned())?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| TORN.to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1)?.first().copied().ok_or_else(|| TORN.to_owned())
    }

    /// An unsigned LEB128 number.
    fn unsigned(&mut self) -> Result<u64, String> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err("a number in it is too large".to_owned());
            }
            value |= bits << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    /// A signed LEB128 number.
    fn signed(&mut self) -> Result<i64, String> {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let byte = self.byte()?;
            if shift > 63 {
                return Err("a number in it is too large".to_owned());
            }
            value |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                let negative = byte & 0x40 != 0 && shift < 64;
                return Ok(if negative { value | (-1 << shift) } else { value });
            }
        }
    }

    /// As many bytes as the number before them says.
    fn prefixed(&mut self) -> Result<&'a [u8], String> {
        let count = self.unsigned()?;
        self.take(count)
    }
}

/// A change that has been looked at: one chunk, not deflated, within bounds.
pub(crate) struct Checked<'a> {
    /// The chunk.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// The first four bytes that its hash must have.
    pub(crate) checksum: [u8; 4],
}

/// Looks at a change from outside, and inflates it where it is deflated.
pub(crate) fn check(bytes: &[u8]) -> Result<Checked<'_>, String> {
    let too_large = |size| format!("it has {size} bytes, {CHANGE_BYTES_MAX} are allowed");
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(too_large(bytes.len()));
    }
    let mut reader = Reader(bytes);
    if reader.take(4)? != MAGIC {
        return Err("it is no automerge change".to_owned());
    }
    let checksum: [u8; 4] = reader.take(4)?.try_into().map_err(|_| TORN.to_owned())?;
    let kind = reader.byte()?;
    let body = reader.prefixed()?;
    if !reader.0.is_empty() {
        return Err("there are bytes behind its end".to_owned());
    }
    match kind {
        TYPE_CHANGE => {
            count(body)?;
            Ok(Checked { bytes: Cow::Borrowed(bytes), checksum })
        }
        TYPE_COMPRESSED => {
            let mut inflated = Vec::new();
            let limit = CHANGE_BYTES_MAX as u64 + 1;
            let mut inflater = flate2::read::DeflateDecoder::new(body).take(limit);
            inflater.read_to_end(&mut inflated).map_err(|_| "it cannot be inflated".to_owned())?;
            if inflated.len() > CHANGE_BYTES_MAX {
                return Err(too_large(inflated.len()));
            }
            count(&inflated)?;
            Ok(Checked { bytes: Cow::Owned(chunk(checksum, &inflated)), checksum })
        }
        _ => Err("it is not a single change".to_owned()),
    }
}

fn chunk(checksum: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 19);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&checksum);
    bytes.push(TYPE_CHANGE);
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Counts what the columns of a change expand to, and refuses what is over the limit.
fn count(body: &[u8]) -> Result<(), String> {
    let mut reader = Reader(body);
    let dependencies = reader.unsigned()?;
    reader.take(dependencies.saturating_mul(32))?;
    reader.prefixed()?; // the actor
    reader.unsigned()?; // its sequence number
    reader.unsigned()?; // the first operation
    reader.signed()?; // the time
    reader.prefixed()?; // the message
    for _ in 0..reader.unsigned()? {
        reader.prefixed()?; // another actor
    }
    let mut columns = Vec::new();
    for _ in 0..reader.unsigned()? {
        columns.push((reader.unsigned()?, reader.unsigned()?));
    }
    for (specification, length) in columns {
        if specification & DEFLATED != 0 {
            return Err("it has a deflated column".to_owned());
        }
        count_column(specification & 0b111, Reader(reader.take(length)?))?;
    }
    Ok(())
}

fn count_column(kind: u64, mut column: Reader<'_>) -> Result<(), String> {
    let mut items = 0_u64;
    while !column.0.is_empty() {
        let run = match kind {
            // Raw bytes, as long as they are.
            7 => return Ok(()),
            // Booleans: runs that alternate.
            4 => column.unsigned()?,
            _ => count_run(kind, &mut column)?,
        };
        items = items.saturating_add(run);
        if items > CHANGE_OPS_MAX {
            return Err(format!("it has more than {CHANGE_OPS_MAX} operations"));
        }
    }
    Ok(())
}

/// One run of a run-length encoded column; a group column counts the members of its groups, too.
fn count_run(kind: u64, column: &mut Reader<'_>) -> Result<u64, String> {
    let run = column.signed()?;
    let repeat = run.unsigned_abs();
    if run == 0 {
        return column.unsigned();
    }
    let values = if run > 0 { 1 } else { repeat };
    let mut members = 0_u64;
    for _ in 0..values {
        match kind {
            3 => {
                column.signed()?;
            }
            5 => {
                column.prefixed()?;
            }
            0 => {
                let size = column.unsigned()?;
                let times = if run > 0 { repeat } else { 1 };
                members = members.saturating_add(size.saturating_mul(times));
            }
            _ => {
                column.unsigned()?;
            }
        }
    }
    Ok(repeat.max(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(columns: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = vec![0, 1, 9, 1, 1, 0, 0, 0, columns.len() as u8];
        for (specification, data) in columns {
            body.extend([*specification, data.len() as u8]);
        }
        columns.iter().for_each(|(_, data)| body.extend(*data));
        chunk([0; 4], &body)
    }

    /// A change of a few bytes whose action column claims 2^42 operations kept its reader busy for
    /// hours: every operation decoded without a byte being consumed.
    #[test]
    fn a_run_of_operations_is_bounded_before_it_is_expanded() {
        let long = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x01];
        assert!(check(&change(&[(0x42, &long)])).is_err());
        let nulls = [0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert!(check(&change(&[(0x42, &nulls)])).is_err());
        let groups = [0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert!(check(&change(&[(0x70, &groups)])).is_err());
        assert!(check(&change(&[(0x42, &[0x02, 0x01])])).is_ok());
        assert!(check(&change(&[(0x4a, &[0x02, 0x01])])).is_err());
    }

    /// A change that inflates to `len` zeros.
    fn bomb(len: usize) -> Vec<u8> {
        use std::io::Write;
        let level = flate2::Compression::fast();
        let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), level);
        deflater.write_all(&vec![0; len]).expect("memory takes everything");
        let mut bomb = chunk([0; 4], &deflater.finish().expect("memory takes everything"));
        *bomb.get_mut(8).expect("the type follows magic and checksum") = TYPE_COMPRESSED;
        bomb
    }

    fn is_too_large(bytes: &[u8]) -> bool {
        check(bytes).err().is_some_and(|refusal| refusal.contains("are allowed"))
    }

    #[test]
    fn what_inflates_to_the_limit_is_taken_and_to_one_over_it_is_not() {
        assert!(check(&bomb(CHANGE_BYTES_MAX)).is_ok(), "zeros are a change without columns");
        assert!(is_too_large(&bomb(CHANGE_BYTES_MAX + 1)));
        assert!(!is_too_large(&vec![0; CHANGE_BYTES_MAX]));
        assert!(is_too_large(&vec![0; CHANGE_BYTES_MAX + 1]));
    }

    #[test]
    fn a_change_of_as_many_operations_as_are_allowed_is_taken_and_of_one_more_is_not() {
        let signed = |mut value: u64| {
            let mut bytes = Vec::new();
            while value > 0x3f {
                bytes.push((value & 0x7f) as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
            bytes
        };
        for (count, taken) in [(CHANGE_OPS_MAX, true), (CHANGE_OPS_MAX + 1, false)] {
            let mut run = signed(count);
            run.push(1);
            assert_eq!(check(&change(&[(0x42, &run)])).is_ok(), taken, "{count}");
        }
    }

    #[test]
    fn every_torn_change_is_refused() {
        let whole = change(&[(0x42, &[0x02, 0x01])]);
        for end in 0..whole.len() {
            let torn: Vec<u8> = whole.iter().take(end).copied().collect();
            assert!(check(&torn).is_err());
        }
    }
}
