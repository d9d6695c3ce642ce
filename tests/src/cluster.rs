//! A PostgreSQL of one's own: a primary and standbys on free ports of this machine, in a directory
//! that goes when the cluster does. Servers are processes of ours; those that still run when it is
//! dropped are killed, by their ids.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to begin, or to follow.
const PATIENCE: Duration = Duration::from_secs(60);
/// The database's user, of the database alone.
const USER: &str = "tress";

/// A primary, and standbys of which one has to have what is committed.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    dir: tempfile::TempDir,
    /// Whom the servers run as, since they refuse to be root.
    user: Option<(u32, u32)>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    name: String,
    port: u16,
    child: Option<Child>,
}

/// Where the programs of PostgreSQL are, if they are here.
pub fn installed() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = debian.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = versions.into_iter().rev().chain(std::env::split_paths(&path));
    let all = ["initdb", "postgres", "pg_basebackup", "psql"];
    let mut whole = known.filter(|dir| all.iter().all(|name| dir.join(name).exists()));
    whole.next()
}

impl Cluster {
    /// A primary with `standbys` standbys, of which one has to have what is committed; the programs
    /// are in `bin`.
    ///
    /// # Errors
    /// When it cannot be made, with what the programs say.
    pub fn start(bin: &Path, standbys: usize) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("tress-postgres").tempdir()?;
        let user = whom()?;
        let mut cluster = Self { bin: bin.to_owned(), dir, user, servers: Vec::new() };
        cluster.own(cluster.dir.path())?;
        cluster.add("p")?;
        let data = cluster.data(0);
        let (trust, encoding) = ("--auth=trust", "--encoding=UTF8");
        let made =
            cluster.run("initdb", &["-D", &data, trust, encoding, "-U", USER, "--no-sync"])?;
        expect(&made, "initdb")?;
        cluster.begin(0)?;
        for number in 1..=standbys {
            cluster.add(&format!("s{number}"))?;
            let primary = cluster.conninfo(&format!("s{number}"));
            let data = cluster.data(number);
            let copy = ["-D", &data, "-d", &primary, "-R", "-X", "stream", "--checkpoint=fast"];
            expect(&cluster.run("pg_basebackup", &copy)?, "pg_basebackup")?;
        }
        // Now that all ports are known, each server follows whichever of them can be written.
        for number in 1..=standbys {
            let name = format!("s{number}");
            let all = format!("\nprimary_conninfo = '{}'\n", cluster.conninfo(&name));
            let settings = Path::new(&cluster.data(number)).join("postgresql.auto.conf");
            let known = std::fs::read_to_string(&settings)?;
            std::fs::write(&settings, known + &all)?;
            cluster.begin(number)?;
        }
        // Of the standbys one has to have what is committed; which they are is asked once they follow.
        cluster.wait_until("the standbys follow", |cluster| {
            let asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            cluster.ask(0, asked).is_ok_and(|count| count == standbys.to_string())
        })?;
        if standbys > 0 {
            cluster.set_synchronous(0)?;
        }
        Ok(cluster)
    }

    /// Where it is reached, whichever of its servers can be written.
    pub fn url(&self) -> String {
        let hosts: Vec<_> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("postgres://{USER}@{}/postgres", hosts.join(","))
    }

    /// Kills a server and all that it started, at once.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn kill(&mut self, which: usize) -> io::Result<()> {
        let Some(server) = self.servers.get_mut(which) else { return Ok(()) };
        if let Some(mut child) = server.child.take() {
            let mut all = children(child.id());
            // The first one cannot begin others any more.
            child.kill()?;
            all.extend(children(child.id()));
            for pid in all {
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    // It may have noticed by itself.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            child.wait()?;
        }
        Ok(())
    }

    /// Starts a server that was killed.
    ///
    /// # Errors
    /// When it does not begin.
    pub fn begin(&mut self, which: usize) -> io::Result<()> {
        let Some(server) = self.servers.get(which) else { return Ok(()) };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{}.log", server.name)))?;
        let mut command = self.command("postgres");
        let socket = self.dir.path().display().to_string();
        command
            .args(["-D", &self.data(which), "-p", &server.port.to_string(), "-k", &socket])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"])
            .args(["-c", "wal_retrieve_retry_interval=200ms", "-c", "wal_keep_size=256MB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn()?;
        if let Some(server) = self.servers.get_mut(which) {
            server.child = Some(child);
        }
        self.wait_until("a server begins", |cluster| cluster.ask(which, "SELECT 1").is_ok())
    }

    /// Makes the standby that has most the primary; gives which it is. The others follow it.
    ///
    /// # Errors
    /// When none can be.
    pub fn promote(&mut self) -> io::Result<usize> {
        let mut best = None;
        for which in 1..self.servers.len() {
            let far = "SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn";
            let far: Option<u128> = self.ask(which, far).ok().and_then(|far| far.parse().ok());
            best = best.max(far.map(|far| (far, which)));
        }
        let (_, which) = best.ok_or_else(|| io::Error::other("no standby answers"))?;
        let promoted = self.ask(which, "SELECT pg_promote(true, 60)")?;
        if promoted != "t" {
            return Err(io::Error::other("the standby was not promoted"));
        }
        self.set_synchronous(which)?;
        Ok(which)
    }

    /// What a server answers to a question, as one text.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, which: usize, question: &str) -> io::Result<String> {
        let port = self.servers.get(which).map_or(0, |server| server.port).to_string();
        let to = ["-h", "127.0.0.1", "-p", &port, "-U", USER, "-d", "postgres", "-Atqc", question];
        let answer = self.run("psql", &to)?;
        expect(&answer, "psql")?;
        Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    }

    fn set_synchronous(&self, which: usize) -> io::Result<()> {
        let others: Vec<_> = (0..self.servers.len()).filter(|other| *other != which).collect();
        let names = others.iter().filter_map(|other| self.servers.get(*other));
        let names: Vec<_> = names.map(|server| server.name.as_str()).collect();
        let any =
            format!("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({})'", names.join(", "));
        self.ask(which, &any)?;
        self.ask(which, "SELECT pg_reload_conf()").map(|_| ())
    }

    fn add(&mut self, name: &str) -> io::Result<()> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let data = self.dir.path().join(name);
        std::fs::create_dir(&data)?;
        std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        self.own(&data)?;
        self.servers.push(Server { name: name.to_owned(), port, child: None });
        Ok(())
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        match self.user {
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn data(&self, which: usize) -> String {
        let name = self.servers.get(which).map_or("", |server| server.name.as_str());
        self.dir.path().join(name).display().to_string()
    }

    /// How a standby reaches whichever of all can be written.
    fn conninfo(&self, name: &str) -> String {
        let hosts = vec!["127.0.0.1"; self.servers.len()].join(",");
        let ports: Vec<_> = self.servers.iter().map(|server| server.port.to_string()).collect();
        format!(
            "user={USER} host={hosts} port={} target_session_attrs=read-write application_name={name} connect_timeout=3",
            ports.join(",")
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        if let Some((user, group)) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, group);
        }
        command.current_dir(self.dir.path()).env("LC_ALL", "C").env_remove("PGPASSWORD");
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> io::Result<Output> {
        self.command(program).args(args).stdin(Stdio::null()).output()
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> io::Result<()> {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > PATIENCE {
                let log = self.servers.last().map(|last| format!("{}.log", last.name));
                let log = std::fs::read_to_string(self.dir.path().join(log.unwrap_or_default()));
                let said = log.unwrap_or_default();
                return Err(io::Error::other(format!("it was waited in vain that {what}: {said}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for which in 0..self.servers.len() {
            let _ = self.kill(which);
        }
    }
}

/// Whom servers run as: nobody else, unless we are root.
fn whom() -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let known = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = known.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let ids = ids("postgres").or_else(|| ids("nobody"));
    ids.map(Some).ok_or_else(|| io::Error::other("there is no user to run PostgreSQL as"))
}

/// The processes that `parent` started.
fn children(parent: u32) -> Vec<i32> {
    let Ok(listed) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name stands in brackets, and may have any letters.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    pids.filter(of_parent).collect()
}

fn expect(output: &Output, what: &str) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{what}: {}: {}", output.status, said.trim())))
}
