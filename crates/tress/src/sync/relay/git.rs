//! A git remote as a relay: no server but the one that the team has already.
//!
//! ```text
//! refs/tress/RUN/PLACE  ->  commit  ->  tree
//!                                        format        "1"
//!                                        version       what is in here: "REPLICA FROM TO" a line
//!                                        00000001 …    length: u32 LE, a message with events; again
//!                                        clocks        changes of documents: "STRAND ACTOR FROM TO" a line
//!                                        c00000001 …   length: u32 LE, a message with changes; again
//! ```
//!
//! *Shape.* Each place pushes to a ref of its own, so a push never conflicts, and what all hold
//! together is what the remote holds. A place leaves there only what none of them has, so nothing is
//! there twice but by chance. No branch is touched, and neither is the repository around the store:
//! objects go through a bare one in `local/git`.
//!
//! *Invariant:* a ref only goes on from what was fetched. Of two processes of one place that push at
//! once, one is refused by the remote, and begins anew.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;
use tress_documents::Numbered;
use tress_model::codec::{self, Received};
use tress_model::message::{Clock, Message};
use tress_model::{ReplicaId, Segment, StoreId, Strand, VersionVector, limits};

use super::super::address::without_secret;
use super::{ACTORS_MAX, CHANGES_BYTES, Relay, RelayError};
use crate::run::Run;

/// How often it is fetched while it is followed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long is between two pushes at the least, unless there is much to push.
const PUSH_EVERY: Duration = Duration::from_secs(2);
/// How long git may take for one thing.
const GIT_MAX: Duration = Duration::from_secs(300);
/// A file that has so many bytes is not added to.
const FILE_BYTES: usize = 256 << 10;
/// How long a `version` may be: a line for each replica that a run may have.
const VERSION_BYTES: usize = limits::REPLICAS_MAX * 64;
/// The files of one place; at [`FILE_BYTES`] each that is some billions of events.
const FILES_MAX: usize = 65_536;
/// Where we run within a hook, git says with these where its repository is. Ours is another.
const OF_HOOKS: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];
/// What the names of files with events begin with, and those with changes of documents; and the file that
/// says which these are.
const EVENTS: &str = "";
const CHANGES: &str = "c";
const CLOCKS: &str = "clocks";
/// What is in the file `format`.
const FORMAT: &str = "1";

/// A git remote that holds a run.
#[derive(Debug)]
pub struct Git {
    git: Runner,
    remote: String,
    /// `refs/tress/RUN/`.
    refs: String,
    /// The ref of this place.
    own: String,
    id: StoreId,
    /// What the remote had when it was fetched last: the tip of each ref, and what it holds.
    tips: BTreeMap<String, Tip>,
    /// What is yet to be given of it.
    streams: Vec<Stream>,
    /// How far each file goes, by its name in git: it is not read again for nothing.
    known: BTreeMap<String, VersionVector>,
    pushed: Option<Instant>,
    looked: Instant,
}

/// The newest commit of one place.
#[derive(Debug, Clone, Default)]
struct Tip {
    commit: String,
    held: Held<ReplicaId>,
    changes: Held<ActorOf>,
}

/// An actor of one of the documents.
type ActorOf = (Strand, Vec<u8>);

/// What one place left, as it is read.
#[derive(Debug, Default)]
struct Stream {
    files: VecDeque<String>,
    segments: VecDeque<Segment>,
}

impl Git {
    /// The remote `remote` as one to follow about `run`: the name of a remote of the repository that
    /// the store is in, or what git takes otherwise.
    ///
    /// # Errors
    /// When git is not there, or the store is in memory only.
    pub async fn open(run: &Run, remote: &str) -> Result<Self, RelayError> {
        if !run.store_files().is_real() {
            return Err(RelayError::Unusable("a store in memory has no repository".to_owned()));
        }
        let place = run.place().map_err(|error| RelayError::Unusable(error.to_string()))?;
        let dir = run.store_dir().join("local").join("git");
        let around = run.store_dir().parent().unwrap_or(Path::new(".")).to_owned();
        let remote = resolve(&around, remote).await?;
        let git = Runner { dir, at: format!("the git remote {}", without_secret(&remote)) };
        if !git.dir.join("HEAD").is_file() {
            let dir = git.dir.display().to_string();
            git.run(&["init", "--quiet", "--bare", "--template=", &dir], None).await?;
        }
        git.run(&["gc", "--auto", "--quiet"], None).await?;
        let refs = format!("refs/tress/{}/", run.name());
        let own = format!("{refs}{place}");
        let hash = blake3::Hasher::new_derive_key("tress 2026 id of a git remote, v1")
            .update(remote.as_bytes())
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(hash.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
        Ok(Self {
            git,
            remote,
            refs,
            own,
            id: StoreId(id),
            tips: BTreeMap::new(),
            streams: Vec::new(),
            known: BTreeMap::new(),
            pushed: None,
            looked: Instant::now(),
        })
    }

    async fn look(&mut self) -> Result<VersionVector, RelayError> {
        self.looked = Instant::now();
        let all = format!("+{0}*:{0}*", self.refs);
        let fetch = ["fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head"];
        self.git.run(&[&fetch[..], &[&self.remote, &all]].concat(), None).await?;
        let format = "--format=%(objectname) %(refname)";
        let listed = self.git.text(&["for-each-ref", format, &self.refs]).await?;
        let mut tips = BTreeMap::new();
        for (tip, name) in listed.lines().filter_map(|line| line.split_once(' ')) {
            let known = self.tips.get(name).filter(|known| known.commit == tip).cloned();
            let entry = match known {
                Some(known) => known,
                None => Tip {
                    commit: tip.to_owned(),
                    held: self.version_of(tip, name).await?,
                    changes: self.changes_of(tip).await,
                },
            };
            tips.insert(name.to_owned(), entry);
        }
        self.tips = tips;
        self.streams.clear();
        Ok(whole(self.tips.values().map(|tip| &tip.held)).into_iter().collect())
    }

    /// What the commit `tip` says that it holds of documents: nothing, where it does not say so.
    async fn changes_of(&self, tip: &str) -> Held<ActorOf> {
        let name = format!("{tip}:{CLOCKS}");
        let size = self.git.text(&["cat-file", "-s", &name]).await.unwrap_or_default();
        if !size.trim().parse().is_ok_and(|size: usize| size <= ACTORS_MAX * 64) {
            return Held::default();
        }
        let text = self.git.text(&["cat-file", "blob", &name]).await.unwrap_or_default();
        Held::read(&text, read_actor).unwrap_or_default()
    }

    /// What the commit `tip` says that it holds. One that is not ours holds nothing.
    async fn version_of(&self, tip: &str, name: &str) -> Result<Held<ReplicaId>, RelayError> {
        let small = |name: &str| format!("{tip}:{name}");
        for (name, most) in [("format", 64), ("version", VERSION_BYTES)] {
            let size = self.git.text(&["cat-file", "-s", &small(name)]).await.unwrap_or_default();
            if !size.trim().parse().is_ok_and(|size: usize| size <= most) {
                tracing::warn!(name, "passed over a ref of {} that is not ours", self.git.at);
                return Ok(Held::default());
            }
        }
        let format = self.git.text(&["cat-file", "blob", &small("format")]).await;
        let format = format.unwrap_or_default();
        if let Ok(found) = format.trim().parse::<i32>()
            && found > 1
        {
            return Err(RelayError::Newer { at: self.git.at.clone(), found, known: 1 });
        }
        let text = self.git.text(&["cat-file", "blob", &format!("{tip}:version")]).await;
        let replica = |text: &str| text.parse().ok();
        let version = text.ok().and_then(|text| Held::read(&text, replica));
        if format.trim() != FORMAT || version.is_none() {
            tracing::warn!(name, "passed over a ref of {} that is not ours", self.git.at);
        }
        Ok(version.unwrap_or_default())
    }

    /// The files in `tip` whose names are `kind` and a number, oldest first: how they are called, and
    /// what is in them.
    async fn files(&self, tip: &str, kind: &str) -> Result<Vec<(String, String)>, RelayError> {
        let listed = self.git.text(&["ls-tree", tip]).await?;
        let files = listed.lines().filter_map(|line| {
            let (about, name) = line.split_once('\t')?;
            let blob = about.strip_prefix("100644 blob ")?;
            let number = name.strip_prefix(kind)?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then(|| (name.into(), blob.into()))
        });
        let files: Vec<_> = files.take(FILES_MAX).collect();
        Ok(files)
    }

    /// What is in a file; nothing, where it is too large.
    async fn bytes(&self, blob: &str) -> Result<Vec<u8>, RelayError> {
        let size = self.git.text(&["cat-file", "-s", blob]).await?;
        if !size.trim().parse().is_ok_and(|size: usize| size <= FILE_BYTES + FRAME_MAX) {
            tracing::warn!(blob, "passed over a file of {} that is too large", self.git.at);
            return Ok(Vec::new());
        }
        self.git.run(&["cat-file", "blob", blob], None).await
    }

    /// The events in a file, as far as it can be read.
    async fn read(&mut self, blob: &str) -> Result<Vec<Segment>, RelayError> {
        let segments = unframe(&self.bytes(blob).await?);
        let ends = segments.iter().map(|segment| (segment.replica, segment.last()));
        self.known.insert(blob.to_owned(), ends.collect());
        Ok(segments)
    }

    /// Opens a stream for each place that has what `than` lacks.
    async fn open_streams(&mut self, than: &VersionVector) -> Result<(), RelayError> {
        let mut streams = Vec::new();
        for tip in self.tips.values() {
            if tip.held.is_in(|replica| than.get(*replica)) {
                continue;
            }
            let files = self.files(&tip.commit, EVENTS).await?.into_iter().map(|(_, blob)| blob);
            let more =
                |blob: &String| self.known.get(blob).is_none_or(|ends| than.join(ends) != *than);
            streams.push(Stream { files: files.filter(more).collect(), ..Stream::default() });
        }
        self.streams = streams;
        Ok(())
    }
}

impl Git {
    /// Leaves messages in files of `kind` behind those that are there, and says what is held then.
    async fn push(
        &mut self,
        kind: &str,
        messages: &[Message],
        held: Held<ReplicaId>,
        changes: Held<ActorOf>,
        few: bool,
    ) -> Result<(), RelayError> {
        if let Some(pushed) = self.pushed.filter(|_| few) {
            tokio::time::sleep_until(pushed + PUSH_EVERY).await;
        }
        let tip = self.tips.get(&self.own).map(|tip| tip.commit.clone());
        let (mut files, mut others) = (Vec::new(), Vec::new());
        if let Some(tip) = &tip {
            files = self.files(tip, kind).await?;
            let other = if kind == EVENTS { CHANGES } else { EVENTS };
            others = self.files(tip, other).await?;
        }
        let mut last = Vec::new();
        if let Some((name, blob)) = files.last().cloned() {
            let bytes = self.git.run(&["cat-file", "blob", &blob], None).await?;
            // Behind what cannot be read, nobody would read on.
            if bytes.len() < FILE_BYTES && frames(&bytes).all(|message| message.is_some()) {
                files.pop();
                last = vec![(name, bytes)];
            }
        }
        for message in messages {
            let frame = frame(message)?;
            match last.last_mut() {
                Some((_, bytes)) if bytes.len() < FILE_BYTES => bytes.extend_from_slice(&frame),
                _ => {
                    let name = format!("{kind}{:08}", files.len() + last.len() + 1);
                    last.push((name, frame));
                }
            }
        }
        if files.len() + last.len() > FILES_MAX {
            return Err(RelayError::Refused {
                at: self.git.at.clone(),
                reason: format!("the ref {} has {FILES_MAX} files: push another run", self.own),
            });
        }
        for (name, bytes) in last {
            files.push((name, self.git.keep(&bytes).await?));
        }
        files.append(&mut others);
        let about = [
            ("format", FORMAT.to_owned()),
            ("version", held.text(ToString::to_string)),
            (CLOCKS, changes.text(actor_text)),
        ];
        for (name, text) in about {
            if !text.is_empty() || name != CLOCKS {
                files.push((name.to_owned(), self.git.keep(text.as_bytes()).await?));
            }
        }
        let tree: String =
            files.iter().map(|(name, blob)| format!("100644 blob {blob}\t{name}\n")).collect();
        let tree = self.git.run(&["mktree"], Some(tree.as_bytes())).await?;
        let tree = String::from_utf8_lossy(&tree).trim().to_owned();
        let message = format!("{} messages of {}", messages.len(), self.refs);
        let mut commit = vec!["commit-tree", &tree, "-m", &message];
        if let Some(tip) = &tip {
            commit.extend(["-p", tip]);
        }
        let commit = self.git.text(&commit).await?.trim().to_owned();
        let to = format!("{commit}:{}", self.own);
        self.git.run(&["push", "--quiet", "--no-verify", &self.remote, &to], None).await?;
        self.git.run(&["update-ref", &self.own, &commit], None).await?;
        self.pushed = Some(Instant::now());
        self.tips.insert(self.own.clone(), Tip { commit, held, changes });
        Ok(())
    }
}

/// The most that a frame in a file takes.
const FRAME_MAX: usize = limits::MESSAGE_BYTES_MAX + 4;

impl Relay for Git {
    fn id(&self) -> StoreId {
        self.id
    }

    async fn holds(&mut self) -> Result<VersionVector, RelayError> {
        self.look().await
    }

    async fn put(&mut self, segments: &[Segment]) -> Result<(), RelayError> {
        if segments.is_empty() {
            return Ok(());
        }
        let few = segments.iter().map(|segment| segment.records.len()).sum::<usize>()
            < limits::BATCH_EVENTS;
        let Tip { mut held, changes, .. } = self.tips.get(&self.own).cloned().unwrap_or_default();
        let mut messages = Vec::new();
        for segment in segments {
            held.add(segment.replica, segment.first, segment.last());
            messages.push(Message::Events(vec![segment.clone()]));
        }
        self.push(EVENTS, &messages, held, changes, few).await
    }

    async fn get(&mut self, than: &VersionVector) -> Result<Vec<Segment>, RelayError> {
        if self.streams.is_empty() {
            self.open_streams(than).await?;
        }
        let (mut given, mut events, mut bytes) = (Vec::new(), 0, 0);
        while events < limits::BATCH_EVENTS && bytes < limits::BATCH_BYTES {
            // Each stream has causes first; across streams the earlier goes first, which is nearly so.
            for at in 0..self.streams.len() {
                while let Some(stream) = self.streams.get_mut(at)
                    && stream.segments.is_empty()
                    && let Some(blob) = stream.files.pop_front()
                {
                    let mut segments = self.read(&blob).await?;
                    segments.retain(|segment| segment.last() > than.get(segment.replica));
                    if let Some(stream) = self.streams.get_mut(at) {
                        stream.segments = segments.into();
                    }
                }
            }
            self.streams.retain(|stream| !stream.segments.is_empty());
            let begin = |stream: &Stream| {
                let first = stream.segments.front()?;
                Some((first.records.first()?.time, first.replica, first.first))
            };
            let next = self.streams.iter_mut().min_by_key(|stream| begin(stream));
            let Some(segment) = next.and_then(|stream| stream.segments.pop_front()) else { break };
            events += segment.records.len();
            bytes += codec::encode_segment(&segment).map_or(0, |body| body.len());
            given.push(segment);
        }
        Ok(given)
    }

    async fn clocks(&mut self) -> Result<[Clock; 3], RelayError> {
        let mut clocks = <[Clock; 3]>::default();
        for ((strand, actor), last) in whole(self.tips.values().map(|tip| &tip.changes)) {
            if let Some(clock) = clocks.get_mut(strand.index()) {
                clock.insert(actor, last);
            }
        }
        Ok(clocks)
    }

    async fn put_changes(&mut self, changes: &[(Strand, Numbered)]) -> Result<(), RelayError> {
        let tip = self.tips.get(&self.own).cloned().unwrap_or_default();
        let (held, mut ours) = (tip.held, tip.changes);
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for (strand, change) in changes {
            ours.add((*strand, change.actor.clone()), change.number, change.number);
            bytes += change.bytes.len();
            let (strand, changes) = (*strand, vec![change.bytes.clone()]);
            messages.push(Message::Changes { strand, changes });
        }
        self.push(CHANGES, &messages, held, ours, bytes < FILE_BYTES).await
    }

    async fn get_changes(
        &mut self,
        strand: Strand,
        than: &Clock,
    ) -> Result<Vec<Vec<u8>>, RelayError> {
        let known = |(of, actor): &ActorOf| match *of == strand {
            true => than.get(actor).copied().unwrap_or_default(),
            false => u64::MAX,
        };
        let tips = self.tips.values().filter(|tip| !tip.changes.is_in(known));
        let tips: Vec<String> = tips.map(|tip| tip.commit.clone()).collect();
        // Each ref has causes first, and what is missing first is missing nothing: so each has its share.
        let share = (CHANGES_BYTES / tips.len().max(1)).max(1);
        let mut given = Vec::new();
        for tip in tips {
            let mut size = 0;
            for (_, blob) in self.files(&tip, CHANGES).await? {
                if size >= share {
                    break;
                }
                for bytes in changes_in(&self.bytes(&blob).await?, strand) {
                    let new = Numbered::read(&bytes).is_some_and(|change| !change.is_in(than));
                    if new && size < share {
                        size += bytes.len();
                        given.push(bytes);
                    }
                }
            }
        }
        Ok(given)
    }

    async fn changed(&mut self) -> Result<(), RelayError> {
        // Also where others wake us more often than that.
        tokio::time::sleep_until(self.looked + LOOK_EVERY).await;
        Ok(())
    }
}

fn frame(message: &Message) -> Result<Vec<u8>, RelayError> {
    let message = codec::encode_message(1, message)?;
    // It is below the limit on messages.
    let mut frame = (message.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&message);
    Ok(frame)
}

/// The messages in a file, up to the first that cannot be read: that is `None`, and the last.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Option<Message>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let split = bytes
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let read = split.map(|(message, rest)| (codec::decode_message(message), rest));
        let Some((Ok((_, Received::Message(message))), rest)) = read else {
            tracing::warn!("passed over what is no message");
            bytes = &[];
            return Some(None);
        };
        bytes = rest;
        Some(Some(message))
    })
}

/// The segments in a file, up to the first that cannot be read.
fn unframe(bytes: &[u8]) -> Vec<Segment> {
    let (mut segments, mut unpacked) = (Vec::new(), 0);
    for message in frames(bytes) {
        match message {
            Some(Message::Events(more)) => {
                // A small file may unpack to much.
                unpacked += more
                    .iter()
                    .map(|s| codec::encode_segment(s).map_or(0, |b| b.len()))
                    .sum::<usize>();
                segments.extend(more);
                if unpacked > FILE_BYTES * 64 + FRAME_MAX {
                    tracing::warn!("passed over the rest of a file that unpacks to too much");
                    break;
                }
            }
            _ => break,
        }
    }
    segments
}

/// The changes of a document in a file, up to the first message that cannot be read.
fn changes_in(bytes: &[u8], strand: Strand) -> Vec<Vec<u8>> {
    let messages = frames(bytes).map_while(|message| message);
    let changes = messages.map(|message| match message {
        Message::Changes { strand: of, changes } if of == strand => changes,
        _ => Vec::new(),
    });
    changes.flatten().collect()
}

/// An actor of a document, as it stands in `clocks`.
fn actor_text((strand, actor): &ActorOf) -> String {
    let actor: String = actor.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {actor}", strand.name())
}

/// What [`actor_text`] wrote.
fn read_actor(text: &str) -> Option<ActorOf> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let (strand, actor) = text.split_once(' ')?;
    let strand = Strand::ALL.into_iter().find(|known| known.name() == strand)?;
    Some((strand, actor.as_bytes().chunks(2).map(digits).collect::<Option<_>>()?))
}

/// What a ref has of what is numbered by somebody (events by replicas, changes by actors): stretches, the
/// first and the last number, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held<K: Ord>(BTreeMap<K, Vec<(u64, u64)>>);

impl<K: Ord> Default for Held<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Held<K> {
    fn add(&mut self, of: K, first: u64, last: u64) {
        let stretches = self.0.entry(of).or_default();
        match stretches.last_mut() {
            Some((from, to)) if *from <= first && first <= to.saturating_add(1) => {
                *to = last.max(*to)
            }
            _ => stretches.push((first, last)),
        }
    }

    /// A line for each stretch: whose it is, the first number, the last.
    fn text(&self, name: impl Fn(&K) -> String) -> String {
        let stretches = self.0.iter().flat_map(|(of, all)| {
            let name = name(of);
            all.iter().map(move |(from, to)| format!("{name} {from} {to}\n"))
        });
        stretches.collect()
    }

    fn read(text: &str, name: impl Fn(&str) -> Option<K>) -> Option<Self> {
        let mut held = Self::default();
        for line in text.lines() {
            let mut words = line.rsplitn(3, ' ');
            let (to, from, of) = (words.next()?, words.next()?, words.next()?);
            let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
            if from == 0 || from > to {
                return None;
            }
            held.add(name(of)?, from, to);
        }
        Some(held)
    }

    /// Whether all of it is known, where `known` says up to which number.
    fn is_in(&self, known: impl Fn(&K) -> u64) -> bool {
        let mut ends = self.0.iter().flat_map(|(of, all)| all.iter().map(move |s| (of, s.1)));
        ends.all(|(of, to)| to <= known(of))
    }
}

/// What all of it together has of each, from the first on without a hole. What lies behind a hole (somebody
/// deleted a ref) counts only once the hole is filled again.
fn whole<'a, K: Ord + Clone + 'a>(all: impl Iterator<Item = &'a Held<K>>) -> BTreeMap<K, u64> {
    let mut stretches: Vec<_> = all
        .flat_map(|held| held.0.iter())
        .flat_map(|(of, all)| all.iter().map(move |(from, to)| (of, *from, *to)))
        .collect();
    stretches.sort_unstable();
    let mut whole: BTreeMap<K, u64> = BTreeMap::new();
    for (of, from, to) in stretches {
        let last = whole.get(of).copied().unwrap_or_default();
        if from <= last.saturating_add(1) {
            whole.insert(of.clone(), to.max(last));
        }
    }
    whole
}

/// What git calls `remote` around the store, or itself, where it is no name.
async fn resolve(around: &Path, remote: &str) -> Result<String, RelayError> {
    if remote.is_empty() || remote.starts_with('-') {
        return Err(RelayError::Unusable(format!("{remote:?} is no git remote")));
    }
    let mut asked = Command::new("git");
    for name in OF_HOOKS {
        asked.env_remove(name);
    }
    asked.arg("-C").arg(around).args(["remote", "get-url", remote]).stdin(Stdio::null());
    let answer = asked.kill_on_drop(true).output().await.map_err(|error| no_git(&error))?;
    let url = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if answer.status.success() && !url.is_empty() {
        let path = around.join(&url);
        // A path is relative to the repository.
        let relative = !url.contains(':') && Path::new(&url).is_relative() && path.exists();
        return Ok(if relative { path.display().to_string() } else { url });
    }
    Ok(remote.to_owned())
}

fn no_git(error: &std::io::Error) -> RelayError {
    RelayError::Unusable(format!("git cannot be run ({error}): install it"))
}

/// Runs git on the store's own bare repository.
#[derive(Debug)]
struct Runner {
    dir: PathBuf,
    at: String,
}

impl Runner {
    async fn text(&self, args: &[&str]) -> Result<String, RelayError> {
        Ok(String::from_utf8_lossy(&self.run(args, None).await?).into_owned())
    }

    /// Keeps a file in the repository; gives its name there.
    async fn keep(&self, bytes: &[u8]) -> Result<String, RelayError> {
        let name = self.run(&["hash-object", "-w", "--stdin"], Some(bytes)).await?;
        Ok(String::from_utf8_lossy(&name).trim().to_owned())
    }

    async fn run(&self, args: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, RelayError> {
        let mut command = Command::new("git");
        // Nothing of the user's settings may run something, sign something or leave something behind.
        let settings =
            ["core.hooksPath=/dev/null", "maintenance.auto=false", "gc.autoDetach=false"];
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        if args.first() != Some(&"init") {
            command.arg("--git-dir").arg(&self.dir);
        }
        for name in OF_HOOKS {
            command.env_remove(name);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "tress");
            command.env(format!("GIT_{who}_EMAIL"), "tress@localhost");
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").kill_on_drop(true);
        command.args(args).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let away = |reason: String| RelayError::Away { at: self.at.clone(), reason };
        let mut child = command.spawn().map_err(|error| no_git(&error))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // Where git ends before it has read all, it says why.
                let _ = stdin.write_all(input).await;
            }
        };
        let done = async { tokio::join!(feed, child.wait_with_output()).1 };
        let done = tokio::time::timeout(GIT_MAX, done).await;
        let output = done
            .map_err(|_| away(format!("git takes longer than {} s", GIT_MAX.as_secs())))?
            .map_err(|error| no_git(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| line.contains("fatal:") || line.contains("rejected"));
        let line = line.or_else(|| said.lines().next()).unwrap_or("git failed");
        Err(away(line.trim().chars().take(300).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refs_have_together_ends_where_there_is_a_hole() {
        let (one, two) = (ReplicaId([1; 16]), ReplicaId([2; 16]));
        let mut here = Held::default();
        for (first, last) in [(1, 10), (11, 12), (21, 30)] {
            here.add(one, first, last);
        }
        here.add(two, 5, 9);
        let mut there = Held::default();
        there.add(one, 13, 20);
        let read = |text: &str| Held::read(text, |name| name.parse::<ReplicaId>().ok());
        assert_eq!(read(&here.text(ToString::to_string)), Some(here.clone()));
        let both = whole([&here, &there].into_iter());
        assert_eq!((both.get(&one), both.get(&two)), (Some(&30), None));
        let alone = whole([&here].into_iter());
        assert_eq!(alone.get(&one), Some(&12), "somebody deleted the other ref");
        assert!(here.is_in(|of| if *of == one { 30 } else { 9 }));
        assert!(!here.is_in(|of| both.get(of).copied().unwrap_or_default()));
        for wrong in
            ["x", "01 1 2", &format!("{one} 0 2"), &format!("{one} 3 2"), &format!("{one} 1")]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let mut changes = Held::default();
        changes.add((Strand::Todo, vec![0, 255, 16]), 3, 7);
        assert_eq!(changes.text(actor_text), "todo 00ff10 3 7\n");
        assert_eq!(Held::read(&changes.text(actor_text), read_actor), Some(changes));
    }
}
