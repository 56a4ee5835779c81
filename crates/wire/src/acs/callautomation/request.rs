//! What applications ask for. Unknown members are ignored; media options are read by nobody, there is no media.

use url::Url;

use super::CustomContext;
use crate::acs::body::{Fields, Invalid, object};
use crate::acs::calling::{MAX_DISPLAY_NAME, MAX_TARGETS};
use crate::acs::identifier::Identifier;

/// "At Microsoft a reject request carrying it is about 8 KB": well above that.
const MAX_CONTEXT: usize = 32 * 1024;
const MAX_OPERATION_CONTEXT: usize = 5_000;
const MAX_URI: usize = 4_096;
const MAX_ID: usize = 1_024;
/// `invitationTimeoutInSeconds`: 0 to 180; 0 is the server's own.
const MOST_INVITATION_SECS: i64 = 180;

/// The body of `POST /calling/callConnections`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCall {
    /// Whom it rings; at least one, none twice.
    pub targets: Vec<Identifier>,
    /// As whom the application calls.
    pub source: Option<String>,
    /// The name to show.
    pub display_name: String,
    /// Where and with what context callbacks go.
    pub operation: Operation,
}

/// What comes back with an operation's events, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// `operationContext`.
    pub context: Option<String>,
    /// `callbackUri`, or `operationCallbackUri` for a single operation.
    pub callback_uri: Option<String>,
}

/// The body of `:answer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerCall {
    /// From the event.
    pub incoming_call_context: String,
    /// As whom the application answers.
    pub answered_by: Option<String>,
    /// Where and with what context callbacks go.
    pub operation: Operation,
}

/// The body of `:reject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCall {
    /// From the event.
    pub incoming_call_context: String,
    /// Why.
    pub reason: RejectReason,
}

/// `callRejectReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// `none`, or nothing.
    None,
    /// `busy`.
    Busy,
    /// `forbidden`.
    Forbidden,
}

/// The body of `:redirect`.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectCall {
    /// From the event.
    pub incoming_call_context: String,
    /// Whom it shall ring instead.
    pub target: Identifier,
}

/// The body of `:connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectCall {
    /// Which call.
    pub locator: Locator,
    /// Where and with what context callbacks go.
    pub operation: Operation,
}

/// How a call is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// By its `serverCallId`.
    ServerCall(String),
    /// By the id of its group.
    Group(String),
    /// By a room.
    Room(String),
}

/// The body of `participants:add`.
#[derive(Clone, Debug, PartialEq)]
pub struct AddParticipant {
    /// Whom.
    pub participant: Identifier,
    /// The caller's name to show instead of the call's.
    pub display_name: Option<String>,
    /// How long it rings; the server's own time if absent.
    pub timeout_secs: Option<u64>,
    /// What the invited application gets to see.
    pub custom_context: CustomContext,
    /// What comes back.
    pub operation: Operation,
}

/// The body of `participants:cancelAddParticipant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelAdd {
    /// What add answered.
    pub invitation_id: String,
    /// What comes back.
    pub operation: Operation,
}

/// The body of `participants:remove`.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveParticipant {
    /// Whom.
    pub participant: Identifier,
    /// What comes back.
    pub operation: Operation,
}

/// The body of `participants:mute`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mute {
    /// Whom.
    pub participants: Vec<Identifier>,
    /// What comes back.
    pub operation: Operation,
}

/// The body of `:transferToParticipant`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// To whom.
    pub target: Identifier,
    /// Who is handed over; the other side of a call between two if absent.
    pub transferee: Option<Identifier>,
    /// What the invited application gets to see.
    pub custom_context: CustomContext,
    /// What comes back.
    pub operation: Operation,
}

/// The body of `participants:moveHere`.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Whom.
    pub participants: Vec<Identifier>,
    /// The connection they are taken from.
    pub from_call: String,
    /// What comes back.
    pub operation: Operation,
}

impl CreateCall {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            targets: identifiers(&fields, "targets")?,
            source: raw_id(&fields, "source")?,
            display_name: display_name(&fields)?.unwrap_or_default(),
            operation: Operation::of_call(&fields)?,
        })
    }
}

impl AnswerCall {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            incoming_call_context: incoming_call_context(&fields)?,
            answered_by: raw_id(&fields, "answeredBy")?,
            operation: Operation::of_call(&fields)?,
        })
    }
}

impl RejectCall {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let reason = fields.text("callRejectReason", MAX_ID)?.unwrap_or("none");
        let reason = match reason.to_ascii_lowercase().as_str() {
            "none" => RejectReason::None,
            "busy" => RejectReason::Busy,
            "forbidden" => RejectReason::Forbidden,
            _ => return Err(fields.wrong("callRejectReason", "must be none, busy or forbidden")),
        };
        Ok(Self {
            incoming_call_context: incoming_call_context(&fields)?,
            reason,
        })
    }
}

impl RedirectCall {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            incoming_call_context: incoming_call_context(&fields)?,
            target: identifier(&fields, "target")?,
        })
    }
}

impl ConnectCall {
    /// Reads the body. Which member the locator has decides what it is: clients need not send its `kind`.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let locator = fields
            .get("callLocator")
            .ok_or_else(|| missing(&fields, "callLocator"))?;
        let locator = Fields::at(locator, "callLocator")?;
        let by = |name| locator.text(name, MAX_ID);
        let locator = match (by("serverCallId")?, by("groupCallId")?, by("roomId")?) {
            (Some(id), ..) => Locator::ServerCall(id.to_owned()),
            (None, Some(id), _) => Locator::Group(id.to_owned()),
            (None, None, Some(id)) => Locator::Room(id.to_owned()),
            (None, None, None) => return Err(missing(&locator, "serverCallId")),
        };
        Ok(Self {
            locator,
            operation: Operation::of_call(&fields)?,
        })
    }
}

impl AddParticipant {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let seconds = fields.integer("invitationTimeoutInSeconds", 0..=MOST_INVITATION_SECS)?;
        Ok(Self {
            participant: identifier(&fields, "participantToAdd")?,
            display_name: display_name(&fields)?,
            timeout_secs: seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
            custom_context: CustomContext::of(&fields)?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl CancelAdd {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            invitation_id: required(&fields, "invitationId", MAX_ID)?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl RemoveParticipant {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            participant: identifier(&fields, "participantToRemove")?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl Mute {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            participants: identifiers(&fields, "targetParticipants")?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl Transfer {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        let transferee = fields
            .get("transferee")
            .map(|value| Identifier::parse(value, "transferee"));
        Ok(Self {
            target: identifier(&fields, "targetParticipant")?,
            transferee: transferee.transpose()?,
            custom_context: CustomContext::of(&fields)?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl Move {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let members = object(body)?;
        let fields = Fields::of(&members);
        Ok(Self {
            participants: identifiers(&fields, "targetParticipants")?,
            from_call: required(&fields, "fromCall", MAX_ID)?,
            operation: Operation::of(&fields)?,
        })
    }
}

impl Operation {
    /// Of a request that opens a connection: it says where callbacks go.
    fn of_call(fields: &Fields<'_>) -> Result<Self, Invalid> {
        let callback_uri = required(fields, "callbackUri", MAX_URI)?;
        Self::new(fields, "callbackUri", Some(callback_uri))
    }

    fn of(fields: &Fields<'_>) -> Result<Self, Invalid> {
        const URI: &str = "operationCallbackUri";
        let callback_uri = fields.text(URI, MAX_URI)?.map(str::to_owned);
        Self::new(fields, URI, callback_uri)
    }

    fn new(fields: &Fields<'_>, name: &str, callback_uri: Option<String>) -> Result<Self, Invalid> {
        if callback_uri
            .as_deref()
            .is_some_and(|uri| !is_web_address(uri))
        {
            return Err(fields.wrong(name, "is not an absolute http or https address"));
        }
        let context = fields.text("operationContext", MAX_OPERATION_CONTEXT)?;
        Ok(Self {
            context: context.map(str::to_owned),
            callback_uri,
        })
    }
}

fn identifier(fields: &Fields<'_>, name: &str) -> Result<Identifier, Invalid> {
    let value = fields.get(name).ok_or_else(|| missing(fields, name))?;
    Identifier::parse(value, name)
}

fn identifiers(fields: &Fields<'_>, name: &str) -> Result<Vec<Identifier>, Invalid> {
    let list = fields.list(name)?.filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| fields.wrong(name, "must name at least one participant"))?;
    if list.len() > MAX_TARGETS {
        return Err(fields.wrong(name, &format!("names more than {MAX_TARGETS} participants")));
    }
    let mut all = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let path = format!("{name}[{index}]");
        let one = Identifier::parse(value, &path)?;
        if all.contains(&one) {
            return Err(Invalid::new(path, "stands in the list twice"));
        }
        all.push(one);
    }
    Ok(all)
}

fn incoming_call_context(fields: &Fields<'_>) -> Result<String, Invalid> {
    required(fields, "incomingCallContext", MAX_CONTEXT)
}

fn raw_id(fields: &Fields<'_>, name: &str) -> Result<Option<String>, Invalid> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    Ok(Some(Identifier::parse(value, name)?.raw_id()))
}

fn display_name(fields: &Fields<'_>) -> Result<Option<String>, Invalid> {
    Ok(fields
        .text("sourceDisplayName", MAX_DISPLAY_NAME)?
        .map(str::to_owned))
}

fn required(fields: &Fields<'_>, name: &str, most: usize) -> Result<String, Invalid> {
    let text = fields.text(name, most)?.filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| missing(fields, name))
}

fn missing(fields: &Fields<'_>, name: &str) -> Invalid {
    fields.wrong(name, "is missing")
}

fn is_web_address(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
