//! Calls, their legs, and how each device was rung or told to stop.

use domain::call::{Accepted, Call, EndReason, Ended, Leg, LegState, Round, Shown, State};
use domain::fanout::{Ring, RingEvent};
use domain::id::{CallId, RegistrationId, RoundId};
use domain::identity::UserId;
use domain::time::Timestamp;
use serde_json::Value;
use sqlx::FromRow;
use wire::acs::callautomation::CustomContext;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

mod rings;

const GET: &str =
    "select id, communication, caller, display_name, video, signal, created_at, ring_deadline,
      connected_at, caller_left_at, ended_at, end_reason, ended_by, muted, roster, version
    from calls where id = $1";
/// A read that also takes the row: whoever else is about to change the call waits, on either engine.
const TAKE: &str = "update calls set version = version + 1 where id = $1
    returning id, communication, caller, display_name, video, signal, created_at, ring_deadline,
      connected_at, caller_left_at, ended_at, end_reason, ended_by, muted, roster, version";
const LEGS: &str =
    "select target, round_id, rung_at, deadline, hops, shown_name, shown_headers, state, endpoint, accepted_at,
      left_at, signal
    from call_legs where call_id = $1 order by ordinal";
const RINGING: &str = "select calls.id, min(call_legs.deadline)
    from calls join call_legs on call_legs.call_id = calls.id
    where calls.rings and call_legs.state = 'ringing'
    group by calls.id order by 2, 1";
const CONNECTED: &str = "select id from calls where connected_at < $1 and ended_at is null
    order by connected_at, id limit $2";
const INSERT: &str =
    "insert into calls (id, communication, caller, display_name, video, signal, created_at,
      ring_deadline, rings, muted, roster, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '[]', 0, 1)";
const UPDATE: &str =
    "update calls set rings = $3, connected_at = $4, caller_left_at = $5, ended_at = $6,
      end_reason = $7, ended_by = $8, muted = $9, roster = $10, version = version + 1
    where id = $1 and version = $2";
/// What belongs to the calls that are forgotten, and at last they.
const SWEEP: [&str; 5] = [
    "delete from call_legs where call_id in
      (select id from calls where ended_at < $1 order by ended_at, id limit $2)",
    "delete from call_rings where call_id in
      (select id from calls where ended_at < $1 order by ended_at, id limit $2)",
    "delete from call_invitations where call_id in
      (select id from calls where ended_at < $1 order by ended_at, id limit $2)",
    "delete from call_connections where call_id in
      (select id from calls where ended_at < $1 order by ended_at, id limit $2)",
    "delete from calls where id in
      (select id from calls where ended_at < $1 order by ended_at, id limit $2)",
];
const PUT_LEG: &str =
    "insert into call_legs (call_id, ordinal, target, round_id, rung_at, deadline, hops, shown_name,
      shown_headers, state, endpoint, accepted_at, left_at, signal)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    on conflict (call_id, ordinal) do update set round_id = excluded.round_id, rung_at = excluded.rung_at,
      deadline = excluded.deadline, hops = excluded.hops, shown_name = excluded.shown_name,
      shown_headers = excluded.shown_headers, state = excluded.state,
      endpoint = excluded.endpoint, accepted_at = excluded.accepted_at, left_at = excluded.left_at,
      signal = excluded.signal";

/// A call as it was read, to be written back only if nobody else wrote it in between.
#[derive(Clone, Debug)]
pub struct ReadCall {
    /// The call.
    pub call: Call,
    version: i64,
}

#[derive(FromRow)]
struct Row {
    id: String,
    communication: String,
    caller: String,
    display_name: String,
    video: bool,
    signal: Option<String>,
    created_at: i64,
    ring_deadline: i64,
    connected_at: Option<i64>,
    caller_left_at: Option<i64>,
    ended_at: Option<i64>,
    end_reason: Option<String>,
    ended_by: Option<String>,
    muted: String,
    roster: i64,
    version: i64,
}

#[derive(FromRow)]
struct LegRow {
    target: String,
    round_id: String,
    rung_at: i64,
    deadline: i64,
    hops: i64,
    shown_name: Option<String>,
    shown_headers: Option<String>,
    state: String,
    endpoint: Option<String>,
    accepted_at: Option<i64>,
    left_at: Option<i64>,
    signal: Option<String>,
}

impl Store {
    /// A call with its legs.
    pub async fn call(&self, id: &CallId) -> Result<Option<ReadCall>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(GET).bind(id.as_str())
        )?;
        let Some(row) = row else { return Ok(None) };
        let legs = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, LegRow>(LEGS).bind(id.as_str())
        )?;
        call_of(row, legs).map(Some)
    }

    /// Every call that rings, and when the first of its legs stops.
    pub async fn ringing_calls(&self) -> Result<Vec<(CallId, Timestamp)>> {
        let rows = read!(self, fetch_all, sqlx::query_as::<_, (String, i64)>(RINGING))?;
        Ok(rows
            .into_iter()
            .map(|(id, deadline)| (CallId::new(id), Timestamp::from_micros(deadline)))
            .collect())
    }

    /// Up to `limit` calls that are connected since before `before`, the longest first.
    pub async fn calls_connected_before(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<CallId>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String,)>(CONNECTED)
                .bind(before.micros())
                .bind(i64::from(limit))
        )?;
        Ok(rows.into_iter().map(|(id,)| CallId::new(id)).collect())
    }
}

impl Tx {
    /// Forgets up to `limit` calls that ended before `before`, with all that belongs to them; says how many.
    pub async fn sweep_calls(&mut self, before: Timestamp, limit: u32) -> Result<u64> {
        let mut swept = 0;
        for sql in SWEEP {
            swept = tx!(
                self,
                execute,
                sqlx::query(sql)
                    .bind(before.micros())
                    .bind(i64::from(limit))
            )?;
        }
        Ok(swept)
    }

    /// Writes a new call, all of whose legs ring.
    pub async fn insert_call(&mut self, call: &Call) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(INSERT)
                .bind(call.id.as_str())
                .bind(&call.communication)
                .bind(call.from.as_str())
                .bind(&call.display_name)
                .bind(call.video)
                .bind(call.signal.as_ref().map(Value::to_string))
                .bind(call.created_at.micros())
                .bind(call.ring_deadline.micros())
                .bind(call.rings())
        )?;
        for (ordinal, leg) in (0_i64..).zip(&call.legs) {
            self.put_leg(&call.id, ordinal, leg).await?;
        }
        Ok(())
    }

    /// A call with its legs, which nobody else changes before this transaction is over.
    pub async fn call(&mut self, id: &CallId) -> Result<Option<ReadCall>> {
        let row = tx!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(TAKE).bind(id.as_str())
        )?;
        let Some(row) = row else { return Ok(None) };
        let legs = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, LegRow>(LEGS).bind(id.as_str())
        )?;
        call_of(row, legs).map(Some)
    }

    /// Writes back a changed call; `false` if somebody else changed it since it was read.
    pub async fn update_call(&mut self, read: &ReadCall) -> Result<bool> {
        let call = &read.call;
        let (connected, ended) = match &call.state {
            State::Ringing => (None, None),
            State::Connected { since } => (Some(*since), None),
            State::Ended(ended) => (ended.connected_since, Some(ended)),
        };
        let muted: Value = call.muted.iter().map(UserId::as_str).collect();
        let count = tx!(
            self,
            execute,
            sqlx::query(UPDATE)
                .bind(call.id.as_str())
                .bind(read.version)
                .bind(call.rings())
                .bind(connected.map(Timestamp::micros))
                .bind(call.caller_left.map(Timestamp::micros))
                .bind(ended.map(|ended| ended.at.micros()))
                .bind(ended.map(|ended| ended.reason.as_str()))
                .bind(
                    ended
                        .and_then(|ended| ended.by.as_ref())
                        .map(UserId::as_str)
                )
                .bind(muted.to_string())
                .bind(i64::try_from(call.roster).unwrap_or(i64::MAX))
        )?;
        if count == 0 {
            return Ok(false);
        }
        for (ordinal, leg) in (0_i64..).zip(&call.legs) {
            self.put_leg(&call.id, ordinal, leg).await?;
        }
        Ok(true)
    }

    async fn put_leg(&mut self, call: &CallId, ordinal: i64, leg: &Leg) -> Result<()> {
        let accepted = match &leg.state {
            LegState::Accepted(accepted) => Some(accepted),
            _ => None,
        };
        let endpoint = accepted.and_then(|accepted| accepted.endpoint.as_ref());
        let shown = &leg.round.shown;
        tx!(
            self,
            execute,
            sqlx::query(PUT_LEG)
                .bind(call.as_str())
                .bind(ordinal)
                .bind(leg.target.as_str())
                .bind(leg.round.id.as_str())
                .bind(leg.round.since.micros())
                .bind(leg.round.deadline.micros())
                .bind(i64::from(leg.round.hops))
                .bind(&shown.display_name)
                .bind((!shown.custom.is_empty()).then(|| shown.custom.to_json().to_string()))
                .bind(leg.state.as_str())
                .bind(endpoint.map(RegistrationId::as_str))
                .bind(accepted.map(|accepted| accepted.at.micros()))
                .bind(
                    accepted
                        .and_then(|accepted| accepted.left)
                        .map(Timestamp::micros)
                )
                .bind(leg.signal.as_ref().map(Value::to_string))
        )?;
        Ok(())
    }
}

fn call_of(row: Row, legs: Vec<LegRow>) -> Result<ReadCall> {
    let bad = |problem: String| Error::BadRow {
        table: "calls",
        key: row.id.clone(),
        problem,
    };
    let at = Timestamp::from_micros;
    let connected = row.connected_at.map(at);
    let state = match (row.ended_at, &row.end_reason, connected) {
        (Some(ended), Some(reason), connected_since) => State::Ended(Ended {
            at: at(ended),
            reason: EndReason::parse(reason)
                .ok_or_else(|| bad(format!("end reason '{reason}' is unknown")))?,
            by: row.ended_by.clone().map(UserId::new),
            connected_since,
        }),
        (None, None, Some(since)) => State::Connected { since },
        (None, None, None) => State::Ringing,
        _ => return Err(bad("it has half an end".into())),
    };
    let json = |text: &Option<String>| {
        let parsed = text.as_deref().map(serde_json::from_str::<Value>);
        parsed.transpose().map_err(|error| bad(error.to_string()))
    };
    let muted: Vec<String> =
        serde_json::from_str(&row.muted).map_err(|error| bad(error.to_string()))?;
    let legs = legs
        .into_iter()
        .map(|leg| {
            let (signal, headers) = (json(&leg.signal)?, json(&leg.shown_headers)?);
            leg_of(leg, signal, headers)
                .ok_or_else(|| bad("a leg's state, hops or headers are out of range".into()))
        })
        .collect::<Result<_>>()?;
    Ok(ReadCall {
        version: row.version,
        call: Call {
            signal: json(&row.signal)?,
            id: CallId::new(row.id),
            communication: row.communication,
            from: UserId::new(row.caller),
            display_name: row.display_name,
            video: row.video,
            created_at: at(row.created_at),
            ring_deadline: at(row.ring_deadline),
            state,
            caller_left: row.caller_left_at.map(at),
            legs,
            muted: muted.into_iter().map(UserId::new).collect(),
            roster: u64::try_from(row.roster).unwrap_or_default(),
        },
    })
}

fn leg_of(row: LegRow, signal: Option<Value>, headers: Option<Value>) -> Option<Leg> {
    let state = match row.state.as_str() {
        "ringing" => LegState::Ringing,
        "accepted" => LegState::Accepted(Accepted {
            endpoint: row.endpoint.map(RegistrationId::new),
            at: Timestamp::from_micros(row.accepted_at?),
            left: row.left_at.map(Timestamp::from_micros),
        }),
        "declined" => LegState::Declined,
        "timedOut" => LegState::TimedOut,
        "cancelled" => LegState::Cancelled,
        _ => return None,
    };
    Some(Leg {
        target: UserId::new(row.target),
        round: Round {
            id: RoundId::new(row.round_id),
            since: Timestamp::from_micros(row.rung_at),
            deadline: Timestamp::from_micros(row.deadline),
            hops: u32::try_from(row.hops).ok()?,
            shown: Shown {
                display_name: row.shown_name,
                custom: match headers {
                    Some(headers) => CustomContext::from_json(&headers)?,
                    None => CustomContext::default(),
                },
            },
        },
        state,
        signal,
    })
}
