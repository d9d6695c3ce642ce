//! `show`: one todo, whole.

use clap::Args;
use tress::operation::{EdgeKind, ProseField};
use tress::{Millis, State, Todo};

use super::list::tone;
use crate::context::{Context, Moment};
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::time::{ago, length};
use crate::view::{TodoDetail, agent_of};
use crate::words::{clean, clean_lines, reasons, relation, remark, short, standing, whether_over};

/// Show everything about one todo
#[derive(Debug, Args)]
#[command(after_help = "\
ID is a short id (t-7f3a), any prefix of it that fits no other, or the id of the import (bd-12).

Examples:
  tress show t-7f3a
  tress show bd-12 --json | jq .data.dependencies
  tress show bd-12 --at before-refactor")]
pub(crate) struct Show {
    /// The todo
    id: String,
}

/// Does `show`.
pub(crate) async fn run(context: &Context, args: &Show) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let todo = moment.find(&args.id)?;
    let detail = TodoDetail::new(&moment.state, &moment.readiness, todo, moment.now);
    context.out.answer(&detail, || text(&context.out, &moment, todo))
}

/// A todo for people.
fn text(out: &Output, moment: &Moment, todo: &Todo) -> String {
    let (state, now) = (&moment.state, moment.now);
    let status = state.status(todo, &moment.readiness, now);
    let name = out.paint(Tone::Strong, &short(&state.name(todo.id), 80));
    let mut lines = vec![
        format!("{name}  {}", clean(&todo.title)),
        format!(
            "{}  priority {}  {}",
            out.paint(tone(status), status.name()),
            todo.priority,
            clean(&todo.kind)
        ),
        standing(state, &moment.readiness, todo, now),
        String::new(),
    ];
    lines.extend(facts(moment, todo).into_iter().map(|(name, value)| {
        format!("{} {}", out.paint(Tone::Dim, &format!("{name:<12}")), clean(&value))
    }));
    let evidence = super::evidence::lines(out, todo, now);
    lines.extend(
        evidence.into_iter().map(|(name, value)| {
            format!("{} {value}", out.paint(Tone::Dim, &format!("{name:<12}")))
        }),
    );
    lines.extend(edges(state, todo, now));
    for field in ProseField::ALL {
        let text = todo.prose(field);
        if !text.trim().is_empty() {
            let heading = field.name().replace('_', " ");
            lines.push(format!("\n{}", out.paint(Tone::Strong, &heading)));
            lines.push(clean_lines(text.trim_end()));
        }
    }
    if !todo.notes.is_empty() {
        lines.push(format!("\n{}", out.paint(Tone::Strong, "remarks")));
        lines.extend(todo.notes.iter().map(|note| {
            let who = format!("{} {}", short(&note.agent, 60), ago(note.at, now));
            format!("{}  {}", out.paint(Tone::Dim, &who), clean_lines(note.text.trim_end()))
        }));
    }
    lines.join("\n")
}

fn facts(moment: &Moment, todo: &Todo) -> Vec<(&'static str, String)> {
    let now = moment.now;
    let mut facts = Vec::new();
    let mut put = |name, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    };
    put("id", Some(todo.id.to_string()));
    put("agent", agent_of(todo, now));
    put("assignee", todo.assignee.clone());
    put("owner", todo.owner.clone());
    put("labels", Some(todo.labels.keys().cloned().collect::<Vec<_>>().join(" ")));
    put("stage", todo.stage.clone());
    put("check", todo.check.clone());
    put("files", Some(todo.files.join(" ")));
    put("section", todo.section.clone());
    put("capability", Some(todo.capabilities.join(" ")));
    put("estimate", todo.estimate_minutes.map(|m| length(u64::from(m) * 60_000)));
    put("high risk", todo.high_risk.then(|| "yes".to_owned()));
    put("due", todo.due_at.map(|at| ago(at, now)));
    put("deferred", todo.defer_until.map(|at| ago(at, now)));
    put("external ref", todo.external_ref.clone());
    let by = todo.created_by.as_deref().map(|who| format!(" by {who}")).unwrap_or_default();
    put("created", Some(format!("{}{by}", ago(todo.created_at, now))));
    put("changed", Some(ago(todo.updated_at, now)));
    for claim in &todo.lost {
        put("lost claim", Some(format!("{} {}", claim.agent, ago(claim.at, now))));
    }
    let reasons = reasons(&moment.state, &moment.readiness, todo.id, now);
    // What was reported as a blocker has lines of its own.
    for why in reasons.into_iter().filter(|why| !why.is_blocker()) {
        put("blocked", Some(why.text));
    }
    facts
}

fn edges(state: &State, todo: &Todo, now: Millis) -> Vec<String> {
    let name = |id| short(&state.name(id), 60);
    let title = |id| state.todo(id).map(|todo| format!(" {}", short(&todo.title, 60)));
    let line = |relation: &str, id, remark: String| {
        format!("{relation:<12} {}{}{remark}", name(id), title(id).unwrap_or_default())
    };
    let mut lines = Vec::new();
    for edge in state.edges(todo.id) {
        let suspended = if edge.suspended { " (suspended: would close a cycle)" } else { "" };
        let remark = remark(state, edge.on, &edge.kind, now) + suspended;
        let relation = short(relation(&edge.kind), 40);
        let known = edge.external_id.as_deref().filter(|_| state.todo(edge.on).is_none());
        lines.push(match known {
            Some(known) => format!("{relation:<12} {}{remark}", short(known, 60)),
            None => line(&relation, edge.on, remark),
        });
    }
    for source in state.dependents(todo.id) {
        let mut edges = state.edges(source).iter().filter(|edge| edge.on == todo.id);
        let waits = |kind: &EdgeKind| matches!(kind, EdgeKind::WaitsFor | EdgeKind::WaitsForAny);
        if let Some(edge) = edges.find(|edge| edge.kind.blocks()) {
            let relation = if waits(&edge.kind) { "awaited by" } else { "needed by" };
            lines.push(line(relation, source, whether_over(state, source, now)));
        }
    }
    for child in state.children(todo.id) {
        lines.push(line("child", child, whether_over(state, child, now)));
    }
    lines
}
