//! Applications' legs of calls, and the invitations they made whose outcome is not known yet.

use domain::connection::{Address, Connection, Invitation, Operation, Purpose, Role};
use domain::id::{CallId, ConnectionId, InvitationId};
use domain::identity::UserId;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::seal::Seal;
use crate::{Error, Result, Store, Tx};

const GET: &str =
    "select id, call_id, communication, member, role, answered_by, context, callback_uri, created_at, closed_at
    from call_connections where id = $1";
const OPEN: &str =
    "select id, call_id, communication, member, role, answered_by, context, callback_uri, created_at, closed_at
    from call_connections where call_id = $1 and closed_at is null order by created_at, id";
const INSERT: &str = "insert into call_connections
      (id, call_id, communication, member, role, answered_by, context, callback_uri, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const CLOSE: &str = "update call_connections set closed_at = $2 where id = $1";
const ADDRESS: &str = "select communication, callback_uri from callback_addresses where id = $1";
const INSERT_ADDRESS: &str =
    "insert into callback_addresses (id, communication, callback_uri, created_at)
    values ($1, $2, $3, $4)";
const SWEEP_ADDRESSES: &str = "delete from callback_addresses where created_at < $1";
const INVITATIONS: &str =
    "select id, connection_id, transferee, from_call_id, participant, target, context, callback_uri
    from call_invitations where call_id = $1 order by created_at, id";
const TRANSFERS: &str = "select call_id, transferee from call_invitations where from_call_id = $1";
const INVITE: &str = "insert into call_invitations
      (id, call_id, connection_id, transferee, from_call_id, participant, target, context, callback_uri,
      created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const REDIRECT: &str = "update call_invitations set target = $3 where call_id = $1 and target = $2";
const SETTLE: &str = "delete from call_invitations where id = $1";

#[derive(FromRow)]
struct Row {
    id: String,
    call_id: String,
    communication: String,
    member: String,
    role: String,
    answered_by: Option<String>,
    context: Option<String>,
    callback_uri: String,
    created_at: i64,
    closed_at: Option<i64>,
}

#[derive(FromRow)]
struct InvitationRow {
    id: String,
    connection_id: String,
    transferee: Option<String>,
    from_call_id: Option<String>,
    participant: String,
    target: String,
    context: Option<String>,
    callback_uri: Option<String>,
}

impl Store {
    /// An application's leg, over or not.
    pub async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(GET).bind(id.as_str())
        )?;
        row.map(|row| connection_of(&self.seal, row)).transpose()
    }
}

impl Store {
    /// A callback address: a leg's, or one operation's.
    pub async fn callback_address(&self, id: &str) -> Result<Option<Address>> {
        if let Some(connection) = self.connection(&ConnectionId::new(id)).await? {
            return Ok(Some(Address {
                id: connection.id.into_string(),
                communication: connection.communication,
                uri: connection.callback_uri,
            }));
        }
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, (String, String)>(ADDRESS).bind(id)
        )?;
        let Some((communication, sealed)) = row else {
            return Ok(None);
        };
        let place = sealed_place("callback_addresses", id);
        Ok(Some(Address {
            id: id.to_owned(),
            communication,
            uri: self.seal.open(&place, &sealed)?,
        }))
    }
}

impl Tx {
    /// Writes down where the events of one operation go.
    pub async fn insert_callback_address(
        &mut self,
        address: &Address,
        at: Timestamp,
    ) -> Result<()> {
        let place = sealed_place("callback_addresses", &address.id);
        let sealed = self.seal.seal(&place, address.uri.expose_secret())?;
        tx!(
            self,
            execute,
            sqlx::query(INSERT_ADDRESS)
                .bind(&address.id)
                .bind(&address.communication)
                .bind(&sealed)
                .bind(at.micros())
        )?;
        Ok(())
    }

    /// Forgets addresses of single operations that were asked for before `before`.
    pub async fn sweep_callback_addresses(&mut self, before: Timestamp) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(SWEEP_ADDRESSES).bind(before.micros())
        )?)
    }

    /// The legs of applications in a call that are not over, in the order they began.
    pub async fn open_connections(&mut self, call: &CallId) -> Result<Vec<Connection>> {
        let rows = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(OPEN).bind(call.as_str())
        )?;
        rows.into_iter()
            .map(|row| connection_of(&self.seal, row))
            .collect()
    }

    /// Writes a leg that begins.
    pub async fn insert_connection(&mut self, connection: &Connection) -> Result<()> {
        let place = sealed_place("call_connections", connection.id.as_str());
        let sealed = self
            .seal
            .seal(&place, connection.callback_uri.expose_secret())?;
        tx!(
            self,
            execute,
            sqlx::query(INSERT)
                .bind(connection.id.as_str())
                .bind(connection.call.as_str())
                .bind(&connection.communication)
                .bind(connection.member.as_str())
                .bind(connection.role.as_str())
                .bind(&connection.answered_by)
                .bind(&connection.context)
                .bind(&sealed)
                .bind(connection.created_at.micros())
        )?;
        Ok(())
    }

    /// Notes that a leg has got its last event.
    pub async fn close_connection(&mut self, id: &ConnectionId, at: Timestamp) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(CLOSE).bind(id.as_str()).bind(at.micros())
        )?;
        Ok(())
    }

    /// The invitations into a call whose outcome is not known yet.
    pub async fn invitations_of(&mut self, call: &CallId) -> Result<Vec<Invitation>> {
        let rows = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, InvitationRow>(INVITATIONS).bind(call.as_str())
        )?;
        rows.into_iter()
            .map(|row| invitation_of(&self.seal, row))
            .collect()
    }

    /// The transfers out of a call whose outcome is not known yet: who is handed over, and in which call it rings.
    pub async fn transfers_out_of(&mut self, call: &CallId) -> Result<Vec<(CallId, UserId)>> {
        let rows = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String, String)>(TRANSFERS).bind(call.as_str())
        )?;
        let both = |(call, user)| (CallId::new(call), UserId::new(user));
        Ok(rows.into_iter().map(both).collect())
    }

    /// Writes an invitation into a call.
    pub async fn insert_invitation(
        &mut self,
        call: &CallId,
        invitation: &Invitation,
        at: Timestamp,
    ) -> Result<()> {
        let place = sealed_place("call_invitations", invitation.id.as_str());
        let uri = invitation.operation.callback_uri.as_ref();
        let sealed = uri
            .map(|uri| self.seal.seal(&place, uri.expose_secret()))
            .transpose()?;
        let (transferee, from) = match &invitation.purpose {
            Purpose::Add => (None, None),
            Purpose::Transfer(transferee) => (Some(transferee), None),
            Purpose::TransferOut { transferee, from } => (Some(transferee), Some(from)),
        };
        tx!(
            self,
            execute,
            sqlx::query(INVITE)
                .bind(invitation.id.as_str())
                .bind(call.as_str())
                .bind(invitation.connection.as_str())
                .bind(transferee.map(UserId::as_str))
                .bind(from.map(CallId::as_str))
                .bind(invitation.participant.as_str())
                .bind(invitation.target.as_str())
                .bind(&invitation.operation.context)
                .bind(&sealed)
                .bind(at.micros())
        )?;
        Ok(())
    }

    /// Notes that somebody else rings for the invitations of `from`.
    pub async fn redirect_invitations(
        &mut self,
        call: &CallId,
        from: &UserId,
        to: &UserId,
    ) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(REDIRECT)
                .bind(call.as_str())
                .bind(from.as_str())
                .bind(to.as_str())
        )?;
        Ok(())
    }

    /// Forgets an invitation whose outcome is known.
    pub async fn settle_invitation(&mut self, id: &InvitationId) -> Result<()> {
        tx!(self, execute, sqlx::query(SETTLE).bind(id.as_str()))?;
        Ok(())
    }
}

fn connection_of(seal: &Seal, row: Row) -> Result<Connection> {
    let role = Role::parse(&row.role).ok_or_else(|| Error::BadRow {
        table: "call_connections",
        key: row.id.clone(),
        problem: format!("the role '{}' is unknown", row.role),
    })?;
    Ok(Connection {
        callback_uri: seal.open(
            &sealed_place("call_connections", &row.id),
            &row.callback_uri,
        )?,
        id: ConnectionId::new(row.id),
        call: CallId::new(row.call_id),
        communication: row.communication,
        member: UserId::new(row.member),
        role,
        answered_by: row.answered_by,
        context: row.context,
        created_at: Timestamp::from_micros(row.created_at),
        closed_at: row.closed_at.map(Timestamp::from_micros),
    })
}

fn invitation_of(seal: &Seal, row: InvitationRow) -> Result<Invitation> {
    let place = sealed_place("call_invitations", &row.id);
    let callback_uri: Option<SecretString> = row
        .callback_uri
        .map(|sealed| seal.open(&place, &sealed))
        .transpose()?;
    Ok(Invitation {
        id: InvitationId::new(row.id),
        connection: ConnectionId::new(row.connection_id),
        purpose: match (row.transferee.map(UserId::new), row.from_call_id) {
            (None, _) => Purpose::Add,
            (Some(transferee), None) => Purpose::Transfer(transferee),
            (Some(transferee), Some(from)) => Purpose::TransferOut {
                transferee,
                from: CallId::new(from),
            },
        },
        participant: UserId::new(row.participant),
        target: UserId::new(row.target),
        operation: Operation {
            context: row.context,
            callback_uri,
        },
    })
}

fn sealed_place(table: &str, id: &str) -> String {
    format!("{table}.callback_uri {id}")
}
