//! The state machine: every transition, and what holds whatever happens.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

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
        ring_deadline: NOW + Duration::from_secs(30),
        state: State::Ringing,
        caller_left: None,
        legs: targets
            .iter()
            .map(|name| Leg::ringing(user(name)))
            .collect(),
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
    }
}

fn hang_up(by: &str) -> Verb {
    Verb::HangUp {
        by: user(by),
        endpoint: None,
    }
}

const TIME_OUT: Verb = Verb::TimeOut {
    reach: Reached::Somebody,
};

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
        last = call.apply(verb.clone(), NOW);
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
        stopped("b", Some("r1"), StopReason::Declined),
        Change::Ended,
    ];
    assert_eq!(changes, wanted);
    assert_eq!(call.legs[0].state, LegState::Declined);
    assert_eq!(end_of(&call), Some((EndReason::Declined, Some(user("b")))));
}

#[test]
fn the_deadline_times_the_ringing_legs_out_and_says_whether_anybody_was_reached() {
    for (reach, reason) in [
        (Reached::Somebody, EndReason::NoAnswer),
        (Reached::Nobody, EndReason::Unreachable),
    ] {
        let mut call = call(&["b"]);
        let changes = after(&mut call, &[Verb::TimeOut { reach }]).unwrap();
        let wanted = [stopped("b", None, StopReason::TimedOut), Change::Ended];
        assert_eq!(changes, wanted);
        assert_eq!(call.legs[0].state, LegState::TimedOut);
        assert_eq!(end_of(&call), Some((reason, None)));
    }
}

#[test]
fn a_deadline_that_comes_too_late_changes_nothing() {
    for verbs in [
        vec![accept("b", "r1"), TIME_OUT],
        vec![reject("b"), TIME_OUT],
        vec![hang_up("a"), TIME_OUT],
        vec![TIME_OUT, TIME_OUT],
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
    assert_eq!(changes[0], stopped("b", None, StopReason::Declined));
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
    let changes = after(&mut call, &[TIME_OUT]).unwrap();
    assert_eq!(changes, [stopped("c", None, StopReason::TimedOut)]);
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

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let who = prop_oneof![Just("a"), Just("b"), Just("c"), Just("x")];
    let device = prop_oneof![Just(""), Just("r1"), Just("r2")];
    let verb = prop_oneof![
        (who.clone(), device).prop_map(|(by, endpoint)| accept(by, endpoint)),
        who.clone().prop_map(reject),
        who.prop_map(hang_up),
        Just(TIME_OUT),
    ];
    proptest::collection::vec(verb, 0..12)
}

proptest! {
    /// Whatever happens in whatever order: a leg is taken at most once, an answered leg keeps its device, each user's devices
    /// are stopped exactly once, and an ended call never changes again.
    #[test]
    fn never_two_acceptors_and_the_end_is_final(verbs in verbs()) {
        let mut call = call(&["b", "c"]);
        let mut joined = Vec::new();
        let mut stopped = Vec::new();
        let mut ends = 0;
        for verb in verbs {
            let before = call.clone();
            let changes = call.apply(verb, NOW).unwrap_or_default();
            if changes.is_empty() {
                prop_assert_eq!(&call, &before, "no change without saying so");
            }
            if matches!(before.state, State::Ended(_)) {
                prop_assert_eq!(&call, &before, "the end is final");
            }
            for change in changes {
                match change {
                    Change::Joined(user) => joined.push(user),
                    Change::Stopped { target, .. } => stopped.push(target),
                    Change::Ended => ends += 1,
                    Change::Left(_) => {}
                }
            }
            for (leg, old) in call.legs.iter().zip(&before.legs) {
                if let (LegState::Accepted(new), LegState::Accepted(old)) = (&leg.state, &old.state) {
                    prop_assert_eq!(&new.endpoint, &old.endpoint);
                }
            }
            let ended = matches!(call.state, State::Ended(_));
            prop_assert_eq!(ends, usize::from(ended));
            prop_assert!(!(ended && call.rings()), "nothing rings in an ended call");
            let still = call.legs.iter().filter(|leg| leg.state == LegState::Ringing).count();
            prop_assert_eq!(stopped.len() + still, call.legs.len());
        }
        for users in [&mut joined, &mut stopped] {
            users.sort();
            let count = users.len();
            users.dedup();
            prop_assert_eq!(users.len(), count);
        }
    }
}
