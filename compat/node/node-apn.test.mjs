// @parse/node-apn, which senders of pushes use, against the lab's APNs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import apn from '@parse/node-apn';
import { env, Phone } from './support.mjs';

const { apns } = await (await fetch(`${env.lab.control_url}/credentials`)).json();
const address = new URL(env.lab.apns_url);

const provider = (key = apns.p8) =>
  new apn.Provider({
    token: { key, keyId: apns.keyId, teamId: apns.teamId },
    address: address.hostname,
    port: Number(address.port),
    ca: readFileSync(env.ca_file),
    production: true,
    connectionRetryLimit: 1,
  });
const sender = provider();
after(() => sender.shutdown());

const alert = (topic = 'com.example.app') => {
  const notification = new apn.Notification();
  Object.assign(notification, { topic, alert: 'hello', pushType: 'alert' });
  return notification;
};

test('an alert is delivered', async () => {
  const phone = await Phone.create('apns', { kind: 'alert' });
  const result = await sender.send(alert(), phone.token);
  assert.deepEqual(result.failed, []);
  assert.equal(result.sent[0].device, phone.token);
  assert.equal((await phone.next()).payload.aps.alert, 'hello');
});

test('a dead phone is 410 Unregistered with a time', async () => {
  const phone = await Phone.create('apns', { kind: 'alert' });
  await phone.request('PATCH', `/devices/${phone.id}`, { state: 'unregistered' });
  const { failed } = await sender.send(alert(), phone.token);
  assert.equal(failed[0].status, 410);
  assert.equal(failed[0].response.reason, 'Unregistered');
  assert.ok(failed[0].response.timestamp > 0);
});

test('a token of nobody, and a topic of another app, are told apart', async () => {
  const nobody = await sender.send(alert(), 'ab'.repeat(32));
  assert.equal(nobody.failed[0].response.reason, 'BadDeviceToken');
  const phone = await Phone.create('apns', { kind: 'alert' });
  const other = await sender.send(alert('com.example.other'), phone.token);
  assert.ok(['DeviceTokenNotForTopic', 'TopicDisallowed', 'BadTopic'].includes(other.failed[0].response.reason));
});

test('fifty pushes at once over one connection', async () => {
  const phones = await Promise.all(Array.from({ length: 50 }, () => Phone.create('apns', { kind: 'alert' })));
  const result = await sender.send(alert(), phones.map((phone) => phone.token));
  assert.equal(result.sent.length, 50, JSON.stringify(result.failed));
});
