//! The devices on disk: one JSON line for each change, so that a restarted lab has the same phones. Their logs are not
//! kept.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::device::{Death, Device, Platform};
use crate::file;
use crate::webpush::ece::KeptKeys;

/// One line of the journal; the last one about a device counts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    /// A device as it is now.
    Device {
        /// The device, as the control API shows it.
        device: Box<Device>,
        /// What its browser keeps to itself.
        keys: Option<KeptKeys>,
        /// Since when its token is dead.
        death: Option<Death>,
    },
    /// A device that was deleted.
    Gone {
        /// What it was found by.
        addresses: Vec<(Platform, String)>,
        /// Since when.
        death: Death,
    },
}

/// The open journal; without a file it keeps nothing.
#[derive(Debug, Default)]
pub(crate) struct Journal(Option<File>);

impl Journal {
    /// The lines in `path`, oldest first. One that a crash cut short is left out.
    pub(crate) fn read(path: &Path) -> io::Result<Vec<Line>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Starts over with `lines`, and appends from then on.
    pub(crate) fn rewrite(path: &Path, lines: impl Iterator<Item = Line>) -> io::Result<Self> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        file::write(path, &text)?;
        Ok(Self(Some(File::options().append(true).open(path)?)))
    }

    /// Appends a line.
    pub(crate) fn append(&mut self, line: &Line) {
        let Some(file) = &mut self.0 else {
            return;
        };
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "the lab's devices cannot be written down; a restart will not know the newest");
        }
    }
}
