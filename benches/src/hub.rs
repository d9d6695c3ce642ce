//! A hub with a thousand subscribers: what each costs in memory, and how soon it hears of something;
//! also while others do all that they can to disturb.
//!
//! The hub is a process of its own, a child of this one: it appends when it is told to, and says when
//! that was durable. The subscribers are sessions of the engine over WebSockets, without logs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tress::sync::{Hub, HubOptions};
use tress::{Operation, Role, Store, StoreId, VersionVector};
use tress_bench::Failure;
use tress_bench::figure::{Figure, Times};
use tress_engine::sync::{Effect, Session};
use tress_model::message::Hello;

use crate::Ground;

/// The argument that makes the program the hub.
pub(crate) const CHILD: &str = "--hub";
/// How many follow.
const SUBSCRIBERS: usize = 1_000;
/// How many others disturb.
const HOSTILE: usize = 300;
/// How often something is appended.
const APPENDS: usize = 40;
/// How many events the run has before.
const BEFORE: usize = 1_000;

/// The hub: appends once for each line that it reads, and says when that was durable.
pub(crate) fn child(dir: &Path) -> ExitCode {
    match be_hub(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the hub: {error}");
            ExitCode::FAILURE
        }
    }
}

fn be_hub(dir: &Path) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Failure::other)?.block_on(async {
        let store = Store::create(dir.join(".tress")).map_err(Failure::other)?;
        let run = store.create_run("main").await.map_err(Failure::other)?;
        let ada = run.agent("ada", Role::Human);
        let id = |n: usize| tress::TodoId::from_external(&n.to_string());
        let todos = (0..BEFORE).map(|n| tress::todo(id(n), format!("todo {n}")));
        ada.append(todos.collect::<Vec<_>>()).await.map_err(Failure::other)?;
        let options = HubOptions { socket: Some(dir.join("hub.sock")), ..HubOptions::default() };
        let hub = Hub::open(store, options).await.map_err(Failure::other)?;
        println!("open");
        let (line, mut lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for read in std::io::stdin().lines() {
                if read.is_err() || line.blocking_send(()).is_err() {
                    break;
                }
            }
        });
        let mut count = 0;
        while lines.recv().await.is_some() {
            count += 1;
            let text = format!("note {count}");
            let note = Operation::NoteAdded { todo: id(count % BEFORE), text, layout: None };
            ada.append([note]).await.map_err(Failure::other)?;
            println!("durable");
        }
        hub.close().await;
        Ok(())
    })
}

/// The hub's process.
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(dir: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::other)?;
        let mut command = Command::new(program);
        command.arg(CHILD).arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::other)?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (Some(to), Some(from)) = (to, from) else {
            return Err(Failure::History("the hub has no pipes"));
        };
        let mut this = Self { child, to, from: BufReader::new(from) };
        this.hear()?;
        Ok(this)
    }

    fn hear(&mut self) -> Result<(), Failure> {
        match self.from.read_line(&mut String::new()).map_err(Failure::other)? {
            0 => Err(Failure::History("the hub has ended")),
            _ => Ok(()),
        }
    }

    fn append(&mut self) -> Result<(), Failure> {
        self.to.write_all(b"append\n").map_err(Failure::other)?;
        self.hear()
    }

    /// Its anonymous memory, in bytes.
    fn memory(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(Failure::other)?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kilobytes.map(|kb| kb * 1024.0).ok_or(Failure::History("the system does not say"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn measure_all(_: &Ground) -> Result<Vec<Figure>, Failure> {
    let dir = tempfile::tempdir().map_err(Failure::other)?;
    let mut hub = Process::start(dir.path())?;
    let socket = dir.path().join("hub.sock");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Failure::other)?;
    let alone = latencies(&runtime, &mut hub, &socket, 1)?;
    let before = hub.memory()?;
    let (heard, subscribers) = runtime.block_on(subscribe(&socket, SUBSCRIBERS))?;
    let each = (hub.memory()? - before) / SUBSCRIBERS as f64;
    let many = appends(&runtime, &mut hub, &heard, SUBSCRIBERS)?;
    let disturbing = runtime.block_on(disturb(&socket))?;
    let disturbed = appends(&runtime, &mut hub, &heard, SUBSCRIBERS)?;
    drop((subscribers, disturbing));
    let worst = |times: &[Delivered]| times.iter().map(|one| one.last).fold(0.0, f64::max);
    let median = |times: &[Delivered]| {
        let mut all = Times::default();
        times.iter().for_each(|one| all.push(Duration::from_secs_f64(one.median / 1e3)));
        all
    };
    let rival = "one subscriber";
    let one = median(&alone).median();
    Ok(vec![
        Figure::new("hub/memory_a_subscriber", each / 1024.0, "KiB"),
        Figure::median("hub/latency/one", &median(&alone)),
        Figure::median("hub/latency/of_1000", &median(&many)).against(rival, one),
        Figure::new("hub/latency/last_of_1000", worst(&many), "ms"),
        Figure::median("hub/latency/disturbed", &median(&disturbed)).against(rival, one),
        Figure::new("hub/latency/last_disturbed", worst(&disturbed), "ms"),
    ])
}

/// How long after an append was asked for the subscribers heard of it, in milliseconds.
struct Delivered {
    median: f64,
    last: f64,
}

fn latencies(
    runtime: &tokio::runtime::Runtime,
    hub: &mut Process,
    socket: &Path,
    count: usize,
) -> Result<Vec<Delivered>, Failure> {
    let (heard, subscribers) = runtime.block_on(subscribe(socket, count))?;
    let delivered = appends(runtime, hub, &heard, count);
    drop(subscribers);
    delivered
}

fn appends(
    runtime: &tokio::runtime::Runtime,
    hub: &mut Process,
    heard: &Heard,
    count: usize,
) -> Result<Vec<Delivered>, Failure> {
    let mut all = Vec::new();
    for _ in 0..APPENDS {
        let started = Instant::now();
        hub.append()?;
        let mut times = runtime.block_on(async {
            let mut times = Vec::with_capacity(count);
            let mut heard = heard.0.lock().await;
            while times.len() < count {
                let next = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await;
                let at: Instant = next.ok().flatten().ok_or(Failure::History("nobody hears"))?;
                times.push(at.duration_since(started).as_secs_f64() * 1e3);
            }
            Ok(times)
        })?;
        times.sort_by(f64::total_cmp);
        let (median, last) = (times.get(times.len() / 2), times.last());
        all.push(Delivered {
            median: median.copied().unwrap_or_default(),
            last: last.copied().unwrap_or_default(),
        });
    }
    Ok(all)
}

/// When subscribers heard of something.
struct Heard(tokio::sync::Mutex<mpsc::UnboundedReceiver<Instant>>);

/// Subscribers; they leave when this is dropped.
struct Subscribers(#[expect(dead_code, reason = "it is held, not looked at")] watch::Sender<()>);

type Socket = WebSocketStream<UnixStream>;

async fn connect(socket: &Path) -> Result<Socket, Failure> {
    let stream = UnixStream::connect(socket).await.map_err(Failure::other)?;
    let begun = tokio_tungstenite::client_async("ws://localhost/v1/runs/main", stream).await;
    Ok(begun.map_err(Failure::other)?.0)
}

/// Lets `count` subscribe, and waits until each has what there is.
async fn subscribe(socket: &Path, count: usize) -> Result<(Heard, Subscribers), Failure> {
    let (tell, heard) = mpsc::unbounded_channel();
    let (met, mut meets) = mpsc::unbounded_channel();
    let (stay, stop) = watch::channel(());
    for number in 0..count {
        let stream = connect(socket).await?;
        let (tell, met, mut stop) = (tell.clone(), met.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                ended = listen(stream, number, &tell, &met) => drop(ended),
                _ = stop.changed() => {}
            }
        });
    }
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(60), meets.recv()).await;
        next.ok().flatten().ok_or(Failure::History("a subscriber does not come up to date"))?;
    }
    // The last acknowledgements are on their way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok((Heard(tokio::sync::Mutex::new(heard)), Subscribers(stay)))
}

/// One subscriber: a session, and what it has. It keeps no events.
async fn listen(
    mut socket: Socket,
    number: usize,
    tell: &mpsc::UnboundedSender<Instant>,
    met: &mpsc::UnboundedSender<()>,
) -> Result<(), Failure> {
    let mut place = [7; 16];
    place[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let (place, mut have) = (StoreId(place), VersionVector::new());
    let me = Hello { live: true, ..Hello::new("main", place, have.clone()) };
    let (mut session, mut up_to_date) = (Session::new(me), false);
    loop {
        while let Some(effect) = session.next_effect() {
            match effect {
                Effect::Send(bytes) => {
                    socket.send(Message::Binary(bytes.into())).await.map_err(Failure::other)?;
                }
                Effect::Read { .. } => session.supply(Vec::new()).map_err(Failure::other)?,
                Effect::Take(segments) => {
                    for segment in segments {
                        have.advance(segment.replica, segment.last());
                    }
                    if up_to_date {
                        let _ = tell.send(Instant::now());
                    }
                    session.taken(&have);
                }
                Effect::UpToDate => {
                    up_to_date = true;
                    let _ = met.send(());
                }
                Effect::Paperwork(_) => {}
                Effect::End { .. } => return Ok(()),
            }
        }
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => session.receive(&bytes).map_err(Failure::other)?,
            Some(Ok(_)) => {}
            _ => return Ok(()),
        }
    }
}

/// Those who disturb: silent ones, ones that begin slowly, garbage, and subscribers that take nothing.
async fn disturb(socket: &Path) -> Result<Vec<UnixStream>, Failure> {
    let mut held = Vec::new();
    for number in 0..HOSTILE {
        let mut stream = UnixStream::connect(socket).await.map_err(Failure::other)?;
        let upgrade = "GET /v1/runs/main HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let begun: Vec<u8> = match number % 5 {
            0 => Vec::new(),
            1 => b"GET /v1/ru".to_vec(),
            2 => vec![0xff; 4096],
            // A frame that announces an exabyte.
            3 => {
                [upgrade.as_bytes(), &[0x82, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]].concat()
            }
            // Lets itself in, and neither speaks nor reads.
            _ => upgrade.as_bytes().to_vec(),
        };
        tokio::io::AsyncWriteExt::write_all(&mut stream, &begun).await.map_err(Failure::other)?;
        held.push(stream);
    }
    Ok(held)
}
