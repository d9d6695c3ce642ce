//! What an event says, as a phrase that follows the agent's name.

use tress::operation::{EdgeKind, Outcome, ProseTarget, TodoEdit, Verdict};
use tress::{Millis, Operation, State};

use super::{after_colon, count, kind_word, quoted, short, verb};
use crate::time::{clock, length};

/// What happened, as a phrase; the todo it is about is not named in it.
pub(crate) fn describe(operation: &Operation, state: &State, now: Millis) -> String {
    let phrase = todo(operation, state, now)
        .or_else(|| claim(operation, now))
        .or_else(|| judgement(operation))
        .or_else(|| design(operation))
        .or_else(|| team(operation))
        .or_else(|| history(operation));
    phrase.unwrap_or_else(|| operation.name().replace('_', " "))
}

/// What [`describe`] leaves out of a report of work, one line each.
pub(crate) fn more(operation: &Operation) -> Vec<String> {
    use Operation as O;
    let line = |name: &str, text: &str| {
        let text = short(text, 200);
        (!text.is_empty()).then(|| format!("{name}: {text}"))
    };
    match operation {
        O::ProgressReported { next_milestone, .. } => {
            next_milestone.iter().filter_map(|next| line("next", next)).collect()
        }
        O::BlockerRaised { tried, .. } => {
            tried.iter().filter_map(|tried| line("tried", tried)).collect()
        }
        O::CompletionClaimed { tests, integration, .. } => {
            let lines = [line("tests", tests), line("integration", integration)];
            lines.into_iter().flatten().collect()
        }
        O::Verified { verdict, percent, gaps, .. } => {
            let percent = (*verdict != Verdict::Pass).then(|| format!("{percent}% is there"));
            percent.into_iter().chain(gaps.iter().filter_map(|gap| line("gap", gap))).collect()
        }
        _ => Vec::new(),
    }
}

fn todo(operation: &Operation, state: &State, now: Millis) -> Option<String> {
    use Operation as O;
    Some(match operation {
        O::TodoAdded { title, .. } => format!("added {}", quoted(title)),
        O::TodoEdited { edits, .. } => {
            let edits: Vec<String> = edits.iter().map(|one| edit(one, now)).collect();
            format!("set {}", edits.join(", "))
        }
        O::ProseEdited { target, splices } => {
            let place = match target {
                ProseTarget::Todo(_, field) => field.name().replace('_', " "),
                ProseTarget::Section(section) => format!("section {}", short(section, 60)),
            };
            format!("edited the {place} in {}", count(splices.len(), "place"))
        }
        O::LabelsChanged { added, removed, .. } => {
            let added = added.iter().map(|label| format!("+{}", short(label, 40)));
            let removed = removed.iter().map(|label| format!("-{}", short(label, 40)));
            format!("labelled {}", added.chain(removed).collect::<Vec<_>>().join(" "))
        }
        O::NoteAdded { text, .. } => format!("noted{}", after_colon(text)),
        O::DependencyAdded { on, kind, external_id, .. } => {
            let known = state.todo(*on).is_none().then(|| external_id.clone()).flatten();
            let on = short(&known.unwrap_or_else(|| state.name(*on)), 60);
            match kind {
                EdgeKind::Blocks | EdgeKind::ConditionalBlocks => {
                    format!("made it depend on {on} ({})", kind_word(kind))
                }
                kind => {
                    format!("said that it {} {on} ({})", verb(kind), short(kind_word(kind), 40))
                }
            }
        }
        O::DependencyRemoved { on, kind, .. } => {
            let on = state.name(*on);
            format!("took away the dependency on {on} ({})", short(kind_word(kind), 40))
        }
        O::Closed { reason, .. } => format!("closed it{}", after_colon(reason)),
        O::Reopened { reason, .. } => format!("reopened it{}", after_colon(reason)),
        O::Deleted { reason, .. } => format!("deleted it{}", after_colon(reason)),
        O::Assigned { agent, reason, .. } => {
            format!("gave it to {}{}", short(agent, 60), after_colon(reason))
        }
        _ => return None,
    })
}

fn edit(edit: &TodoEdit, now: Millis) -> String {
    use TodoEdit as E;
    let value = match edit {
        E::Title(text) => quoted(text),
        E::Kind(text) => short(text, 40),
        E::Priority(priority) => priority.to_string(),
        E::Assignee(text)
        | E::Owner(text)
        | E::Stage(text)
        | E::Check(text)
        | E::Section(text)
        | E::ExternalRef(text)
        | E::CreatedBy(text) => text.as_deref().map_or("none".to_owned(), |text| short(text, 60)),
        E::Estimate(minutes) => {
            minutes.map_or("none".to_owned(), |minutes| length(Millis::from(minutes) * 60_000))
        }
        E::Files(list) | E::Capabilities(list) => short(&list.join(" "), 60),
        E::HighRisk(yes) | E::Pinned(yes) | E::Ephemeral(yes) => yes.to_string(),
        E::DeferUntil(at) | E::DueAt(at) => at.map_or("none".to_owned(), |at| clock(at, now)),
        E::CreatedAt(at) | E::UpdatedAt(at) => clock(*at, now),
        E::Extra(_, text) => text.as_deref().map_or("none".to_owned(), |text| short(text, 40)),
    };
    format!("{} to {value}", short(edit.field(), 40).replace('_', " "))
}

fn claim(operation: &Operation, now: Millis) -> Option<String> {
    use Operation as O;
    let lease = |lease: &Option<Millis>| {
        lease.map_or(String::new(), |lease| format!(" for {}", length(lease)))
    };
    Some(match operation {
        O::Claimed { lease: held, .. } => format!("claimed it{}", lease(held)),
        O::Renewed { lease: held, .. } => format!("renewed the claim{}", lease(held)),
        O::Released { reason, .. } => format!("released it{}", after_colon(reason)),
        O::TaskStarted { .. } => "started work".to_owned(),
        O::ProgressReported { percent, message, .. } => {
            format!("reported {percent}%{}", after_colon(message))
        }
        O::BlockerRaised { kind, description, .. } => {
            format!("reported a {} blocker{}", kind.name(), after_colon(description))
        }
        O::BlockerResolved { resolution, .. } => {
            format!("resolved a blocker{}", after_colon(resolution))
        }
        O::BlockerEscalated { context, .. } => {
            format!("escalated a blocker{}", after_colon(context))
        }
        O::AttemptFailed { message, retry_at, .. } => {
            let again = retry_at.map_or(String::new(), |at| format!(", again {}", clock(at, now)));
            format!("failed at it{again}{}", after_colon(message))
        }
        O::ScopeReserved { globs, .. } => format!("reserved {}", short(&globs.join(" "), 100)),
        _ => return None,
    })
}

/// A verdict, as a word.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    }
}

fn judgement(operation: &Operation) -> Option<String> {
    use Operation as O;
    Some(match operation {
        O::CompletionClaimed { commit, implementation, .. } => {
            let commit = commit.as_deref();
            let commit = commit.map_or(String::new(), |c| format!(" in {}", short(c, 12)));
            format!("says that it is done{commit}{}", after_colon(implementation))
        }
        O::Verified { verdict: Verdict::Pass, reason, .. } => {
            format!("verified it{}", after_colon(reason))
        }
        O::Verified { verdict: other, reason, .. } => {
            format!("sent it back, verdict {}{}", verdict(*other), after_colon(reason))
        }
        O::CheckRecorded { check, .. } => {
            let detail = after_colon(&check.detail);
            format!("checked {}, {}{detail}", short(&check.name, 60), verdict(check.verdict))
        }
        O::ArtifactRecorded { path, blob, .. } => {
            let how = if blob.is_some() { "wrote" } else { "removed" };
            format!("{how} {}", short(path, 100))
        }
        O::Integrated { commit, .. } => format!("integrated it as {}", short(commit, 12)),
        O::IntegrationFailed { reason, .. } => {
            format!("could not integrate it{}", after_colon(reason))
        }
        O::RolledBack { what, reason, .. } => {
            format!("rolled back {}{}", short(what, 60), after_colon(reason))
        }
        O::LossAcknowledged { .. } => "took note of a lost conflict".to_owned(),
        _ => return None,
    })
}

fn design(operation: &Operation) -> Option<String> {
    use Operation as O;
    Some(match operation {
        O::SectionAdded { heading, .. } => format!("wrote the section {}", quoted(heading)),
        O::SectionRemoved { section } => format!("removed the section {}", short(section, 60)),
        O::RequirementAdded { requirement, text, .. } => {
            format!("required {}{}", short(requirement, 40), after_colon(text))
        }
        O::RequirementRemoved { requirement } => {
            format!("dropped the requirement {}", short(requirement, 60))
        }
        O::DesignRuleAdded { rule, text, .. } => {
            format!("set the rule {}{}", short(rule, 40), after_colon(text))
        }
        O::DesignRuleRemoved { rule } => format!("dropped the rule {}", short(rule, 60)),
        O::DecisionRecorded { title, decision, .. } => {
            format!("decided {}{}", quoted(title), after_colon(decision))
        }
        O::AssessmentGiven { about, compliance, quality, .. } => {
            format!("found {}: complies {compliance}%, quality {quality}%", short(about, 60))
        }
        O::DeviationFound { about, impact, description, .. } => {
            let impact = impact.name();
            let about = short(about, 60);
            format!("found a {impact} deviation from {about}{}", after_colon(description))
        }
        O::DeviationDecided { outcome, rationale, .. } => {
            let outcome = match outcome {
                Outcome::UpdateDesign => "the design follows",
                Outcome::FixCode => "the code is to be mended",
                Outcome::DocumentDeviation => "it is written down",
            };
            format!("decided on a deviation, {outcome}{}", after_colon(rationale))
        }
        _ => return None,
    })
}

fn team(operation: &Operation) -> Option<String> {
    use Operation as O;
    Some(match operation {
        O::RunStarted { title, .. } => format!("started the run{}", after_colon(title)),
        O::RunPaused { reason } => format!("paused the run{}", after_colon(reason)),
        O::RunResumed => "resumed the run".to_owned(),
        O::RunFinished { summary } => format!("finished the run{}", after_colon(summary)),
        O::AgentJoined { about, .. } => format!("joined{}", after_colon(about)),
        O::AgentLeft { reason } => format!("left{}", after_colon(reason)),
        O::AgentReported { activity } => format!("is at work{}", after_colon(activity)),
        O::PlanMade { summary, implementers, .. } => {
            format!("planned for {}{}", count(*implementers, "implementer"), after_colon(summary))
        }
        O::StrategyChanged { setting, from, to, reason } => {
            let (setting, from, to) = (short(setting, 40), short(from, 40), short(to, 40));
            format!("changed {setting} from {from} to {to}{}", after_colon(reason))
        }
        O::AlertRaised { priority, message, .. } => {
            format!("raised a {} alert{}", priority.name(), after_colon(message))
        }
        O::AlertAcknowledged { alert } => format!("looks after the alert {}", short(alert, 60)),
        O::AlertCleared { alert } => format!("cleared the alert {}", short(alert, 60)),
        O::MetricsRecorded { figures } => {
            format!("recorded {}", count(figures.len(), "figure"))
        }
        O::LearningRecorded { topic, .. } => format!("learned about {}", short(topic, 60)),
        O::BudgetSpent { unit, amount, .. } => format!("spent {amount} {}", short(unit, 40)),
        _ => return None,
    })
}

fn history(operation: &Operation) -> Option<String> {
    use Operation as O;
    Some(match operation {
        O::CheckpointTaken { name, reason, .. } => {
            format!("took the checkpoint {}{}", short(name, 60), after_colon(reason))
        }
        O::Forked { from, .. } => format!("branched off the run {}", short(from, 64)),
        O::Merged { from, .. } => format!("took in the run {}", short(from, 64)),
        O::Undone { reason, .. } => format!("took back an event{}", after_colon(reason)),
        O::ReplicaRetired { store, .. } => format!("retired the store {store}"),
        O::MemberAdded { store, .. } => format!("made the store {store} a member"),
        O::HeadsSigned { heads, .. } => {
            format!("signed what {} wrote", count(heads.len(), "replica"))
        }
        O::MemberRemoved { store } => format!("removed the store {store} from the members"),
        O::Custom { kind, .. } => format!("recorded {}", short(kind, 60)),
        _ => return None,
    })
}
