// @azure/arm-notificationhubs: namespaces, hubs, rules and keys.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NotificationHubsManagementClient } from '@azure/arm-notificationhubs';
import { NotificationHubsClient, createAppleNotification } from '@azure/notification-hubs';
import { credential, env, group, unique } from './support.mjs';

const client = new NotificationHubsManagementClient(credential, env.subscription_id, { endpoint: env.base_url });
const namespace = unique('js');
const hub = 'rings';

const { apns } = await (await fetch(`${env.lab.control_url}/credentials`)).json();
const token = apns.p8.replace(/-----[^-]+-----|\s/g, '');
const apnsCredential = {
  endpoint: `${env.lab.apns_url}/3/device`,
  keyId: apns.keyId,
  appId: apns.teamId,
  appName: apns.bundleId,
  token,
};

const names = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one.name);
  return found;
};

before(async () => {
  const made = await client.namespaces.createOrUpdate(group, namespace, { location: 'global', sku: { name: 'Standard' } });
  assert.equal(made.name, namespace);
  const madeHub = await client.notificationHubs.createOrUpdate(group, namespace, hub, {
    location: 'global',
    apnsCredential,
  });
  assert.match(madeHub.name, new RegExp(`${hub}$`));
});

after(async () => {
  await client.namespaces.beginDeleteAndWait(group, namespace);
  await assert.rejects(client.namespaces.get(group, namespace), (error) => error.statusCode === 404);
});

test('names are available or taken', async () => {
  const sku = { name: 'Free' };
  const taken = await client.namespaces.checkAvailability({ name: namespace, sku });
  assert.equal(taken.isAvailiable, false);
  const free = await client.namespaces.checkAvailability({ name: unique('free'), sku });
  assert.equal(free.isAvailiable, true);
  const inside = await client.notificationHubs.checkNotificationHubAvailability(group, namespace, { name: hub });
  assert.equal(inside.isAvailiable, false);
});

test('namespaces and hubs are listed and changed', async () => {
  assert.ok((await names(client.namespaces.list(group))).includes(namespace));
  assert.ok((await names(client.namespaces.listAll())).includes(namespace));
  assert.equal((await names(client.notificationHubs.list(group, namespace))).length, 1);
  const patched = await client.namespaces.patch(group, namespace, { tags: { team: 'a' } });
  assert.deepEqual(patched.tags, { team: 'a' });
  const changed = await client.notificationHubs.patch(group, namespace, hub, { parameters: { tags: { team: 'b' } } });
  assert.deepEqual(changed.tags, { team: 'b' });
  assert.deepEqual((await client.notificationHubs.get(group, namespace, hub)).tags, { team: 'b' });
});

test('a new namespace and a new hub have their default rules', async () => {
  const ofNamespace = await names(client.namespaces.listAuthorizationRules(group, namespace));
  assert.ok(ofNamespace.includes('RootManageSharedAccessKey'), ofNamespace.join());
  const ofHub = await names(client.notificationHubs.listAuthorizationRules(group, namespace, hub));
  for (const rule of ['DefaultListenSharedAccessSignature', 'DefaultFullSharedAccessSignature']) {
    assert.ok(ofHub.includes(rule), ofHub.join());
  }
});

test('a send-only rule sends, and a regenerated key sends instead of the old one', async () => {
  const rules = client.notificationHubs;
  const rule = await rules.createOrUpdateAuthorizationRule(group, namespace, hub, 'send', {
    properties: { rights: ['Send'] },
  });
  assert.deepEqual(rule.rights, ['Send']);
  assert.deepEqual((await rules.getAuthorizationRule(group, namespace, hub, 'send')).rights, ['Send']);

  const keys = await rules.listKeys(group, namespace, hub, 'send');
  assert.equal(keys.keyName, 'send');
  assert.match(keys.primaryConnectionString, /^Endpoint=sb:\/\/[^;]+\/;SharedAccessKeyName=send;SharedAccessKey=[^;]+$/);
  const regenerated = await rules.regenerateKeys(group, namespace, hub, 'send', { policyKey: 'PrimaryKey' });
  assert.notEqual(regenerated.primaryKey, keys.primaryKey);
  assert.equal(regenerated.secondaryKey, keys.secondaryKey);

  const sendWith = (connectionString) =>
    new NotificationHubsClient(connectionString, hub).sendNotification(
      createAppleNotification({ body: { aps: { alert: 'hi' } }, headers: { 'apns-push-type': 'alert' } }),
      { deviceHandle: '00'.repeat(32) },
    );
  await assert.rejects(sendWith(keys.primaryConnectionString), (error) => error.statusCode === 401);
  assert.ok((await sendWith(regenerated.primaryConnectionString)).notificationId);

  await rules.deleteAuthorizationRule(group, namespace, hub, 'send');
  await assert.rejects(rules.getAuthorizationRule(group, namespace, hub, 'send'), (error) => error.statusCode === 404);
});

test('a namespace has rules and keys of its own', async () => {
  const rules = client.namespaces;
  await rules.createOrUpdateAuthorizationRule(group, namespace, 'reader', { properties: { rights: ['Listen'] } });
  const keys = await rules.listKeys(group, namespace, 'reader');
  const regenerated = await rules.regenerateKeys(group, namespace, 'reader', { policyKey: 'SecondaryKey' });
  assert.equal(regenerated.primaryKey, keys.primaryKey);
  assert.notEqual(regenerated.secondaryKey, keys.secondaryKey);
  await rules.deleteAuthorizationRule(group, namespace, 'reader');
});

test('a hub keeps its APNs credential', async () => {
  const kept = await client.notificationHubs.getPnsCredentials(group, namespace, hub);
  assert.deepEqual(
    { keyId: kept.apnsCredential.keyId, appName: kept.apnsCredential.appName, token: kept.apnsCredential.token },
    { keyId: apns.keyId, appName: apns.bundleId, token },
  );
});

test('the operations are listed', async () => {
  assert.ok((await names(client.operations.list())).length > 0);
});
