//! The events of a call.

use domain::call::{Call, Leg, State};
use domain::event::Event;
use domain::identity::UserId;
use domain::time::Timestamp;
use wire::acs::call_events::{self, CallEvent, Ending, Incoming, Participant};
use wire::acs::calling::server_call_id;
use wire::acs::identifier::Identifier;
use wire::acs::incoming_context::IncomingContext;
use wire::auth::jwt::SigningKey;

use crate::control::Communication;
use crate::{App, Error, Kind, Result};

impl App {
    /// The `serverCallId` of a call.
    pub fn server_call_id(&self, call: &Call) -> String {
        server_call_id(&self.settings.base_url, call.id.as_str())
    }

    pub(crate) fn call_started(
        &self,
        call: &Call,
        communication: &Communication,
        now: Timestamp,
    ) -> Event {
        self.event(communication, self.described(call).started(), now)
    }

    /// The event by which an application learns of a called user's ringing, with the context that lets it answer.
    pub(crate) fn incoming_call(
        &self,
        call: &Call,
        communication: &Communication,
        leg: &Leg,
        now: Timestamp,
    ) -> Result<Event> {
        let context = IncomingContext {
            resource: communication.immutable_id.clone(),
            call_id: call.id.as_str().to_owned(),
            recipient: leg.target.as_str().to_owned(),
            invitation: leg.round.id.as_str().to_owned(),
            expires_at: leg.round.deadline.secs(),
        };
        let key = SigningKey::hs256(self.token_secret.context_key().as_ref());
        let context = context.sign(&key).map_err(|error| {
            let message = "The call's context could not be signed.";
            Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
        })?;
        let incoming = Incoming {
            to: &raw(&leg.target),
            display_name: call.name_for(leg),
            custom: &leg.round.shown.custom,
            context: &context,
        };
        let event = self.described(call).incoming(&incoming);
        Ok(self.event(communication, event, now))
    }

    /// The events of a change: whoever is in the call now and was not, whoever was and is not any more, and the end.
    pub(crate) fn events_of(&self, before: &Call, after: &Call, now: Timestamp) -> Vec<Event> {
        let Some(communication) = self.communication(&after.communication) else {
            return Vec::new();
        };
        let described = self.described(after);
        let (was, is) = (before.members(), after.members());
        let added = is.iter().filter(|user| !was.contains(user));
        let added = added.map(|user| described.participant_added(&participant(after, user)));
        let removed = was.iter().filter(|user| !is.contains(user));
        let removed = removed.map(|user| described.participant_removed(&participant(after, user)));
        let ended = match (&before.state, &after.state) {
            (State::Ended(_), _) => None,
            (_, State::Ended(ended)) => Some(described.ended(&Ending {
                ended_by: ended.by.as_ref().map(raw).as_ref(),
                reason: ended.reason.codes(),
                duration_secs: ended.duration().as_secs_f64(),
            })),
            _ => None,
        };
        added
            .chain(removed)
            .chain(ended)
            .map(|event| self.event(&communication, event, now))
            .collect()
    }

    fn described(&self, call: &Call) -> call_events::Call {
        call_events::Call {
            server_call_id: self.server_call_id(call),
            correlation_id: call.id.as_str().to_owned(),
            started_by: raw(&call.from),
            two_party: call.is_two_party(),
        }
    }

    fn event(&self, communication: &Communication, event: CallEvent, now: Timestamp) -> Event {
        self.event_at(
            &communication.id,
            event.kind,
            event.subject,
            &event.data,
            now,
        )
    }
}

fn raw(user: &UserId) -> Identifier {
    Identifier::user(user.as_str())
}

fn participant<'a>(call: &'a Call, user: &'a UserId) -> Participant<'a> {
    Participant {
        user: raw(user),
        display_name: call.name_of(user),
        participant_id: user.as_str(),
        user_agent: "",
    }
}
