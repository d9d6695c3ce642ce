//! The world of a simulated run: what the work really is, which the planner is not told.

use std::collections::BTreeSet;

use tress_model::operation::{EdgeKind, TodoEdit};
use tress_model::{Operation, TodoId};
use tress_plan::random::Random;

pub(super) const MINUTE: u64 = 60_000;

/// What kind of run it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) todos: usize,
    pub(super) agents: u32,
    /// How many files there are for ten todos.
    pub(super) files: usize,
    /// The share of todos that declare their files.
    pub(super) declared: f64,
    /// The share of todos that depend on earlier ones.
    pub(super) dependent: f64,
    /// How likely an attempt ends in a failure, by class, or in the death of its agent.
    pub(super) transient: f64,
    pub(super) resource: f64,
    pub(super) logic: f64,
    pub(super) crash: f64,
    /// How likely a claim of completion is false.
    pub(super) false_completion: f64,
    /// How much slower the slowest agent is.
    pub(super) slowest: f64,
    /// Whether agents and todos have capabilities.
    pub(super) capabilities: bool,
    /// How many priorities there are.
    pub(super) priorities: u64,
}

impl Setting {
    /// A run without failures, whose agents are all alike.
    pub(super) fn calm(todos: usize, agents: u32) -> Self {
        Self {
            todos,
            agents,
            files: 12,
            declared: 0.6,
            dependent: 0.3,
            transient: 0.0,
            resource: 0.0,
            logic: 0.0,
            crash: 0.0,
            false_completion: 0.0,
            slowest: 1.0,
            capabilities: false,
            priorities: 1,
        }
    }

    /// Some run, by its seed; most are small.
    pub(super) fn any(random: &mut Random) -> Self {
        let share = |random: &mut Random, most: f64| most * random.unit() * random.unit();
        let todos = match random.below(1000) {
            0..900 => 10 + random.below(6),
            900..990 => 18 + random.below(20),
            990..999 => 50 + random.below(50),
            _ => 200 + random.below(301),
        };
        Self {
            todos: todos as usize,
            agents: 1 + random.below(if todos > 40 { 32 } else { 6 }) as u32,
            files: 4 + random.below(26) as usize,
            declared: random.unit(),
            dependent: random.unit() * 0.8,
            transient: share(random, 0.3),
            resource: share(random, 0.2),
            logic: share(random, 0.2),
            crash: share(random, 0.15),
            false_completion: share(random, 0.5),
            slowest: 1.0 + 2.0 * random.unit(),
            capabilities: random.happens(0.3),
            priorities: 1 + random.below(4),
        }
    }
}

/// What a todo really is.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    pub(super) id: TodoId,
    /// How long the work takes an agent of usual speed, in milliseconds.
    pub(super) takes: u64,
    pub(super) files: BTreeSet<String>,
    pub(super) on: Vec<usize>,
}

pub(super) struct World {
    pub(super) truths: Vec<Truth>,
    pub(super) operations: Vec<Operation>,
}

const NOUNS: [&str; 12] = [
    "parser", "writer", "index", "cache", "router", "login", "report", "table", "socket", "queue",
    "theme", "backup",
];
const VERBS: [&str; 6] = ["extend", "mend", "test", "speed up", "document", "rename"];
pub(super) const ABILITIES: [&str; 3] = ["rust", "web", "sql"];

impl World {
    pub(super) fn new(setting: &Setting, random: &mut Random) -> Self {
        let modules = (setting.todos * setting.files / 40).clamp(2, 60);
        let mut truths: Vec<Truth> = Vec::new();
        let mut operations = Vec::new();
        for number in 0..setting.todos {
            let module = random.below(modules as u64) as usize;
            let noun = NOUNS[module % NOUNS.len()];
            let title = format!("{} the {noun} {}", VERBS[random.below(6) as usize], module / 12);
            let count = 1 + random.below(3);
            let file = |random: &mut Random| format!("src/m{module}/f{}.rs", random.below(4));
            let mut files: BTreeSet<String> = (0..count).map(|_| file(random)).collect();
            if random.happens(0.1) {
                files.insert("src/lib.rs".to_owned());
            }
            let takes = ((5.0 + 40.0 * random.unit() * random.unit()) * MINUTE as f64) as u64;
            let mut edits = vec![
                TodoEdit::Priority(1 + random.below(setting.priorities) as u8),
                TodoEdit::Section(Some(format!("section-{module}"))),
            ];
            if random.happens(0.8) {
                let guess = takes as f64 * (0.6 + 0.8 * random.unit()) / MINUTE as f64;
                edits.push(TodoEdit::Estimate(Some((guess as u32).max(1))));
            }
            if random.happens(setting.declared) {
                let all = random.happens(0.8);
                let known = files.iter().take(if all { files.len() } else { 1 });
                edits.push(TodoEdit::Files(known.cloned().collect()));
            }
            if setting.capabilities && random.happens(0.3) {
                let needs = ABILITIES[random.below(3) as usize].to_owned();
                edits.push(TodoEdit::Capabilities(vec![needs]));
            }
            let name = format!("w{number}");
            let id = TodoId::from_external(&name);
            operations.push(Operation::TodoAdded {
                todo: id,
                external_id: Some(name),
                title,
                edits,
                prose: Vec::new(),
                labels: vec![noun.to_owned()],
                layout: None,
            });
            let mut on = Vec::new();
            if number > 0 && random.happens(setting.dependent) {
                let near = number.saturating_sub(12);
                on.push(near + random.below((number - near) as u64) as usize);
            }
            truths.push(Truth { id, takes, files, on });
        }
        for truth in &truths {
            for &on in &truth.on {
                operations.push(Operation::DependencyAdded {
                    todo: truth.id,
                    on: truths[on].id,
                    external_id: None,
                    kind: EdgeKind::Blocks,
                    layout: None,
                });
            }
        }
        Self { truths, operations }
    }

    /// No team of `agents` can be faster: the longest chain with what follows the work on each
    /// todo, or all work over all agents.
    pub(super) fn lower_bound(&self, agents: u32, after: u64) -> u64 {
        let mut ends: Vec<u64> = Vec::new();
        for truth in &self.truths {
            let start = truth.on.iter().map(|&on| ends[on]).max().unwrap_or(0);
            ends.push(start + truth.takes + after);
        }
        let chain = ends.into_iter().max().unwrap_or(0);
        let work: u64 = self.truths.iter().map(|truth| truth.takes).sum();
        chain.max(work / u64::from(agents))
    }
}
