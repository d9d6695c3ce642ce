//! Values out of arbitrary bytes: a reader that never ends, and a serde deserializer over it, so
//! that every type of the model, whatever it will have, can be made of any bytes.
//!
//! Small numbers, few names and few ids come up often: operations that speak of the same things
//! meet, those that do not teach nothing.

use serde::Deserialize;
use serde::de::value::{Error, U8Deserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use tress_model::Operation;

/// Words that come up in operations, the empty one and those that look like another among them.
const WORDS: [&str; 14] = [
    "",
    " ",
    "a",
    "b",
    "ada",
    "codex-1",
    "alpha",
    "beta ✓",
    "γ/δ",
    "t-000000000001",
    "a\nb",
    "{}",
    "src/**",
    "\u{feff}\u{0}",
];

/// The most items of a list that is made.
const ITEMS: usize = 4;

/// Bytes that are read from the front. Behind their end there are zeros.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// A reader of `data`.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether none are left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// A number below `count`, which is not 0.
    pub fn pick(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// Up to `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the two bytes before them say.
    pub fn chunk(&mut self) -> &'a [u8] {
        let count = u16::from_le_bytes([self.byte(), self.byte()]);
        self.take(usize::from(count))
    }

    /// A number, most often a small one.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=199 => u64::from(byte % 10),
            byte @ 200..=229 => u64::from(byte) * 1000,
            230..=235 => u64::MAX / 2,
            236..=240 => u64::MAX,
            _ => {
                let mut number = [0; 8];
                number.iter_mut().for_each(|to| *to = self.byte());
                u64::from_le_bytes(number)
            }
        }
    }

    /// Some text, most often a short one that comes up again.
    pub fn text(&mut self) -> String {
        match self.byte() {
            byte @ 0..=219 => {
                WORDS.get(usize::from(byte) % WORDS.len()).copied().unwrap_or_default().to_owned()
            }
            byte @ 220..=239 => "x".repeat(usize::from(byte) * 2),
            _ => {
                let count = self.pick(24);
                String::from_utf8_lossy(self.take(count)).into_owned()
            }
        }
    }

    /// Any value of a type that can be deserialized.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        T::deserialize(self).ok()
    }

    /// Any operation, also one that only a newer version knows.
    pub fn operation(&mut self) -> Operation {
        match self.value() {
            Some(Operation::Unknown(mut bytes)) => {
                // A number behind that of every operation that is known.
                bytes.insert(0, 250);
                Operation::Unknown(bytes)
            }
            Some(known) => known,
            None => Operation::RunResumed,
        }
    }
}

/// The items of a list.
struct Items<'b, 'a>(&'b mut Bytes<'a>, usize);

impl<'a> SeqAccess<'a> for Items<'_, 'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.1.checked_sub(1) else { return Ok(None) };
        self.1 = left;
        seed.deserialize(&mut *self.0).map(Some)
    }
}

impl<'a> MapAccess<'a> for Items<'_, 'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.0)
    }
}

/// The bytes of an id: the same one throughout, so that there are few ids.
struct Id(u8, usize);

impl<'a> SeqAccess<'a> for Id {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.1.checked_sub(1) else { return Ok(None) };
        self.1 = left;
        let byte: U8Deserializer<Error> = self.0.into_deserializer();
        seed.deserialize(byte).map(Some)
    }
}

impl<'a> EnumAccess<'a> for Items<'_, 'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant: U32Deserializer<Error> = (self.1 as u32).into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'a> VariantAccess<'a> for Items<'_, 'a> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self.0, len))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self.0, fields.len()))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number() as $type)
        })*
    };
}

impl<'a> serde::Deserializer<'a> for &mut Bytes<'a> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.byte() & 1 == 1)
    }

    fn deserialize_u8<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(self.byte() % 104)
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let some = [0.0, -0.0, 1.5, f64::MAX, f64::NAN, f64::INFINITY];
        visitor.visit_f64(some.get(self.pick(some.len())).copied().unwrap_or_default())
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char(char::from(self.byte()))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.chunk())
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bytes(self.chunk())
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.byte() & 1 == 0 { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = self.pick(ITEMS);
        visitor.visit_seq(Items(self, count))
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match len {
            // Only ids and keys are this long.
            16 | 32 => visitor.visit_seq(Id(self.byte() % 6, len)),
            _ => visitor.visit_seq(Items(self, len)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = self.pick(ITEMS);
        visitor.visit_map(Items(self, count))
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self, fields.len()))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = self.pick(variants.len());
        visitor.visit_enum(Items(self, variant))
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.number())
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}
