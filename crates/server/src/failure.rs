//! How a command fails: an exit code, one sentence, and where there is one, the way out.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// What every command returns.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    way_out: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The thing asked for failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Nobody reads on.
    Unheard,
}

impl Failure {
    /// The thing asked for failed: exit code 1.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The command line or the configuration is wrong: exit code 2.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Whoever read what the command says has heard enough: exit code 1, as it is not done, and not a word.
    pub fn unheard() -> Self {
        Self::new(Kind::Unheard, "nobody reads the output")
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: sentence(&message.to_string()),
            way_out: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn way_out(mut self, text: impl fmt::Display) -> Self {
        self.way_out = Some(sentence(&text.to_string()));
        self
    }

    /// 1 or 2.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed | Kind::Unheard => 1,
            Kind::Usage => 2,
        }
    }

    /// The sentence, and the way out.
    pub fn into_parts(self) -> (String, Option<String>) {
        (self.message, self.way_out)
    }

    /// Says it on standard error.
    pub fn report(&self) -> ExitCode {
        if self.kind == Kind::Unheard {
            return ExitCode::from(self.exit_code());
        }
        let red =
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let (on, off) = if red {
            ("\x1b[1;31m", "\x1b[0m")
        } else {
            ("", "")
        };
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "{on}error:{off} {self}");
        ExitCode::from(self.exit_code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.way_out
            .iter()
            .try_for_each(|text| write!(f, " {text}"))
    }
}

impl std::error::Error for Failure {}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Self {
        match (error.kind, std::error::Error::source(&error)) {
            // Its message is for clients, who may not know more.
            (service::Kind::Internal, Some(cause)) => Self::failed(cause),
            (_, Some(cause)) => Self::failed(format!("{} ({cause})", error.message)),
            (_, None) => Self::failed(&error.message),
        }
    }
}

/// First letter upper-case, unless it begins with an address, a path or the name of a file; a full stop at the end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let is_word = text
        .split_whitespace()
        .next()
        .is_some_and(|first| !first.contains(['/', ':', '_', '.']));
    let mut chars = text.chars();
    let first: String = match chars.next() {
        Some(first) if is_word => first.to_uppercase().collect(),
        first => first.into_iter().collect(),
    };
    let mut sentence = first + chars.as_str();
    if !sentence.ends_with(['.', '!', '?', '"', '`']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_sentence_and_the_way_out() {
        let failure = Failure::usage("port 8443 is taken").way_out("choose another with --listen");
        assert_eq!(
            failure.to_string(),
            "Port 8443 is taken. Choose another with --listen."
        );
        assert_eq!(failure.exit_code(), 2);
        let address = Failure::failed("https://localhost answers 404");
        assert_eq!(address.to_string(), "https://localhost answers 404.");
        let file = Failure::failed("tls.key is no key");
        assert_eq!(file.to_string(), "tls.key is no key.");
        assert_eq!(Failure::failed("no").exit_code(), 1);
    }
}
