//! Stock Automerge clients: the npm packages, unmodified, and a hub. `integrations/js/test/session.mjs` is the
//! client's side of the story, and this is the agents'.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use automerge::{AutoCommit, ROOT, ReadDoc};

use super::sync::Running;
use super::{Bench, text};

/// Where the npm packages are, if they are installed.
fn packages() -> Option<PathBuf> {
    let js = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations/js");
    let node =
        Command::new("node").arg("--version").output().is_ok_and(|said| said.status.success());
    (node && js.join("node_modules").is_dir()).then_some(js)
}

/// The client, and what it says.
struct Client {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Client {
    fn start(js: &Path, hub: &str, token: &str, documents: &str) -> Self {
        let mut node = Command::new("node");
        node.arg("test/session.mjs").args([hub, token, documents]).current_dir(js);
        node.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().expect("node runs");
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, said }
    }

    /// What it says next, past what its packages log; nothing where it has ended.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            match self.said.read_line(&mut line).expect("it can be heard") {
                0 => return String::new(),
                _ => match line.strip_prefix("> ") {
                    Some(said) => return said.trim().to_owned(),
                    None => println!("{}", line.trim_end()),
                },
            }
        }
    }

    #[track_caller]
    fn says(&mut self, expected: &str) {
        let said = self.hear();
        if said != expected {
            let _ = self.child.kill();
            let mut rest = String::new();
            let _ = std::io::Read::read_to_string(&mut self.said, &mut rest);
            panic!("instead of {expected:?} it said {said}\n{rest}");
        }
    }

    fn go_on(&mut self) {
        self.answer("on");
    }

    fn answer(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn stock_clients_open_watch_and_edit_a_run() {
    let Some(js) = packages() else {
        println!(
            "skipped: node, or what `npm install --prefix integrations/js` brings, is missing"
        );
        return;
    };
    let bench = Bench::new();
    bench.ok(&["add", "first", "-d", "one two three four"]);
    let id = text(&bench.json(&["list"])[0], "id");
    let (_hub, address) = Running::hub(&bench, "127.0.0.1:0");
    let made = bench.ok(&["token", "create", "--role", "human", "--write"]);
    let token = made.lines().last().expect("a token").to_owned();
    let documents = bench.ok(&["documents", "--json"]);
    let mut client = Client::start(&js, &format!("ws://{address}"), &token, &documents);
    client.says("opened");
    bench.ok(&["edit", &id, "--title", "live"]);
    client.go_on();
    client.says("watched");
    // While the client edits the same text and other fields.
    bench.ok(&["edit", &id, "-d", "one two three FOUR"]);
    client.go_on();
    client.says("edited");
    bench.ok(&["edit", &id, "--label", "agents"]);
    client.go_on();
    client.says("offline");
    bench.ok(&["edit", &id, "--title", "meanwhile"]);
    client.go_on();
    client.says("back");
    // What it wrote offline is on its way.
    let begun = std::time::Instant::now();
    let of_id = || bench.json(&["show", &id]);
    while text(&of_id(), "notes") != "written offline" {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it never came: {}", of_id());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let shown = bench.json(&["show", &id]);
    let of = |name: &str| text(&shown, name);
    assert_eq!(
        (of("title"), of("priority"), of("assignee")),
        ("meanwhile".into(), "0".into(), "browser".into())
    );
    assert_eq!(of("description"), "ONE two three FOUR");
    assert_ne!(of("status"), "completed");
    let log = bench.ok(&["log"]);
    assert!(log.contains("browser"), "{log}");
    let conflicts = bench.ok(&["conflicts"]);
    assert!(conflicts.contains("browser"), "what it may not say is in the ledger: {conflicts}");
    // Roots and documents agree: what the client has is what the run exports.
    bench.ok(&["export", "automerge", "out"]);
    let saved = std::fs::read(bench.path().join("out/todo.automerge")).expect("it was written");
    let mut document = AutoCommit::load(&saved).expect("a document");
    let todos = document.get(ROOT, "todos").expect("a map").expect("it is there").1;
    let key = document.keys(&todos).find(|key| key.starts_with(&id)).expect("its whole id");
    let todo = document.get(&todos, key.as_str()).expect("a map").expect("it is there").1;
    let notes = document.get(&todo, "notes").expect("a map").expect("it is there").1;
    assert_eq!(document.text(&notes).expect("a text"), "written offline");
    let heads: Vec<_> = document.get_heads().iter().map(ToString::to_string).collect();
    client.answer(&heads.join(","));
    client.says("agreed");
    assert!(client.child.wait().expect("it ends").success());
}
