//! The network between the machines: messages that are lost, doubled, late and out of order.

use std::collections::BTreeMap;

use tress_plan::random::Random;

/// What one machine tells another, in one of their conversations.
#[derive(Debug, Clone)]
pub struct Message {
    /// The conversation, by a number that nobody else has.
    pub talk: u64,
    /// What is said; see `tress_engine::sync`.
    pub bytes: Vec<u8>,
}

/// How many messages met with each fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that were sent.
    pub sent: u64,
    /// Never arrived.
    pub lost: u64,
    /// Arrived twice.
    pub doubled: u64,
    /// Arrived after messages that were sent later.
    pub reordered: u64,
    /// Were cut off by a partition.
    pub cut: u64,
}

impl Faults {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.lost + self.doubled + self.reordered + self.cut
    }
}

/// What is on its way.
#[derive(Debug, Default)]
pub struct Network {
    /// By when it arrives, and a number that tells messages apart.
    due: BTreeMap<(u64, u64), (u64, u64, Message)>,
    made: u64,
    /// The latest arrival from one machine to another so far.
    latest: BTreeMap<(u64, u64), u64>,
    /// The same, in one conversation that keeps order.
    orderly: BTreeMap<(u64, u64, u64), u64>,
    /// Which machines reach each other: two bits for each.
    groups: u64,
    /// What went wrong so far.
    pub faults: Faults,
}

impl Network {
    /// Sends a message at `now`; `random` says what becomes of it.
    pub fn send(&mut self, now: u64, from: u64, to: u64, message: &Message, random: &mut Random) {
        self.faults.sent += 1;
        if self.group(from) != self.group(to) {
            self.faults.cut += 1;
            return;
        }
        // Most links keep order, as TCP does, until they break.
        let orderly = !message.talk.is_multiple_of(4);
        if orderly {
            let delay = if random.below(8) == 0 { random.below(5_000) } else { random.below(50) };
            let latest = self.orderly.entry((from, to, message.talk)).or_insert(0);
            *latest = (*latest).max(now + delay);
            let at = *latest;
            self.made += 1;
            self.due.insert((at, self.made), (from, to, message.clone()));
            return;
        }
        let fate = random.below(100);
        if fate < 20 {
            self.faults.lost += 1;
            return;
        }
        let copies = if fate < 35 { 2 } else { 1 };
        self.faults.doubled += copies - 1;
        for _ in 0..copies {
            // Most are quick; some take their time, and are overtaken.
            let delay = if random.below(4) == 0 { random.below(5_000) } else { random.below(50) };
            let at = now + delay;
            let latest = self.latest.entry((from, to)).or_insert(0);
            self.faults.reordered += u64::from(at < *latest);
            *latest = at.max(*latest);
            self.made += 1;
            self.due.insert((at, self.made), (from, to, message.clone()));
        }
    }

    /// The next message that has arrived by `now`: from whom, to whom, and what.
    pub fn arrived(&mut self, now: u64) -> Option<(u64, u64, Message)> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    /// From now on machines reach only those of their own group.
    pub fn partition(&mut self, groups: u64) {
        self.groups = groups;
    }

    fn group(&self, site: u64) -> u64 {
        self.groups >> (2 * site) & 3
    }
}
