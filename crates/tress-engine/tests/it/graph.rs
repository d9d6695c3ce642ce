//! What is ready and what is blocked.

use tress_engine::Draft;
use tress_model::operation::{BlockerKind, EdgeKind};
use tress_model::{Operation, Role, TodoId};

use crate::{Side, added, draft, two_sides};

/// What is closed cannot hold back what is part of it.
#[test]
fn a_finished_parent_holds_nothing_back() {
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

/// Numbers below what is asked for, the same each time.
fn generator() -> impl FnMut(usize) -> usize {
    let mut next = 1_u64;
    move |below| {
        // Numerical Recipes' generator (Press et al. 1992).
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (next >> 33) as usize % below
    }
}

/// Whatever the graph is, one todo by itself and all together are looked at with the same result.
#[test]
fn one_todo_is_blocked_as_all_of_them_say() {
    let kinds =
        [EdgeKind::Blocks, EdgeKind::ParentChild, EdgeKind::ParentChild, EdgeKind::WaitsFor];
    let mut random = generator();
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

fn edge(todo: TodoId, on: TodoId, kind: EdgeKind) -> Operation {
    Operation::DependencyAdded { todo, on, external_id: None, kind, layout: None }
}

/// A part waited for what its whole waited for, which was part of what waited for that very part.
#[test]
fn a_circle_by_way_of_what_todos_are_part_of_is_known_before() {
    let (mut left, _, whole) = two_sides();
    let [part, other, within] = ["part", "other", "within"].map(TodoId::from_external);
    for (at, todo) in (200..).zip([part, other, within]) {
        left.append(at, draft("ada", Role::Human, added(todo)));
    }
    let edges = [
        (part, whole, EdgeKind::ParentChild),
        (within, other, EdgeKind::ParentChild),
        (whole, within, EdgeKind::Blocks),
        (other, part, EdgeKind::Blocks),
    ];
    // Whichever of them comes last.
    for last in 0..edges.len() {
        let mut side = left.clone();
        let mut edges = edges.to_vec();
        let closing = edges.remove(last);
        for (at, (todo, on, kind)) in (210..).zip(edges) {
            let operation = edge(todo, on, kind);
            let none = side.log.state().circle_of(todo, std::slice::from_ref(&operation));
            assert_eq!(none, None, "{last}");
            side.append(at, draft("ada", Role::Human, operation));
        }
        let (todo, on, kind) = closing;
        let operation = edge(todo, on, kind);
        let circle = side.log.state().circle_of(todo, std::slice::from_ref(&operation));
        let mut circle: Vec<_> =
            circle.expect("a circle").iter().map(|one| (one.todo, one.part_of)).collect();
        circle.sort_unstable();
        let mut expected = [(part, Some(whole)), (within, Some(other))];
        expected.sort_unstable();
        assert_eq!(circle, expected, "{last}");
        assert_eq!(side.log.state().circles(), Vec::<Vec<_>>::new());
        side.append(220, draft("ada", Role::Human, operation));
        assert_eq!(side.log.state().readiness(300).ready, []);
        // Where it came all the same it is found.
        let circles = side.log.state().circles();
        let [found] = circles.as_slice() else { panic!("{circles:?}") };
        let mut found: Vec<_> = found.iter().map(|one| (one.todo, one.part_of)).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{last}");
        // What has been so before is nobody's fault.
        let beside = edge(part, TodoId::from_external("beside"), EdgeKind::Blocks);
        assert_eq!(side.log.state().circle_of(part, &[beside]), None);
    }
}

/// Whatever the graph is, as long as nobody closes a circle all of it can be done, one thing after the other, and none
/// of a circle ever can.
#[test]
fn what_is_in_no_circle_can_be_done() {
    let kinds =
        [EdgeKind::Blocks, EdgeKind::ParentChild, EdgeKind::ParentChild, EdgeKind::WaitsFor];
    let mut random = generator();
    let mut circles = 0;
    for round in 0..1500 {
        let (mut left, _, first) = two_sides();
        let mut todos = vec![first];
        for number in 0..7 {
            todos.push(TodoId::from_external(&format!("todo-{number}")));
            left.append(200, draft("ada", Role::Human, added(todos[number + 1])));
        }
        for at in 0..random(20) as u64 {
            let (todo, on) = (todos[random(8)], todos[random(8)]);
            let operation = edge(todo, on, kinds[random(4)].clone());
            let circle = left.log.state().circle_of(todo, std::slice::from_ref(&operation));
            let Some(circle) = circle else {
                left.append(210 + at, draft("ada", Role::Human, operation));
                continue;
            };
            circles += 1;
            let mut side = left.clone();
            side.append(210 + at, draft("ada", Role::Human, operation));
            let found = side.log.state().circles();
            let stuck = all_that_can_be_done(&mut side);
            assert!(!found.is_empty(), "round {round}: {circle:?} is not found");
            for one in found.iter().flatten() {
                assert!(stuck.contains(&one.todo), "round {round}: {one:?} can be done");
            }
            let found = found.iter().flatten().map(|one| one.todo);
            let found: std::collections::BTreeSet<_> = found.collect();
            for one in &circle {
                assert!(found.contains(&one.todo), "round {round}: {one:?} is in no circle");
            }
            for one in circle {
                assert!(stuck.contains(&one.todo), "round {round}: {one:?} can be done");
            }
        }
        assert_eq!(left.log.state().circles(), Vec::<Vec<_>>::new(), "round {round}");
        let stuck = all_that_can_be_done(&mut left);
        assert_eq!(stuck, [], "round {round}");
    }
    assert!(circles > 50, "{circles}");
}

/// Closes what nothing holds back, again and again; gives what is left.
fn all_that_can_be_done(side: &mut Side) -> Vec<TodoId> {
    for at in 1000.. {
        let state = std::sync::Arc::clone(side.log.state());
        let blocked = state.readiness(at).blocked;
        let mut left = state.todos.unfinished().map(|todo| todo.id);
        let Some(todo) = left.find(|todo| !blocked.contains_key(todo)) else { break };
        let closed = Operation::Closed { todo, reason: String::new() };
        side.append(at, draft("ada", Role::Human, closed));
    }
    side.log.state().todos.unfinished().map(|todo| todo.id).collect()
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
