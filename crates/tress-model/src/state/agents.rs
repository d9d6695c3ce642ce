//! The agents of a team, by name.
//!
//! Each event changes what is known of its author: when it was last heard of, how many events it made. A run may
//! have a thousand authors, and then each event is another's. So these figures lie by themselves, in a list without
//! a pointer in it: to copy what a state shares with a mark is to copy bytes. What changes seldom is shared.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded;
use crate::clock::Millis;
use crate::ids::Role;

/// The agents of a team, by name. A clone is cheap and shares what does not change.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    /// Where each lies, by name.
    places: OrdMap<Name, usize>,
    profiles: Vector<Arc<Profile>>,
    figures: Vector<Figures>,
}

/// A name, in the order of names. Its beginning lies in it as a number, so that most are told apart without a look
/// at where the name is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    beginning: u128,
    name: Arc<str>,
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Self {
        let mut beginning = [0; 16];
        // Zeros stand before every byte, as the end of a name does.
        beginning.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
        Self { beginning: u128::from_be_bytes(beginning), name }
    }
}

/// What an agent says of itself, which changes seldom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// What it can do.
    pub capabilities: Vec<String>,
    /// What it is.
    pub about: String,
    /// What it does, when that is not work on a todo.
    pub activity: String,
    /// Whether it joined and has not left.
    pub active: bool,
    /// When it was first heard of.
    pub since: Millis,
}

/// What the events of an agent change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    role: Role,
    last_seen: Millis,
    events: u64,
    pub(super) completed: u64,
    pub(super) refused: u64,
}

/// An agent of the team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What it says of itself; [`Agent`] gives it as its own.
    pub profile: Arc<Profile>,
    /// The role it acted in last.
    pub role: Role,
    /// When it was last heard of.
    pub last_seen: Millis,
    /// How many events it made.
    pub events: u64,
    /// How many of its claims of completion were accepted.
    pub completed: u64,
    /// How many of its claims of completion were refused.
    pub refused: u64,
}

impl Deref for Agent {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.profile
    }
}

/// An agent as it is encoded.
#[derive(Deserialize)]
#[serde(rename = "Agent")]
struct Stored {
    role: Role,
    capabilities: Vec<String>,
    about: String,
    activity: String,
    active: bool,
    since: Millis,
    last_seen: Millis,
    events: u64,
    completed: u64,
    refused: u64,
}

impl Serialize for Agent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Agent", 10)?;
        fields.serialize_field("role", &self.role)?;
        fields.serialize_field("capabilities", &self.capabilities)?;
        fields.serialize_field("about", &self.about)?;
        fields.serialize_field("activity", &self.activity)?;
        fields.serialize_field("active", &self.active)?;
        fields.serialize_field("since", &self.since)?;
        fields.serialize_field("last_seen", &self.last_seen)?;
        fields.serialize_field("events", &self.events)?;
        fields.serialize_field("completed", &self.completed)?;
        fields.serialize_field("refused", &self.refused)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Agent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let Stored { capabilities, about, activity, active, since, .. } = stored;
        let Stored { role, last_seen, events, completed, refused, .. } = stored;
        Ok(Self {
            profile: Arc::new(Profile { capabilities, about, activity, active, since }),
            role,
            last_seen,
            events,
            completed,
            refused,
        })
    }
}

impl Serialize for Agents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(name, agent)| map.serialize_entry(name, &agent))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Agents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: OrdMap<Arc<str>, Agent> = bounded::map(deserializer)?;
        let mut agents = Self::default();
        read.into_iter().for_each(|(name, agent)| agents.put(name, agent));
        Ok(agents)
    }
}

/// Where they lie is no matter.
impl PartialEq for Agents {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Agents {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(&Arc::from(name)).is_some()
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Option<Agent> {
        self.find(&Arc::from(name))
    }

    fn find(&self, name: &Arc<str>) -> Option<Agent> {
        self.at(self.place(name)?)
    }

    fn place(&self, name: &Arc<str>) -> Option<usize> {
        self.places.get(&Name::from(Arc::clone(name))).copied()
    }

    fn at(&self, place: usize) -> Option<Agent> {
        let profile = Arc::clone(self.profiles.get(place)?);
        let Figures { role, last_seen, events, completed, refused } = *self.figures.get(place)?;
        Some(Agent { profile, role, last_seen, events, completed, refused })
    }

    /// The agents with their names, in order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Agent)> {
        self.places.iter().filter_map(|(name, place)| Some((&name.name, self.at(*place)?)))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.places.keys().map(|name| &name.name)
    }

    /// The agents, in order of their names.
    pub fn values(&self) -> impl Iterator<Item = Agent> {
        self.iter().map(|(_, agent)| agent)
    }

    /// The agents that are otherwise in `other`, or in one of the two only, as they are in either; in order of
    /// their names. Linear in both.
    pub fn changed<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Arc<str>, Option<Agent>, Option<Agent>)> {
        let names: BTreeSet<_> = self.keys().chain(other.keys()).collect();
        let both = names.into_iter().map(|name| (name, self.find(name), other.find(name)));
        both.filter(|(_, mine, others)| mine != others)
    }

    /// Takes note that `name` is there, in `role` and at `at`.
    pub(super) fn hear(&mut self, name: &Arc<str>, role: Role, at: Millis) {
        if let Some(figures) = self.figures_mut(name) {
            figures.role = role;
            figures.last_seen = figures.last_seen.max(at);
            figures.events += 1;
            return;
        }
        let profile = Arc::new(Profile { since: at, ..Profile::default() });
        let (last_seen, events, completed, refused) = (at, 1, 0, 0);
        let agent = Agent { profile, role, last_seen, events, completed, refused };
        self.put(Arc::clone(name), agent);
    }

    /// Puts a new agent there.
    fn put(&mut self, name: Arc<str>, agent: Agent) {
        let Agent { profile, role, last_seen, events, completed, refused } = agent;
        self.places.insert(name.into(), self.profiles.len());
        self.profiles.push_back(profile);
        self.figures.push_back(Figures { role, last_seen, events, completed, refused });
    }

    /// What the events of `name` change.
    pub(super) fn figures_mut(&mut self, name: &Arc<str>) -> Option<&mut Figures> {
        self.figures.get_mut(self.place(name)?)
    }

    /// What `name` says of itself, to be changed: copied where it is shared with another state.
    pub(super) fn profile_mut(&mut self, name: &Arc<str>) -> Option<&mut Profile> {
        self.profiles.get_mut(self.place(name)?).map(Arc::make_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn heard(names: &[&str]) -> Agents {
        let mut agents = Agents::default();
        for (at, name) in (1..).zip(names) {
            agents.hear(&Arc::from(*name), Role::Implementer, at);
        }
        agents
    }

    #[test]
    fn the_order_in_which_they_came_is_no_matter() {
        let mut one = heard(&["a", "b", "a"]);
        let mut other = heard(&["a", "c", "a"]);
        assert_ne!(one, other);
        let names = |agents: &Agents| agents.keys().map(ToString::to_string).collect::<Vec<_>>();
        // Both come to the same.
        one.hear(&Arc::from("c"), Role::Implementer, 2);
        other.hear(&Arc::from("b"), Role::Implementer, 2);
        assert_eq!(one, other);
        assert_eq!(names(&one), ["a", "b", "c"]);
        assert_eq!(codec::encode_part(&one), codec::encode_part(&other));
        assert_eq!(one.changed(&other).count(), 0);
    }

    #[test]
    fn names_are_ordered_as_texts_are() {
        let names =
            ["", "a", "a\0", "a\u{1}", "ab", "agent-number-1000", "agent-number-1001", "b", "ä"];
        let all = names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other)));
        for (one, other) in all {
            let key = |name: &str| Name::from(Arc::from(name));
            assert_eq!(key(one).cmp(&key(other)), one.cmp(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_state_that_was_kept_stays_as_it_is() {
        let mut agents = heard(&["a"; 3]);
        let kept = agents.clone();
        agents.hear(&Arc::from("a"), Role::Verifier, 9);
        agents.profile_mut(&Arc::from("a")).unwrap().active = true;
        agents.hear(&Arc::from("b"), Role::Human, 9);
        let (was, is) = (kept.get("a").unwrap(), agents.get("a").unwrap());
        assert_eq!(
            (was.role, was.last_seen, was.events, was.active),
            (Role::Implementer, 3, 3, false)
        );
        assert_eq!((is.role, is.last_seen, is.events, is.active), (Role::Verifier, 9, 4, true));
        assert_eq!((was.since, is.since), (1, 1));
        let changed: Vec<_> =
            kept.changed(&agents).map(|(name, was, is)| (&**name, was, is)).collect();
        assert_eq!(changed, [("a", Some(was), Some(is)), ("b", None, agents.get("b"))]);
        assert_eq!((kept.len(), agents.len()), (1, 2));
    }
}
