//! The state machine: every transition.

mod properties;

use super::*;
use crate::id::RoundId;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const DEADLINE: Timestamp = Timestamp::from_secs(1_795_493_926);

fn user(name: &str) -> UserId {
    UserId::new(format!("8:acs:r_{name}"))
}

fn call(targets: &[&str]) -> Call {
    Call {
        id: CallId::new("c1"),
        communication: "/comm".into(),
        from: user("a"),
        display_name: "Alice".into(),
        video: false,
        signal: None,
        created_at: NOW,
        ring_deadline: DEADLINE,
        state: State::Ringing,
        caller_left: None,
        legs: targets
            .iter()
            .map(|name| Leg::ringing(user(name), round(0)))
            .collect(),
        muted: Vec::new(),
        roster: 0,
    }
}

fn round(hops: u32) -> Round {
    Round {
        id: RoundId::new("round"),
        since: NOW,
        deadline: DEADLINE,
        hops,
        shown: Shown::default(),
    }
}

fn accept(by: &str, endpoint: &str) -> Verb {
    Verb::Accept {
        by: user(by),
        endpoint: (!endpoint.is_empty()).then(|| RegistrationId::new(endpoint)),
        signal: None,
    }
}

fn reject(by: &str) -> Verb {
    Verb::Reject {
        by: user(by),
        endpoint: Some(RegistrationId::new("r1")),
        how: Decline::Plain,
    }
}

fn hang_up(by: &str) -> Verb {
    Verb::HangUp {
        by: user(by),
        endpoint: None,
    }
}

fn time_out() -> Verb {
    Verb::TimeOut {
        reached: ["b", "c"].map(|name| (user(name), Reached::Device)).into(),
    }
}

/// When a verb of these tests comes: a time-out at the deadline, all else before.
fn moment(verb: &Verb) -> Timestamp {
    match verb {
        Verb::TimeOut { .. } => DEADLINE,
        _ => NOW,
    }
}

fn stopped(target: &str, except: Option<&str>, why: StopReason) -> Change {
    Change::Stopped {
        target: user(target),
        except: except.map(RegistrationId::new),
        why,
    }
}

/// Applies all, and answers what the last one changed.
fn after(call: &mut Call, verbs: &[Verb]) -> Result<Vec<Change>, Refusal> {
    let mut last = Ok(Vec::new());
    for verb in verbs {
        last = call.apply(verb.clone(), moment(verb));
    }
    last
}

fn end_of(call: &Call) -> Option<(EndReason, Option<UserId>)> {
    match &call.state {
        State::Ended(ended) => Some((ended.reason, ended.by.clone())),
        _ => None,
    }
}

#[test]
fn accepting_connects_and_stops_the_user_s_other_devices() {
    let mut call = call(&["b"]);
    let changes = after(&mut call, &[accept("b", "r1")]).unwrap();
    let wanted = [
        Change::Joined(user("b")),
        stopped("b", Some("r1"), StopReason::AcceptedElsewhere),
    ];
    assert_eq!(changes, wanted);
    assert_eq!(call.state, State::Connected { since: NOW });
}

#[test]
fn the_second_device_is_told_that_the_first_was_faster() {
    for second in [accept("b", "r2"), accept("b", "")] {
        let mut call = call(&["b"]);
        let refused = after(&mut call, &[accept("b", "r1"), second]);
        assert_eq!(refused, Err(Refusal::AcceptedElsewhere));
    }
    let mut nameless = call(&["b"]);
    let refused = after(&mut nameless, &[accept("b", ""), accept("b", "")]);
    assert_eq!(refused, Err(Refusal::AcceptedElsewhere));
}

#[test]
fn a_repeated_verb_of_the_same_device_changes_nothing() {
    for verb in [accept("b", "r1"), reject("b"), hang_up("b"), hang_up("a")] {
        let mut call = call(&["b"]);
        assert!(
            !after(&mut call, std::slice::from_ref(&verb))
                .unwrap()
                .is_empty()
        );
        let before = call.clone();
        assert_eq!(after(&mut call, &[verb]), Ok(Vec::new()));
        assert_eq!(call, before);
    }
}

#[test]
fn a_call_whose_only_leg_is_rejected_ends_declined() {
    let mut call = call(&["b"]);
    let changes = after(&mut call, &[reject("b")]).unwrap();
    let wanted = [
        stopped("b", Some("r1"), StopReason::Declined(Decline::Plain)),
        Change::Ended,
    ];
    assert_eq!(changes, wanted);
    assert_eq!(call.legs[0].state, LegState::Declined);
    assert_eq!(end_of(&call), Some((EndReason::Declined, Some(user("b")))));
}

#[test]
fn the_deadline_times_the_ringing_legs_out_and_says_how_far_they_got() {
    use Reached::{Device, Nobody, Offline, Unpushed};
    for (named, b, c, farthest) in [
        (vec![("b", Device), ("c", Offline)], Device, Offline, Device),
        (vec![("c", Unpushed)], Nobody, Unpushed, Unpushed),
        (vec![], Nobody, Nobody, Nobody),
    ] {
        let mut call = call(&["b", "c"]);
        let reached = named.into_iter().map(|(name, far)| (user(name), far));
        let time_out = Verb::TimeOut {
            reached: reached.collect(),
        };
        let wanted = [
            stopped("b", None, StopReason::TimedOut(b)),
            stopped("c", None, StopReason::TimedOut(c)),
            Change::Ended,
        ];
        assert_eq!(after(&mut call, &[time_out]).unwrap(), wanted);
        assert_eq!(call.legs[0].state, LegState::TimedOut);
        assert_eq!(end_of(&call), Some((EndReason::Unanswered(farthest), None)));
    }
}

#[test]
fn a_deadline_that_comes_too_late_changes_nothing() {
    for verbs in [
        vec![accept("b", "r1"), time_out()],
        vec![reject("b"), time_out()],
        vec![hang_up("a"), time_out()],
        vec![time_out(), time_out()],
    ] {
        assert_eq!(
            after(&mut call(&["b"]), &verbs),
            Ok(Vec::new()),
            "{verbs:?}"
        );
    }
}

#[test]
fn the_caller_can_hang_up_while_it_rings() {
    let mut call = call(&["b", "c"]);
    let changes = after(&mut call, &[hang_up("a")]).unwrap();
    let wanted = [
        stopped("b", None, StopReason::Cancelled),
        stopped("c", None, StopReason::Cancelled),
        Change::Ended,
    ];
    assert_eq!(changes, wanted);
    assert_eq!(end_of(&call), Some((EndReason::Cancelled, Some(user("a")))));
    assert_eq!(after(&mut call, &[accept("b", "r1")]), Err(Refusal::Ended));
    assert_eq!(after(&mut call, &[reject("b")]), Err(Refusal::Ended));
}

#[test]
fn either_side_of_a_connected_call_ends_it() {
    for by in ["a", "b"] {
        let mut call = call(&["b"]);
        let changes = after(&mut call, &[accept("b", "r1"), hang_up(by)]).unwrap();
        assert_eq!(changes, [Change::Left(user(by)), Change::Ended]);
        assert_eq!(end_of(&call), Some((EndReason::HungUp, Some(user(by)))));
        let State::Ended(ended) = &call.state else {
            unreachable!()
        };
        assert_eq!(ended.connected_since, Some(NOW));
    }
}

#[test]
fn hanging_up_a_ringing_call_declines_it() {
    let mut call = call(&["b"]);
    let changes = after(&mut call, &[hang_up("b")]).unwrap();
    assert_eq!(
        changes[0],
        stopped("b", None, StopReason::Declined(Decline::Plain))
    );
    assert_eq!(end_of(&call), Some((EndReason::Declined, Some(user("b")))));
}

#[test]
fn a_group_call_goes_on_while_two_are_in_it() {
    let mut call = call(&["b", "c", "d"]);
    after(
        &mut call,
        &[accept("b", "r1"), accept("c", "r2"), reject("d")],
    )
    .unwrap();
    assert_eq!(
        after(&mut call, &[hang_up("a")]),
        Ok(vec![Change::Left(user("a"))])
    );
    let last = after(&mut call, &[hang_up("b")]).unwrap();
    assert_eq!(last, [Change::Left(user("b")), Change::Ended]);
    // Who has left does not come back into an ended call.
    assert_eq!(after(&mut call, &[accept("b", "r1")]), Err(Refusal::Ended));
}

#[test]
fn a_group_call_rings_on_when_one_accepts_and_times_out_alone() {
    let mut call = call(&["b", "c"]);
    after(&mut call, &[accept("b", "r1")]).unwrap();
    assert!(call.rings());
    let changes = after(&mut call, &[time_out()]).unwrap();
    assert_eq!(
        changes,
        [stopped("c", None, StopReason::TimedOut(Reached::Device))]
    );
    assert_eq!(call.state, State::Connected { since: NOW });
    assert_eq!(
        after(&mut call, &[accept("c", "r2")]),
        Err(Refusal::NotRinging)
    );
}

#[test]
fn strangers_and_callers_are_refused() {
    for (verb, refusal) in [
        (accept("x", ""), Refusal::NotInCall),
        (reject("x"), Refusal::NotInCall),
        (hang_up("x"), Refusal::NotInCall),
        (accept("a", ""), Refusal::NotCalled),
        (reject("a"), Refusal::NotCalled),
    ] {
        assert_eq!(after(&mut call(&["b"]), &[verb]), Err(refusal));
    }
    let refused = after(&mut call(&["b"]), &[accept("b", "r1"), reject("b")]);
    assert_eq!(refused, Err(Refusal::AcceptedElsewhere));
}

fn redirect(from: &str, to: &str) -> Verb {
    Verb::Redirect {
        from: user(from),
        to: user(to),
        round: round(1),
    }
}

fn invite(target: &str) -> Verb {
    Verb::Invite {
        target: user(target),
        round: round(0),
    }
}

#[test]
fn a_redirected_call_rings_for_somebody_else_and_stays_between_two() {
    let mut call = call(&["b"]);
    let changes = after(&mut call, &[redirect("b", "c")]).unwrap();
    let wanted = [
        stopped("b", None, StopReason::Redirected),
        Change::Invited(user("c")),
    ];
    assert_eq!(changes, wanted);
    assert!(call.is_two_party());
    for (verb, refusal) in [
        (accept("b", "r1"), Refusal::NotRinging),
        (redirect("b", "d"), Refusal::NotRinging),
        (redirect("c", "a"), Refusal::AlreadyIn),
        (redirect("c", "c"), Refusal::AlreadyIn),
    ] {
        assert_eq!(after(&mut call, &[verb]), Err(refusal));
    }
    // Back to the first, who has one leg only.
    after(&mut call, &[redirect("c", "b"), accept("b", "r1")]).unwrap();
    assert_eq!(call.legs.len(), 2);
    assert_eq!(call.present(), [user("a"), user("b")]);
}

#[test]
fn who_is_added_rings_alone_and_may_be_added_again() {
    let mut call = call(&["b"]);
    after(&mut call, &[accept("b", "r1")]).unwrap();
    assert_eq!(
        after(&mut call, &[invite("c")]),
        Ok(vec![Change::Invited(user("c"))])
    );
    assert_eq!(after(&mut call, &[invite("c")]), Err(Refusal::AlreadyIn));
    let cancel = Verb::Cancel { target: user("c") };
    let changes = after(&mut call, std::slice::from_ref(&cancel)).unwrap();
    assert_eq!(changes, [stopped("c", None, StopReason::Cancelled)]);
    assert_eq!(after(&mut call, &[cancel]), Err(Refusal::NotRinging));
    after(&mut call, &[invite("c"), accept("c", "r2")]).unwrap();
    assert!(!call.is_two_party());
    assert_eq!(call.roster, 2);
    after(&mut call, &[hang_up("b"), invite("b"), accept("b", "r1")]).unwrap();
    assert_eq!(call.present(), [user("a"), user("b"), user("c")]);
    assert_eq!(after(&mut call, &[invite("a")]), Err(Refusal::AlreadyIn));
}

#[test]
fn a_round_ends_at_its_own_deadline() {
    let mut call = call(&["b"]);
    let later = Round {
        deadline: DEADLINE + Duration::from_secs(60),
        ..round(0)
    };
    let add = Verb::Invite {
        target: user("c"),
        round: later.clone(),
    };
    after(&mut call, &[accept("b", "r1"), add]).unwrap();
    assert_eq!(call.next_deadline(), Some(later.deadline));
    assert_eq!(after(&mut call, &[time_out()]), Ok(Vec::new()));
    let changes = call.apply(time_out(), later.deadline).unwrap();
    assert_eq!(
        changes,
        [stopped("c", None, StopReason::TimedOut(Reached::Device))]
    );
}

#[test]
fn a_call_that_was_connected_long_enough_is_over_for_all() {
    let mut ringing = call(&["b", "c"]);
    assert_eq!(after(&mut ringing, &[Verb::Expire]), Ok(Vec::new()));
    let changes = after(&mut ringing, &[accept("b", "r1"), Verb::Expire]).unwrap();
    let wanted = [stopped("c", None, StopReason::Cancelled), Change::Ended];
    assert_eq!(changes, wanted);
    assert_eq!(end_of(&ringing), Some((EndReason::TooLong, None)));
}

#[test]
fn one_who_ends_a_call_ends_it_for_all() {
    let end = |by| Verb::End { by: user(by) };
    let mut ringing = call(&["b", "c"]);
    let changes = after(&mut ringing, &[end("a")]).unwrap();
    let wanted = [
        stopped("b", None, StopReason::Cancelled),
        stopped("c", None, StopReason::Cancelled),
        Change::Ended,
    ];
    assert_eq!(changes, wanted);
    assert_eq!(
        end_of(&ringing),
        Some((EndReason::Cancelled, Some(user("a"))))
    );
    let mut group = call(&["b", "c"]);
    after(&mut group, &[accept("b", "r1"), accept("c", "r2")]).unwrap();
    let changes = after(&mut group, &[end("b")]).unwrap();
    assert_eq!(changes, [Change::Left(user("b")), Change::Ended]);
    assert_eq!(end_of(&group), Some((EndReason::HungUp, Some(user("b")))));
    assert_eq!(after(&mut group, &[end("b")]), Ok(Vec::new()));
    assert_eq!(after(&mut group, &[end("x")]), Err(Refusal::NotInCall));
}

#[test]
fn somebody_joins_a_call_only_while_it_is_established() {
    let join = |by| Verb::Join { by: user(by) };
    let mut call = call(&["b", "c"]);
    assert_eq!(after(&mut call, &[join("x")]), Err(Refusal::NotEstablished));
    after(&mut call, &[accept("b", "r1")]).unwrap();
    assert_eq!(
        after(&mut call, &[join("x")]),
        Ok(vec![Change::Joined(user("x"))])
    );
    assert_eq!(after(&mut call, &[join("x")]), Err(Refusal::AlreadyIn));
    // Who is rung already answers by joining.
    let changes = after(&mut call, &[join("c")]).unwrap();
    assert_eq!(
        changes[1],
        stopped("c", None, StopReason::AcceptedElsewhere)
    );
    after(&mut call, &[Verb::End { by: user("x") }]).unwrap();
    assert_eq!(after(&mut call, &[join("y")]), Err(Refusal::Ended));
}

#[test]
fn the_muted_are_muted_once_and_heard_again_when_they_come_back() {
    let mute = |who| Verb::Mute {
        targets: vec![user(who)],
    };
    let mut call = call(&["b", "c"]);
    after(&mut call, &[accept("b", "r1"), accept("c", "r2")]).unwrap();
    assert_eq!(
        after(&mut call, &[mute("b")]),
        Ok(vec![Change::Muted(user("b"))])
    );
    assert_eq!(call.roster, 3);
    assert_eq!(after(&mut call, &[mute("b")]), Ok(vec![]));
    assert_eq!(call.roster, 3);
    assert_eq!(after(&mut call, &[mute("x")]), Err(Refusal::NotInCall));
    after(&mut call, &[hang_up("b")]).unwrap();
    assert_eq!(call.muted, []);
}

#[test]
fn a_call_that_is_declined_says_how() {
    for (how, reason) in [
        (Decline::Plain, EndReason::Declined),
        (Decline::Busy, EndReason::Busy),
        (Decline::Forbidden, EndReason::Forbidden),
    ] {
        let mut call = call(&["b"]);
        let reject = Verb::Reject {
            by: user("b"),
            endpoint: None,
            how,
        };
        after(&mut call, &[reject]).unwrap();
        assert_eq!(end_of(&call), Some((reason, Some(user("b")))));
    }
}
