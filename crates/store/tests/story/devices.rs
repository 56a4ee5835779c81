//! Chapter: device registrations.

use domain::device::{Crypto, Device, Health, Transport, TransportKind, Verdict};
use domain::id::RegistrationId;
use domain::identity::UserId;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use store::{MAX_DEVICES, Store};

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn transport(kind: TransportKind, path: &str, registered: i64) -> Transport {
    Transport {
        kind,
        path: path.into(),
        context: "ctx".into(),
        registered_at: at(registered),
        expires_at: at(registered + 300),
        health: Health::Good,
    }
}

fn device(user: &str, id: &str, transports: Vec<Transport>) -> Device {
    Device {
        user: UserId::new(user),
        id: RegistrationId::new(id),
        app_id: "AcsIos".into(),
        platform: "iOS".into(),
        template_key: "AcsIos.AcsNotify_Chat_3.0".into(),
        crypto: Some(Crypto {
            aes_key: SecretString::from("YQ=="),
            auth_key: SecretString::from("Yg=="),
            method: "0x70".into(),
        }),
        transports,
    }
}

async fn put(store: &Store, device: &Device) {
    let mut tx = store.begin().await.unwrap();
    tx.put_device(device).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn chapter(store: &Store) {
    let phone = device(
        "8:acs:r_d",
        "phone",
        vec![
            transport(TransportKind::Apns, "aa", 100),
            transport(TransportKind::Trouter, "/v4/f/x", 100),
        ],
    );
    let tablet = device(
        "8:acs:r_d",
        "tablet",
        vec![transport(TransportKind::Apns, "bb", 100)],
    );
    put(store, &phone).await;
    put(store, &tablet).await;
    let devices = store.devices_of(&phone.user).await.unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[0].transports, phone.transports);
    let crypto = devices[0].crypto.as_ref().unwrap();
    assert_eq!(crypto.auth_key.expose_secret(), "Yg==");

    // A renewal replaces: the token that is no longer named is gone.
    let renewed = device(
        "8:acs:r_d",
        "phone",
        vec![transport(TransportKind::Apns, "cc", 200)],
    );
    put(store, &renewed).await;
    let devices = store.devices_of(&phone.user).await.unwrap();
    assert_eq!(devices[0].transports, renewed.transports);

    judged_only_if_older(store, &renewed).await;

    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.sweep_devices(at(400)).await.unwrap(), 1);
    assert!(tx.delete_device(&renewed.user, &renewed.id).await.unwrap());
    assert!(!tx.delete_device(&renewed.user, &renewed.id).await.unwrap());
    tx.commit().await.unwrap();
    assert!(store.devices_of(&phone.user).await.unwrap().is_empty());

    the_oldest_makes_room(store).await;
    the_longest_names_fit(store).await;
}

async fn judged_only_if_older(store: &Store, device: &Device) {
    for (before, concerned) in [(200, 0), (201, 1)] {
        let verdict = Verdict {
            health: Health::Dead("Unregistered".into()),
            registered_before: at(before),
        };
        let mut tx = store.begin().await.unwrap();
        let count = tx.judge_device(&device.user, &device.id, &verdict).await;
        assert_eq!(count.unwrap(), concerned);
        tx.commit().await.unwrap();
    }
    let devices = store.devices_of(&device.user).await.unwrap();
    let health = &devices[0].transports[0].health;
    assert_eq!(health, &Health::Dead("Unregistered".into()));
    assert_eq!(devices[1].transports[0].health, Health::Good);
}

/// As long as `wire::trouter::registrar` lets them be, and nothing in them that could be compressed: PostgreSQL has a
/// bound for keys.
async fn the_longest_names_fit(store: &Store) {
    let chance = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let path: String = (0..2000)
        .map(|n| char::from(b'!' + (chance(n) % 94) as u8))
        .collect();
    let id: String = (0..128)
        .filter_map(|n| char::from_u32(0x2_0000 + (chance(n) % 0x8000) as u32))
        .collect();
    let part = "0123456789abcdef".repeat(4);
    let transports = vec![transport(TransportKind::Trouter, &path, 100)];
    let device = device(&format!("8:acs:{part}_{part}"), &id, transports);
    put(store, &device).await;
    let held = store.devices_of(&device.user).await.unwrap();
    assert_eq!(held[0].transports[0].path, path);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.delete_devices_of(&device.user).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn the_oldest_makes_room(store: &Store) {
    for n in 0..=MAX_DEVICES {
        let transports = vec![transport(TransportKind::Fcm, "t", 1000 + n)];
        put(store, &device("8:acs:r_many", &format!("d{n}"), transports)).await;
    }
    let user = UserId::new("8:acs:r_many");
    let devices = store.devices_of(&user).await.unwrap();
    assert_eq!(devices.len(), usize::try_from(MAX_DEVICES).unwrap());
    assert!(devices.iter().all(|device| device.id.as_str() != "d0"));
    let mut tx = store.begin().await.unwrap();
    let count = tx.delete_devices_of(&user).await.unwrap();
    assert_eq!(count, u64::try_from(MAX_DEVICES).unwrap());
    tx.commit().await.unwrap();
}
