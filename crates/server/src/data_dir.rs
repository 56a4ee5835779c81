//! The data directory: who may use it (one process at a time), and the files in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The name of the lock file. It holds the process id of the server that has the directory.
const LOCK: &str = "lock";
/// The way out where it cannot be had.
const ELSEWHERE: &str = "name another place with --data-dir DIR";

/// A data directory that this process has for itself until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock is the open file's: it goes with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, creating it if there is none. Two at once is an error that names the other process.
    pub fn take(path: &Path) -> Result<Self> {
        create(path)?;
        let path = fs::canonicalize(path).map_err(|error| cannot("open", path, &error))?;
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(|error| cannot("open", &file, &error).way_out(ELSEWHERE))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if in_use(&path) => {
                    return Err(taken(&path, &mut lock));
                }
                // Nobody has it: somebody only looked, as `carillon wait` does, and has let go again.
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Error(error)) => return Err(cannot("lock", &file, &error)),
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|error| cannot("write", &file, &error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret file `name`, readable by its owner alone, or what `make` makes, kept from now on.
    pub fn secret(&self, name: &str, make: impl FnOnce() -> String) -> Result<String> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = make();
                write_secret(&path, &text)?;
                Ok(text)
            }
            Err(error) => Err(cannot("read", &path, &error)),
        }
    }
}

/// Whether some process has the directory at `path` now. To know it, this holds a shared lock for a moment.
pub fn in_use(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join(LOCK)) else {
        return false;
    };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Its absolute path, also where there is none yet.
pub fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

/// The file of an `sqlite:` URL.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    path.split('?').next().map(PathBuf::from)
}

/// Writes a file that only its owner may read, all of it or nothing.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| cannot("write", path, &error))
}

/// The failure to do something with a file.
pub fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot {verb} {}: {error}", path.display()))
}

fn create(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| cannot("create", path, &error).way_out(ELSEWHERE))
}

fn taken(path: &Path, lock: &mut File) -> Failure {
    let mut pid = String::new();
    // What cannot be read leaves the sentence without a number.
    let _ = lock.read_to_string(&mut pid);
    let who = match pid.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    Failure::failed(format!(
        "the data directory {} is in use by {who}",
        path.display()
    ))
    .way_out("stop it, or name another directory with --data-dir DIR")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_directory_belongs_to_one_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        let first = DataDir::take(&path).unwrap();
        assert!(in_use(&path));
        let second = DataDir::take(&path).unwrap_err().to_string();
        assert!(
            second.contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        drop(first);
        assert!(!in_use(&path));
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn whoever_looks_at_a_directory_does_not_keep_it_from_its_server() {
        let place = tempfile::tempdir().unwrap();
        let (path, done) = (place.path(), AtomicBool::new(false));
        drop(DataDir::take(path).unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    in_use(path);
                }
            });
            let taken: Vec<_> = (0..1_000).map(|_| DataDir::take(path).map(drop)).collect();
            done.store(true, Ordering::Relaxed);
            assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        });
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_kept_and_only_their_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt;

        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::take(place.path()).unwrap();
        assert_eq!(dir.secret("master.key", || "one".into()).unwrap(), "one");
        assert_eq!(dir.secret("master.key", || "two".into()).unwrap(), "one");
        let mode = fs::metadata(dir.file("master.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
