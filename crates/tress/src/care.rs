//! Care: looking at a store without changing what it says.

use tress_documents::Document;
use tress_model::operation::Strand;
use tress_store::documents::move_aside;
use tress_store::{DocumentsError, Files, SledDocuments};

use crate::error::Error;
use crate::store::Store;

impl Store {
    /// Opens the saved documents of every run. `false` where there are none yet.
    ///
    /// # Errors
    /// [`DocumentsError::Busy`] when another process has them open; else what is damaged.
    pub fn check_documents(&self) -> Result<bool, Error> {
        let dir = self.dir().join("documents");
        if !self.files().is_real() || !dir.join("db").exists() {
            return Ok(false);
        }
        let lock = self.dir().join("local").join("documents.lock");
        let database = SledDocuments::open(&dir, &lock)?;
        let store = self.files().place()?;
        for run in self.runs()? {
            let name = crate::seal::document_name(&self.files().run(&run, false)?);
            for strand in Strand::ALL {
                if let Some(saved) = database.load(&name, strand)? {
                    Document::load(strand, store, &saved.bytes)?;
                }
            }
        }
        Ok(true)
    }

    /// Moves damaged documents aside; the next sealing makes them anew from the journals. Gives where
    /// they are now.
    ///
    /// # Errors
    /// When another process has them open, or they cannot be moved.
    pub fn renew_documents(&self) -> Result<Option<std::path::PathBuf>, Error> {
        let dir = self.dir().join("documents");
        if !self.files().is_real() || !dir.exists() {
            return Ok(None);
        }
        let lock = self.dir().join("local").join("documents.lock");
        match SledDocuments::open(&dir, &lock) {
            Err(DocumentsError::Busy) => Err(DocumentsError::Busy.into()),
            _ => Ok(Some(move_aside(&dir, &self.dir().join("quarantine"))?)),
        }
    }

    /// Writes the database of the documents anew where much of it holds what was overwritten. How many bytes it had, and
    /// how many it has now; `None` where there is none. Linear in what is in it.
    ///
    /// # Errors
    /// [`DocumentsError::Busy`] when another process has it open; else when it cannot be read or written. Nothing is
    /// lost then.
    pub fn compact_documents(&self) -> Result<Option<(u64, u64)>, Error> {
        let dir = self.dir().join("documents");
        if !self.files().is_real() || !dir.join("db").exists() {
            return Ok(None);
        }
        let lock = self.dir().join("local").join("documents.lock");
        Ok(Some(SledDocuments::open(&dir, &lock)?.compact()?))
    }

    /// Makes the file `store` in `dir` anew where it cannot be read. All that it says is the format.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn repair_file(dir: &std::path::Path) -> Result<bool, Error> {
        Ok(tress_store::Store::repair_file(dir)?)
    }

    /// Whether file locks hold here: a lock that is held must be refused to others.
    ///
    /// # Errors
    /// When files cannot be locked.
    pub fn check_locks(&self) -> Result<bool, Error> {
        let local = self.dir().join("local");
        let path = local.join("doctor.lock");
        let error = |source| DocumentsError::Io { path: path.clone(), source };
        let files: &dyn Files = &**self.files().files();
        files.create_dir(&local).map_err(error)?;
        let Some(held) = files.lock(&path, false).map_err(error)? else { return Ok(true) };
        let refused = files.lock(&path, false).map_err(error)?.is_none();
        drop(held);
        Ok(refused)
    }
}
