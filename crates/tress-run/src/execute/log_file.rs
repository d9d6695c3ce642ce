//! The log of a job: all that it prints, and of very much the beginning and the end.

use std::io::SeekFrom;
use std::path::Path;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// How much of the beginning, and how much of the end, is kept.
const KEPT: u64 = 1 << 20;
/// How much of the end there may be before the file is made shorter, beside what is kept.
const ROOM: u64 = 4 * KEPT;

/// A file that what one job prints is added to.
pub(super) struct LogFile {
    file: File,
    /// Where the beginning ends, in the file.
    head_end: u64,
    /// How much of the beginning and of the end is kept.
    kept: u64,
    /// How much of the end there may be beside that.
    room: u64,
    /// How long the file is.
    len: u64,
    /// How much the job has printed.
    printed: u64,
}

impl LogFile {
    /// Opens the file, to go on behind what is there.
    pub(super) async fn open(path: &Path) -> std::io::Result<Self> {
        Self::keeping(path, KEPT, ROOM).await
    }

    async fn keeping(path: &Path, kept: u64, room: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).await?;
        let len = file.metadata().await?.len();
        Ok(Self { file, head_end: len + kept, kept, room, len, printed: 0 })
    }

    /// Adds what was printed.
    pub(super) async fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes).await?;
        self.len += bytes.len() as u64;
        self.printed += bytes.len() as u64;
        if self.len > self.head_end + self.kept + self.room { self.shorten().await } else { Ok(()) }
    }

    /// Says that nothing more comes.
    pub(super) async fn end(mut self) -> std::io::Result<()> {
        // A little more than is kept is not worth a hole.
        if self.len > self.head_end + 2 * self.kept {
            self.shorten().await?;
        }
        self.file.flush().await
    }

    /// Takes out what lies between the beginning and the end, and says how much that was.
    async fn shorten(&mut self) -> std::io::Result<()> {
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(self.len - self.kept)).await?;
        let mut tail = Vec::new();
        (&mut self.file).take(self.kept).read_to_end(&mut tail).await?;
        // The end begins with a line, where it has one.
        let begin = tail.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let tail = tail.get(begin..).unwrap_or_default();
        let out = self.printed - self.kept - tail.len() as u64;
        let note = format!("\n[{out} bytes were left out here by tress]\n");
        self.file.set_len(self.head_end).await?;
        self.file.write_all(note.as_bytes()).await?;
        self.file.write_all(tail).await?;
        self.len = self.head_end + (note.len() + tail.len()) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixty megabytes that an agent printed were kept as they were.
    #[tokio::test]
    async fn of_much_the_beginning_and_the_end_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        std::fs::write(&path, "of another attempt\n").expect("written");
        let mut log = LogFile::keeping(&path, 100, 400).await.expect("opened");
        let mut largest = 0;
        for number in 0..10_000 {
            log.add(format!("line {number:5}\n").as_bytes()).await.expect("added");
            largest = largest.max(log.len);
        }
        log.end().await.expect("ended");
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(largest < 1000 && text.len() < 400, "{largest}, {}", text.len());
        assert!(text.starts_with("of another attempt\nline     0\n"), "{text}");
        assert!(text.ends_with("line  9998\nline  9999\n"), "{text}");
        let (before, rest) = text.split_once("\n[").expect("a note");
        let (out, after) =
            rest.split_once(" bytes were left out here by tress]\n").expect("a note");
        let kept = before.len() - "of another attempt\n".len() + after.len();
        assert_eq!(out.parse(), Ok(10_000 * "line     0\n".len() - kept));
        assert!(!after.contains('[') && after.starts_with("line"), "{text}");

        // What is little is kept whole.
        let path = dir.path().join("b.log");
        let mut log = LogFile::keeping(&path, 100, 400).await.expect("opened");
        log.add(&[b'x'; 250]).await.expect("added");
        log.end().await.expect("ended");
        assert_eq!(std::fs::read(&path).expect("read"), [b'x'; 250]);
    }
}
