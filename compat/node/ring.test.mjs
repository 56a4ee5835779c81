// The whole of it, with the official clients: users, phones, a linked hub, a call, and both phones ring.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { CommunicationServiceManagementClient } from '@azure/arm-communication';
import { CommunicationIdentityClient } from '@azure/communication-identity';
import { arm, asUser, credential, env, group, Phone, register, unique } from './support.mjs';

const identity = new CommunicationIdentityClient(env.communication.connection_string);
const services = new CommunicationServiceManagementClient(credential, env.subscription_id, { endpoint: env.base_url })
  .communicationServices;
const comm = env.communication.name;
const link = (connectionString, resourceId = env.hub.resource_id) =>
  services.linkNotificationHub(group, comm, { linkNotificationHubParameters: { connectionString, resourceId } });

// A rule of this scenario's own: its keys are regenerated.
const rule = `${env.hub.resource_id}/authorizationRules/${unique('ring')}`;
const version = '?api-version=2023-09-01';

let alice, bob, phones, keys;

const call = async (options = {}) => {
  const targets = [{ communicationUser: { id: bob.user.communicationUserId } }];
  const answer = await asUser(alice.token, 'POST', '/calling/calls', { targets, displayName: 'Alice', ...options });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
};

// What tells a phone of this call, past whatever earlier calls still had to say.
const about = async (phone, id) => {
  for (let push = await phone.next(); push; push = await phone.next()) {
    const data = phone.platform === 'fcm' ? push.payload.data : push.payload.data ?? push.payload;
    if (data.callId === id) return { ...push, data };
  }
  assert.fail(`the ${phone.platform} phone heard nothing of call ${id}`);
};

const bothRing = async () => {
  const placed = await call();
  for (const phone of phones) {
    const { data } = await about(phone, placed.id);
    assert.equal(data.event ?? 'IncomingCall', 'IncomingCall');
  }
  await asUser(alice.token, 'POST', `/calling/calls/${placed.id}:hangUp`);
};

before(async () => {
  await arm('PUT', rule + version, { properties: { rights: ['Send'] } });
  keys = await arm('POST', `${rule}/listKeys${version}`);
  alice = await identity.createUserAndToken(['voip']);
  bob = await identity.createUserAndToken(['voip']);
  phones = await Promise.all(['apns', 'fcm'].map((platform) => Phone.create(platform)));
  for (const phone of phones) await register(bob.token, phone);
});

test('both phones ring, as each platform wants it', async () => {
  await link(keys.primaryConnectionString);
  const placed = await call({ video: true });
  const [iphone, android] = phones;

  const voip = await about(iphone, placed.id);
  assert.equal(voip.headers['apns-push-type'], 'voip');
  assert.equal(voip.headers['apns-topic'], 'com.example.app.voip');
  assert.equal(voip.headers['apns-priority'], '10');
  assert.deepEqual(voip.payload.aps, {});
  assert.equal(voip.data.eventId, 107);
  assert.equal(voip.data.displayName, 'Alice');
  assert.equal(voip.data.callerId, alice.user.communicationUserId);
  assert.equal(voip.data.recipientId, bob.user.communicationUserId);
  assert.equal(voip.data.videoCall, 'true');

  const message = await about(android, placed.id);
  assert.equal(message.data.eventId, '107');
  assert.equal(message.payload.notification, undefined);
  assert.match(message.payload.android.priority, /high/i);

  const accepted = await asUser(bob.token, 'POST', `/calling/calls/${placed.id}:accept`);
  assert.equal(accepted.body.state, 'connected');
  const { body } = await asUser(alice.token, 'GET', `/calling/calls/${placed.id}/deliveries`);
  assert.ok(JSON.stringify(body).length > 20, JSON.stringify(body));
  const ended = await asUser(alice.token, 'POST', `/calling/calls/${placed.id}:hangUp`);
  assert.equal(ended.body.state, 'ended');
});

test('a caller who hangs up stops the ringing', async () => {
  const placed = await call();
  for (const phone of phones) await about(phone, placed.id);
  await asUser(alice.token, 'POST', `/calling/calls/${placed.id}:hangUp`);
  for (const phone of phones) assert.equal((await about(phone, placed.id)).data.event, 'StopRinging');
});

test('after the hub\'s keys are regenerated the next call rings through the new link', async () => {
  const regenerated = await arm('POST', `${rule}/regenerateKeys${version}`, { policyKey: 'PrimaryKey' });
  assert.notEqual(regenerated.primaryConnectionString, keys.primaryConnectionString);
  await assert.rejects(link(keys.primaryConnectionString), (error) => error.code === 'InvalidConnectionString');
  await link(regenerated.primaryConnectionString);
  await bothRing();
});

test('a hub on another Carillon rings the same phones', { skip: !process.env.COMPAT_REMOTE_DIR && 'no second server' }, async () => {
  const { readFileSync } = await import('node:fs');
  const remote = JSON.parse(readFileSync(`${process.env.COMPAT_REMOTE_DIR}/env.json`, 'utf8'));
  // The second server's hub pushes to this one's lab, where the phones are.
  const { apns, fcm } = await (await fetch(`${env.lab.control_url}/credentials`)).json();
  await arm('PUT', `${remote.hub.resource_id}?api-version=2023-10-01-preview`, {
    location: 'global',
    properties: {
      apnsCredential: {
        properties: {
          endpoint: `${env.lab.apns_url}/3/device`,
          keyId: apns.keyId,
          appId: apns.teamId,
          appName: apns.bundleId,
          token: apns.p8.replace(/-----[^-]+-----|\s/g, ''),
        },
      },
      fcmV1Credential: {
        properties: {
          clientEmail: fcm.client_email,
          privateKey: fcm.private_key,
          projectId: fcm.project_id,
          // Where Google is; these two are Carillon's own.
          endpoint: env.lab.fcm_url,
          tokenUri: env.lab.fcm_token_url,
        },
      },
    },
  }, remote);
  await link(remote.hub.connection_strings.send, remote.hub.resource_id);
  try {
    await bothRing();
    const { value } = await arm('GET', `/subscriptions/${env.subscription_id}/resourceGroups/${group}/providers`
      + '/Microsoft.Communication/communicationServices?api-version=2025-09-01');
    assert.equal(value.find((one) => one.name === comm).properties.notificationHubId, remote.hub.resource_id);
  } finally {
    await link(env.hub.connection_strings.full);
  }
});

test('a phone that is gone rings no more, and the others do', async () => {
  const lost = await Phone.create('apns');
  await register(bob.token, lost);
  await lost.request('PATCH', `/devices/${lost.id}`, { state: 'unregistered' });
  await bothRing();
  await bothRing();
});

test('a user without tokens has no phones', async () => {
  await identity.revokeTokens(bob.user);
  const placed = await call();
  for (const phone of phones) {
    for (let push = await phone.next(1); push; push = await phone.next(1)) {
      assert.ok(!JSON.stringify(push.payload).includes(placed.id), 'it rang');
    }
  }
  await asUser(alice.token, 'POST', `/calling/calls/${placed.id}:hangUp`);
});
