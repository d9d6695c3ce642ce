//! Oracle of the sync protocol: messages that mean the same when they are written again, and a
//! session that is told anything.

use tress_engine::Log;
use tress_engine::sync::{Effect, Paperwork, Session, cut, lacking};
use tress_model::codec::{Received, decode_message, encode_message};
use tress_model::message::{Hello, Leave, Message};
use tress_model::{StoreId, Strands, limits};

use crate::bytes::Bytes;
use crate::state::{NOON, busy};

/// The first byte says whether there is one message, or chunks that are messages from a peer. Each
/// chunk is taken as it is, or, where its first byte is large, as the body of a message with a
/// right number.
pub fn sync(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    if how & 1 == 0 {
        message(rest);
    } else {
        let (log, _) = busy(u64::from(how >> 6) + 1, 12);
        session(log, how & 2 == 0, Bytes::new(rest));
    }
}

fn message(bytes: &[u8]) {
    let Ok((number, Received::Message(message))) = decode_message(bytes) else { return };
    let Ok(again) = encode_message(number, &message) else {
        // What was packed may be larger when it is packed by us, and at its limit.
        assert!(bytes.len() > limits::MESSAGE_BYTES_MAX / 2, "what was decoded encodes");
        return;
    };
    let (same, read) = decode_message(&again).expect("what was encoded decodes");
    let Received::Message(read) = read else { panic!("what was known is not known any more") };
    assert_eq!(same, number);
    // By bytes: a figure that is not a number does not equal itself.
    assert_eq!(encode_message(number, &read).as_ref(), Ok(&again));
}

fn session(log: Log, live: bool, mut said: Bytes<'_>) {
    let place = |number| StoreId([number; 16]);
    let me = Hello::new("main", place(1), log.version().clone());
    let me = Hello { live, documents: true, ..me };
    let mut side = Side { session: Session::new(me), log, over: false, compared: 0 };
    side.act();
    // A peer that greets as it should, so that the rest is heard.
    let hello = Hello::new("main", place(2), Log::new().version().clone());
    let hello = Hello { live: true, documents: true, ..hello };
    side.hear(&encode_message(1, &Message::Hello(hello)).expect("it encodes"));
    for number in 2_u64.. {
        if said.is_empty() {
            break;
        }
        let chunk = said.chunk();
        let mut bytes = chunk.to_vec();
        if let Some((kind, rest)) = chunk.split_first().filter(|(kind, _)| **kind >= 128) {
            bytes = [&[*kind - 128][..], &number.to_le_bytes(), rest].concat();
        }
        side.hear(&bytes);
        assert!(side.session.under_way() <= limits::BATCHES_UNDER_WAY as u64);
    }
    side.session.leave(Leave::Closing, "enough");
    side.act();
    assert!(side.over && side.session.is_over());
    assert!(side.session.next_effect().is_none(), "nothing comes behind the end");
    let mut again = Log::new();
    again.admit_all(lacking(&side.log, again.version(), Strands::ALL).into_iter().flatten(), None);
    if again.version() == side.log.version() {
        assert_eq!(again.state().root(), side.log.state().root());
    }
}

struct Side {
    session: Session,
    log: Log,
    over: bool,
    compared: u64,
}

impl Side {
    fn hear(&mut self, bytes: &[u8]) {
        let heard = self.session.receive(bytes);
        assert!(heard.is_ok() || self.session.is_over(), "an error ends it");
        self.act();
    }

    fn act(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            assert!(!self.over, "nothing comes behind the end");
            match effect {
                Effect::Send(bytes) => {
                    decode_message(&bytes).expect("what is sent can be read");
                }
                Effect::Read { than, strands } => {
                    let segments = lacking(&self.log, &than, strands).unwrap_or_default();
                    let _ = self.session.supply(segments);
                }
                Effect::Take(segments) => {
                    if let Ok(segments) = cut(segments) {
                        let known = self.log.waits();
                        self.log.admit_all(segments, Some(NOON));
                        self.log.forget_waiting(&known);
                    }
                    let have = self.log.version().clone();
                    self.session.taken(&have);
                }
                Effect::UpToDate => {}
                Effect::Paperwork(Paperwork::Look) => {
                    self.session.stand(Some([vec![[1; 32]], Vec::new(), vec![[2; 32]]]));
                }
                Effect::Paperwork(Paperwork::Compare { strand, heads }) => {
                    self.compared += 1;
                    let clock = [(vec![1], self.compared)].into();
                    self.session.lack(strand, (heads.len() != 2).then_some(clock));
                }
                Effect::Paperwork(Paperwork::Give { strand, clock }) => {
                    let changes = vec![vec![1]; usize::from(clock.is_empty())];
                    let _ = self.session.give(strand, changes);
                }
                Effect::Paperwork(Paperwork::Take { strand, changes }) => {
                    if changes.len() > 1 {
                        self.session.documents_failed();
                    }
                    self.session.took(strand);
                }
                Effect::End { .. } => self.over = true,
            }
        }
    }
}
