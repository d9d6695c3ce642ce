//! What is ready and what is blocked.

use tress_engine::Draft;
use tress_model::{Operation, Role, TodoId};

use crate::{Side, added, draft, two_sides};

/// What is closed cannot hold back what is part of it.
#[test]
fn a_finished_parent_holds_nothing_back() {
    use tress_model::operation::{BlockerKind, EdgeKind};
    let (mut left, _, parent) = two_sides();
    let child = TodoId::from_external("child");
    left.append(200, draft("ada", Role::Human, added(child)));
    let (external_id, layout) = (None, None);
    let kind = EdgeKind::ParentChild;
    let edge = Operation::DependencyAdded { todo: child, on: parent, external_id, kind, layout };
    left.append(201, draft("ada", Role::Human, edge));
    let raised = Operation::BlockerRaised {
        todo: parent,
        kind: BlockerKind::Technical,
        description: String::new(),
        tried: Vec::new(),
    };
    left.append(202, draft("ada", Role::Human, raised));
    assert!(left.log.state().readiness(300).blocked.contains_key(&child));
    left.append(
        203,
        draft("ada", Role::Human, Operation::Closed { todo: parent, reason: String::new() }),
    );
    assert_eq!(left.log.state().readiness(300).ready, [child]);
}

/// A parent that needed what is part of it held that back, and was held back by it: neither could ever be done.
#[test]
fn a_parent_does_not_hold_back_what_it_waits_for() {
    use tress_model::operation::EdgeKind;
    let (mut left, _, parent) = two_sides();
    let [child, grandchild, other, beside] =
        ["child", "grandchild", "other", "beside"].map(TodoId::from_external);
    let edge = |todo, on, kind| {
        let (external_id, layout) = (None, None);
        let operation = Operation::DependencyAdded { todo, on, external_id, kind, layout };
        draft("ada", Role::Human, operation)
    };
    for (at, todo) in (200..).zip([child, grandchild, other, beside]) {
        left.append(at, draft("ada", Role::Human, added(todo)));
    }
    left.append(210, edge(child, parent, EdgeKind::ParentChild));
    left.append(211, edge(grandchild, child, EdgeKind::ParentChild));
    left.append(212, edge(beside, parent, EdgeKind::ParentChild));
    left.append(213, edge(parent, grandchild, EdgeKind::Blocks));
    left.append(214, edge(parent, parent, EdgeKind::WaitsFor));
    let look = |left: &Side| {
        let state = left.log.state();
        let readiness = state.readiness(300);
        for todo in state.todos.keys() {
            assert_eq!(state.is_blocked(*todo), readiness.blocked.contains_key(todo));
        }
        (readiness.ready, readiness.blocked.into_keys().collect::<Vec<_>>())
    };
    let sorted = |mut ids: Vec<TodoId>| {
        ids.sort_unstable();
        ids
    };
    // In the order in which they were made.
    assert_eq!(look(&left), (vec![child, grandchild, other, beside], vec![parent]));
    // What holds the parent back from elsewhere holds back all of it.
    left.append(220, edge(parent, other, EdgeKind::Blocks));
    let (ready, blocked) = look(&left);
    assert_eq!(ready, [other]);
    assert_eq!(blocked, sorted(vec![parent, child, grandchild, beside]));
    // But not what is needed for that: it would never end.
    left.append(221, edge(other, grandchild, EdgeKind::Blocks));
    let (ready, blocked) = look(&left);
    assert_eq!(ready, [grandchild]);
    assert_eq!(blocked, sorted(vec![parent, child, other, beside]));
}

/// Whatever the graph is, one todo by itself and all together are looked at with the same result.
#[test]
fn one_todo_is_blocked_as_all_of_them_say() {
    use tress_model::operation::EdgeKind;
    let kinds =
        [EdgeKind::Blocks, EdgeKind::ParentChild, EdgeKind::ParentChild, EdgeKind::WaitsFor];
    let mut next = 1_u64;
    let mut random = move |below: usize| {
        // Numerical Recipes' generator (Press et al. 1992).
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (next >> 33) as usize % below
    };
    for round in 0..300 {
        let (mut left, _, first) = two_sides();
        let mut todos = vec![first];
        for number in 0..7 {
            todos.push(TodoId::from_external(&format!("todo-{number}")));
            left.append(200, draft("ada", Role::Human, added(todos[number + 1])));
        }
        for at in 0..random(14) as u64 {
            let (todo, on) = (todos[random(8)], todos[random(8)]);
            let kind = kinds[random(4)].clone();
            let operation =
                Operation::DependencyAdded { todo, on, external_id: None, kind, layout: None };
            left.append(210 + at, draft("ada", Role::Human, operation));
        }
        for at in 0..random(3) as u64 {
            let closed = Operation::Closed { todo: todos[random(8)], reason: String::new() };
            left.append(300 + at, draft("ada", Role::Human, closed));
        }
        let state = left.log.state();
        let readiness = state.readiness(400);
        for todo in &todos {
            let blocked = readiness.blocked.contains_key(todo);
            assert_eq!(state.is_blocked(*todo), blocked, "round {round}: {todo}");
        }
    }
}

/// Todos that were made in the same millisecond came in the order of their ids, which mean nothing.
#[test]
fn what_is_ready_comes_in_the_order_in_which_it_was_made() {
    let (mut left, _, _) = two_sides();
    let todos: Vec<_> = (0..20).map(|n| TodoId::from_external(&format!("todo-{n}"))).collect();
    let made =
        |todo: &TodoId| Draft { occurred: Some(150), ..draft("ada", Role::Human, added(*todo)) };
    for todo in &todos {
        left.append(200, made(todo));
    }
    let ready = left.log.state().readiness(300).ready;
    assert_eq!(ready.get(ready.len() - 20..), Some(todos.as_slice()));
}
