//! How a use case fails. The server turns this into a response, in the envelope of the surface it came through.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What every use case returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure with a stable code and a sentence for the client; the source is for the log.
#[derive(Debug)]
pub struct Error {
    /// What kind of failure it is; decides the status.
    pub kind: Kind,
    /// Stable code of the surface's protocol, e.g. `ResourceNotFound`.
    pub code: Cow<'static, str>,
    /// One sentence, and where there is one, the way out. Never a secret.
    pub message: String,
    /// The field or parameter at fault.
    pub target: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of failure, by what a client should do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong: change it.
    Invalid,
    /// No credential, or one that does not verify.
    Unauthenticated,
    /// The credential was good and is no more (another signing key, revoked): a client can fetch a fresh one.
    Stale,
    /// The credential lacks the right.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The state does not allow it.
    Conflict,
    /// An `If-Match` or `If-None-Match` did not hold.
    PreconditionFailed,
    /// The body or a part of it is too large.
    TooLarge,
    /// The content type is not one that is taken.
    UnsupportedMediaType,
    /// It was there, and is gone for good.
    Gone,
    /// Too much: come again after the given time.
    Throttled(Duration),
    /// The request took too long to arrive.
    Timeout,
    /// Something we need (store, queue) is not available: come again.
    Unavailable,
    /// Something behind us (a remote hub) failed.
    Upstream,
    /// Our fault.
    Internal,
}

impl Error {
    /// A failure of `kind` with its code and sentence.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            target: None,
            source: None,
        }
    }

    /// The request is wrong.
    pub fn invalid(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }

    /// There is no such thing.
    pub fn not_found(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<wire::acs::body::Invalid> for Error {
    fn from(invalid: wire::acs::body::Invalid) -> Self {
        Self::invalid("BadRequest", invalid.message).at(invalid.target)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let (kind, code, message) = match &error {
            store::Error::Busy => (
                Kind::Throttled(Duration::from_secs(1)),
                "ServerBusy",
                "The server is busy. Try again.",
            ),
            store::Error::Nul => (
                Kind::Invalid,
                "BadRequest",
                "A text has the character U+0000, which cannot be kept.",
            ),
            store::Error::Stopping => (
                Kind::Unavailable,
                "ServiceUnavailable",
                "The server is stopping. Try again.",
            ),
            store::Error::Unavailable(_) => (
                Kind::Unavailable,
                "ServiceUnavailable",
                "The server cannot use its database now. Try again.",
            ),
            _ => (
                Kind::Internal,
                "InternalServerError",
                "The server failed to do this. Its log says why.",
            ),
        };
        Self::new(kind, code, message).caused_by(error)
    }
}

impl From<wire::arm::field::FieldError> for Error {
    fn from(error: wire::arm::field::FieldError) -> Self {
        let message = format!("The request content was invalid: {error}.");
        Self::invalid("InvalidRequestContent", message).at(error.field)
    }
}
