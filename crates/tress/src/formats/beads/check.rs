//! What is wrong with a file as a whole: ids that stand twice, edges that lead nowhere or round.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::State;
use tress_model::operation::EdgeKind;

use super::read::Issue;
use crate::formats::cycles::{circle, cycles};
use crate::formats::names::Names;
use crate::formats::{ProblemKind, Report};

/// Keeps one issue of each id: the one that changed last, or of two equals the later line.
pub(super) fn unique<'a>(issues: Vec<Issue<'a>>, report: &mut Report) -> Vec<Issue<'a>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Issue<'a>> = Vec::with_capacity(issues.len());
    for issue in issues {
        let Some(&place) = places.get(&issue.id) else {
            places.insert(issue.id.clone(), kept.len());
            kept.push(issue);
            continue;
        };
        let Some(held) = kept.get_mut(place) else {
            continue;
        };
        let gone =
            if issue.moment() >= held.moment() { std::mem::replace(held, issue) } else { issue };
        let message = format!(
            "{} stands on line {} too, which changed later and was taken; merge the two",
            gone.id, held.line.number
        );
        report.problem(gone.line.number, ProblemKind::DuplicateId, message);
    }
    kept
}

/// Reports the edges that mean nothing, or too much.
pub(super) fn graph(issues: &[Issue<'_>], state: &State, names: &Names<'_>, report: &mut Report) {
    let ids: BTreeSet<&str> = issues.iter().map(|issue| issue.id.as_str()).collect();
    let mut order = Vec::new();
    let mut nesting = Vec::new();
    for issue in issues {
        for edge in &issue.edges {
            let (from, to) = (issue.id.as_str(), edge.on.as_str());
            if from == to {
                let message = format!("{from} depends on itself; take the edge out");
                report.problem(issue.line.number, ProblemKind::SelfEdge, message);
            } else if !ids.contains(to) && state.todo(names.locate(state, to)).is_none() {
                let message = format!("{from} -> {to} ({}) leads nowhere", edge.kind.name());
                report.problem(issue.line.number, ProblemKind::DanglingEdge, message);
            }
            match edge.kind {
                EdgeKind::ParentChild => nesting.push((from, to)),
                _ if edge.kind.blocks() => order.push((from, to)),
                _ => {}
            }
        }
    }
    let lines: BTreeMap<&str, usize> =
        issues.iter().map(|issue| (issue.id.as_str(), issue.line.number)).collect();
    for found in cycles(&order).into_iter().chain(cycles(&nesting)) {
        let line = found.iter().filter_map(|id| lines.get(id)).min().copied().unwrap_or(0);
        let message = format!("{} wait for each other; the last edge is set aside", circle(&found));
        report.problem(line, ProblemKind::Cycle, message);
    }
}
