// firebase-admin's send(), which knows one host name only, against the lab's FCM under that name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cert, initializeApp } from 'firebase-admin/app';
import { getMessaging } from 'firebase-admin/messaging';
import { env, Phone } from '../support.mjs';

const { fcm } = await (await fetch(`${env.lab.control_url}/credentials`)).json();
const messaging = getMessaging(initializeApp({ credential: cert(fcm) }));

test('a message is delivered', async () => {
  const phone = await Phone.create('fcm');
  const name = await messaging.send({ token: phone.token, data: { k: 'v' }, android: { priority: 'high' } });
  assert.match(name, new RegExp(`^projects/${fcm.project_id}/messages/`));
  const { payload } = await phone.next();
  assert.equal(payload.data.k, 'v');
});

test('a phone that is gone is registration-token-not-registered', async () => {
  const phone = await Phone.create('fcm');
  await phone.request('PATCH', `/devices/${phone.id}`, { state: 'unregistered' });
  await assert.rejects(
    messaging.send({ token: phone.token, data: { k: 'v' } }),
    (error) => error.code === 'messaging/registration-token-not-registered',
  );
});

test('a token of nobody is invalid', async () => {
  await assert.rejects(
    messaging.send({ token: 'nobody', data: { k: 'v' } }),
    (error) => /invalid-argument|not-registered|invalid-registration/.test(error.code),
  );
});
