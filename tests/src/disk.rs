//! A small ext4 on a loop device over a file, whose power can be cut.
//!
//! What is a power cut? Everything that the kernel holds in memory is gone: dirty pages of files,
//! metadata that waits for a commit of ext4's journal. What is left is what the block device was
//! given. The loop device passes each block that it is given on to its backing file, by an
//! ordinary write to the page cache of the host, before it reports it done. So what that file
//! reads as, for anybody, is exactly what was issued to the device, and nothing of what ext4 still
//! held back. Hence the copy is read as an ordinary file, and nobody may call `sync`, freeze or
//! unmount the file system before it is made: each would write out what a cut takes away.
//!
//! The writers are stopped, but the kernel is not: a commit that comes by itself (each 5 s) may
//! fall into the copy. So the file is read twice, and the copy counts only when both readings are
//! the same: then no block changed between the end of the one and the beginning of the other, and
//! at that moment the device held just this.
//!
//! The copy is then put in the place of the file, on the same device and the same mount point, so
//! that device, inode and path of the store are what they were: to Tress it is the same place, as
//! it is for a machine that was switched on again. Mounting it replays ext4's journal.
//!
//! What this does not show: a disk that loses or reorders what it was given before a flush (here
//! all of it survives, whether a flush followed or not), and a cut in the middle of a system call
//! of a writer, since a process that is stopped leaves the kernel first. It shows every sync that
//! was left out.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::trouble::{Trouble, While};

/// How often a copy is tried again since the kernel wrote meanwhile.
const COPY_TRIES: usize = 50;

/// A mounted ext4. Unmounted, and its device given back, when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: TempDir,
    device: Option<PathBuf>,
    mounted: bool,
}

/// Pieces of a file that hold data, each with where it begins.
type Pieces = Vec<(u64, Vec<u8>)>;

impl Disk {
    /// Makes one of so many MiB. The inner error says why there can be none here.
    pub(crate) fn new(size: u64) -> Result<Result<Self, String>, Trouble> {
        let dir = tempfile::tempdir().harness("a directory for the disk")?;
        let mut disk = Self { dir, device: None, mounted: false };
        let image = File::create(disk.image()).harness("making the image")?;
        image.set_len(size << 20).harness("making the image")?;
        std::fs::create_dir(disk.mount_point()).harness("making the mount point")?;
        // Nothing is left to a kernel thread that would write later.
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        let mut format = Command::new("mkfs.ext4");
        format.args(["-q", "-F", "-E", lazy, "-J", "size=8"]).arg(disk.image());
        let made = call(format).and_then(|_| disk.attach(None)).and_then(|()| disk.mount());
        Ok(made.map(|()| disk))
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Where its files are.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    /// The device it is on.
    pub(crate) fn device(&self) -> Option<&Path> {
        self.device.as_deref()
    }

    /// Takes `wanted`, if it is still free, or any free loop device.
    fn attach(&mut self, wanted: Option<&Path>) -> Result<(), String> {
        if let Some(wanted) = wanted {
            let mut command = Command::new("losetup");
            command.arg(wanted).arg(self.image());
            if call(command).is_ok() {
                self.device = Some(wanted.to_owned());
                return Ok(());
            }
        }
        let mut command = Command::new("losetup");
        command.args(["--find", "--show"]).arg(self.image());
        self.device = Some(PathBuf::from(call(command)?.trim()));
        Ok(())
    }

    fn mount(&mut self) -> Result<(), String> {
        let device = self.device.as_ref().ok_or("there is no device")?;
        let mut command = Command::new("mount");
        command.args(["-t", "ext4", "-o", "nosuid,nodev"]).arg(device).arg(self.mount_point());
        call(command)?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        if self.mounted {
            let mut command = Command::new("umount");
            command.arg(self.mount_point());
            call(command)?;
            self.mounted = false;
        }
        Ok(())
    }

    fn detach(&mut self) -> Result<(), String> {
        if let Some(device) = &self.device {
            let mut command = Command::new("losetup");
            command.arg("--detach").arg(device);
            call(command)?;
            self.device = None;
        }
        Ok(())
    }

    /// What the device was given up to one moment, which lies within this call.
    pub(crate) fn copy(&self) -> Result<Pieces, Trouble> {
        let mut file = File::open(self.image()).harness("reading the image")?;
        let mut before = pieces(&mut file).harness("reading the image")?;
        for _ in 0..COPY_TRIES {
            let after = pieces(&mut file).harness("reading the image")?;
            if before == after {
                return Ok(after);
            }
            before = after;
        }
        Err(Trouble::Harness("the kernel never stops writing to the image".to_owned()))
    }

    /// Goes on with `copy` in place of what is there, as a machine does that is switched on again.
    /// Nobody may use the disk any more.
    pub(crate) fn restore(&mut self, copy: &Pieces) -> Result<(), Trouble> {
        let device = self.device.clone();
        let size = std::fs::metadata(self.image()).harness("measuring the image")?.len();
        self.unmount().harness("unmounting the disk")?;
        self.detach().harness("giving back the device")?;
        let beside = self.dir.path().join("copy");
        let written = File::create(&beside).and_then(|mut file| {
            file.set_len(size)?;
            for (at, bytes) in copy {
                file.seek(SeekFrom::Start(*at))?;
                file.write_all(bytes)?;
            }
            Ok(())
        });
        written.harness("writing the copy")?;
        std::fs::rename(beside, self.image()).harness("putting the copy in place")?;
        self.attach(device.as_deref()).harness("taking a device")?;
        self.mount().harness("mounting the copy")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let undone = self.unmount().and_then(|()| self.detach());
        if let Err(reason) = undone {
            eprintln!("cannot clean up {}: {reason}", self.dir.path().display());
        }
    }
}

/// The parts of a sparse file that hold data.
fn pieces(file: &mut File) -> std::io::Result<Pieces> {
    use rustix::fs::SeekFrom::{Data, Hole};
    let mut pieces = Vec::new();
    let mut at = 0;
    loop {
        let begin = match rustix::fs::seek(&*file, Data(at)) {
            Ok(begin) => begin,
            Err(rustix::io::Errno::NXIO) => return Ok(pieces),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&*file, Hole(begin))?;
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(end.saturating_sub(begin)).read_to_end(&mut bytes)?;
        pieces.push((begin, bytes));
        at = end;
    }
}

/// Runs a command, and gives what it printed, or why it failed.
fn call(mut command: Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // In a group of its own, so that Ctrl-C ends what called it and not the cleaning up.
    let output = command.process_group(0).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{name}: {}: {said}", output.status))
}
