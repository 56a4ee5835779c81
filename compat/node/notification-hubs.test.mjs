// @azure/notification-hubs: direct send, batch, telemetry.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NotificationHubsClient,
  createAppleNotification,
  createFcmV1Notification,
} from '@azure/notification-hubs';
import { env, Phone } from './support.mjs';

const client = new NotificationHubsClient(env.hub.connection_strings.full, env.hub.name);
const alert = (text) =>
  createAppleNotification({
    body: { aps: { alert: text } },
    headers: { 'apns-push-type': 'alert', 'apns-priority': '10' },
  });

// Telemetry once every delivery has ended.
async function completed(id) {
  for (const end = Date.now() + 10_000; ; ) {
    const details = await client.getNotificationOutcomeDetails(id);
    if (details.state === 'Completed' || Date.now() > end) return details;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('a direct send reaches an iPhone', async () => {
  const phone = await Phone.create('apns', { kind: 'alert' });
  const sent = await client.sendNotification(alert('hello'), { deviceHandle: phone.token });
  const { payload, headers, outcome } = await phone.next();
  assert.equal(payload.aps.alert, 'hello');
  assert.equal(headers['apns-push-type'], 'alert');
  assert.equal(outcome, 'delivered');

  const details = await completed(sent.notificationId);
  assert.equal(details.notificationId, sent.notificationId);
  assert.equal(details.state, 'Completed');
  assert.match(details.targetPlatforms, /apple/i);
  assert.deepEqual(details.apnsOutcomeCounts, [{ state: 'Success', count: 1 }]);
});

test('a direct send reaches an Android phone', async () => {
  const phone = await Phone.create('fcm');
  const notification = createFcmV1Notification({
    body: { message: { android: { priority: 'HIGH', data: { k: 'v' } } } },
  });
  const sent = await client.sendNotification(notification, { deviceHandle: phone.token });
  const { payload } = await phone.next();
  assert.equal(payload.token, phone.token);
  assert.equal(payload.android.data.k, 'v');
  const details = await completed(sent.notificationId);
  assert.deepEqual(details.fcmV1OutcomeCounts, [{ state: 'Success', count: 1 }]);
});

test('a batch reaches every phone, and telemetry counts them', async () => {
  const phones = await Promise.all([1, 2, 3].map(() => Phone.create('apns', { kind: 'alert' })));
  const handles = [...phones.map((phone) => phone.token), '0'.repeat(64)];
  const sent = await client.sendNotification(alert('to all'), { deviceHandle: handles });
  assert.notEqual(sent.notificationId, '$batch');
  for (const phone of phones) assert.equal((await phone.next()).payload.aps.alert, 'to all');
  const details = await completed(sent.notificationId);
  const counts = Object.fromEntries(details.apnsOutcomeCounts.map(({ state, count }) => [state, count]));
  assert.equal(counts.Success, 3);
  assert.equal(Object.values(counts).reduce((sum, count) => sum + count), 4, JSON.stringify(counts));
});

test('what happened to each device is told', async () => {
  const [alive, dead] = await Promise.all([1, 2].map(() => Phone.create('apns', { kind: 'alert' })));
  await dead.request('PATCH', `/devices/${dead.id}`, { state: 'unregistered' });
  const sent = await client.sendNotification(alert('who is there'), { deviceHandle: [alive.token, dead.token] });
  const details = await completed(sent.notificationId);
  const counts = Object.fromEntries(details.apnsOutcomeCounts.map(({ state, count }) => [state, count]));
  assert.deepEqual(counts, { Success: 1, ExpiredChannel: 1 });
});

test('a wrong key is 401, a Listen key 403, an unknown hub 404', async () => {
  const phone = '00'.repeat(32);
  const status = (expected) => (error) => error.statusCode === expected;
  const full = env.hub.connection_strings.full;
  const wrong = new NotificationHubsClient(full.replace(/SharedAccessKey=.*/, 'SharedAccessKey=AAAA'), env.hub.name);
  await assert.rejects(wrong.sendNotification(alert('x'), { deviceHandle: phone }), status(401));
  const listen = new NotificationHubsClient(env.hub.connection_strings.listen, env.hub.name);
  await assert.rejects(listen.sendNotification(alert('x'), { deviceHandle: phone }), status(403));
  const nowhere = new NotificationHubsClient(full, 'no-such-hub');
  await assert.rejects(nowhere.sendNotification(alert('x'), { deviceHandle: phone }), (error) => {
    assert.ok([401, 404].includes(error.statusCode), `${error.statusCode}`);
    return true;
  });
});

test('an unknown notification is 404', async () => {
  await assert.rejects(client.getNotificationOutcomeDetails('NH-nothing'), (error) => error.statusCode === 404);
});
