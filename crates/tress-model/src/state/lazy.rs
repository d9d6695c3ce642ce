//! Parts of a todo that few ever look at: out of a snapshot they are bytes until somebody does.
//!
//! Who asks what is ready reads every todo, and of most of them neither their texts nor their remarks nor
//! who wrote which field. To decode all of that was most of what it took to open a run.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use bincode::Decode;
use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::error::DecodeError;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::codec::{self, Body};

/// A value, or where the bytes are that it is decoded from when it is first looked at. Clones share it.
///
/// Bytes that nothing can be decoded from give the default value, and bytes are taken to be in the form in
/// which they are encoded here. Others cannot come about by accident: a snapshot's checksum and the form of
/// its state are held against it before it is read.
pub struct Lazy<T> {
    /// Where it is in the snapshot that it came out of, as long as it is as it was there.
    packed: Option<Packed>,
    /// What it is, once somebody looked; the default value where it is not packed either.
    value: OnceLock<Arc<T>>,
}

/// A stretch of the body of a snapshot.
#[derive(Clone)]
struct Packed {
    body: Body,
    at: u32,
    len: u32,
}

impl Packed {
    fn bytes(&self) -> &[u8] {
        let (at, len) = (self.at as usize, self.len as usize);
        self.body.0.get(at..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }
}

impl<T: DeserializeOwned + Default> Lazy<T> {
    fn value(&self) -> &Arc<T> {
        self.value.get_or_init(|| {
            let packed = self.packed.as_ref();
            let read = packed.and_then(|packed| codec::decode_part(packed.bytes()).ok());
            Arc::new(read.unwrap_or_default())
        })
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self { packed: None, value: OnceLock::new() }
    }
}

impl<T> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        Self { packed: self.packed.clone(), value: self.value.clone() }
    }
}

impl<T> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        Self { packed: None, value: OnceLock::from(Arc::new(value)) }
    }
}

impl<T: DeserializeOwned + Default> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T: DeserializeOwned + Default + Clone> DerefMut for Lazy<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value();
        self.packed = None;
        match self.value.get_mut() {
            Some(value) => Arc::make_mut(value),
            None => unreachable!("it was just decoded"),
        }
    }
}

impl<T: DeserializeOwned + Default + PartialEq> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.packed, &other.packed) {
            (Some(one), Some(two)) if one.bytes() == two.bytes() => true,
            _ => **self == **other,
        }
    }
}

impl<T: DeserializeOwned + Default + fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl<'a, T: DeserializeOwned + Default> IntoIterator for &'a Lazy<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.value().into_iter()
    }
}

impl<T: Serialize + DeserializeOwned + Default + PartialEq> Serialize for Lazy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.value().serialize(serializer);
        }
        match (&self.packed, self.value.get()) {
            (Some(packed), _) => serializer.serialize_bytes(packed.bytes()),
            (None, Some(value)) if **value != T::default() => {
                let bytes = codec::encode_part(value).map_err(S::Error::custom)?;
                serializer.serialize_bytes(&bytes)
            }
            (None, _) => serializer.serialize_bytes(&[]),
        }
    }
}

impl<T> Decode<Body> for Lazy<T> {
    fn decode<D: Decoder<Context = Body>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let len = usize::decode(decoder)?;
        decoder.claim_bytes_read(len)?;
        if len == 0 {
            return Ok(Self::default());
        }
        let missing = || DecodeError::UnexpectedEnd { additional: len };
        let place = decoder.reader().peek_read(len).ok_or_else(missing)?.as_ptr().addr();
        let body = decoder.context().clone();
        // It is read from this very body; where it were not, the stretch would be empty.
        let at = place.checked_sub(body.0.as_ptr().addr()).and_then(|at| u32::try_from(at).ok());
        let (at, short) = (at.ok_or_else(missing)?, u32::try_from(len).map_err(|_| missing())?);
        decoder.reader().consume(len);
        Ok(Self { packed: Some(Packed { body, at, len: short }), value: OnceLock::new() })
    }
}
bincode::impl_borrow_decode_with_context!(Lazy<T>, Body, T);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Labels = BTreeMap<String, Vec<u64>>;

    fn labels() -> Labels {
        [("lang", vec![1, 300]), ("ui", vec![])].map(|(name, dots)| (name.to_owned(), dots)).into()
    }

    fn read(bytes: &[u8]) -> Lazy<Labels> {
        let (body, config) = (Body(Arc::new(bytes.to_vec())), bincode::config::standard());
        let read = bincode::decode_from_slice_with_context(&body.clone().0, config, body);
        let (part, used) = read.expect("it is one");
        assert_eq!(used, bytes.len());
        part
    }

    fn packed(bytes: &[u8]) -> Lazy<Labels> {
        read(&codec::encode_part(&bytes.to_vec()).expect("it encodes"))
    }

    #[test]
    fn a_part_is_the_same_whether_it_was_looked_at_or_not() {
        let made = Lazy::from(labels());
        let bytes = codec::encode_part(&made).expect("it encodes");
        let read = read(&bytes);
        assert!(read.packed.is_some() && read.value.get().is_none());
        let unseen = read.clone();
        assert_eq!((&*read, &read), (&labels(), &made));
        for part in [&made, &read, &unseen] {
            assert_eq!(codec::encode_part(part).as_ref(), Ok(&bytes));
        }
        let mut changed = unseen.clone();
        changed.insert("new".to_owned(), vec![7]);
        assert_eq!((changed.len(), unseen.len(), changed == unseen), (3, 2, false));
        changed.remove("new");
        assert_eq!(codec::encode_part(&changed), Ok(bytes));
    }

    #[test]
    fn what_is_empty_takes_one_byte_however_it_came_about() {
        let mut emptied = Lazy::from(labels());
        emptied.clear();
        for part in [Lazy::default(), Lazy::from(Labels::new()), emptied, packed(&[])] {
            assert_eq!(codec::encode_part(&part), Ok(vec![0]));
            assert!(part.is_empty() && part == Lazy::default());
        }
    }

    /// A body of a snapshot that claims to hold a large map is small, and so is what is made of it.
    #[test]
    fn bytes_that_are_no_part_give_an_empty_one() {
        let whole = codec::encode_part(&labels()).expect("it encodes");
        for end in 1..whole.len() {
            let part = packed(whole.get(..end).expect("it is shorter"));
            assert!(part.is_empty(), "{end} bytes");
        }
        for bytes in
            [&[0xff; 40][..], &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0, 0]]
        {
            assert!(packed(bytes).is_empty());
        }
    }
}
