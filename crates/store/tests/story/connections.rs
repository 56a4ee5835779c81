//! Chapter: applications' legs of calls, and what they asked for.

use domain::connection::{Address, Connection, Invitation, Operation, Purpose, Role};
use domain::id::{CallId, ConnectionId, InvitationId};
use domain::identity::UserId;
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use store::Store;

const NOW: Timestamp = Timestamp::from_secs(1000);

fn user(name: &str) -> UserId {
    UserId::new(format!("8:acs:r_{name}"))
}

fn connection(id: &str, role: Role) -> Connection {
    Connection {
        id: ConnectionId::new(id),
        call: CallId::new("c1"),
        communication: "/subscriptions/s/comm".into(),
        member: user("a"),
        role,
        answered_by: (role == Role::Answered).then(|| "8:acs:r_b".to_owned()),
        context: Some("op".into()),
        callback_uri: "https://app.example.test/cb?key=secret".into(),
        created_at: NOW,
        closed_at: None,
    }
}

/// A connection holds secrets, so it is compared as it is shown, and the secret apart.
fn same(one: &Connection, other: &Connection) -> bool {
    format!("{one:?}") == format!("{other:?}")
        && one.callback_uri.expose_secret() == other.callback_uri.expose_secret()
}

pub async fn chapter(store: &Store) {
    let call = CallId::new("c1");
    let connections = [
        connection("cc1", Role::Created),
        connection("cc2", Role::Answered),
        connection("cc3", Role::Connected),
    ];
    let mut tx = store.begin().await.unwrap();
    for connection in &connections {
        tx.insert_connection(connection).await.unwrap();
    }
    let open = tx.open_connections(&call).await.unwrap();
    assert_eq!(open.len(), 3);
    assert!(open.iter().zip(&connections).all(|(a, b)| same(a, b)));
    let over = ConnectionId::new("cc1");
    tx.close_connection(&over, NOW).await.unwrap();
    assert_eq!(tx.open_connections(&call).await.unwrap().len(), 2);
    tx.commit().await.unwrap();
    let read = store.connection(&over).await.unwrap().unwrap();
    let mut closed = connections[0].clone();
    closed.closed_at = Some(NOW);
    assert!(same(&read, &closed), "it is known for good");
    let unknown = ConnectionId::new("x");
    assert!(store.connection(&unknown).await.unwrap().is_none());
    let address = store.callback_address("cc1").await.unwrap().unwrap();
    let uri = address.uri.expose_secret();
    assert_eq!(uri, "https://app.example.test/cb?key=secret");
    invitations(store, &call).await;
    addresses(store).await;
}

async fn addresses(store: &Store) {
    let address = Address {
        id: "a1".into(),
        communication: "/subscriptions/s/comm".into(),
        uri: "https://app.example.test/other".into(),
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_callback_address(&address, NOW).await.unwrap();
    tx.commit().await.unwrap();
    let read = store.callback_address("a1").await.unwrap().unwrap();
    assert_eq!(read.communication, address.communication);
    assert_eq!(read.uri.expose_secret(), address.uri.expose_secret());
    assert!(store.callback_address("a2").await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.sweep_callback_addresses(NOW).await.unwrap(), 0);
    let later = Timestamp::from_secs(1001);
    assert_eq!(tx.sweep_callback_addresses(later).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(store.callback_address("a1").await.unwrap().is_none());
}

async fn invitations(store: &Store, call: &CallId) {
    let invitation = |id: &str, purpose, uri: Option<&str>| Invitation {
        id: InvitationId::new(id),
        connection: ConnectionId::new("cc1"),
        purpose,
        participant: user("d"),
        target: user("d"),
        operation: Operation {
            context: None,
            callback_uri: uri.map(Into::into),
        },
    };
    let add = invitation("i1", Purpose::Add, Some("https://app.example.test/other"));
    let transfer = invitation("i2", Purpose::Transfer(user("b")), None);
    let mut tx = store.begin().await.unwrap();
    for one in [&add, &transfer] {
        tx.insert_invitation(call, one, NOW).await.unwrap();
    }
    tx.redirect_invitations(call, &user("d"), &user("e"))
        .await
        .unwrap();
    let out = Purpose::TransferOut {
        transferee: user("b"),
        from: CallId::new("c0"),
    };
    let out = invitation("i3", out, None);
    tx.insert_invitation(call, &out, NOW).await.unwrap();
    let transfers = tx.transfers_out_of(&CallId::new("c0")).await.unwrap();
    assert_eq!(transfers, [(call.clone(), user("b"))]);
    assert!(tx.transfers_out_of(call).await.unwrap().is_empty());
    let read = tx.invitations_of(call).await.unwrap();
    let purposes = read.into_iter().map(|one| one.purpose).collect::<Vec<_>>();
    assert_eq!(
        purposes,
        [&add, &transfer, &out].map(|one| one.purpose.clone())
    );
    for settled in [&transfer, &out] {
        tx.settle_invitation(&settled.id).await.unwrap();
    }
    let left = tx.invitations_of(call).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (&left[0].participant, &left[0].target),
        (&user("d"), &user("e"))
    );
    let uri = left[0].operation.callback_uri.as_ref().unwrap();
    assert_eq!(uri.expose_secret(), "https://app.example.test/other");
    tx.commit().await.unwrap();
}
