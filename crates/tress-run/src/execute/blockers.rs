//! Blockers that agents raise: what can be tried is tried, in an order; then a person is asked,
//! with everything that is known. Pure.

use tress::operation::Severity;
use tress::state::todo::Blocker;
use tress::{Operation, Role, State, Todo, TodoId};
use tress_plan::failure::{Remedy, next_remedy};

/// What is to be done about blockers, by what `state` knows. Those that a person raised are left to
/// people.
pub(super) fn due(state: &State) -> Vec<Operation> {
    let mut operations = Vec::new();
    for todo in state.todos.unfinished() {
        let open = todo.open_blockers().filter(|blocker| blocker.escalated.is_none());
        for blocker in open.filter(|blocker| is_implementers(state, blocker)) {
            operations.extend(remedy(state, todo, blocker));
        }
    }
    operations
}

/// How many escalations of `todo` were resolved. What was resolved by a remedy here is tried within the same attempts.
pub(super) fn settled(todo: &Todo) -> usize {
    let escalated = |blocker: &&Blocker| {
        blocker.escalated.is_some() || *blocker.agent == *super::orchestrator::COORDINATOR
    };
    let resolved = |blocker: &&Blocker| blocker.resolved.is_some();
    todo.blockers.iter().filter(escalated).filter(resolved).count()
}

fn is_implementers(state: &State, blocker: &Blocker) -> bool {
    state.team.agents.get(&blocker.agent).is_some_and(|agent| agent.role == Role::Implementer)
}

/// The next thing to try against `blocker`, or its escalation.
fn remedy(state: &State, todo: &Todo, blocker: &Blocker) -> Vec<Operation> {
    let mut known = blocker.clone();
    // What was tried against earlier ones of the same kind did not help, or it would not be back.
    let earlier =
        todo.blockers.iter().filter(|old| old.kind == blocker.kind && old.dot != blocker.dot);
    known.tried.extend(earlier.filter_map(|old| old.resolved.clone()));
    while let Some(remedy) = next_remedy(&known) {
        if let Some(operations) = carry_out(state, todo, blocker, remedy) {
            return operations;
        }
        known.tried.push(remedy.name().to_owned());
    }
    escalate(state, todo, &known)
}

/// What a remedy comes to; `None` where it cannot be tried here.
fn carry_out(
    state: &State,
    todo: &Todo,
    blocker: &Blocker,
    remedy: Remedy,
) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    let id = todo.id;
    let words = match remedy {
        Remedy::FreshStart => "begin again, on the newest state of the branch".to_owned(),
        Remedy::AnotherAgent => {
            let mut others = state.team.agents.iter().filter(|(name, other)| {
                **name != blocker.agent && other.active && other.role == Role::Implementer
            });
            let (other, _) = others.next()?;
            let reason = format!("{} was blocked at it", blocker.agent);
            operations.push(Operation::Assigned { todo: id, agent: other.to_string(), reason });
            format!("{other} tries it")
        }
        Remedy::SmallerSteps => "take a smaller first step, and say what is left".to_owned(),
        Remedy::ReadDesign => {
            let key =
                todo.section.as_ref().filter(|key| state.design.sections.contains_key(*key))?;
            format!("read the section {key} of the design, its requirements and decisions, again")
        }
        Remedy::PlainestReading => {
            "take the plainest reading, and say in the work which one that is".to_owned()
        }
        Remedy::AddDependency => {
            let on = named(state, todo, &blocker.description)?;
            operations.push(Operation::DependencyAdded {
                todo: id,
                on,
                external_id: None,
                kind: tress::operation::EdgeKind::Blocks,
                layout: None,
            });
            format!("it waits for {}", state.name(on))
        }
        Remedy::RaiseDependency => {
            let on = named(state, todo, &blocker.description)?;
            let behind = state.todo(on).filter(|other| other.priority > todo.priority)?;
            let edits = vec![tress::operation::TodoEdit::Priority(todo.priority)];
            operations.push(Operation::TodoEdited { todo: behind.id, edits });
            format!("{} comes first now", state.name(on))
        }
    };
    let text = format!("{} said: {}. {words}", blocker.agent, blocker.description.trim());
    operations.push(Operation::NoteAdded { todo: id, text, layout: None });
    let resolution = format!("{}: {words}", remedy.name());
    operations.push(Operation::BlockerResolved { todo: id, blocker: blocker.dot, resolution });
    Some(operations)
}

/// Another unfinished todo that a text names.
fn named(state: &State, todo: &Todo, text: &str) -> Option<TodoId> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    let mut found = words.filter(|word| word.len() > 1).filter_map(|word| state.find(word).ok());
    let found = found.find(|other| other.id != todo.id && !other.finished())?;
    Some(found.id)
}

fn escalate(state: &State, todo: &Todo, blocker: &Blocker) -> Vec<Operation> {
    let name = state.name(todo.id);
    let mut context = format!(
        "{name}: {}\nblocked by ({}) {}\nraised by {}\n",
        todo.title,
        blocker.kind.name(),
        blocker.description,
        blocker.agent
    );
    for tried in &blocker.tried {
        context.push_str(&format!("tried: {tried}\n"));
    }
    for failure in &todo.failures {
        context.push_str(&format!("failed: {}: {}\n", failure.agent, failure.message));
    }
    if let Some(section) = &todo.section {
        context.push_str(&format!("design section: {section}\n"));
    }
    let waiting = state.dependents(todo.id).map(|id| state.name(id)).collect::<Vec<_>>();
    if !waiting.is_empty() {
        context.push_str(&format!("waiting for it: {}\n", waiting.join(", ")));
    }
    vec![
        Operation::BlockerEscalated { todo: todo.id, blocker: blocker.dot, context },
        Operation::AlertRaised {
            alert: format!("escalated:{name}"),
            priority: Severity::High,
            message: format!(
                "{name} is blocked, and nothing that can be tried helps: {}",
                blocker.description
            ),
            todo: Some(todo.id),
        },
    ]
}
