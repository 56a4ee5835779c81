//! File descriptors: each connection takes one, and so do the database, push services and webhooks.

/// Lets the process open as many files as its user may, and says how many that is; `None` where there is no such bound.
#[cfg(unix)]
pub fn raise() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where the system says no to its own maximum, as macOS does, what there was before holds.
    let now = match setrlimit(Resource::Nofile, most) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.and_then(|files| usize::try_from(files).ok())
}

/// Elsewhere sockets are not counted with files.
#[cfg(not(unix))]
pub fn raise() -> Option<usize> {
    None
}
