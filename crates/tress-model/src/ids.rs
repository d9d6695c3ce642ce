//! Identifiers: replicas, stores, dots, event hashes, todo ids and the authors of events.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text could not be read as an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl IdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hex<const N: usize>(text: &str, expected: &'static str) -> Result<[u8; N], IdError> {
    let error = || IdError::new(text, expected);
    // One text form each: no upper case, and no sign, which a number could have.
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != N * 2 || !text.bytes().all(digit) {
        return Err(error());
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = text.get(at * 2..at * 2 + 2).ok_or_else(error)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
    }
    Ok(bytes)
}

/// Gives a byte-array identifier its text form (lower-case hexadecimal) and its serde form:
/// text for people, bytes for the codec.
macro_rules! hex_id {
    ($name:ident, $len:literal, $what:literal) => {
        impl $name {
            /// The identifier as bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                read_hex(text, $what).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; $len]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

/// One writer: sixteen random bytes. A replica numbers its own events 1, 2, 3 … without holes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ReplicaId(pub [u8; 16]);

/// As its bytes are ordered. As numbers, they are compared in a few instructions; every map of replicas does that
/// ten times for each look.
impl Ord for ReplicaId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ReplicaId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
hex_id!(ReplicaId, 16, "a replica id (32 hexadecimal digits)");

impl ReplicaId {
    /// The first eight digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

/// One store: the directory that a set of replicas lives in, and one Automerge actor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct StoreId(pub [u8; 16]);
hex_id!(StoreId, 16, "a store id (32 hexadecimal digits)");

impl StoreId {
    /// The id that this store goes by where it writes the documents of the path `name`, so that two
    /// histories of one document never share an author.
    #[must_use]
    pub fn on_path(&self, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("tress 2026 store on a path, v1");
        hasher.update(&self.0).update(name.as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

/// The BLAKE3 hash of an event, chained over the previous event of its replica.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EventId(pub [u8; 32]);
hex_id!(EventId, 32, "an event id (64 hexadecimal digits)");

impl EventId {
    /// What the first event of every replica has for a predecessor.
    pub const GENESIS: Self = Self([0; 32]);

    /// The first eight bytes: what a cause is checked by.
    pub fn mark(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    /// Whether its hexadecimal digits begin with `prefix`.
    pub fn begins_with(&self, prefix: &str) -> bool {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        prefix.len() <= 2 * self.0.len()
            && prefix.chars().zip(digits).all(|(wanted, digit)| {
                char::from_digit(u32::from(digit), 16).is_some_and(|digit| digit == wanted)
            })
    }

    /// The first ten digits, for people; unique in any log of practical size.
    pub fn short(&self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

/// The name of one event: who wrote it, and the how-manieth of that writer it is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
pub struct Dot {
    /// The replica that wrote the event.
    pub replica: ReplicaId,
    /// Its number on that replica, from 1.
    pub number: u64,
}

impl Dot {
    /// The dot of the `number`th event of `replica`.
    pub const fn new(replica: ReplicaId, number: u64) -> Self {
        Self { replica, number }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.number)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica.short(), self.number)
    }
}

impl FromStr for Dot {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(text, "a dot (REPLICA:NUMBER)");
        let (replica, number) = text.split_once(':').ok_or_else(error)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        Ok(Self { replica: replica.parse()?, number: number.parse().map_err(|_| error())? })
    }
}

/// The number of base-36 digits in a whole [`TodoId`].
pub const TODO_DIGITS: usize = 12;
/// The fewest digits of a todo id that are ever shown.
pub const TODO_DIGITS_MIN: usize = 4;
const TODO_SPACE: u64 = 36_u64.pow(TODO_DIGITS as u32);

/// A todo: twelve base-36 digits, chosen at random by whoever adds it or derived from the id it was
/// imported under, so that two sides that import the same list mean the same todos. Written
/// `t-` and as many digits as make it unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TodoId(u64);

impl TodoId {
    /// The todo that 64 random bits name.
    pub const fn from_random(bits: u64) -> Self {
        Self(bits % TODO_SPACE)
    }

    /// The number that it is.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// The todo that is known under `external` in another system.
    pub fn from_external(external: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("tress 2026 todo id from external id");
        hasher.update(external.as_bytes());
        let mut bits = [0; 8];
        hasher.finalize_xof().fill(&mut bits);
        Self::from_random(u64::from_le_bytes(bits))
    }

    /// All twelve digits.
    pub fn digits(self) -> String {
        String::from_utf8_lossy(&self.ascii()).into_owned()
    }

    fn ascii(self) -> [u8; TODO_DIGITS] {
        let mut digits = [b'0'; TODO_DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit = match (rest % 36) as u8 {
                value @ 0..=9 => b'0' + value,
                value => b'a' + value - 10,
            };
            rest /= 36;
        }
        digits
    }

    /// The range of todos whose digits start with `prefix` (with or without `t-`), or `None` where
    /// that is no todo id at all.
    pub fn prefix_range(prefix: &str) -> Option<(Self, Self)> {
        let digits = prefix.strip_prefix("t-").unwrap_or(prefix);
        if digits.is_empty() || digits.len() > TODO_DIGITS {
            return None;
        }
        let mut value = 0_u64;
        for digit in digits.chars() {
            let digit = match digit {
                '0'..='9' => u64::from(digit) - u64::from('0'),
                'a'..='z' => u64::from(digit) - u64::from('a') + 10,
                _ => return None,
            };
            value = value * 36 + digit;
        }
        let scale = 36_u64.pow((TODO_DIGITS - digits.len()) as u32);
        let first = value * scale;
        Some((Self(first), Self(first + (scale - 1))))
    }

    /// The number of leading digits that `self` and `other` share.
    pub fn shared_digits(self, other: Self) -> usize {
        self.ascii().iter().zip(other.ascii()).take_while(|(a, b)| **a == *b).count()
    }
}

impl fmt::Display for TodoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t-{}", self.digits())
    }
}

impl fmt::Debug for TodoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TodoId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match Self::prefix_range(text) {
            Some((first, last)) if first == last => Ok(first),
            _ => Err(IdError::new(text, "a whole todo id (t- and twelve digits)")),
        }
    }
}

impl Serialize for TodoId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TodoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self::from_random)
        }
    }
}

impl Encode for TodoId {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.encode(encoder)
    }
}

impl<Context> Decode<Context> for TodoId {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        u64::decode(decoder).map(Self::from_random)
    }
}
bincode::impl_borrow_decode!(TodoId);

/// What an agent does in the team.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Picks ready work and does it.
    Implementer,
    /// Holds every change against the design.
    Reconciler,
    /// Accepts completions, on evidence.
    Verifier,
    /// Plans, distributes, integrates.
    Coordinator,
    /// A person at a keyboard.
    Human,
}

impl Role {
    /// Every role, in a fixed order.
    pub const ALL: [Self; 5] =
        [Self::Implementer, Self::Reconciler, Self::Verifier, Self::Coordinator, Self::Human];

    /// The role's name, as users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Implementer => "implementer",
            Self::Reconciler => "reconciler",
            Self::Verifier => "verifier",
            Self::Coordinator => "coordinator",
            Self::Human => "human",
        }
    }

    /// Whether this role may accept a claim of completion (rule `done-means-verified`).
    pub const fn may_verify(self) -> bool {
        matches!(self, Self::Verifier | Self::Coordinator | Self::Human)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            IdError::new(text, "a role (implementer, reconciler, verifier, coordinator, human)")
        })
    }
}

/// Who did it: an agent's stable name, and the role it acted in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode)]
pub struct Author {
    /// The agent's name.
    pub name: Arc<str>,
    /// The role it acted in.
    pub role: Role,
}

impl Author {
    /// The agent `name`, acting as `role`.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { name: name.into(), role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let replica = ReplicaId([0xab; 16]);
        assert_eq!(replica.to_string().parse(), Ok(replica));
        let dot = Dot::new(replica, 42);
        assert_eq!(dot.to_string().parse(), Ok(dot));
        let todo = TodoId::from_random(123_456_789_012);
        assert_eq!(todo.to_string().parse(), Ok(todo));
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
    }

    /// `+1` was read as a hexadecimal byte, and upper case too: two directories could be the
    /// journal of one replica.
    #[test]
    fn an_id_has_one_text_form() {
        for text in ["+1".repeat(16), "AB".repeat(16), "ab".repeat(15), "a ".repeat(16)] {
            assert!(text.parse::<ReplicaId>().is_err(), "{text}");
        }
        let replica = ReplicaId([1; 16]);
        assert!(format!("{replica}:+7").parse::<Dot>().is_err());
        assert!(format!("{replica}:7").parse::<Dot>().is_ok());
    }

    #[test]
    fn a_prefix_names_the_range_of_its_todos() {
        let todo = TodoId::from_random(u64::MAX);
        let digits = todo.digits();
        for len in 1..=TODO_DIGITS {
            let (first, last) = TodoId::prefix_range(&digits[..len]).expect("digits are valid");
            assert!(first <= todo && todo <= last);
        }
        assert_eq!(TodoId::prefix_range("t-"), None);
        assert_eq!(TodoId::prefix_range("t-UPPER"), None);
        assert_eq!(TodoId::prefix_range("0123456789abc"), None);
    }

    #[test]
    fn the_same_external_id_is_the_same_todo() {
        assert_eq!(TodoId::from_external("bd-1"), TodoId::from_external("bd-1"));
        assert_ne!(TodoId::from_external("bd-1"), TodoId::from_external("bd-2"));
    }
}
