"""aioapns and firebase-admin, which know one host name each, against the lab under those names."""

import asyncio

import firebase_admin
import pytest
from aioapns import APNs, NotificationRequest, PushType
from firebase_admin import messaging

from support import Phone, lab_credentials

APNS, FCM = (lab_credentials()[name] for name in ("apns", "fcm"))


firebase_admin.initialize_app(firebase_admin.credentials.Certificate(FCM))


def aioapns_send(token):
    """aioapns speaks HTTP/2 without having negotiated it: it sends no ALPN."""

    async def send():
        client = APNs(
            key=APNS["p8"], key_id=APNS["keyId"], team_id=APNS["teamId"], topic="com.example.app", max_connections=1
        )
        return await client.send_notification(
            NotificationRequest(
                device_token=token, message={"aps": {"alert": "hello"}}, push_type=PushType.ALERT
            )
        )

    return asyncio.run(asyncio.wait_for(send(), 30))


def test_aioapns_delivers_an_alert():
    phone = Phone("apns")
    assert aioapns_send(phone.token).is_successful
    assert phone.next()["payload"]["aps"]["alert"] == "hello"


def test_aioapns_is_told_of_a_dead_phone():
    phone = Phone("apns")
    phone.change(state="unregistered")
    result = aioapns_send(phone.token)
    assert (result.status, result.description) == ("410", "Unregistered")


def test_firebase_admin_delivers_a_message():
    phone = Phone("fcm")
    name = messaging.send(messaging.Message(token=phone.token, data={"k": "v"}))
    assert name.startswith(f"projects/{FCM['project_id']}/messages/")
    assert phone.next()["payload"]["data"] == {"k": "v"}


def test_firebase_admin_is_told_of_a_dead_phone():
    phone = Phone("fcm")
    phone.change(state="unregistered")
    with pytest.raises(messaging.UnregisteredError):
        messaging.send(messaging.Message(token=phone.token, data={"k": "v"}))


def test_firebase_admin_delivers_asynchronously():
    phone = Phone("fcm")
    sent = asyncio.run(messaging.send_each_async([messaging.Message(token=phone.token, data={"k": "v"})]))
    assert sent.success_count == 1, sent.responses[0].exception
    assert phone.next()["payload"]["data"] == {"k": "v"}
