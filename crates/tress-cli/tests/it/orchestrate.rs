//! `start`, `resume`, `status`, and what they refuse.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// How long a test waits for another process before it gives up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn tress(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tress"));
    command
        .current_dir(dir)
        .args(args)
        .env("NO_COLOR", "1")
        .env("TRESS_AGENT", "ada")
        .env_remove("TRESS_RUN")
        .env_remove("TRESS_DIR")
        .env_remove("TRESS_COMMAND")
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    tress(dir, args).output().expect("it works")
}

fn data(dir: &Path, args: &[&str]) -> Value {
    let output = run(dir, args);
    let text = String::from_utf8(output.stdout).expect("it works");
    let value: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{args:?}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    value.get("data").cloned().unwrap_or_default()
}

fn failure(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = run(dir, args);
    (output.status.code(), String::from_utf8(output.stderr).expect("it works"))
}

fn git(dir: &Path, args: &[&str]) {
    let names = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
    let output =
        Command::new("git").current_dir(dir).args(names).args(args).output().expect("it works");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with a todo list of three: `a`; `b`; `c` after `b`.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("it works");
    let list = "# Sample\n\n\
        - [ ] Make a (id: a) (files: a) (check: grep -q a a)\n\
        - [ ] Make b (id: b) (files: b) (check: grep -q b b)\n\
        - [ ] Make c (id: c) (needs: b) (files: c) (check: grep -q c c)\n";
    std::fs::write(dir.path().join("TODO.md"), list).expect("it works");
    std::fs::write(dir.path().join(".gitignore"), "/.tress\n/gate\n").expect("it works");
    git(dir.path(), &["init", "--quiet"]);
    git(dir.path(), &["add", "--all"]);
    git(dir.path(), &["commit", "--quiet", "-m", "first"]);
    dir
}

const GOOD: &str = "echo $TRESS_TODO > $TRESS_TODO";

#[test]
fn a_list_is_done_from_the_command_line() {
    let dir = project();
    let done = data(
        dir.path(),
        &["start", "--todo", "TODO.md", "--command", GOOD, "--scale", "2", "--json"],
    );
    assert_eq!((&done["outcome"], &done["completed"]), (&"done".into(), &3.into()));
    let status = data(dir.path(), &["status", "--json"]);
    assert_eq!((&status["phase"], &status["percent"]), (&"finished".into(), &100.into()));
    assert_eq!(status["counts"]["completed"], 3);
    let replayed = run(dir.path(), &["replay", "--check"]);
    assert!(replayed.status.success());
    let shown = String::from_utf8(run(dir.path(), &["show", "b"]).stdout).expect("it works");
    for line in ["checked      pass ", "verdict      pass, verifier ", "integrated   "] {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "no {line:?} in {shown}");
    }
    let why = String::from_utf8(run(dir.path(), &["why", "b"]).stdout).expect("it works");
    assert!(why.contains("implementer-") && why.contains("verifier"), "{why}");
    git(dir.path(), &["merge", "--quiet", "tress/main"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("c")).expect("it works"), "c\n");
}

#[test]
fn plain_lines_tell_how_it_goes() {
    let dir = project();
    let output = run(dir.path(), &["start", "--todo", "TODO.md", "--command", GOOD]);
    let text = String::from_utf8(output.stdout).expect("it works");
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("done: 3 todos completed, 0 left"), "{text}");
    assert!(text.contains("git merge tress/main"), "{text}");
}

#[test]
fn the_plan_changes_nothing() {
    let dir = project();
    let plan = data(dir.path(), &["start", "--todo", "TODO.md", "--plan", "--json"]);
    assert_eq!((&plan["implementers"], &plan["coordinators"]), (&1.into(), &0.into()));
    // Both are as urgent, and the seed decides.
    let first = plan["assignments"][0]["external_id"].as_str().expect("it works");
    assert!(["a", "b"].contains(&first), "{plan}");
    let again = data(dir.path(), &["start", "--todo", "TODO.md", "--plan", "--json"]);
    assert_eq!(plan, again);
    assert!(!dir.path().join(".tress").exists());
    let scaled = ["start", "--todo", "TODO.md", "--plan", "--json", "--scale", "2"];
    assert_eq!(data(dir.path(), &scaled)["assignments"].as_array().expect("it works").len(), 2);
}

#[test]
fn what_cannot_be_started_is_refused_and_changes_nothing() {
    let dir = project();
    let start = |list: &str| failure(dir.path(), &["start", "--todo", list, "--command", "true"]);
    let (code, said) = start("missing.md");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("missing.md"), "{said}");
    std::fs::write(dir.path().join("bad.md"), "- [ ] One (id: a)\n- [ ] Two (needs: nowhere)\n")
        .expect("it works");
    let (code, said) = start("bad.md");
    assert_eq!(code, Some(5), "an uncommitted file makes the tree dirty: {said}");
    assert!(said.contains("bad.md"), "{said}");
    git(dir.path(), &["add", "bad.md"]);
    git(dir.path(), &["commit", "--quiet", "-m", "bad"]);
    let (code, said) = start("bad.md");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("bad.md:2") && said.contains("nowhere"), "{said}");
    assert!(!dir.path().join(".tress").exists(), "nothing was written");
    let (code, said) = failure(dir.path(), &["start", "--todo", "TODO.md"]);
    assert_eq!(code, Some(2), "{said}");
    let elsewhere = tempfile::tempdir().expect("it works");
    std::fs::copy(dir.path().join("TODO.md"), elsewhere.path().join("TODO.md")).expect("it works");
    let args = ["start", "--todo", "TODO.md", "--command", "true"];
    let (code, said) = failure(elsewhere.path(), &args);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("git init"), "{said}");
    let (code, said) = failure(dir.path(), &["resume"]);
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn after_kill_9_of_everything_resume_goes_on_and_does_nothing_twice() {
    let dir = project();
    let gate = dir.path().join("gate");
    let agent = format!(
        "[ $TRESS_TODO = a ] || while [ ! -f {} ]; do sleep 0.05; done; {GOOD}",
        gate.display()
    );
    let mut started =
        tress(dir.path(), &["start", "--todo", "TODO.md", "--command", &agent, "--scale", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it works");
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        assert!(std::time::Instant::now() < deadline, "the first todo is not done in time");
        let list = data(dir.path(), &["list", "--all", "--json"]);
        let status = |id: &str| {
            let all = list.as_array().cloned().unwrap_or_default();
            let found = all.into_iter().find(|todo| todo["external_id"] == id);
            found.map(|todo| todo["status"].to_string()).unwrap_or_default()
        };
        if status("a").contains("completed") && status("b").contains("in_progress") {
            break;
        }
    }
    let abandoned = || data(dir.path(), &["status", "--json"])["abandoned"].clone();
    assert_eq!(abandoned(), false);
    started.kill().expect("it works");
    started.wait().expect("it works");
    assert_eq!(abandoned(), true);
    let page = run(dir.path(), &["status"]).stdout;
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("nobody coordinates it here any more: `tress resume`"), "{page}");
    std::fs::write(&gate, "").expect("it works");
    let done = data(dir.path(), &["resume", "--json"]);
    assert_eq!((&done["outcome"], &done["completed"]), (&"done".into(), &3.into()));
    assert_eq!(abandoned(), false);
    // What it begins with stays what it began with, and there is nothing to go on with.
    let (code, said) = failure(dir.path(), &["resume"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("is finished"), "{said}");
    let checkpoints = data(dir.path(), &["checkpoints", "--json"]).to_string();
    let taken = |name: &str| checkpoints.matches(&format!("\"name\":\"{name}\"")).count();
    assert_eq!((taken("start"), taken("resume"), taken("end")), (1, 1, 1), "{checkpoints}");
    let log = data(dir.path(), &["log", "--limit", "10000", "--json"]);
    let integrated = log.to_string().matches("\"integrated\"").count();
    assert_eq!(integrated, 3, "no work is done twice, and none is lost");
    let pids = std::fs::read_dir(dir.path().join(".tress/local/tasks/main")).expect("it works");
    let left = pids.filter(|entry| {
        entry
            .as_ref()
            .expect("it works")
            .path()
            .extension()
            .is_some_and(|extension| extension == "pid")
    });
    assert_eq!(left.count(), 0, "no agent is left behind");
}

#[test]
fn what_a_verifier_found_is_exported_and_a_run_goes_on_from_its_past() {
    let dir = project();
    let stub = "def f(a, b):\n    raise NotImplementedError\n";
    let agent = format!(
        "if [ $TRESS_TODO = a ] && [ $TRESS_ATTEMPT = 1 ]; then printf '{stub}' > a.py; fi; {GOOD}"
    );
    let output = run(dir.path(), &["start", "--todo", "TODO.md", "--command", &agent]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let sarif = run(dir.path(), &["export", "sarif", "--todo", "a"]);
    let sarif: serde_json::Value = serde_json::from_slice(&sarif.stdout).expect("it is JSON");
    assert_eq!(sarif["version"], "2.1.0");

    // On a path that branches off before the first todo, everything is done once more.
    let again = ["resume", "--from", "start", "--as", "again", "--command", GOOD];
    let output = run(dir.path(), &again);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("done: 3 todos completed, 0 left"), "{text}");
    for branch in ["tress/main", "tress/again"] {
        git(dir.path(), &["rev-parse", "--verify", "--quiet", branch]);
    }
    assert_eq!(data(dir.path(), &["runs", "--json"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_todo_is_explored_by_two_agents() {
    let dir = project();
    run(dir.path(), &["init"]);
    run(dir.path(), &["import", "markdown", "TODO.md"]);
    let explored = data(dir.path(), &["explore", "a", "--command", GOOD, "--json"]);
    assert_eq!(explored.as_array().map(Vec::len), Some(2));
    assert_eq!((&explored[0]["merged"], &explored[1]["merged"]), (&true.into(), &false.into()));
    let (code, said) = failure(dir.path(), &["explore", "a", "--command", GOOD]);
    assert_eq!(code, Some(5), "it is completed: {said}");
    let learned = data(dir.path(), &["optimize", "--json"]);
    assert_eq!(learned["samples"].as_array().map(Vec::len), Some(0));
}

/// What is to be done about a branch that lacks integrated work is told, and nothing is built on it.
#[test]
fn a_branch_that_lacks_integrated_work_is_not_built_on() {
    let dir = project();
    let agent = format!("[ $TRESS_TODO != c ] && {GOOD}");
    let start = ["start", "--todo", "TODO.md", "--command", &agent, "--attempts", "1"];
    assert_eq!(run(dir.path(), &start).status.code(), Some(5), "c is left");
    git(dir.path(), &["branch", "-D", "tress/main"]);
    let (code, said) = failure(dir.path(), &["resume", "--command", GOOD]);
    assert_eq!(code, Some(5), "{said}");
    for part in
        ["tress/main lacks work", "hint: `git branch tress/main ", "tress reopen", "--as-it-is"]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    run(dir.path(), &["unblock", "c", "-m", "another agent"]);
    let went_on = run(dir.path(), &["resume", "--command", GOOD, "--as-it-is"]);
    let text = String::from_utf8_lossy(&went_on.stdout).into_owned();
    assert!(went_on.status.success(), "{text} {}", String::from_utf8_lossy(&went_on.stderr));
    let status = data(dir.path(), &["status", "--json"]);
    let alert = status["alerts"][0]["message"].as_str().unwrap_or_default();
    assert!(alert.contains("lacks work"), "{status}");
}

/// After a path had come back the run showed the path's branch as its own, and had completed work that its own branch
/// did not have.
#[test]
fn a_path_that_comes_back_brings_its_work_or_says_what_is_lacking() {
    let done = |dir: &Path, args: &[&str]| {
        let output = run(dir, args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let dir = project();
    let dir = dir.path();
    // On the run nobody can do c; on the path somebody does.
    let agent = format!("[ $TRESS_TODO != c ] && {GOOD}");
    let start = ["start", "--todo", "TODO.md", "--command", &agent, "--attempts", "1"];
    assert_eq!(run(dir, &start).status.code(), Some(5));
    done(dir, &["fork", "second"]);
    done(dir, &["--run", "second", "unblock", "c", "-m", "another agent"]);
    let resume = ["resume", "--from", "now", "--as", "third", "--command", GOOD];
    done(dir, &[&["--run", "second"], resume.as_slice()].concat());
    let path = |run: &str| data(dir, &["--run", run, "status", "--json"])["branch"].clone();
    assert_eq!((path("main"), path("third")), ("tress/main".into(), "tress/third".into()));
    let dry = data(dir, &["merge", "third", "--dry-run", "--json"]);
    assert_eq!(dry["branch"]["work"][0]["todo"], "c", "{dry}");
    assert_eq!(dry["branch"]["moved_to"], Value::Null, "{dry}");
    assert_eq!(dry["branch"]["remedy"], Value::Null, "nothing came yet: {dry}");
    let merged = done(dir, &["merge", "third"]);
    assert!(merged.contains("took tress/main forward to "), "{merged}");
    git(dir, &["cat-file", "-e", "tress/main:c"]);
    let status = data(dir, &["status", "--json"]);
    assert_eq!((&status["branch"], &status["percent"]), (&"tress/main".into(), &100.into()));

    // Where both have gone on, it takes a merge.
    let add = |run: &str, id: &str| {
        let check = format!("grep -q {id} {id}");
        done(
            dir,
            &["--run", run, "add", id, "--external-id", id, "--check", &check, "--files", id],
        );
    };
    done(dir, &["fork", "fourth"]);
    add("fourth", "e");
    let resume = ["resume", "--from", "now", "--as", "fifth", "--command", GOOD];
    done(dir, &[&["--run", "fourth"], resume.as_slice()].concat());
    add("main", "d");
    done(dir, &["resume", "--command", GOOD]);
    let merged = done(dir, &["merge", "fifth"]);
    assert!(merged.contains("tress/main lacks work") && merged.contains("e ("), "{merged}");
    let remedy = merged.split('`').nth(1).unwrap_or_default().to_owned();
    assert!(remedy.starts_with("git switch tress/main && git merge "), "{merged}");
    add("main", "f");
    let (code, said) = failure(dir, &["resume"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains(&remedy), "{said}");
    let names =
        ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
    let mut shell = Command::new("sh");
    let mended =
        shell.args(["-ec", &remedy]).current_dir(dir).envs(names.map(|name| (name, "ada")));
    assert!(mended.output().expect("it works").status.success());
    done(dir, &["resume"]);
    for name in ["c", "d", "e", "f"] {
        git(dir, &["cat-file", "-e", &format!("tress/main:{name}")]);
    }
}

/// Runs a command, and sends it a signal when its agent has begun.
#[cfg(unix)]
fn stopped_by(signal: &str, dir: &Path, args: &[&str]) -> Output {
    let begun = dir.join("gate");
    let agent = format!("touch {}; sleep 60", begun.display());
    let started = tress(dir, &[args, &["--command", &agent]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it works");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !begun.exists() {
        assert!(std::time::Instant::now() < deadline, "no agent begins in time");
    }
    let pid = started.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("it works").success());
    started.wait_with_output().expect("it works")
}

#[cfg(unix)]
const SIGNALS: [(&str, i32); 2] = [("-INT", 130), ("-TERM", 143)];

/// A run that was stopped looked like one that was done, to a script.
#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_ends_as_what_is_interrupted() {
    for (signal, code) in SIGNALS {
        let dir = project();
        let output = stopped_by(signal, dir.path(), &["start", "--todo", "TODO.md"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("stopped: ") && text.contains("`tress resume` goes on"), "{text}");
        assert!(run(dir.path(), &["resume", "--command", GOOD]).status.success());
    }
}

/// An exploration that was stopped looked like one in which nobody had completed the todo.
#[cfg(unix)]
#[test]
fn an_exploration_that_is_stopped_ends_as_what_is_interrupted() {
    for (signal, code) in SIGNALS {
        let dir = project();
        run(dir.path(), &["init"]);
        run(dir.path(), &["import", "markdown", "TODO.md"]);
        let output = stopped_by(signal, dir.path(), &["explore", "a"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("none of 2 paths completed it"), "{text}");
        let (code, said) = failure(dir.path(), &["explore", "a", "--command", GOOD]);
        assert_eq!(code, Some(0), "the claims were given back: {said}");
    }
}

/// An exploration of what could not be claimed left as many paths behind as it was to have, and so did a `resume` from
/// a moment at which there was nothing to go on with.
#[test]
fn what_is_refused_leaves_no_path_behind() {
    let dir = project();
    let dir = dir.path();
    run(dir, &["init"]);
    run(dir, &["import", "markdown", "TODO.md"]);
    let runs = || data(dir, &["runs", "--json"]).as_array().map(Vec::len);
    let (code, said) = failure(dir, &["explore", "c", "--command", GOOD]);
    assert!(code == Some(5) && said.contains("it is blocked"), "{said}");
    let (code, said) = failure(dir, &["resume", "--from", "now", "--as", "second"]);
    assert!(code == Some(3) && said.contains("was not started"), "{said}");
    assert!(run(dir, &["start", "--command", GOOD]).status.success());
    let (code, said) = failure(dir, &["resume", "--from", "end", "--as", "second"]);
    assert!(code == Some(4) && said.contains("main at end is finished"), "{said}");
    assert_eq!(runs(), Some(1));
    // The name is free for an earlier moment.
    assert!(run(dir, &["resume", "--from", "start", "--as", "second"]).status.success());
    let (code, said) = failure(dir, &["claim", "--next"]);
    assert!(code == Some(5) && said.contains("nothing is left"), "{said}");
}

/// In a part of a repository the store itself was a change that was not committed.
#[test]
fn a_store_within_a_repository_is_no_change_of_it() {
    let project = project();
    let top = project.path();
    std::fs::write(top.join(".gitignore"), "").expect("it works");
    git(top, &["commit", "--quiet", "--all", "-m", "nothing is ignored"]);
    let dir = top.join("a part");
    std::fs::create_dir(&dir).expect("it works");
    run(&dir, &["init"]);
    run(&dir, &["add", "it", "--external-id", "it", "--check", "grep -q it it"]);
    std::fs::write(top.join(".tressrc"), "").expect("it works");
    let (code, said) = failure(&dir, &["start", "--command", GOOD]);
    assert!(code == Some(5) && said.contains("committed (.tressrc)"), "{said}");
    std::fs::remove_file(top.join(".tressrc")).expect("it works");
    let (code, said) = failure(&dir, &["start", "--command", GOOD]);
    assert_eq!(code, Some(0), "{said}");
    git(top, &["cat-file", "-e", "tress/main:it"]);

    // A repository within is another project: `resume` would have gone on in the one around it.
    let within = dir.join("within");
    std::fs::create_dir(&within).expect("it works");
    git(&within, &["init", "--quiet"]);
    git(&within, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    let (code, said) = failure(&within, &["start", "--command", GOOD]);
    assert!(code == Some(5) && said.contains("tress init --nested"), "{said}");
}

/// A directory whose name is no text was told as a repository without a commit.
#[cfg(target_os = "linux")]
#[test]
fn a_project_whose_path_is_no_text_is_told_so() {
    use std::os::unix::ffi::OsStrExt;
    let above = tempfile::tempdir().expect("it works");
    let dir = above.path().join(std::ffi::OsStr::from_bytes(b"na\xefve"));
    std::fs::create_dir(&dir).expect("it works");
    git(&dir, &["init", "--quiet"]);
    git(&dir, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    run(&dir, &["init"]);
    run(&dir, &["add", "it"]);
    let (code, said) = failure(&dir, &["start", "--command", GOOD]);
    assert!(code == Some(4) && said.contains("is not UTF-8"), "{said}");
}

/// Waits until somebody has written a line to the pipe that a command says things to, and gives what came up to it.
#[cfg(unix)]
fn said_until(what: &str, from: &mut impl std::io::BufRead) -> String {
    let mut said = String::new();
    while !said.contains(what) {
        let read = from.read_line(&mut said).expect("it is text");
        assert!(read > 0, "it ended, and said: {said}");
    }
    said
}

/// An exploration took no second Ctrl-C: it waited for whatever its agents' end took.
#[cfg(unix)]
#[test]
fn a_second_interruption_is_not_kept_waiting() {
    use std::os::unix::fs::PermissionsExt;
    for args in [["start"].as_slice(), &["explore", "a"]] {
        let dir = project();
        let dir = dir.path();
        run(dir, &["init"]);
        run(dir, &["import", "markdown", "TODO.md"]);
        // From the first signal on every call of git takes as long as the file is there.
        let (hang, bin) = (dir.join(".tress/hang"), dir.join(".tress/bin"));
        let real = Command::new("sh").args(["-c", "command -v git"]).output().expect("it works");
        let real = String::from_utf8_lossy(&real.stdout).trim().to_owned();
        let script = format!(
            "#!/bin/sh\nwhile [ -e '{}' ]; do sleep 0.05; done\nexec '{real}' \"$@\"\n",
            hang.display()
        );
        std::fs::create_dir(&bin).expect("it can be made");
        std::fs::write(bin.join("git"), script).expect("it can be written");
        std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let begun = dir.join(".tress/begun");
        let agent = format!("echo half > a; touch {}; sleep 60", begun.display());
        let mut interrupted = tress(dir, args)
            .envs([("PATH", &path), ("TRESS_COMMAND", &agent)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it works");
        let deadline = std::time::Instant::now() + PATIENCE;
        while !begun.exists() {
            assert!(std::time::Instant::now() < deadline, "no agent begins in time");
        }
        std::fs::write(&hang, "").expect("it can be written");
        let pid = interrupted.id().to_string();
        let interrupt = || {
            let sent = Command::new("kill").args(["-INT", &pid]).status();
            assert!(sent.expect("it works").success());
        };
        let mut told = std::io::BufReader::new(interrupted.stderr.take().expect("it is piped"));
        let mut log = std::io::BufReader::new(interrupted.stdout.take().expect("it is piped"));
        interrupt();
        if args[0] == "start" {
            said_until("Ctrl-C again: at once", &mut log);
        } else {
            said_until("Ctrl-C again: at once", &mut told);
        }
        interrupt();
        let said = said_until("hint: ", &mut told);
        assert_eq!(interrupted.wait().expect("it works").code(), Some(130), "{said}");
        assert!(said.contains("stopped at once"), "{said}");
        // What is advised helps.
        std::fs::remove_file(&hang).expect("it is there");
        if args[0] == "explore" {
            let advice = said.split('`').nth(1).unwrap_or_default();
            let words: Vec<&str> = advice.split(' ').skip(1).collect();
            assert!(run(dir, &words).status.success(), "{said}");
            assert!(data(dir, &["show", "a", "--json"])["agent"].is_null());
        } else {
            assert!(run(dir, &["resume", "--command", GOOD]).status.success());
        }
    }
}

/// What was advised, `resume` alone, did not help.
#[test]
fn a_run_goes_on_with_more_of_a_budget_that_was_used_up() {
    let dir = project();
    let agent = format!("{GOOD}; {} spend tokens=150", env!("CARGO_BIN_EXE_tress"));
    let start = ["start", "--todo", "TODO.md", "--command", &agent, "--scale", "1"];
    let started = run(dir.path(), &[&start[..], &["--budget", "tokens=100"]].concat());
    let text = String::from_utf8_lossy(&started.stdout).into_owned();
    assert_eq!(started.status.code(), Some(5), "{text}");
    let advice = "`tress resume --budget tokens=MORE` goes on: 150 of 100 tokens are used up";
    assert!(text.contains(advice), "{text}");
    let again = data(dir.path(), &["resume", "--json"]);
    assert_eq!((&again["used_up"], &again["left"]), (&"tokens".into(), &2.into()), "{again}");
    let done = data(dir.path(), &["resume", "--budget", "tokens=1000", "--json"]);
    assert_eq!((&done["outcome"], &done["used_up"]), (&"done".into(), &Value::Null), "{done}");
}

/// The plan asked for the check of what a verifier had made of work that it sent back.
#[test]
fn the_plan_asks_for_no_check_of_a_subtask_that_a_verifier_made() {
    let dir = project();
    let start =
        ["start", "--todo", "TODO.md", "--command", "echo no > $TRESS_TODO", "--attempts", "1"];
    assert_eq!(run(dir.path(), &start).status.code(), Some(5));
    assert!(data(dir.path(), &["status", "--json"])["subtasks"].as_u64() > Some(0));
    let plan = data(dir.path(), &["start", "--plan", "--json"]);
    assert_eq!(plan["unchecked"], serde_json::json!([]), "{plan}");
}

/// What was done on a path came into the branch of the run that it had branched off.
#[test]
fn a_path_that_was_forked_is_worked_on_in_a_branch_of_its_own() {
    let dir = project();
    let dir = dir.path();
    let agent = format!("[ $TRESS_TODO != c ] && {GOOD}");
    let start = ["start", "--todo", "TODO.md", "--command", &agent, "--attempts", "1"];
    assert_eq!(run(dir, &start).status.code(), Some(5), "c is left");
    run(dir, &["fork", "second"]);
    run(dir, &["--run", "second", "unblock", "c", "-m", "another agent"]);
    let done = data(dir, &["--run", "second", "resume", "--command", GOOD, "--json"]);
    assert_eq!((&done["outcome"], &done["branch"]), (&"done".into(), &"tress/second".into()));
    git(dir, &["cat-file", "-e", "tress/second:a"]);
    git(dir, &["cat-file", "-e", "tress/second:c"]);
    let mut missing = Command::new("git");
    let missing = missing.args(["cat-file", "-e", "tress/main:c"]).current_dir(dir).output();
    assert!(!missing.expect("it works").status.success(), "the run's own branch is as it was");
    // To start one is the same as to go on with it.
    run(dir, &["fork", "third"]);
    run(dir, &["--run", "third", "unblock", "c", "-m", "another agent"]);
    let done = data(dir, &["--run", "third", "start", "--command", GOOD, "--json"]);
    assert_eq!((&done["outcome"], &done["branch"]), (&"done".into(), &"tress/third".into()));
    git(dir, &["cat-file", "-e", "tress/third:a"]);
    // What comes into a path that nobody worked on moves no other run's branch, and it still gets its own.
    run(dir, &["fork", "fourth"]);
    let merged = data(dir, &["--run", "fourth", "merge", "second", "--json"]);
    assert_eq!(merged["branch"], Value::Null, "{merged}");
    let mut missing = Command::new("git");
    let missing = missing.args(["cat-file", "-e", "tress/main:c"]).current_dir(dir).output();
    assert!(!missing.expect("it works").status.success(), "the run's own branch is as it was");
    run(dir, &["--run", "fourth", "add", "g", "--external-id", "g", "--check", "test -f g"]);
    let done = data(dir, &["--run", "fourth", "resume", "--command", GOOD, "--json"]);
    assert_eq!(done["branch"], "tress/fourth", "{done}");
}
