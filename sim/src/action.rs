//! What can happen in a world, made from a seed.

use tress_plan::random::Random;

/// The most machines of a world.
pub const SITES_MAX: u64 = 4;
/// The most processes on one machine.
pub const PROCESSES_MAX: u64 = 4;

/// One thing that happens. Numbers that name a machine or a process are taken modulo those there
/// are, so that a list of actions means something whatever is left out of it. Each has a number of
/// its own for what is random in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What happens.
    pub kind: Kind,
    /// Which process it happens to, or which machine.
    pub at: u64,
    /// What is random in it.
    pub mix: u64,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process starts.
    Start,
    /// A process ends as it should.
    Stop,
    /// An agent appends some operations, of all kinds.
    Append,
    /// An agent asks the planner for work and claims it.
    Claim,
    /// An agent goes on with what it claimed: begins, reports, says it is done, releases.
    Work,
    /// A verifier looks at what is said to be done, or it is integrated.
    Review,
    /// A process takes in what others on its machine wrote.
    Refresh,
    /// The documents are sealed.
    Seal,
    /// What is only read is packed.
    Compact,
    /// A checkpoint is taken.
    Checkpoint,
    /// A process dies in the middle of its next work.
    Die,
    /// The power of a machine goes.
    PowerCut,
    /// Calls to the file system of a process fail for a while.
    Trouble,
    /// A process tells another machine what it has.
    Tell,
    /// From now on some machines cannot reach each other.
    Partition,
    /// All can reach all.
    Heal,
    /// Time passes, and messages arrive.
    Pass,
    /// The clock of a machine is set.
    SetClock,
    /// Everything on a machine is checked.
    Check,
}

/// How often each happens.
const WEIGHTS: [(Kind, u64); 19] = [
    (Kind::Start, 60),
    (Kind::Stop, 12),
    (Kind::Append, 90),
    (Kind::Claim, 30),
    (Kind::Work, 30),
    (Kind::Review, 20),
    (Kind::Refresh, 12),
    (Kind::Seal, 4),
    (Kind::Compact, 6),
    (Kind::Checkpoint, 4),
    (Kind::Die, 50),
    (Kind::PowerCut, 14),
    (Kind::Trouble, 8),
    (Kind::Tell, 120),
    (Kind::Partition, 4),
    (Kind::Heal, 6),
    (Kind::Pass, 90),
    (Kind::SetClock, 3),
    (Kind::Check, 2),
];

/// What a world begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// How many machines there are.
    pub sites: u64,
    /// How many processes one has at the most.
    pub processes: u64,
    /// After how many events a snapshot is made.
    pub snapshot_events: u64,
    /// How large a journal's file grows.
    pub file_bytes: u64,
}

/// The world of a seed: what it begins with, and `steps` actions.
pub fn plan(seed: u64, steps: usize) -> (Setting, Vec<Action>) {
    let mut random = Random::new(seed ^ 0x7e55_51de);
    // Two to sixteen replicas that write at once.
    let (sites, processes) = loop {
        let (sites, processes) = (1 + random.below(SITES_MAX), 1 + random.below(PROCESSES_MAX));
        if sites * processes >= 2 {
            break (sites, processes);
        }
    };
    let setting = Setting {
        sites,
        processes,
        snapshot_events: match random.below(4) {
            0 => 8,
            1 => 30,
            2 => 100,
            _ => 2048,
        },
        file_bytes: match random.below(3) {
            0 => 600,
            1 => 4_000,
            _ => 64 << 20,
        },
    };
    let total: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let action = |random: &mut Random| {
        let mut left = random.below(total);
        let kind = WEIGHTS.iter().find(|(_, weight)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let kind = kind.map_or(Kind::Pass, |(kind, _)| *kind);
        Action { kind, at: random.next(), mix: random.next() }
    };
    (setting, (0..steps).map(|_| action(&mut random)).collect())
}
