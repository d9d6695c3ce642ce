//! What a writer says on stdout, one line and one write for each thing that was acknowledged.
//!
//! ```text
//! open                                 the run is open
//! ack DOT=ID [DOT=ID ...]              one append: all of its events
//! claim TODO DOT=ID                    an append on a condition that held
//! sealed                               the documents were brought up to date
//! done                                 nothing more is appended
//! ```
//!
//! A line is shorter than what a pipe takes in one piece, so it is there whole or not at all.

use std::io::Write;

use tress::{Dot, Event, EventId, TodoId};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ack {
    Open,
    Events(Vec<(Dot, EventId)>),
    Claim(TodoId, Dot, EventId),
    Sealed,
    Done,
}

impl Ack {
    pub(crate) fn events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        Self::Events(events.into_iter().map(|event| (event.dot, event.id)).collect())
    }

    pub(crate) fn line(&self) -> String {
        match self {
            Self::Open => "open\n".to_owned(),
            Self::Sealed => "sealed\n".to_owned(),
            Self::Done => "done\n".to_owned(),
            Self::Claim(todo, dot, id) => format!("claim {todo} {dot}={id}\n"),
            Self::Events(events) => {
                let events = events.iter().map(|(dot, id)| format!(" {dot}={id}"));
                format!("ack{}\n", events.collect::<String>())
            }
        }
    }

    /// The line, if it is one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        match words.next()? {
            "open" => Some(Self::Open),
            "sealed" => Some(Self::Sealed),
            "done" => Some(Self::Done),
            "claim" => {
                let todo = words.next()?.parse().ok()?;
                let (dot, id) = event(words.next()?)?;
                Some(Self::Claim(todo, dot, id))
            }
            "ack" => words.map(event).collect::<Option<Vec<_>>>().map(Self::Events),
            _ => None,
        }
    }

    /// Says it in one write, past every buffer.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) fn say(&self) -> std::io::Result<()> {
        std::io::stdout().lock().write_all(self.line().as_bytes())
    }
}

fn event(word: &str) -> Option<(Dot, EventId)> {
    let (dot, id) = word.split_once('=')?;
    Some((dot.parse().ok()?, id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tress::ReplicaId;

    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let dot = |number| Dot { replica: ReplicaId([7; 16]), number };
        let id = |byte| EventId([byte; 32]);
        for ack in [
            Ack::Open,
            Ack::Sealed,
            Ack::Done,
            Ack::Events(vec![(dot(1), id(1))]),
            Ack::Events(vec![(dot(1), id(1)), (dot(2), id(2)), (dot(3), id(3))]),
            Ack::Claim(TodoId::from_random(5), dot(9), id(9)),
        ] {
            let line = ack.line();
            assert!(line.len() < 4096, "a pipe takes 4096 bytes in one piece");
            assert_eq!(Ack::parse(line.trim_end()), Some(ack));
        }
        assert_eq!(Ack::parse("ack x"), None);
    }
}
