//! The data directory, and who may read it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Patient, Running};
use crate::data_dir;

/// The directory: it is there, or can be made; this user may write in it, and nobody else may look into it.
pub(super) fn data_directory(patient: &Patient<'_>) -> Vec<Finding> {
    const SUBJECT: &str = "data directory";
    let dir = &patient.config.data_dir;
    let shown = data_dir::absolute(dir);
    let shown = shown.display();
    if !dir.exists() {
        let above = existing_above(dir);
        return match tempfile::tempfile_in(&above) {
            Ok(_) => vec![Finding::ok(
                SUBJECT,
                format!("{shown} is not there yet; the first start makes it."),
            )],
            Err(error) => vec![
                Finding::fail(SUBJECT, format!("{shown} is not there and cannot be made in {}: {error}.", above.display()))
                    .way_out("Make it for the user that Carillon runs as, or name another with --data-dir DIR."),
            ],
        };
    }
    if let Err(error) = tempfile::tempfile_in(dir) {
        return vec![
            Finding::fail(
                SUBJECT,
                format!("Nothing can be written in {shown}: {error}."),
            )
            .way_out(
                "It must be a directory of the user that Carillon runs as, on a disk with room.",
            ),
        ];
    }
    let who = match &patient.running {
        Running::No => "no server runs in it".to_owned(),
        Running::Unknown => "another process has it, but nothing can be reached there".to_owned(),
        Running::Yes(environment) => {
            let pid = environment.pid.unwrap_or_default();
            format!("the server runs in it as process {pid}")
        }
    };
    let message = format!("{shown} can be written; {who}.");
    let mut findings = vec![match patient.running {
        Running::Unknown => Finding::warn(SUBJECT, message)
            .way_out("A server that starts or stops is soon done: ask again."),
        _ => Finding::ok(SUBJECT, message),
    }];
    let secrets = ["", "master.key", "ca.key", "carillon.db"].map(|name| dir.join(name));
    findings.extend(
        secrets
            .iter()
            .filter(|path| path.exists())
            .filter_map(|path| readable_by_others(path)),
    );
    findings
}

/// A file with secrets that others may read; behind a directory that nobody else may enter it does not matter.
pub(super) fn readable_by_others(path: &Path) -> Option<Finding> {
    let mode = others(path)?;
    let folder = path.parent().filter(|_| path.is_file())?;
    others(folder)?;
    let shown = path.display();
    let message = format!("Other users of this machine may read {shown} (mode {mode:o}).");
    Some(Finding::warn("secrets", message).way_out(format!("Run `chmod go= {shown}`.")))
}

/// The mode of a file or directory that others than its owner may use.
#[cfg(unix)]
fn others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn others(_: &Path) -> Option<u32> {
    None
}

/// The nearest folder above `path` that is there.
fn existing_above(path: &Path) -> PathBuf {
    let mut above = path.ancestors().skip(1);
    let found = above.find(|folder| folder.exists());
    match found {
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}
