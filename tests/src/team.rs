//! Writer processes that run at once, and what they said so far.
//!
//! Their pipes are read by the harness itself and without waiting: once a writer is stopped or dead
//! and its pipe is empty, everything that it acknowledged is known, and nothing has to be timed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::ack::Ack;
use crate::interrupt;
use crate::trouble::{Trouble, While, violation};

/// What a writer is told; the rest is the same for all.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) operations: usize,
    pub(crate) seal: bool,
    pub(crate) careless: bool,
    pub(crate) seed: u64,
}

/// Writers at work on one store. Those that still run when it is dropped are killed.
#[derive(Debug, Default)]
pub(crate) struct Team {
    members: Vec<Member>,
    /// How many acknowledgements came, of all members.
    pub(crate) acks: Vec<Ack>,
}

#[derive(Debug)]
struct Member {
    name: String,
    child: Child,
    /// `None` once it was read to its end.
    pipe: Option<ChildStdout>,
    rest: Vec<u8>,
    errors: File,
    killed: bool,
}

impl Team {
    /// Starts one writer more.
    pub(crate) fn start(&mut self, store: &Path, order: &Order) -> Result<(), Trouble> {
        let mut args = vec!["--operations".to_owned(), order.operations.to_string()];
        args.extend(["--seed".to_owned(), order.seed.to_string()]);
        args.extend(order.seal.then(|| "--seal".to_owned()));
        args.extend(order.careless.then(|| "--careless".to_owned()));
        self.begin("writer", store, &order.name, &args)
    }

    /// Starts this program with a command for one who writes `store`.
    pub(crate) fn begin(
        &mut self,
        command: &str,
        store: &Path,
        name: &str,
        args: &[String],
    ) -> Result<(), Trouble> {
        let program = std::env::current_exe().harness("finding the writer")?;
        let errors = tempfile::tempfile().harness("a file for errors")?;
        let theirs = errors.try_clone().harness("a file for errors")?;
        let mut begun = Command::new(program);
        begun.arg(command).arg("--store").arg(store).args(["--name", name]).args(args);
        begun.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(theirs);
        let mut child = begun.spawn().harness("starting a writer")?;
        let pipe = child.stdout.take();
        let name = name.to_owned();
        let (rest, killed) = (Vec::new(), false);
        self.members.push(Member { name, child, pipe, rest, errors, killed });
        let pipe = self.members.last().and_then(|member| member.pipe.as_ref());
        pipe.map_or(Ok(()), |pipe| rustix::io::ioctl_fionbio(pipe, true)).harness("a pipe")
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Listens until `acks` acknowledgements came, or all writers have ended.
    pub(crate) fn listen_for(&mut self, acks: usize) -> Result<(), Trouble> {
        self.listen_until(|said| said.len() >= acks)
    }

    /// Listens until enough was said, or all writers have ended.
    pub(crate) fn listen_until(&mut self, enough: impl Fn(&[Ack]) -> bool) -> Result<(), Trouble> {
        while !enough(&self.acks) && self.wait()? {
            self.drain()?;
        }
        Ok(())
    }

    /// Waits until somebody says something; whether anybody is left to say it.
    fn wait(&self) -> Result<bool, Trouble> {
        loop {
            interrupt::check()?;
            let pipes = self.members.iter().filter_map(|member| member.pipe.as_ref());
            let mut polled: Vec<_> = pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
            if polled.is_empty() {
                return Ok(false);
            }
            // Only so that an interrupt is seen.
            let look = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
            match poll(&mut polled, Some(&look)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error).harness("waiting for writers"),
            }
        }
    }

    /// Takes what was said, without waiting.
    pub(crate) fn drain(&mut self) -> Result<(), Trouble> {
        for member in &mut self.members {
            member.drain(&mut self.acks)?;
        }
        Ok(())
    }

    /// Stops all, and gives once each is stopped or has ended. A thread that is in a system call
    /// finishes it first. What was acknowledged until then is known after it.
    pub(crate) fn stop(&mut self) -> Result<(), Trouble> {
        for member in &self.members {
            kill_process(member.pid(), Signal::STOP).harness("stopping a writer")?;
        }
        for member in &self.members {
            // Whoever has ended stays to be waited for.
            let how = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(member.pid()), how).harness("waiting for a writer to stop")?;
        }
        self.drain()
    }

    /// Kills the `which`th.
    pub(crate) fn kill(&mut self, which: usize) -> Result<(), Trouble> {
        let Some(member) = self.members.get_mut(which) else { return Ok(()) };
        member.killed = true;
        member.child.kill().harness("killing a writer")
    }

    pub(crate) fn kill_all(&mut self) -> Result<(), Trouble> {
        (0..self.len()).try_for_each(|which| self.kill(which))
    }

    /// Listens to all to their end, and looks how they ended: on their own and well, or killed by
    /// us. Gives how many were really killed, and everything that was acknowledged.
    pub(crate) fn end(mut self) -> Result<(usize, Vec<Ack>), Trouble> {
        self.listen_for(usize::MAX)?;
        let mut killed = 0;
        for member in &mut self.members {
            let status = member.child.wait().harness("waiting for a writer")?;
            let by_us = member.killed && status.signal() == Some(Signal::KILL.as_raw());
            killed += usize::from(by_us);
            if !by_us && !status.success() {
                let said = member.errors();
                return violation(format!(
                    "the writer {} ended with {status}: {said}",
                    member.name
                ));
            }
            if rustix::process::test_kill_process(member.pid()).is_ok() {
                return violation(format!("the writer {} is still there", member.name));
            }
        }
        Ok((killed, std::mem::take(&mut self.acks)))
    }
}

impl Member {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn drain(&mut self, acks: &mut Vec<Ack>) -> Result<(), Trouble> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut bytes = [0; 65536];
        loop {
            match pipe.read(&mut bytes) {
                Ok(0) => {
                    self.pipe = None;
                    break;
                }
                Ok(read) => self.rest.extend_from_slice(bytes.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).harness("listening to a writer"),
            }
        }
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match Ack::parse(line.trim_end()) {
                Some(ack) => acks.push(ack),
                None => return Err(Trouble::Harness(format!("a writer said {line:?}"))),
            }
        }
        Ok(())
    }

    fn errors(&mut self) -> String {
        use std::io::Seek;
        let mut said = String::new();
        let read = self.errors.rewind().and_then(|()| self.errors.read_to_string(&mut said));
        read.map_or_else(|error| format!("(unreadable: {error})"), |_| said.trim().to_owned())
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that has ended is only waited for.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}
