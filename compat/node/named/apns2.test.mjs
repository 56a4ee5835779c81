// apns2, a sender on undici's HTTP/2, which knows Apple's host names alone, against the lab under those names.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ApnsClient, Errors, Notification, SilentNotification } from 'apns2';
import { env, Phone } from '../support.mjs';

const { apns } = await (await fetch(`${env.lab.control_url}/credentials`)).json();
const client = new ApnsClient({ team: apns.teamId, keyId: apns.keyId, signingKey: apns.p8, defaultTopic: 'com.example.app' });
after(() => client.destroy());

const phone = () => Phone.create('apns', { kind: 'alert' });

test('an alert and a silent push are delivered', async () => {
  const reached = await phone();
  await client.send(new Notification(reached.token, { alert: 'hello' }));
  assert.equal((await reached.next()).payload.aps.alert, 'hello');
  await client.send(new SilentNotification(reached.token));
  const silent = await reached.next();
  assert.equal(silent.payload.aps['content-available'], 1);
  assert.equal(silent.headers['apns-push-type'], 'background');
});

test('many at once', async () => {
  const phones = await Promise.all(Array.from({ length: 20 }, phone));
  const results = await client.sendMany(phones.map(({ token }) => new Notification(token, { alert: 'hello' })));
  assert.deepEqual(results.filter((result) => result.error), []);
});

test('a dead phone is 410 Unregistered with a time', async () => {
  const gone = await phone();
  await gone.request('PATCH', `/devices/${gone.id}`, { state: 'unregistered' });
  await assert.rejects(client.send(new Notification(gone.token, { alert: 'hello' })), (error) => {
    assert.equal(error.statusCode, 410);
    assert.equal(error.reason, Errors.unregistered);
    return error.timestamp > 0;
  });
});
