//! Moves: participants of one call go over into another.

use domain::call::{Call, Standing, Verb};
use domain::callback::{Asked, Cause};
use domain::id::ConnectionId;
use domain::identity::UserId;
use serde_json::{Value, json};
use wire::acs::callautomation as wire;

use super::participants::{view, without_null};
use super::{Repeat, busy, call_not_found, invalid, refused};
use crate::calling::step::{Act, Step, Stop, Unwritten};
use crate::control::Communication;
use crate::{App, Result};

impl App {
    /// Takes participants over from another call of the application's, in one transaction.
    pub async fn move_participants(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::Move,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.established(communication, id).await?;
        let (from, there) = self.open_leg(communication, &request.from_call).await?;
        if there.id == call.id {
            return Err(invalid("fromCall", "It is the same call."));
        }
        let asked = self.asked(&connection, request.operation)?;
        let users: Vec<UserId> = request
            .participants
            .iter()
            .map(|who| UserId::new(who.raw_id()))
            .collect();
        let shown = users.iter().map(|user| view(&call, user).to_json());
        let answer = without_null(json!({
            "participants": shown.collect::<Vec<_>>(),
            "operationContext": asked.operation.context,
            "fromCall": from.id,
        }));
        for _ in 0..ATTEMPTS {
            let moving = Moving {
                here: &call,
                there: &there,
                from: &from.id,
                asked: &asked,
                users: &users,
                answer: &answer,
                repeat: repeat.as_ref(),
            };
            match self.try_move(&moving).await {
                Ok(()) => return Ok(answer),
                Err(Unwritten::Outrun) => {}
                Err(Unwritten::Repeated) => {
                    let answer = self.executed(communication, repeat.as_ref()).await?;
                    return answer.ok_or_else(call_not_found);
                }
                Err(Unwritten::Stop(stop)) => return Err(refused(stop)),
            }
        }
        Err(busy())
    }

    async fn try_move(&self, moving: &Moving<'_>) -> std::result::Result<(), Unwritten> {
        let (here, there) = (&moving.here.id, &moving.there.id);
        let (missed_here, missed_there) = (self.missed(here).await?, self.missed(there).await?);
        let mut tx = self.store.begin().await?;
        // Always in the same order: two moves to and fro do not wait for each other.
        for id in if here < there {
            [here, there]
        } else {
            [there, here]
        } {
            tx.call(id).await?.ok_or(Stop::NoSuchCall)?;
        }
        let mut all = Vec::new();
        for user in moving.users {
            let read = tx.call(there).await?.ok_or(Stop::NoSuchCall)?;
            let present = read.call.standing(user) == Standing::Present;
            let cause = Cause::MovedIn(moving.asked.clone(), user.clone(), moving.from.clone());
            let mut join = Step::by(Act::Nothing, cause);
            if present {
                join.act = Act::Verb(Verb::Join { by: user.clone() });
            }
            let joined = self.write_step(&mut tx, here, &join, &missed_here).await?;
            if joined.is_change() {
                let remove = Verb::Remove {
                    target: user.clone(),
                };
                let leave = Step::by(Act::Verb(remove), Cause::MovedOut(user.clone()));
                all.push(
                    self.write_step(&mut tx, there, &leave, &missed_there)
                        .await?,
                );
            }
            all.push(joined);
        }
        let communication = &moving.here.communication;
        self.write_repeat(&mut tx, communication, moving.repeat, moving.answer)
            .await?;
        tx.commit().await?;
        for written in all {
            self.after_change(written);
        }
        Ok(())
    }
}

/// How often a move is tried again that somebody else was faster at.
const ATTEMPTS: usize = 16;

/// Who is moved from where to where.
struct Moving<'a> {
    here: &'a Call,
    there: &'a Call,
    from: &'a ConnectionId,
    asked: &'a Asked,
    users: &'a [UserId],
    answer: &'a Value,
    repeat: Option<&'a Repeat>,
}
