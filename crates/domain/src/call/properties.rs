//! What holds whatever is done to a call in whatever order: a model that knows nothing but the changes it is told keeps
//! step with the call.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{NOW, accept, call, hang_up, invite, redirect, reject, user};

/// Something that is done, so many seconds after the last.
#[derive(Clone, Debug)]
struct Deed {
    after: u64,
    verb: Verb,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let who = || prop::sample::select(vec!["a", "b", "c", "d", "x"]);
    let device = prop::sample::select(vec!["", "r1", "r2"]);
    let verb = prop_oneof![
        3 => (who(), device).prop_map(|(by, endpoint)| accept(by, endpoint)),
        1 => who().prop_map(reject),
        1 => who().prop_map(hang_up),
        1 => who().prop_map(|by| Verb::Join { by: user(by) }),
        1 => who().prop_map(|by| Verb::Mute { targets: vec![user(by)] }),
        2 => who().prop_map(invite),
        1 => (who(), who()).prop_map(|(from, to)| redirect(from, to)),
        1 => who().prop_map(|by| Verb::Cancel { target: user(by) }),
        1 => who().prop_map(|by| Verb::Remove { target: user(by) }),
        1 => prop::collection::vec(who(), 0..3).prop_map(|reached| Verb::TimeOut {
            reached: reached.into_iter().map(|name| (user(name), Reached::Device)).collect(),
        }),
    ];
    // After what ends it for all nothing is of interest: it comes seldom.
    let verb = prop_oneof![
        20 => verb,
        1 => who().prop_map(|by| Verb::End { by: user(by) }),
        1 => Just(Verb::Expire),
    ];
    let deed = (0_u64..15, verb).prop_map(|(after, verb)| Deed { after, verb });
    prop::collection::vec(deed, 0..24)
}

/// A new ringing begins when it is asked for.
fn at(verb: Verb, now: Timestamp) -> Verb {
    let begun = |round: Round| Round {
        since: now,
        deadline: now + Duration::from_secs(30),
        ..round
    };
    match verb {
        Verb::Invite { target, round } => Verb::Invite {
            target,
            round: begun(round),
        },
        Verb::Redirect { from, to, round } => Verb::Redirect {
            from,
            to,
            round: begun(round),
        },
        other => other,
    }
}

/// How a user stands, as far as the changes say.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Rings,
    IsIn,
}

/// Who rings and who is in, followed by the changes alone.
struct Model {
    parts: BTreeMap<UserId, Part>,
    connected: bool,
    over: bool,
}

impl Model {
    fn of(call: &Call) -> Self {
        let ringing = call.legs.iter().map(|leg| leg.target.clone());
        Self {
            parts: ringing.map(|user| (user, Part::Rings)).collect(),
            connected: false,
            over: false,
        }
    }

    /// Follows the changes of one verb; each must follow from where its user stood.
    fn follow(&mut self, caller: &UserId, changes: &[Change]) -> Result<(), TestCaseError> {
        for change in changes {
            prop_assert!(!self.over, "{change:?} after the end");
            match change {
                Change::Invited(user) => {
                    prop_assert_eq!(self.parts.insert(user.clone(), Part::Rings), None);
                }
                Change::Joined(user) => {
                    let stood = self.parts.insert(user.clone(), Part::IsIn);
                    prop_assert_ne!(stood, Some(Part::IsIn), "joined twice");
                    // With the first who joins, the caller is in it too.
                    if !std::mem::replace(&mut self.connected, true) {
                        self.parts.insert(caller.clone(), Part::IsIn);
                    }
                }
                Change::Stopped { target, why, .. } => {
                    let stood = if *why == StopReason::AcceptedElsewhere {
                        self.parts.get(target).copied()
                    } else {
                        self.parts.remove(target)
                    };
                    let wanted = match why {
                        StopReason::AcceptedElsewhere => Part::IsIn,
                        _ => Part::Rings,
                    };
                    prop_assert_eq!(stood, Some(wanted), "{:?}", change);
                }
                Change::Left(user) => {
                    prop_assert_eq!(self.parts.remove(user), Some(Part::IsIn));
                }
                Change::Muted(user) => {
                    prop_assert_eq!(self.parts.get(user), Some(&Part::IsIn));
                }
                Change::Ended => self.over = true,
            }
        }
        Ok(())
    }

    fn who(&self, part: Part) -> Vec<UserId> {
        let of_part = self.parts.iter().filter(|(_, one)| **one == part);
        of_part.map(|(user, _)| user.clone()).collect()
    }

    /// The call stands as the changes said.
    fn agrees_with(&self, call: &Call, now: Timestamp) -> Result<(), TestCaseError> {
        let ended = matches!(call.state, State::Ended(_));
        prop_assert_eq!(self.over, ended);
        prop_assert_eq!(call.next_deadline().is_some(), call.rings());
        if ended {
            prop_assert!(!call.rings(), "nothing rings in an ended call");
            for leg in &call.legs {
                prop_assert_eq!(call.standing(&leg.target), Standing::Outside);
            }
            return Ok(());
        }
        let sorted = |mut users: Vec<UserId>| {
            users.sort();
            users
        };
        let ringing = call.legs.iter().filter(|leg| leg.rings());
        let ringing = ringing.map(|leg| leg.target.clone()).collect();
        prop_assert_eq!(sorted(ringing), self.who(Part::Rings));
        let present = call.present();
        prop_assert_eq!(sorted(present.clone()), self.who(Part::IsIn));
        prop_assert!(
            call.rings() || present.len() >= 2,
            "a call that nobody can talk in goes on"
        );
        prop_assert!(call.muted.iter().all(|user| present.contains(user)));
        prop_assert!(call.created_at <= now);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_call_is_what_its_changes_say(deeds in deeds()) {
        let mut call = call(&["b", "c"]);
        let mut model = Model::of(&call);
        let mut now = NOW;
        for Deed { after, verb } in deeds {
            now = now + Duration::from_secs(after);
            let before = call.clone();
            let verb = at(verb, now);
            let timed_out = matches!(verb, Verb::TimeOut { .. });
            let Ok(changes) = call.apply(verb, now) else {
                prop_assert_eq!(&call, &before, "a refusal changes nothing");
                continue;
            };
            if changes.is_empty() {
                prop_assert_eq!(&call, &before, "no change without saying so");
            }
            model.follow(&before.from, &changes)?;
            model.agrees_with(&call, now)?;
            if timed_out {
                prop_assert!(call.next_deadline().is_none_or(|next| next > now), "a ringing outlives its deadline");
            }
            let moves = |change: &Change| matches!(change, Change::Joined(_) | Change::Left(_) | Change::Muted(_));
            prop_assert_eq!(call.roster > before.roster, changes.iter().any(moves));
            for (leg, old) in call.legs.iter().zip(&before.legs) {
                prop_assert_eq!(&leg.target, &old.target, "a user keeps the place among the called");
                if let (LegState::Accepted(new), LegState::Accepted(old)) = (&leg.state, &old.state)
                    && new.at == old.at
                {
                    prop_assert_eq!(&new.endpoint, &old.endpoint, "taken by another device without ringing");
                }
            }
        }
    }
}
