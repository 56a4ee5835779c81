//! The table of the specification, row by row.

use std::time::Duration;

use super::*;
use crate::call::{Decline, Leg, Reached, Round, Shown, Verb};
use crate::id::{CallId, RoundId};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const DEADLINE: Timestamp = Timestamp::from_secs(1_795_493_926);

fn user(name: &str) -> UserId {
    UserId::new(format!("8:acs:r_{name}"))
}

fn round() -> Round {
    Round {
        id: RoundId::new("round"),
        since: NOW,
        deadline: DEADLINE,
        hops: 0,
        shown: Shown::default(),
    }
}

/// A call from `a`, placed by an application with the leg `caller`, and whoever else is told of it.
struct Stage {
    call: Call,
    connections: Vec<Connection>,
    invitations: Vec<Invitation>,
}

impl Stage {
    fn ringing(targets: &[&str]) -> Self {
        let legs = targets.iter().map(|name| Leg::ringing(user(name), round()));
        let call = Call {
            id: CallId::new("c1"),
            communication: "/comm".into(),
            from: user("a"),
            display_name: String::new(),
            video: false,
            signal: None,
            created_at: NOW,
            ring_deadline: DEADLINE,
            state: State::Ringing,
            caller_left: None,
            legs: legs.collect(),
            muted: Vec::new(),
            roster: 0,
        };
        let mut stage = Self {
            call,
            connections: Vec::new(),
            invitations: Vec::new(),
        };
        stage.connect("caller", "a", Role::Created);
        stage
    }

    /// A call in which all of these have answered with devices.
    fn established(targets: &[&str]) -> Self {
        let mut stage = Self::ringing(targets);
        for target in targets {
            stage.tell(accept(target), &Cause::Member);
        }
        stage
    }

    fn connect(&mut self, id: &str, member: &str, role: Role) {
        self.connections.push(Connection {
            id: ConnectionId::new(id),
            call: self.call.id.clone(),
            communication: "/comm".into(),
            member: user(member),
            role,
            answered_by: None,
            context: Some(format!("of {id}")),
            callback_uri: "https://app.example.test/cb".into(),
            created_at: NOW,
            closed_at: None,
        });
    }

    fn invite(&mut self, target: &str, purpose: Purpose) {
        self.invitations.push(Invitation {
            id: InvitationId::new("i1"),
            connection: ConnectionId::new("caller"),
            purpose,
            participant: user(target),
            target: user(target),
            operation: operation(),
        });
        let verb = Verb::Invite {
            target: user(target),
            round: round(),
        };
        assert_eq!(
            self.tell(verb, &Cause::Member),
            [""; 0],
            "inviting is no news"
        );
    }

    /// Does `verb`, and answers the events as `leg: Type code/subCode context`.
    fn tell(&mut self, verb: Verb, cause: &Cause) -> Vec<String> {
        let before = self.call.clone();
        let at = match verb {
            Verb::TimeOut { .. } => DEADLINE,
            _ => NOW + Duration::from_secs(1),
        };
        let changes = self.call.apply(verb, at).unwrap_or_default();
        let story = Story {
            before: &before,
            after: &self.call,
            changes: &changes,
            cause,
            connections: &self.connections,
            invitations: &self.invitations,
        };
        let callbacks = story.callbacks();
        let settled: Vec<_> = story.settled().map(|one| one.id.clone()).collect();
        self.invitations.retain(|one| !settled.contains(&one.id));
        let over = |id: &ConnectionId| {
            let last = callbacks.iter().rfind(|one| one.connection == *id);
            last.is_some_and(|last| last.kind == Kind::CallDisconnected)
        };
        self.connections.retain(|connection| !over(&connection.id));
        callbacks.iter().map(shown).collect()
    }
}

fn shown(callback: &Callback) -> String {
    let kind = callback
        .kind
        .name()
        .trim_start_matches("Microsoft.Communication.");
    let result = &callback.result;
    let context = callback.context.as_deref().unwrap_or("-");
    format!(
        "{}: {kind} {}/{} {context}",
        callback.connection, result.code, result.sub_code
    )
}

fn operation() -> Operation {
    Operation {
        context: Some("op".into()),
        callback_uri: None,
    }
}

fn by_caller() -> Asked {
    Asked {
        by: ConnectionId::new("caller"),
        operation: operation(),
    }
}

fn accept(by: &str) -> Verb {
    Verb::Accept {
        by: user(by),
        endpoint: None,
        signal: None,
    }
}

fn reject(by: &str, how: Decline) -> Verb {
    Verb::Reject {
        by: user(by),
        endpoint: None,
        how,
    }
}

fn hang_up(by: &str) -> Verb {
    Verb::HangUp {
        by: user(by),
        endpoint: None,
    }
}

fn remove(target: &str) -> Verb {
    Verb::Remove {
        target: user(target),
    }
}

fn time_out(who: &str, reached: Reached) -> Verb {
    Verb::TimeOut {
        reached: vec![(user(who), reached)],
    }
}

#[test]
fn answered_connects_both_legs_and_tells_the_roster() {
    let mut stage = Stage::ringing(&["b"]);
    stage.connect("callee", "b", Role::Answered);
    let told = stage.tell(accept("b"), &Cause::Member);
    let wanted = [
        "caller: CallConnected 200/0 of caller",
        "caller: ParticipantsUpdated 200/0 -",
        "callee: CallConnected 200/0 of callee",
        "callee: ParticipantsUpdated 200/0 -",
    ];
    assert_eq!(told, wanted);
    assert_eq!(stage.call.roster, 1, "the first sequence number");
}

#[test]
fn who_does_not_answer_fails_the_call() {
    for (verb, result) in [
        (reject("b", Decline::Plain), "603/0"),
        (reject("b", Decline::Busy), "486/0"),
        (reject("b", Decline::Forbidden), "403/0"),
        (time_out("b", Reached::Device), "487/10004"),
        (time_out("b", Reached::Nobody), "480/10037"),
        (time_out("b", Reached::Offline), "480/10076"),
        (time_out("b", Reached::Unpushed), "480/10077"),
    ] {
        let told = Stage::ringing(&["b"]).tell(verb, &Cause::Member);
        let wanted = [
            format!("caller: CreateCallFailed {result} -"),
            format!("caller: CallDisconnected {result} of caller"),
        ];
        assert_eq!(told, wanted);
    }
}

#[test]
fn the_caller_who_hangs_up_while_it_rings_only_disconnects() {
    let caller = ConnectionId::new("caller");
    let end = Verb::End { by: user("a") };
    for (verb, cause) in [
        (hang_up("a"), Cause::HungUp(caller.clone())),
        (end, Cause::Terminated(caller)),
    ] {
        let told = Stage::ringing(&["b"]).tell(verb, &cause);
        assert_eq!(told, ["caller: CallDisconnected 487/0 of caller"]);
    }
}

#[test]
fn ending_for_all_disconnects_every_leg() {
    let mut stage = Stage::ringing(&["b"]);
    stage.connect("callee", "b", Role::Answered);
    stage.tell(accept("b"), &Cause::Member);
    let by = Cause::Terminated(ConnectionId::new("callee"));
    let told = stage.tell(Verb::End { by: user("b") }, &by);
    let wanted = [
        "caller: CallDisconnected 200/5001 of caller",
        "callee: CallDisconnected 200/7000 of callee",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn the_other_side_that_leaves_ends_a_call_of_two() {
    let told = Stage::established(&["b"]).tell(hang_up("b"), &Cause::Member);
    assert_eq!(told, ["caller: CallDisconnected 200/5002 of caller"]);
    let by = Cause::HungUp(ConnectionId::new("caller"));
    let told = Stage::established(&["b"]).tell(hang_up("a"), &by);
    assert_eq!(told, ["caller: CallDisconnected 200/7000 of caller"]);
}

#[test]
fn a_call_that_lasted_too_long_disconnects_every_leg() {
    let told = Stage::established(&["b"]).tell(Verb::Expire, &Cause::Member);
    assert_eq!(told, ["caller: CallDisconnected 200/5002 of caller"]);
}

#[test]
fn a_leg_that_leaves_a_group_is_told_nothing_more() {
    let mut stage = Stage::ringing(&["b", "c"]);
    stage.connect("callee", "b", Role::Answered);
    stage.tell(accept("b"), &Cause::Member);
    assert_eq!(
        stage.tell(accept("c"), &Cause::Member),
        [
            "caller: ParticipantsUpdated 200/0 -",
            "callee: ParticipantsUpdated 200/0 -"
        ]
    );
    let by = Cause::HungUp(ConnectionId::new("callee"));
    assert_eq!(
        stage.tell(hang_up("b"), &by),
        [
            "caller: ParticipantsUpdated 200/0 -",
            "callee: CallDisconnected 200/7000 of callee",
        ]
    );
    assert_eq!(
        stage.tell(hang_up("c"), &Cause::Member),
        ["caller: CallDisconnected 200/5002 of caller"]
    );
}

#[test]
fn whoever_is_added_answers_or_does_not() {
    for (verb, wanted) in [
        (
            accept("c"),
            vec![
                "AddParticipantSucceeded 200/0 op",
                "ParticipantsUpdated 200/0 -",
            ],
        ),
        (
            reject("c", Decline::Plain),
            vec!["AddParticipantFailed 603/0 op"],
        ),
        (
            time_out("c", Reached::Device),
            vec!["AddParticipantFailed 487/10004 op"],
        ),
        (
            time_out("c", Reached::Offline),
            vec!["AddParticipantFailed 480/10076 op"],
        ),
    ] {
        let mut stage = Stage::established(&["b"]);
        stage.invite("c", Purpose::Add);
        let wanted: Vec<_> = wanted
            .iter()
            .map(|event| format!("caller: {event}"))
            .collect();
        assert_eq!(stage.tell(verb, &Cause::Member), wanted);
        assert!(stage.invitations.is_empty(), "its outcome is known");
    }
}

#[test]
fn an_invitation_is_taken_back_once() {
    let mut stage = Stage::established(&["b"]);
    stage.invite("c", Purpose::Add);
    let cause = Cause::CancelledAdd(by_caller(), InvitationId::new("i1"));
    let cancel = Verb::Cancel { target: user("c") };
    let told = stage.tell(cancel.clone(), &cause);
    assert_eq!(told, ["caller: CancelAddParticipantSucceeded 200/0 op"]);
    let told = stage.tell(cancel, &cause);
    assert_eq!(told, ["caller: CancelAddParticipantFailed 404/8522 op"]);
}

#[test]
fn an_invitation_that_the_end_of_the_call_overtakes_fails_before_the_last_event() {
    let mut stage = Stage::established(&["b"]);
    stage.invite("c", Purpose::Add);
    let by = Cause::Terminated(ConnectionId::new("caller"));
    let told = stage.tell(Verb::End { by: user("a") }, &by);
    let wanted = [
        "caller: AddParticipantFailed 487/0 op",
        "caller: CallDisconnected 200/7000 of caller",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn a_removed_participant_is_out_and_the_last_one_ends_the_call() {
    let mut stage = Stage::ringing(&["b", "c"]);
    stage.connect("callee", "b", Role::Answered);
    stage.tell(accept("b"), &Cause::Member);
    stage.tell(accept("c"), &Cause::Member);
    let told = stage.tell(remove("b"), &Cause::Removed(by_caller(), user("b")));
    let wanted = [
        "caller: RemoveParticipantSucceeded 200/0 op",
        "caller: ParticipantsUpdated 200/0 -",
        "callee: CallDisconnected 200/5300 of callee",
    ];
    assert_eq!(told, wanted);
    let told = stage.tell(remove("x"), &Cause::Removed(by_caller(), user("x")));
    assert_eq!(told, ["caller: RemoveParticipantFailed 404/8522 op"]);
    let told = stage.tell(remove("c"), &Cause::Removed(by_caller(), user("c")));
    let wanted = [
        "caller: RemoveParticipantSucceeded 200/0 op",
        "caller: ParticipantsUpdated 200/0 -",
        "caller: CallDisconnected 200/5002 of caller",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn a_transfer_that_is_accepted_takes_the_leg_out() {
    let mut stage = Stage::established(&["b"]);
    stage.invite("c", Purpose::Transfer(user("b")));
    let before = stage.call.clone();
    let later = NOW + Duration::from_secs(1);
    let mut changes = stage.call.apply(accept("c"), later).unwrap();
    changes.extend(stage.call.apply(hang_up("a"), later).unwrap());
    let story = Story {
        before: &before,
        after: &stage.call,
        changes: &changes,
        cause: &Cause::Member,
        connections: &stage.connections,
        invitations: &stage.invitations,
    };
    let told: Vec<_> = story.callbacks().iter().map(shown).collect();
    let wanted = [
        "caller: CallTransferAccepted 200/0 op",
        "caller: CallDisconnected 200/7015 of caller",
    ];
    assert_eq!(told, wanted);
    assert_eq!(stage.call.present(), [user("b"), user("c")]);
}

#[test]
fn a_transfer_that_is_declined_leaves_the_call_as_it_was() {
    let mut stage = Stage::established(&["b"]);
    stage.invite("c", Purpose::Transfer(user("b")));
    let told = stage.tell(reject("c", Decline::Plain), &Cause::Member);
    assert_eq!(told, ["caller: CallTransferFailed 603/0 op"]);
    assert_eq!(stage.call.present(), [user("a"), user("b")]);
}

#[test]
fn who_is_moved_joins_here_and_is_out_there() {
    let mut here = Stage::established(&["b"]);
    let from = ConnectionId::new("other");
    let cause = Cause::MovedIn(by_caller(), user("d"), from);
    let told = here.tell(Verb::Join { by: user("d") }, &cause);
    let wanted = [
        "caller: MoveParticipantSucceeded 200/0 op",
        "caller: ParticipantsUpdated 200/0 -",
    ];
    assert_eq!(told, wanted);
    let mut there = Stage::ringing(&["d"]);
    there.connect("callee", "d", Role::Answered);
    there.tell(accept("d"), &Cause::Member);
    let told = there.tell(hang_up("d"), &Cause::MovedOut(user("d")));
    let wanted = [
        "caller: CallDisconnected 200/5002 of caller",
        "callee: CallDisconnected 200/5300 of callee",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn muting_is_a_change_of_the_roster() {
    let mut stage = Stage::established(&["b"]);
    let mute = Verb::Mute {
        targets: vec![user("b")],
    };
    let told = stage.tell(mute.clone(), &Cause::Member);
    assert_eq!(told, ["caller: ParticipantsUpdated 200/0 -"]);
    assert_eq!(stage.tell(mute, &Cause::Member), [""; 0]);
}
