//! Edits of the implementation document: it says what happened, so there is little to edit.

use tress_model::operation::Verdict;
use tress_model::{Operation, State, TodoId};

use super::todo::verdict;
use super::{Edits, Pair, differing, text};
use crate::node::Node;

const RECORD: &str = "it says what happened, and is not edited";

impl Edits {
    pub(super) fn work(&mut self, state: &State, known: &Node, edited: &Node) {
        for pair in differing(Some(known), Some(edited)) {
            match pair.key {
                "schema" | "strand" => {}
                "work" => {
                    for pair in differing(pair.old, pair.new) {
                        self.of_todo(state, &pair);
                    }
                }
                "alerts" => {
                    for pair in differing(pair.old, pair.new) {
                        self.alert(&pair);
                    }
                }
                other => self.refuse(other, RECORD),
            }
        }
    }

    /// A verdict on a claim of completion is one, whoever writes it: the fold decides whether it counts.
    fn of_todo(&mut self, state: &State, pair: &Pair<'_>) {
        let path = format!("work/{}", pair.key);
        let id: Option<TodoId> = pair.key.parse().ok();
        let Some(todo) = id.and_then(|id| state.todo(id)) else {
            return self.refuse(path, "there is no such todo");
        };
        for part in differing(pair.old, pair.new) {
            let path = format!("{path}/{}", part.key);
            if part.key != "completions" {
                self.refuse(path, RECORD);
                continue;
            }
            for completion in differing(part.old, part.new) {
                let said = |node: Option<&Node>| {
                    let node = node.and_then(|node| node.at(&["verification", "verdict"]));
                    text(node).map(str::to_owned)
                };
                let verdict_of = match said(completion.new).as_deref() {
                    new if new == said(completion.old).as_deref() => None,
                    Some("pass") => Some(Verdict::Pass),
                    Some("fail") => Some(Verdict::Fail),
                    Some("unknown") => Some(Verdict::Unknown),
                    _ => None,
                };
                match (verdict_of, completion.key.parse().ok()) {
                    (Some(new), Some(dot)) => {
                        let reason = completion.new.and_then(|n| n.at(&["verification", "reason"]));
                        let reason = text(reason).unwrap_or("in the document").to_owned();
                        self.operations.push(verdict(todo, Some(dot), new, reason));
                    }
                    _ => self.refuse(format!("{path}/{}", completion.key), RECORD),
                }
            }
        }
    }

    fn alert(&mut self, pair: &Pair<'_>) {
        let alert = pair.key.to_owned();
        let changed = differing(pair.old, pair.new);
        let only = |name: &str| changed.len() == 1 && changed.iter().all(|c| c.key == name);
        match (pair.old, pair.new) {
            (Some(_), Some(_)) if only("acknowledged_by") => {
                self.operations.push(Operation::AlertAcknowledged { alert });
            }
            (Some(_), Some(_)) if only("cleared_at") => {
                self.operations.push(Operation::AlertCleared { alert });
            }
            _ => self.refuse(format!("alerts/{alert}"), RECORD),
        }
    }
}
