//! Parts of a todo that few ever look at: out of a snapshot they are bytes until somebody does.
//!
//! Who asks what is ready reads every todo, and of most of them neither their texts nor their remarks nor
//! who wrote which field. To decode all of that was most of what it took to open a run.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::codec;

/// A value, or what it is decoded from when it is first looked at. Clones share it.
///
/// Bytes that nothing can be decoded from give the default value. They cannot come about by accident: a
/// snapshot's checksum is held against it before it is read.
pub struct Lazy<T> {
    pub(super) form: Form<T>,
}

pub(super) enum Form<T> {
    /// As it came out of a snapshot (`None`: the default value), and what it was decoded to.
    Packed(Option<Arc<[u8]>>, OnceLock<Arc<T>>),
    /// As it was made.
    Known(Arc<T>),
}

impl<T: DeserializeOwned + Default> Lazy<T> {
    fn value(&self) -> &Arc<T> {
        match &self.form {
            Form::Known(value) => value,
            Form::Packed(bytes, value) => value.get_or_init(|| {
                let read = bytes.as_deref().and_then(|bytes| codec::decode_part(bytes).ok());
                Arc::new(read.unwrap_or_default())
            }),
        }
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self { form: Form::Packed(None, OnceLock::new()) }
    }
}

impl<T> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Packed(bytes, value) => Form::Packed(bytes.clone(), value.clone()),
            Form::Known(value) => Form::Known(Arc::clone(value)),
        };
        Self { form }
    }
}

impl<T> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        Self { form: Form::Known(Arc::new(value)) }
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
        if let Form::Packed(..) = self.form {
            self.form = Form::Known(Arc::clone(self.value()));
        }
        match &mut self.form {
            Form::Known(value) => Arc::make_mut(value),
            Form::Packed(..) => unreachable!("it was just made known"),
        }
    }
}

impl<T: DeserializeOwned + Default + PartialEq> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.form, &other.form) {
            (Form::Packed(one, _), Form::Packed(two, _)) if one == two => true,
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
        match &self.form {
            Form::Packed(bytes, _) => {
                serializer.serialize_bytes(bytes.as_deref().unwrap_or_default())
            }
            Form::Known(value) if **value == T::default() => serializer.serialize_bytes(&[]),
            Form::Known(value) => {
                let bytes = codec::encode_part(value).map_err(S::Error::custom)?;
                serializer.serialize_bytes(&bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Labels = BTreeMap<String, Vec<u64>>;

    fn labels() -> Labels {
        [("lang", vec![1, 300]), ("ui", vec![])].map(|(name, dots)| (name.to_owned(), dots)).into()
    }

    fn read(bytes: &[u8]) -> Lazy<Labels> {
        let read = bincode::decode_from_slice(bytes, bincode::config::standard());
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
        assert!(matches!(&read.form, Form::Packed(Some(_), value) if value.get().is_none()));
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
