//! Seeds: inputs of each target that the project's own encoders write.

use tress::formats::beads;
use tress_documents::genesis;
use tress_model::codec::{self, FORMAT};
use tress_model::event::Seal;
use tress_model::message::{Hello, Leave, Message};
use tress_model::{Dot, Segment, Strand, VersionVector};
use tress_store::frame::{self, FrameKind};
use tress_store::{Item, RunFile, encode_run_file};

use crate::files::{push_chunk, unframed};
use crate::import::BETWEEN;
use crate::journal::{PACKED, PLACE, REPLICA, RUN};
use crate::state::{busy, noise, replica, rich};
use crate::{foreign, state};

/// The seeds of a target; none where there is no such target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "codec" => of_codec(),
        "admit" => (1..12).map(|seed| noise(seed, 40 * seed as usize)).collect(),
        "fold" => (20..32).map(|seed| noise(seed, 40 * seed as usize)).collect(),
        "import" => of_import(),
        "run_file" => of_run_files(),
        "journal" => of_journals(),
        "foreign" => of_changes(),
        "sync" => of_messages(),
        _ => Vec::new(),
    }
}

fn led(first: &[u8], rest: &[u8]) -> Vec<u8> {
    [first, rest].concat()
}

fn seal(strand: Strand) -> Seal {
    let version = VersionVector::from_iter([(replica(1), 3)]);
    let change = foreign::sealed(strand).1.clone();
    Seal { store: PLACE, strand, number: 1, version, change }
}

fn body(segment: &Segment) -> Vec<u8> {
    codec::encode_segment(segment).expect("it was just made")
}

fn of_codec() -> Vec<Vec<u8>> {
    let (log, segments) = busy(3, 12);
    let mut seeds: Vec<_> = segments.iter().map(|one| led(&[1, 1], &body(one))).collect();
    seeds.push(led(&[0], &run_file(segments)));
    let seal = codec::encode_seal(&seal(Strand::Todo)).expect("it was just made");
    seeds.push(led(&[2], &seal));
    let snapshot = codec::encode_snapshot(&log.snapshot()).expect("it was just made");
    seeds.push(led(&[3], &snapshot));
    let todo = tress_model::TodoId::from_external("bd-1").to_string();
    let dot = Dot::new(replica(0xab), 17).to_string();
    for text in [todo.as_str(), &todo[..6], &dot, "human", &replica(1).to_string()] {
        seeds.push(led(&[4], text.as_bytes()));
    }
    seeds.push(led(&[4], log.version().to_string().as_bytes()));
    seeds.push(led(&[4], log.state().root().to_string().as_bytes()));
    seeds
}

fn run_file(segments: Vec<Segment>) -> Vec<u8> {
    let mut items: Vec<_> = segments.into_iter().map(Item::from).collect();
    items.push(Item::Seal(seal(Strand::Design)));
    let file = RunFile { run: RUN.to_owned(), origin: None, items };
    encode_run_file(&file).expect("it was just made")
}

fn of_run_files() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for seed in 1..5 {
        let file = run_file(busy(seed, 3 * seed as usize).1);
        seeds.push(led(&[0], &file));
        seeds.push(led(&[3], &unframed(&file)));
    }
    seeds
}

/// The file of a journal, as a place writes it.
fn journal_file(seed: u64) -> Vec<u8> {
    let header = format!(
        r#"{{"format":{{"major":{},"minor":{}}},"replica":"{REPLICA}","store":"{PLACE}","run":"{RUN}"}}"#,
        FORMAT.major, FORMAT.minor
    );
    let none = tress_model::EventId::GENESIS;
    let mut file = frame::encode(FrameKind::Header, 0, none, header.as_bytes());
    let mut log = tress_engine::Log::new();
    for number in 0..seed * 2 {
        let noise = noise(seed + number, 40);
        let mut bytes = crate::bytes::Bytes::new(&noise);
        let author = state::author(&mut bytes);
        let draft = tress_engine::Draft { author, occurred: None, operation: bytes.operation() };
        if let Ok(prepared) = log.prepare(REPLICA, PLACE, vec![draft], state::NOON) {
            let segment = &prepared.segment();
            let body = body(segment);
            file.extend(frame::encode(FrameKind::Segment, segment.first, segment.previous, &body));
            log.commit(prepared);
        }
    }
    let seal = codec::encode_seal(&seal(Strand::Todo)).expect("it was just made");
    file.extend(frame::encode(FrameKind::Seal, 0, none, &seal));
    file
}

/// The file, packed: two pieces, each a deflate stream that has it as it is.
fn packed(file: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let (first, second) = file.split_at(file.len() / 2);
    for (at, piece) in [(0, first), (first.len(), second)] {
        let len = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        let mut body = u32::from(len).to_le_bytes().to_vec();
        body.push(1);
        body.extend([len.to_le_bytes(), (!len).to_le_bytes()].concat());
        body.extend(piece);
        let none = tress_model::EventId::GENESIS;
        packed.extend(frame::encode(FrameKind::Packed, at as u64, none, &body));
    }
    packed
}

fn of_journals() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for seed in 1..4 {
        let file = journal_file(seed);
        for how in [0, 2, 4, 6, 10, 14] {
            seeds.push(led(&[how], &file));
            seeds.push(led(&[how | 1], &unframed(&file)));
        }
        seeds.push(led(&[2], file.get(..file.len() - 9).unwrap_or_default()));
        let packed = packed(&file);
        for how in [PACKED, PACKED | 2, PACKED | 4, PACKED | 0x66, PACKED | 0x2a] {
            seeds.push(led(&[how], &packed));
            seeds.push(led(&[how | 1], &unframed(&packed)));
        }
        seeds.push(led(&[0x46], &file));
    }
    seeds
}

fn of_changes() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (how, strand) in (0_u8..).zip(Strand::ALL) {
        let (document, change) = foreign::sealed(strand);
        let mut document = document.clone();
        let less = tress_documents::project(&tress_model::State::default(), strand);
        let second = document.seal(&less, "less").expect("it can be sealed");
        let second = second.into_iter().next().unwrap_or_default();
        for changes in [vec![change], vec![change, &second], vec![&second], vec![&genesis(strand)]]
        {
            let (mut raw, mut made) = (vec![how | 12], vec![how | 4]);
            let mut behind = vec![how];
            for change in changes {
                push_chunk(&mut raw, change);
                push_chunk(&mut made, foreign::body(change).unwrap_or_default());
                push_chunk(&mut behind, foreign::body(change).unwrap_or_default());
            }
            seeds.extend([raw, made, behind]);
        }
        // What a client says first, and what it is told.
        let client = tress_documents::Document::new(strand, PLACE);
        let (mut ours, mut theirs) = Default::default();
        let asked = client.tell(&mut ours).expect("it can be said").unwrap_or_default();
        let heard = tress_documents::Heard::read(&asked).expect("it was just said");
        document.heard(&mut theirs, heard).expect("it fits");
        let told = document.tell(&mut theirs).expect("it can be said").unwrap_or_default();
        seeds.extend([led(&[how], &asked), led(&[how], &told)]);
    }
    seeds
}

fn of_messages() -> Vec<Vec<u8>> {
    let (log, segments) = busy(2, 12);
    let have = log.version().clone();
    let hello = Hello { live: true, documents: true, ..Hello::new(RUN, PLACE, have.clone()) };
    let messages = [
        Message::Hello(hello),
        Message::Events(segments.iter().take(1).cloned().collect()),
        Message::Events(segments),
        Message::Have { version: have, taken: 1 },
        Message::UpToDate,
        Message::Leave { why: Leave::Done, reason: "enough".to_owned() },
    ];
    let encoded = messages.map(|message| codec::encode_message(2, &message).expect("it encodes"));
    let mut seeds: Vec<_> = encoded.iter().map(|bytes| led(&[0], bytes)).collect();
    for how in [1, 3] {
        let mut said = vec![how];
        for bytes in encoded.iter().skip(1) {
            let (kind, body) = (bytes.first(), bytes.get(9..));
            let chunk = [&[kind.copied().unwrap_or(0) | 128][..], body.unwrap_or_default()];
            push_chunk(&mut said, &chunk.concat());
            seeds.push(said.clone());
        }
    }
    seeds
}

const TASKS: &str = r#"{"tasks":[{"id":1,"title":"Parse","status":"pending","priority":"high","dependencies":[],"subtasks":[{"id":1,"title":"Lex","status":"done","dependencies":[]}]},{"id":2,"title":"Print","status":"in-progress","dependencies":[1]}]}"#;

const LIST: &str = "# Rewrite\n\nWhat this is about.\n\n- [ ] Lex (id: lexer) (files: src/{a,b}.rs)\n- [ ] Parse (needs: lexer) (priority: 1) (estimate: 1h30m)\n\n  Prose.\n  ```text\n  - [ ] no item\n  ```\n  - [x] Choose a grammar (kind: decision)\n1. [ ] Page cache (labels: ux, errors)\n";

const DESIGN: &str = "# Store\n\nKeeps events.\n\n- **R1** (critical, durability): nothing is lost\n\n## Rules\n\n```rules\nforbid a -> b\n```\n";

const ISSUE: &str = r#"{"id":"a","title":"A é","status":"closed","priority":1,"created_at":"2026-01-01T00:00:00.5Z","updated_at":"2026-01-01T00:00:00Z","labels":["x","y"],"dependencies":[{"issue_id":"a","depends_on_id":"b","type":"waits-for","metadata":"{\"gate\":\"any-children\"}"}],"comments":[{"id":1,"author":"bob","text":"t","created_at":"2026-01-01T00:00:00Z"}],"dependency_count":1,"zeta":{"k":[1]}}"#;

const EVENT: &str = r#"{"id":"e1","issue_id":"a","event_type":"status_changed","actor":"ada","old_value":"{\"status\":\"open\"}","new_value":"{\"status\":\"in_progress\"}","comment":null,"created_at":"2026-01-01T00:00:00Z"}"#;

fn of_import() -> Vec<Vec<u8>> {
    let exported = beads::export(rich(), state::NOON);
    let other = ISSUE.replace("\"a\"", "\"b\"").replace("closed", "open");
    let both = format!("{ISSUE}\n{other}\n");
    let edited = ISSUE.replace("A é", "B").replace("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let edited = format!("{edited}\n{other}\n");
    let between = std::str::from_utf8(BETWEEN).unwrap_or_default();
    let mut seeds = vec![led(&[0], exported.as_bytes()), led(&[0], both.as_bytes())];
    let dirt = format!("<<<<<<< a\n{ISSUE}\n=======\n{{\"id\":\"b\",}}\n>>>>>>> b\n");
    seeds.push(led(&[0], dirt.as_bytes()));
    seeds.push(led(&[1], TASKS.as_bytes()));
    seeds.push(led(&[2], LIST.as_bytes()));
    seeds.push(led(&[3], DESIGN.as_bytes()));
    seeds.push(led(&[4], format!("{both}{between}{EVENT}\n").as_bytes()));
    let merge = format!("{both}{between}{edited}{between}{ISSUE}\n");
    seeds.push(led(&[5], merge.as_bytes()));
    seeds.push(led(&[5], format!("{ISSUE}{between}{both}{between}{dirt}").as_bytes()));
    seeds
}
