//! Machines that meet at a hub: `serve`, `sync` and `token`, as processes that are killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::Bench;

/// A process that is ended with the test.
pub(super) struct Running(Child);

impl Running {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut command = bench.command("ada", args);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"))
    }

    /// A hub, once it listens; where it does.
    pub(super) fn hub(bench: &Bench, listen: &str) -> (Self, String) {
        let mut hub = Self::start(bench, &["serve", "--listen", listen, "--json"]);
        let mut line = String::new();
        let said = hub.0.stdout.as_mut().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("it says where it listens");
        let view: serde_json::Value = serde_json::from_str(&line).expect("one JSON value");
        let address = view.pointer("/data/address").and_then(|a| a.as_str()).expect("an address");
        (hub, address.to_owned())
    }

    fn kill(mut self) {
        self.0.kill().expect("it can be killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(hub: &Bench) -> String {
    format!("unix:{}", hub.path().join(".tress/local/hub.sock").display())
}

#[cfg(unix)]
#[test]
fn a_token_opens_a_hub_and_the_right_words_are_said_where_it_does_not() {
    let (house, guest) = (Bench::new(), Bench::new());
    let (hub, address) = Running::hub(&house, "127.0.0.1:0");
    let url = format!("ws://{address}");
    guest.ok(&["add", "from afar"]);
    let made =
        house.run_as("ada", &["token", "create", "--name", "laptop", "--role", "human", "--write"]);
    assert!(made.stdout.contains("may read and write as human"), "{made:?}");
    let token = made.stdout.lines().last().expect("a token").to_owned();
    let sync = |token: &str, args: &[&str]| -> super::Answer {
        let args = [&["sync", "--once", url.as_str()], args].concat();
        guest.command("ada", &args).env("TRESS_TOKEN", token).output().expect("it runs").into()
    };
    sync("", &[]).fails(7, "HTTP 401");
    sync("tress_nonsense", &[]).fails(7, "not known here");
    assert_eq!(super::text(&sync("", &["--json"]).error(), "code"), "denied");
    let done = sync(&token, &["--json"]).data();
    assert_eq!((done.get("received"), done.get("sent")), (Some(&0.into()), Some(&1.into())));
    assert_eq!(house.run_as("ada", &["list", "--json"]).data().as_array().map(Vec::len), Some(1));
    // A name that is not quite right looked like an exchange that was done.
    let nothing = sync(&token, &["--run", "mian"]);
    assert!(nothing.stdout.contains("nothing is known of a run mian"), "{nothing:?}");
    // And the run was made, here and there.
    assert_eq!(super::texts(&guest.json(&["runs"]), "run"), ["main"]);
    let left = || super::texts(&house.json(&["runs"]), "run") == ["main"];
    let soon = |_| left() || (std::thread::sleep(std::time::Duration::from_millis(20)), false).1;
    assert!((0..500).any(soon), "the hub takes it back once its peer has left");
    assert!(!sync(&token, &[]).stdout.contains("nothing is known"));
    // A todo by somebody in another role does not come in with this token.
    guest.ok(&["claim", "--next", "--role", "implementer"]);
    sync(&token, &[]).fails(7, "writes as human only");
    house.ok(&["init", "--run", "other"]);
    let only = house.run_as("ada", &["token", "create", "--run", "other"]);
    sync(only.stdout.lines().last().unwrap_or_default(), &[]).fails(7, "for the run");
    let listed = house.run_as("ada", &["token", "list", "--json"]).data();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(!listed.to_string().contains(secret), "a secret is shown once");
    let id = listed.pointer("/0/id").and_then(|id| id.as_str()).expect("an id");
    house.ok(&["token", "revoke", id]);
    sync(&token, &[]).fails(7, "was revoked");
    house.run_as("ada", &["token", "revoke", id, "--json"]).data();
    house.run_as("ada", &["token", "revoke", "zzz"]).fails(3, "no token zzz");
    // A second hub on the same store would take the socket away from the first.
    house.run_as("ada", &["serve"]).fails(6, "another hub");
    house.run_as("ada", &["serve", "--listen", "0.0.0.0:0"]).fails(4, "nothing would be encrypted");
    hub.kill();
    sync(&token, &[]).fails(7, "nobody answers");
}

/// So many machines, each with an agent that works and a process that syncs; the hub and some of the
/// others are killed on the way.
#[cfg(unix)]
fn nodes_converge(count: usize, rounds: usize) {
    let house = Bench::new();
    let nodes: Vec<Bench> = (0..count).map(|_| Bench::new()).collect();
    let url = socket(&house);
    let follow = |node: &Bench| Running::start(node, &["sync", &url]);
    let (mut hub, _) = Running::hub(&house, "127.0.0.1:0");
    let mut following: Vec<Option<Running>> = nodes.iter().map(|node| Some(follow(node))).collect();
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        for (number, node) in nodes.iter().enumerate() {
            let added = node.run_as("ada", &["add", &format!("{number} {round}"), "--json"]).data();
            acknowledged.push(super::text(&added, "id"));
            // Apart now and then: killed, and back a round later.
            let process = following.get_mut(number).expect("one for each node");
            match process.take() {
                Some(running) if (number + round).is_multiple_of(3) => running.kill(),
                Some(running) => *process = Some(running),
                None => *process = Some(follow(node)),
            }
        }
        if round % 2 == 1 {
            hub.kill();
            hub = Running::hub(&house, "127.0.0.1:0").0;
        }
    }
    following.clear();
    // What the last to come brings, the first have yet to hear.
    for node in nodes.iter().chain(&nodes) {
        node.ok(&["sync", "--once", &url]);
    }
    let stats = |bench: &Bench| {
        let stats = bench.run_as("ada", &["stats", "--json"]).data();
        (super::text(&stats, "root"), stats.get("events").and_then(serde_json::Value::as_u64))
    };
    let expected = stats(&house);
    assert_eq!(expected.1, Some(acknowledged.len() as u64));
    for node in &nodes {
        assert_eq!(stats(node), expected);
    }
    let listed = house.run_as("ada", &["list", "--json"]).data().to_string();
    let fsck = house.run_as("ada", &["fsck"]);
    assert_eq!(fsck.code, 0, "{fsck:?}");
    for id in acknowledged {
        assert!(listed.contains(&id), "{id} was acknowledged and is gone");
    }
}

#[cfg(unix)]
#[test]
fn two_nodes_converge_after_partitions_and_kills() {
    nodes_converge(2, 8);
}

#[cfg(unix)]
#[test]
fn sixteen_nodes_converge_after_partitions_and_kills() {
    nodes_converge(16, 4);
}

/// A program that must succeed, in the directory of `bench`.
#[cfg(unix)]
#[test]
fn who_wants_the_todos_alone_gets_them_alone() {
    let (house, guest) = (Bench::new(), Bench::new());
    let (_hub, _) = Running::hub(&house, "127.0.0.1:0");
    house.ok(&["add", "a todo"]);
    house.ok(&["checkpoint", "a checkpoint"]);
    let sync = ["sync", "--once", &socket(&house), "--only", "todo", "--json"];
    let view = guest.run_as("ada", &sync).data();
    assert_eq!(super::text(&view, "strands"), "todo");
    assert_eq!(view.get("received").and_then(serde_json::Value::as_u64), Some(2));
    let log = guest.run_as("ada", &["log"]).stdout;
    assert!(log.contains("withheld") && !log.contains("a checkpoint"), "{log}");
    guest.ok(&["add", "from the guest"]);
    guest.ok(&["sync", "--once", &socket(&house)]);
    assert!(house.run_as("ada", &["list"]).stdout.contains("from the guest"));
    guest.ok(&["fsck"]);
    // What a run keeps never changes, and a run with a past keeps all of it.
    guest.run_as("ada", &["sync", &socket(&house), "--only", "design"]).fails(5, "keeps todo here");
    house.run_as("ada", &["sync", &socket(&guest), "--only", "todo"]).fails(5, "keeps design,todo");
    guest.run_as("ada", &["sync", &socket(&house), "--only", "docs"]).fails(2, "is no strand");
}

/// A hub that took only what members sign dropped the rest without a word, to either side.
#[cfg(unix)]
#[test]
fn a_hub_that_takes_only_what_members_sign_says_so() {
    let (house, guest) = (Bench::new(), Bench::new());
    let first = house.run_as("ada", &["members", "init"]);
    let line = first.stdout.lines().last().expect("a line").to_owned();
    let (_hub, _) = Running::hub(&house, "127.0.0.1:0");
    let sync = || guest.run_as("ada", &["sync", "--once", &socket(&house), "--json"]).data();
    let number = |view: &serde_json::Value, name: &str| {
        view.get(name).and_then(serde_json::Value::as_u64).expect("a number")
    };
    sync();
    guest.ok(&["add", "of a stranger"]);
    let view = sync();
    assert_eq!((number(&view, "sent"), number(&view, "not_taken")), (0, 1));
    assert_eq!(view.get("up_to_date"), Some(&false.into()));
    assert!(guest.ok(&["sync", "--once", &socket(&house)]).contains("1 event of ours not taken"));
    // Whoever learns that it is a member signs and is heard in the same breath.
    let key = guest.run_as("ada", &["members", "key"]).stdout.trim().to_owned();
    guest.ok(&["members", "trust", &line]);
    house.ok(&["members", "add", &key]);
    let view = sync();
    assert_eq!((number(&view, "sent"), number(&view, "not_taken")), (2, 0));
    assert_eq!(view.get("up_to_date"), Some(&true.into()));
    assert!(house.ok(&["list"]).contains("of a stranger"));
}

#[test]
fn who_trusts_a_member_takes_only_what_members_signed_whoever_carries_it() {
    let (remote, one, two) = (Bench::bare(), Bench::new(), Bench::new());
    let (three, four) = (Bench::new(), Bench::new());
    git(&remote, &["init", "--quiet", "--bare"]);
    let url = format!("git:{}", remote.path().display());
    let sync = ["sync", "--once", url.as_str(), "--json"];
    let first = one.run_as("ada", &["members", "init"]);
    let line = first.stdout.lines().last().expect("a line").to_owned();
    one.run_as("ada", &["members", "init"]).fails(5, "trusted here already");
    one.ok(&["add", "of a member"]);
    one.ok(&sync);
    three.ok(&["add", "of a stranger"]);
    three.ok(&sync);
    two.ok(&["members", "trust", &line]);
    let view = two.run_as("ada", &sync).data();
    assert_eq!(view.get("unsigned").and_then(serde_json::Value::as_u64), Some(1));
    let list = two.run_as("ada", &["list"]).stdout;
    assert!(list.contains("of a member") && !list.contains("of a stranger"), "{list}");
    // Until it is a member, too.
    let key = three.run_as("ada", &["members", "key"]).stdout.trim().to_owned();
    one.ok(&["members", "add", &key]);
    assert!(three.ok(&["members", "list"]).contains("it trusts nobody"));
    three.ok(&["members", "trust", &line]);
    for node in [&one, &three, &two] {
        node.ok(&sync);
    }
    let list = two.run_as("ada", &["list"]).stdout;
    assert!(list.contains("of a stranger"), "{list}");
    let members = two.run_as("ada", &["members", "list"]).stdout;
    assert!(members.contains("by a member") && members.contains("trusted here"), "{members}");
    two.run_as("ada", &["members", "trust", "nonsense"]).fails(2, "is no member");
    two.run_as("ada", &["members", "remove", &"0".repeat(32)]).fails(3, "is no member");
    assert!(four.ok(&["members", "list"]).contains("nobody is trusted here"));
}

fn git(bench: &Bench, args: &[&str]) -> String {
    let git = std::process::Command::new("git").arg("-C").arg(bench.path()).args(args).output();
    let git = git.expect("git runs");
    assert!(git.status.success(), "{args:?}: {git:?}");
    String::from_utf8_lossy(&git.stdout).into_owned()
}

#[test]
fn a_git_remote_is_enough_and_no_branch_is_touched() {
    let (remote, one, two) = (Bench::bare(), Bench::new(), Bench::new());
    git(&remote, &["init", "--quiet", "--bare"]);
    for node in [&one, &two] {
        git(node, &["init", "--quiet", "--initial-branch", "main"]);
        git(node, &["remote", "add", "origin", &remote.path().display().to_string()]);
    }
    one.ok(&["add", "here"]);
    two.ok(&["add", "there"]);
    for node in [&one, &two, &one] {
        node.ok(&["sync", "--once", "git:origin"]);
    }
    let again = one.run_as("ada", &["sync", "--once", "git:origin", "--json"]).data();
    let number = |name: &str| again.get(name).and_then(serde_json::Value::as_u64);
    assert_eq!((number("received"), number("sent")), (Some(0), Some(0)));
    let stats =
        |node: &Bench| super::text(&node.run_as("ada", &["stats", "--json"]).data(), "root");
    assert_eq!(stats(&one), stats(&two));
    assert_eq!(git(&remote, &["for-each-ref", "refs/heads", "refs/tags"]), "");
    assert_eq!(git(&one, &["for-each-ref"]), "", "the repository around the store has no ref");
    // It was said of a remote that is not there that the same again goes on.
    let unknown = one.run_as("ada", &["sync", "--once", "git:upstream"]);
    unknown.fails(3, "git has no remote called upstream");
    unknown.fails(3, "hint: there are origin;");
    Bench::new().run(&["sync", "git:origin"]).fails(3, "in no git repository");
    let gone = one.run_as("ada", &["sync", "--once", "git:/nowhere/at/all.git"]);
    gone.fails(7, "/nowhere/at/all.git");
    one.run_as("ada", &["sync", "--once", "postgres://ada:secret@127.0.0.1:1/x"])
        .fails(7, "postgres://ada@127.0.0.1:1/x");
}

/// A word that is no address was taken for a host, which was looked for again and again, for ever.
#[test]
fn what_cannot_be_an_address_is_refused_at_once() {
    let bench = Bench::new();
    let refused = bench.run_as("ada", &["sync", "nope"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("it names neither a kind, nor a port"), "{refused:?}");
    assert!(refused.stderr.contains("ws://hub.example.org"), "{refused:?}");
}
