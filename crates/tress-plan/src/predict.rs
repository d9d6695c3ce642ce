//! Learned scopes: which files a todo that declares none will touch, by what similar ones touched.
//!
//! A todo is a set of features: the words of its title, its labels, its section. Two todos are as
//! similar as their weighted Jaccard index says: the weight of what they share over the weight of
//! what either has, where rare features weigh more (inverse document frequency: Spärck Jones
//! 1972). The paths of the nearest finished todos, each weighed by its similarity, are the
//! prediction (k nearest neighbours).

use std::collections::{BTreeMap, BTreeSet};

use tress_model::{State, Todo, TodoId};

/// How many of the nearest count.
pub const NEIGHBOURS: usize = 5;
/// Less similar todos say nothing.
pub const SIMILARITY_MIN: f64 = 0.2;
/// A path is predicted when at least this share of the neighbours' weight touched it.
pub const SHARE_MIN: f64 = 0.4;
/// The most paths of a prediction.
pub const PATHS_MAX: usize = 16;
/// Only so many finished todos are learned from, the latest.
pub const EXAMPLES_MAX: usize = 1000;

/// What a label and a section weigh beside a word of the title.
const NAMED: f64 = 2.0;
/// Words that say nothing about where the work is.
const COMMON: [&str; 24] = [
    "a", "add", "all", "an", "and", "are", "as", "be", "by", "for", "from", "in", "into", "is",
    "it", "make", "new", "of", "on", "or", "that", "the", "to", "with",
];

/// The files that a todo is expected to touch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    /// The paths, the likeliest first.
    pub paths: Vec<String>,
    /// How sure it is, 0 to 1: the similarity of the nearest example, times the share of the
    /// neighbours' weight that the likeliest path has.
    pub confidence: f64,
    /// The examples it rests on, the nearest first.
    pub like: Vec<TodoId>,
}

/// The finished todos to learn from, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    examples: Vec<Example>,
    /// The examples that have a feature, and what it weighs, by feature.
    having: BTreeMap<String, (Vec<usize>, f64)>,
}

#[derive(Debug, Clone)]
struct Example {
    id: TodoId,
    features: BTreeSet<String>,
    paths: Vec<String>,
    /// What its features weigh together.
    whole: f64,
}

impl Examples {
    /// The finished todos of `state` that touched files, the latest [`EXAMPLES_MAX`] of them.
    pub fn of(state: &State) -> Self {
        let known = state.todos.values().filter(|todo| !todo.artifacts.is_empty());
        let mut known: Vec<_> =
            known.filter_map(|todo| Some((todo.finished_at()?, todo.id, todo))).collect();
        known.sort_by_key(|&(at, id, _)| (std::cmp::Reverse(at), id));
        let mut examples = Self::default();
        for (_, _, todo) in known.into_iter().take(EXAMPLES_MAX) {
            examples.learn(todo);
        }
        examples.weigh();
        examples
    }

    /// Adds a todo and the paths that it touched.
    fn learn(&mut self, todo: &Todo) {
        let features = features(todo);
        for feature in &features {
            self.having.entry(feature.clone()).or_default().0.push(self.examples.len());
        }
        let paths = todo.artifacts.keys().cloned().collect();
        self.examples.push(Example { id: todo.id, features, paths, whole: 0.0 });
    }

    /// Settles what each feature and example weighs, when all are known.
    fn weigh(&mut self) {
        let all = self.examples.len();
        for (feature, (having, weight)) in &mut self.having {
            *weight = weight_of(feature, having.len(), all);
        }
        for example in &mut self.examples {
            let weights = example.features.iter().filter_map(|feature| self.having.get(feature));
            example.whole = weights.map(|(_, weight)| weight).sum();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The nearest examples, with their similarity, the nearest first.
    fn nearest(&self, todo: &Todo) -> Vec<(f64, &Example)> {
        let asked = features(todo);
        let mut shared: BTreeMap<usize, f64> = BTreeMap::new();
        let mut own = 0.0;
        for feature in &asked {
            let Some((having, weight)) = self.having.get(feature) else {
                own += weight_of(feature, 1, self.examples.len());
                continue;
            };
            own += weight;
            for &example in having {
                *shared.entry(example).or_insert(0.0) += weight;
            }
        }
        let similarity = |(index, shared): (usize, f64)| {
            let example = self.examples.get(index)?;
            let similarity = shared / (own + example.whole - shared).max(f64::MIN_POSITIVE);
            (similarity >= SIMILARITY_MIN && example.id != todo.id).then_some((similarity, example))
        };
        let mut nearest: Vec<_> = shared.into_iter().filter_map(similarity).collect();
        nearest.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.id.cmp(&right.id)));
        nearest.truncate(NEIGHBOURS);
        nearest
    }

    /// Which files `todo` is expected to touch, by what similar todos touched.
    pub fn predict(&self, todo: &Todo) -> Prediction {
        let nearest = self.nearest(todo);
        let whole: f64 = nearest.iter().map(|(similarity, _)| similarity).sum();
        let Some(&(best, _)) = nearest.first() else { return Prediction::default() };
        let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
        for (similarity, example) in &nearest {
            for path in &example.paths {
                *weights.entry(path).or_insert(0.0) += similarity;
            }
        }
        let mut paths: Vec<(f64, &str)> = weights
            .into_iter()
            .map(|(path, weight)| (weight / whole, path))
            .filter(|(share, _)| *share >= SHARE_MIN)
            .collect();
        paths.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.cmp(right)));
        paths.truncate(PATHS_MAX);
        let confidence = paths.first().map_or(0.0, |(share, _)| share * best);
        Prediction {
            paths: paths.into_iter().map(|(_, path)| path.to_owned()).collect(),
            confidence,
            like: nearest.into_iter().map(|(_, example)| example.id).collect(),
        }
    }
}

/// What a feature weighs that `having` of `all` examples have.
fn weight_of(feature: &str, having: usize, all: usize) -> f64 {
    let rarity = (1.0 + all as f64 / having.max(1) as f64).ln();
    if feature.starts_with("word:") { rarity } else { NAMED * rarity }
}

/// What a todo is known by: the words of its title, its labels, its section.
pub(crate) fn features(todo: &Todo) -> BTreeSet<String> {
    let title = todo.title.to_lowercase();
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.filter(|word| !COMMON.contains(word)).map(|word| {
        // A plural is the same word.
        let stem = word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word);
        format!("word:{stem}")
    });
    let labels = todo.labels.keys().map(|label| format!("label:{label}"));
    let section = todo.section.iter().map(|section| format!("section:{section}"));
    words.chain(labels).chain(section).collect()
}

/// How similar two todos are, 0 to 1, without any examples: labels and section count double.
pub fn similarity(left: &Todo, right: &Todo) -> f64 {
    let (left, right) = (features(left), features(right));
    let weight = |feature: &String| if feature.starts_with("word:") { 1.0 } else { NAMED };
    let shared: f64 = left.intersection(&right).map(weight).sum();
    let all: f64 = left.union(&right).map(weight).sum();
    if all > 0.0 { shared / all } else { 0.0 }
}
