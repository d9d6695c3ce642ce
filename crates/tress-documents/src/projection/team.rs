//! The implementation strand, but for what belongs to one todo.

use std::collections::BTreeMap;

use tress_model::rules::LedgerEntry;
use tress_model::state::Phase;
use tress_model::state::team::{Agent, Alert, Checkpoint, Integration};
use tress_model::{State, VersionVector};

use super::todo::dot;
use crate::node::{Fields, Node, int, set, time};

/// The run as a whole.
pub(crate) fn info(state: &State) -> BTreeMap<String, Node> {
    let team = &state.team;
    let phase = match team.phase {
        Phase::New => "new",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    let plan = team.plan.as_ref();
    Fields::new()
        .with("phase", phase)
        .maybe("base", team.base.as_ref())
        .maybe("branch", team.branch.as_ref())
        .maybe("started_at", team.started_at.map(time))
        .maybe("ended_at", team.ended_at.map(time))
        .line("summary", &team.summary)
        .maybe("implementers", plan.map(|&(implementers, _, _)| int(implementers)))
        .maybe("coordinators", plan.map(|&(_, coordinators, _)| int(coordinators)))
        .maybe("plan", plan.map(|(_, _, summary)| summary))
        .maybe("ledger_cut", (state.ledger_cut > 0).then(|| int(state.ledger_cut)))
        .into_map()
}

pub(crate) fn agent(agent: &Agent) -> Node {
    Fields::new()
        .with("role", agent.role.name())
        .group("capabilities", set(&agent.capabilities))
        .line("about", &agent.about)
        .line("activity", &agent.activity)
        .with("active", agent.active)
        .with("since", time(agent.since))
        .with("last_seen", time(agent.last_seen))
        .with("events", int(agent.events))
        .with("completed", int(agent.completed))
        .with("refused", int(agent.refused))
        .into()
}

pub(crate) fn integration(integration: &Integration) -> Node {
    Fields::new()
        .with("todo", Node::Str(integration.todo.to_string()))
        .with("commit", &integration.commit)
        .with("at", time(integration.at))
        .into()
}

pub(crate) fn checkpoint(checkpoint: &Checkpoint) -> Node {
    Fields::new()
        .with("name", &checkpoint.name)
        .with("version", Node::Str(checkpoint.version.to_string()))
        .with("root", Node::Str(checkpoint.root.to_string()))
        .line("reason", &checkpoint.reason)
        .with("agent", &*checkpoint.agent)
        .with("at", time(checkpoint.at))
        .into()
}

pub(crate) fn alert(alert: &Alert) -> Node {
    Fields::new()
        .with("priority", alert.priority.name())
        .with("message", &alert.message)
        .maybe("todo", alert.todo.map(|todo| Node::Str(todo.to_string())))
        .with("raised_at", time(alert.raised_at))
        .with("times", int(alert.times))
        .maybe("acknowledged_by", alert.acknowledged_by.as_deref())
        .maybe("cleared_at", alert.cleared_at.map(time))
        .into()
}

pub(crate) fn learning((topic, body): &(String, String)) -> Node {
    Fields::new().with("topic", topic).with("body", body).into()
}

pub(crate) fn lineage((run, version, merged): &(String, VersionVector, bool)) -> Node {
    Fields::new()
        .with("run", run)
        .with("version", Node::Str(version.to_string()))
        .with("how", if *merged { "merged" } else { "forked" })
        .into()
}

/// A ledger entry has no name of its own: its key is the event that lost, the rule, and a hash of
/// what was decided, so that an entry that comes late moves no other.
pub(crate) fn ledger_key(entry: &LedgerEntry) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("tress 2026 key of a ledger entry");
    let winner = entry.winner.map(|dot| dot.to_string()).unwrap_or_default();
    let todo = entry.todo.map(|todo| todo.to_string()).unwrap_or_default();
    let at = entry.at.to_string();
    for part in [&winner, &todo, &at, &entry.detail] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: String = hasher.finalize().to_hex().chars().take(16).collect();
    format!("{}/{}/{hash}", entry.loser, entry.rule)
}

pub(crate) fn ledger(entry: &LedgerEntry) -> Node {
    Fields::new()
        .with("rule", entry.rule.name())
        .with("loser", dot(entry.loser))
        .maybe("winner", entry.winner.map(dot))
        .with("agent", &*entry.agent)
        .maybe("todo", entry.todo.map(|todo| Node::Str(todo.to_string())))
        .line("detail", &entry.detail)
        .with("at", time(entry.at))
        .with("told", entry.told)
        .into()
}
