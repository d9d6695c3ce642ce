//! Parts of a todo that few ever look at: out of a snapshot they are bytes until somebody does.
//!
//! Who asks what is ready reads every todo, and of most of them neither their texts nor their remarks nor
//! who wrote which field. To decode all of that was most of what it took to open a run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::graph::Edge;
use super::prose::Prose;
use super::todo::{Ended, Note};
use super::writers::Writers;
use crate::clock::VersionVector;
use crate::codec::{self, Blocks, CodecError, Part, Parts, Passing};
use crate::ids::{Dot, TodoId};
use crate::operation::ProseField;

/// A value, or where the bytes are that it is decoded from when it is first looked at. Clones share it, and
/// one that is the default value is no larger than a pointer.
///
/// Bytes that nothing can be decoded from give the default value, and bytes are taken to be in the form in
/// which they are encoded here. Others cannot come about by accident: a snapshot's checksum and the form of
/// its state are held against it before it is read.
pub struct Lazy<T>(Option<Arc<Inner<T>>>);

struct Inner<T> {
    packed: Packed,
    /// What it is, once somebody looked.
    value: OnceLock<T>,
}

/// What can be lazy. It is encoded by serde.
pub trait Stored: Serialize + Default + PartialEq + 'static {
    /// The default value.
    const EMPTY: &'static Self;

    /// Decodes what was encoded.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

macro_rules! stored {
    ($decode:path: $($part:ty = $empty:expr),* $(,)?) => {$(
        impl Stored for $part {
            const EMPTY: &'static Self = &$empty;

            fn decode(bytes: &[u8]) -> Option<Self> {
                $decode(bytes).ok()
            }
        }
    )*};
}

stored!(
    codec::decode_part:
    BTreeMap<ProseField, Arc<Prose>> = Self::new(),
    BTreeMap<String, Vec<Dot>> = Self::new(),
    BTreeMap<String, String> = Self::new(),
    BTreeMap<String, Option<String>> = Self::new(),
    BTreeMap<String, Writers> = Self::new(),
    Option<String> = None,
    Vec<Arc<Note>> = Self::new(),
    Vec<Ended> = Self::new(),
    VersionVector = Self::new(),
);

// There are many of these, and serde would read each id a byte at a time.
stored!(codec::decode_whole: Vec<Edge> = Self::new(), BTreeSet<TodoId> = Self::new());

#[derive(Clone)]
enum Packed {
    /// It is not: the value is there.
    No,
    /// It is as it was in the snapshot that it came out of.
    In(Arc<Blocks>, Part),
    /// It was put apart from what it is encoded with, and has so many bytes there.
    Apart(u32),
}

impl Packed {
    /// The bytes, unless there are none.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::No | Self::Apart(_) => None,
            Self::In(blocks, part) => Some(blocks.bytes(*part)),
        }
    }
}

impl<T: Stored> Inner<T> {
    fn decode(&self) -> T {
        self.packed.bytes().and_then(T::decode).unwrap_or_default()
    }

    fn value(&self) -> &T {
        self.value.get_or_init(|| self.decode())
    }
}

impl<T> Lazy<T> {
    /// Where its bytes are in a snapshot.
    fn packed_in(&self) -> Option<(&Arc<Blocks>, Part)> {
        match self.0.as_deref() {
            Some(Inner { packed: Packed::In(blocks, part), .. }) => Some((blocks, *part)),
            _ => None,
        }
    }

    fn packed(packed: Packed) -> Self {
        Self(Some(Arc::new(Inner { packed, value: OnceLock::new() })))
    }

    /// What is at `part` of a snapshot.
    pub(super) fn at(blocks: &Arc<Blocks>, part: Part) -> Self {
        Self::packed(Packed::In(Arc::clone(blocks), part))
    }
}

impl<T: Stored> Lazy<T> {
    /// Its bytes; none where it is the default value.
    fn bytes(&self) -> Result<Cow<'_, [u8]>, CodecError> {
        match self.0.as_deref() {
            None => Ok(Cow::Borrowed(&[])),
            Some(inner) => match inner.packed.bytes() {
                Some(bytes) => Ok(Cow::Borrowed(bytes)),
                None if inner.value() == T::EMPTY => Ok(Cow::Borrowed(&[])),
                None => codec::encode_part(inner.value()).map(Cow::Owned),
            },
        }
    }

    /// Puts its bytes behind `parts`. Where they are in a snapshot, they are not kept unpacked for it.
    pub(super) fn put(&self, parts: &mut Vec<u8>, passing: &mut Passing) -> Result<(), CodecError> {
        match self.packed_in() {
            Some((blocks, part)) => parts.extend_from_slice(blocks.pass(part, passing)),
            None => parts.extend_from_slice(&self.bytes()?),
        }
        Ok(())
    }

    /// Puts its bytes behind `parts`. What is encoded of it then is how many they are, and it is for nothing else.
    pub(super) fn put_apart(
        &mut self,
        parts: &mut Vec<u8>,
        passing: &mut Passing,
    ) -> Result<(), CodecError> {
        let before = parts.len();
        self.put(parts, passing)?;
        *self = match u32::try_from(parts.len() - before).unwrap_or(u32::MAX) {
            0 => Self(None),
            len => Self::packed(Packed::Apart(len)),
        };
        Ok(())
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Stored> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        if value == *T::EMPTY {
            return Self(None);
        }
        Self(Some(Arc::new(Inner { packed: Packed::No, value: OnceLock::from(value) })))
    }
}

impl<T: Stored> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().map_or(T::EMPTY, Inner::value)
    }
}

impl<T: Stored + Clone> DerefMut for Lazy<T> {
    fn deref_mut(&mut self) -> &mut T {
        let own = |value: T| Inner { packed: Packed::No, value: OnceLock::from(value) };
        let inner = self.0.get_or_insert_with(|| Arc::new(own(T::default())));
        if let Some(inner) = Arc::get_mut(inner) {
            inner.value();
            inner.packed = Packed::No;
        } else {
            // Those that share it may never look at it.
            let value = inner.value.get().cloned().unwrap_or_else(|| inner.decode());
            *inner = Arc::new(own(value));
        }
        match Arc::get_mut(inner).and_then(|inner| inner.value.get_mut()) {
            Some(value) => value,
            None => unreachable!("it is not shared, and was just decoded"),
        }
    }
}

impl<T: Stored> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        let same = self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr);
        if same {
            return true;
        }
        let packed = self.packed_in().zip(other.packed_in());
        packed.is_some_and(|((one, at), (two, place))| {
            (Arc::ptr_eq(one, two) && at == place) || one.bytes(at) == two.bytes(place)
        }) || **self == **other
    }
}

impl<T: Stored + fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: Stored> IntoIterator for &'a Lazy<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (**self).into_iter()
    }
}

impl<T: Stored> Serialize for Lazy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return (**self).serialize(serializer);
        }
        match self.0.as_deref() {
            Some(Inner { packed: Packed::Apart(len), .. }) => len.serialize(serializer),
            _ => serializer.serialize_bytes(&self.bytes().map_err(S::Error::custom)?),
        }
    }
}

/// Out of a snapshot, into which it was put apart.
impl<T> Decode<Parts> for Lazy<T> {
    fn decode<D: Decoder<Context = Parts>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let len = u32::decode(decoder)?;
        if len == 0 {
            return Ok(Self::default());
        }
        let Parts { blocks, left, .. } = decoder.context();
        let missing = || DecodeError::UnexpectedEnd { additional: len as usize };
        Ok(Self::at(blocks, left.take(len).ok_or_else(missing)?))
    }
}
bincode::impl_borrow_decode_with_context!(Lazy<T>, Parts, T);

#[cfg(test)]
mod tests {
    use super::*;

    type Labels = BTreeMap<String, Vec<u64>>;
    stored!(codec::decode_part: Labels = Labels::new());

    fn labels() -> Labels {
        [("lang", vec![1, 300]), ("ui", vec![])].map(|(name, dots)| (name.to_owned(), dots)).into()
    }

    /// A part as it comes out of a snapshot in which it has these bytes.
    fn packed(bytes: &[u8]) -> Lazy<Labels> {
        let (blocks, left) = Blocks::of(bytes);
        let len = codec::encode_part(&(bytes.len() as u32)).expect("it encodes");
        let config = bincode::config::standard();
        let parts = Parts { id: TodoId::from_random(0), blocks, left };
        let read = bincode::decode_from_slice_with_context(&len, config, parts);
        let (part, used) = read.expect("it is one");
        assert_eq!(used, len.len());
        part
    }

    #[test]
    fn a_part_is_the_same_whether_it_was_looked_at_or_not() {
        let made = Lazy::from(labels());
        let bytes = codec::encode_part(&made).expect("it encodes");
        let read = packed(&made.bytes().expect("it has bytes"));
        let inner = read.0.as_deref().expect("it is not empty");
        assert!(matches!(inner.packed, Packed::In(..)) && inner.value.get().is_none());
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
        for mut part in [Lazy::default(), Lazy::from(Labels::new()), emptied, packed(&[])] {
            assert_eq!(codec::encode_part(&part), Ok(vec![0]));
            assert!(part.is_empty() && part == Lazy::default());
            let mut parts = Vec::new();
            part.put_apart(&mut parts, &mut Passing::default()).expect("it encodes");
            assert_eq!((codec::encode_part(&part), parts), (Ok(vec![0]), vec![]));
        }
    }

    /// A snapshot that claims to hold a large map is small, and so is what is made of it.
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

    #[test]
    fn a_part_that_reaches_beyond_its_todo_is_refused() {
        let (blocks, mut left) = Blocks::of(&[1, 1, b'a', 0, 9, 9]);
        let mine = left.take(4).expect("it is there");
        let id = TodoId::from_random(0);
        let parts = |left| Parts { id, blocks: Arc::clone(&blocks), left };
        let read = |len: u8, left| {
            let config = bincode::config::standard();
            bincode::decode_from_slice_with_context::<_, Lazy<Labels>, _>(
                &[len],
                config,
                parts(left),
            )
        };
        let (part, _) = read(4, mine).expect("it is there");
        assert_eq!(part.keys().collect::<Vec<_>>(), ["a"]);
        assert!(read(5, mine).is_err());
    }
}
