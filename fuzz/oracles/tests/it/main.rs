//! The oracles on the seeds, on mutations of them, and on every find of the past.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod finds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tress_oracles::seeds::seeds;
use tress_oracles::state::noise;
use tress_oracles::{Oracle, TARGETS};

/// Runs an oracle; where it fails, writes down the input that fails it.
fn try_one(target: &str, oracle: Oracle, input: &[u8], what: &str) {
    let tried = catch_unwind(AssertUnwindSafe(|| oracle(input)));
    if let Err(panic) = tried {
        let path = std::env::temp_dir().join(format!("tress-{target}-{what}"));
        std::fs::write(&path, input).expect("there is room for temporary files");
        eprintln!("{target}, {what}: the input is in {}", path.display());
        std::panic::resume_unwind(panic);
    }
}

/// One input, changed in a few places: bytes that are other, gone, doubled, or from another seed.
fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let noise = noise(number + 1, 64);
    let mut dice = noise
        .chunks_exact(4)
        .map(|four| four.iter().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte)));
    let mut roll = |below: usize| dice.next().unwrap_or_default() % below.max(1);
    let mut input = seeds[roll(seeds.len())].clone();
    for _ in 0..=roll(4) {
        let at = roll(input.len());
        match roll(5) {
            0 | 1 if at < input.len() => input[at] ^= 1 << roll(8),
            2 if at < input.len() => input[at] = roll(256) as u8,
            3 => {
                let end = (at + roll(24)).min(input.len());
                input.drain(at..end);
            }
            _ => {
                let other = &seeds[roll(seeds.len())];
                let from = roll(other.len());
                let piece = &other[from..(from + roll(40)).min(other.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
    input
}

/// How many mutations of its seeds a target is tried on.
const MUTATIONS: u64 = 700;

fn holds(target: &str) {
    let (_, oracle) = TARGETS.into_iter().find(|(name, _)| *name == target).expect("a target");
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for (number, seed) in seeds.iter().enumerate() {
        try_one(target, oracle, seed, &format!("seed-{number}"));
    }
    for number in 0..MUTATIONS {
        try_one(target, oracle, &mutated(&seeds, number), &format!("mutation-{number}"));
    }
    let finds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../finds").join(target);
    let finds = std::fs::read_dir(finds).into_iter().flatten();
    for find in finds {
        let path = find.expect("the directory can be read").path();
        let name = path.file_name().expect("a file has a name").display().to_string();
        try_one(target, oracle, &std::fs::read(&path).expect("it can be read"), &name);
    }
}

#[test]
fn codec_holds() {
    holds("codec");
}

#[test]
fn fold_holds() {
    holds("fold");
}

#[test]
fn admit_holds() {
    holds("admit");
}

#[test]
fn import_holds() {
    holds("import");
}

#[test]
fn run_file_holds() {
    holds("run_file");
}

#[test]
fn journal_holds() {
    holds("journal");
}

#[test]
fn foreign_holds() {
    holds("foreign");
}

#[test]
fn sync_holds() {
    holds("sync");
}
