//! Lists, without trust in how long they are: once it is read, an item of one byte may take a hundred.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::CodecError;
use crate::limits::LIST_ITEMS_MAX;
use crate::operation::Operation;

/// Reads a list of at most `N` items, and no further where there are more.
pub(super) fn at_most<'de, D, T, const N: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(AtMost::<T, N>(PhantomData))
}

struct AtMost<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> de::Visitor<'de> for AtMost<T, N> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} items")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        if seq.size_hint().is_some_and(|len| len > N) {
            return Err(de::Error::custom(format_args!("a list is longer than {N} items")));
        }
        // As much as is said to come, within reason: perhaps it does not.
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// How many items the lists of some operations may still have.
#[derive(Debug)]
pub struct Room(Option<usize>);

impl Room {
    /// The room in a body of so many bytes. In a small one nothing need be counted: each item has a byte.
    pub fn of(bytes: usize) -> Self {
        Self((bytes > LIST_ITEMS_MAX).then_some(LIST_ITEMS_MAX))
    }

    /// Takes room for the lists of an operation. Linear in it.
    ///
    /// # Errors
    /// When there is none left.
    pub fn take(&mut self, operation: &Operation) -> Result<(), CodecError> {
        let Some(room) = &mut self.0 else { return Ok(()) };
        if let Operation::Unknown(_) = operation {
            // These are bytes, and no more than they were.
            return Ok(());
        }
        let mut count = Items(0);
        let counted = operation.serialize(&mut count);
        let left = counted.ok().and_then(|()| room.checked_sub(count.0));
        *room = left.ok_or(CodecError::TooLarge {
            what: "segment (in items of lists)",
            size: LIST_ITEMS_MAX - *room + count.0,
            limit: LIST_ITEMS_MAX,
        })?;
        Ok(())
    }
}

/// Counts the items of all lists in a value.
struct Items(usize);

/// Counting does not fail.
#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be counted")
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// What has nothing in it.
macro_rules! leaves {
    ($($name:ident($($of:ty),*)),* $(,)?) => {
        $(fn $name(self, $(_: $of),*) -> Result<(), Never> {
            Ok(())
        })*
    };
}

impl<'a> Serializer for &'a mut Items {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = &'a mut Items;
    type SerializeTuple = &'a mut Items;
    type SerializeTupleStruct = &'a mut Items;
    type SerializeTupleVariant = &'a mut Items;
    type SerializeMap = &'a mut Items;
    type SerializeStruct = &'a mut Items;
    type SerializeStructVariant = &'a mut Items;

    leaves! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32),
        serialize_i64(i64), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32),
        serialize_u64(u64), serialize_f32(f32), serialize_f64(f64), serialize_char(char),
        serialize_str(&str), serialize_bytes(&[u8]), serialize_none(), serialize_unit(),
        serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        Ok(self)
    }
}

impl ser::SerializeMap for &mut Items {
    type Ok = ();
    type Error = Never;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        self.0 += 1;
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

/// What has parts: of a list each is an item, and of all else, which has as many as it has, none.
macro_rules! parts {
    ($($what:ident::$name:ident($($key:ty)?) has $items:literal),* $(,)?) => {
        $(impl ser::$what for &mut Items {
            type Ok = ();
            type Error = Never;

            fn $name<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), Never> {
                self.0 += $items;
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq::serialize_element() has 1,
    SerializeTuple::serialize_element() has 0,
    SerializeTupleStruct::serialize_field() has 0,
    SerializeTupleVariant::serialize_field() has 0,
    SerializeStruct::serialize_field(&'static str) has 0,
    SerializeStructVariant::serialize_field(&'static str) has 0,
}
