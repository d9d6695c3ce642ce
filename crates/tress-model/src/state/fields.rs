//! What of a todo changes seldom, and what most todos have none of.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::lazy::Lazy;
use super::prose::Prose;
use super::todo::{Blocker, Claim, Closing, Failure, Note};
use super::writers::Writers;
use crate::clock::Millis;
use crate::codec::Parts;
use crate::ids::Dot;
use crate::operation::ProseField;

/// What of a todo changes seldom; shared with earlier states of it. It gives the fields of [`Seldom`] as its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// The id it has in another system.
    pub external_id: Option<String>,
    /// One line that says what is to be done.
    pub title: String,
    /// What kind of work it is.
    pub kind: String,
    /// 0 (most urgent) to 4.
    pub priority: u8,
    /// Whom it is meant for.
    pub assignee: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// When it came into being.
    pub created_at: Millis,
    /// Who brought it into being.
    pub created_by: Option<String>,
    /// Its prose, by field; what is missing is empty.
    pub prose: Lazy<BTreeMap<ProseField, Arc<Prose>>>,
    /// Its labels, each with the events that added it.
    pub labels: Lazy<BTreeMap<String, Vec<Dot>>>,
    /// Fields that Tress does not know, as JSON text.
    pub extra: Lazy<BTreeMap<String, String>>,
    /// How it was written where it came from.
    pub layout: Lazy<Option<String>>,
    /// Remarks, in order.
    pub notes: Lazy<Vec<Arc<Note>>>,
    /// Closings without completion, in order.
    pub closings: Vec<Closing>,
    /// Files that work on it made or changed, with the git blob they became.
    pub artifacts: Lazy<BTreeMap<String, Option<String>>>,
    /// Who wrote a field, for fields written since the todo came into being.
    pub(super) writers: Lazy<BTreeMap<String, Writers>>,
    seldom: Rare,
}

/// What most todos have none of. It takes room only where there is some of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seldom {
    /// The status word of another system.
    pub stage: Option<String>,
    /// Estimated minutes.
    pub estimate_minutes: Option<u32>,
    /// The command that must succeed when it is done.
    pub check: Option<String>,
    /// The paths (globs) it is expected to touch.
    pub files: Vec<String>,
    /// The design section it implements.
    pub section: Option<String>,
    /// What an agent must be able to do to take it.
    pub capabilities: Vec<String>,
    /// Whether a checkpoint is taken before it is worked on.
    pub high_risk: bool,
    /// Kept in view, never worked on.
    pub pinned: bool,
    /// Not worth keeping.
    pub ephemeral: bool,
    /// Not before this time.
    pub defer_until: Option<Millis>,
    /// To be done by this time.
    pub due_at: Option<Millis>,
    /// A reference into another system.
    pub external_ref: Option<String>,
    /// The claim that a deletion ended, with that deletion: it comes back when the deletion loses.
    pub(super) put_aside: Option<Box<(Dot, Claim)>>,
    /// What is or was in the way.
    pub blockers: Vec<Blocker>,
    /// Deletions, in order.
    pub deletions: Vec<Closing>,
    /// Attempts that failed, in order.
    pub failures: Vec<Failure>,
    /// Whom the coordinator gave it to.
    pub assigned: Option<String>,
}

/// Some of it, or a pointer to nothing.
#[derive(Clone)]
struct Rare(Option<Arc<Seldom>>);

impl Deref for Rare {
    type Target = Seldom;

    fn deref(&self) -> &Seldom {
        const NONE: &Seldom = &Seldom::NONE;
        self.0.as_deref().unwrap_or(NONE)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut Seldom {
        Arc::make_mut(self.0.get_or_insert_with(|| Arc::new(Seldom::NONE)))
    }
}

/// Nothing is the same as some of which all is gone again.
impl PartialEq for Rare {
    fn eq(&self, other: &Self) -> bool {
        let same = self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr);
        same || **self == **other
    }
}

impl fmt::Debug for Rare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl From<Seldom> for Rare {
    fn from(seldom: Seldom) -> Self {
        Self((seldom != Seldom::NONE).then(|| Arc::new(seldom)))
    }
}

impl Seldom {
    const NONE: Self = Self {
        stage: None,
        estimate_minutes: None,
        check: None,
        files: Vec::new(),
        section: None,
        capabilities: Vec::new(),
        high_risk: false,
        pinned: false,
        ephemeral: false,
        defer_until: None,
        due_at: None,
        external_ref: None,
        put_aside: None,
        blockers: Vec::new(),
        deletions: Vec::new(),
        failures: Vec::new(),
        assigned: None,
    };
}

impl Fields {
    pub(super) fn new(title: String, agent: &str, at: Millis) -> Self {
        Self {
            external_id: None,
            title,
            kind: "task".to_owned(),
            priority: 2,
            assignee: None,
            owner: None,
            created_at: at,
            created_by: Some(agent.to_owned()),
            prose: Lazy::default(),
            labels: Lazy::default(),
            extra: Lazy::default(),
            layout: Lazy::default(),
            notes: Lazy::default(),
            closings: Vec::new(),
            artifacts: Lazy::default(),
            writers: Lazy::default(),
            seldom: Rare(None),
        }
    }
}

impl Deref for Fields {
    type Target = Seldom;

    fn deref(&self) -> &Seldom {
        &self.seldom
    }
}

impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut Seldom {
        &mut self.seldom
    }
}

/// How all fields are encoded, in this order; and which of them are [`Fields`]' own and which [`Seldom`]'s.
macro_rules! encoded {
    (in order: $($field:ident)*; own: $($own:ident)*; seldom: $($seldom:ident)*;) => {
        impl Serialize for Fields {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let count = [$(stringify!($field)),*].len();
                let mut fields = serializer.serialize_struct("Fields", count)?;
                $(fields.serialize_field(stringify!($field), &self.$field)?;)*
                fields.end()
            }
        }

        impl Decode<Parts> for Fields {
            fn decode<D: Decoder<Context = Parts>>(decoder: &mut D) -> Result<Self, DecodeError> {
                $(let $field = Decode::decode(decoder)?;)*
                let seldom = Seldom { $($seldom),* }.into();
                Ok(Self { $($own,)* seldom })
            }
        }
        bincode::impl_borrow_decode_with_context!(Fields, Parts);
    };
}

encoded! {
    in order:
        external_id title kind priority assignee owner stage estimate_minutes check files section
        capabilities high_risk pinned ephemeral defer_until due_at external_ref created_at created_by
        prose labels extra layout notes put_aside blockers closings deletions failures assigned
        artifacts writers;
    own:
        external_id title kind priority assignee owner created_at created_by prose labels extra layout
        notes closings artifacts writers;
    seldom:
        stage estimate_minutes check files section capabilities high_risk pinned ephemeral defer_until
        due_at external_ref put_aside blockers deletions failures assigned;
}
