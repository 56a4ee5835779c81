// @azure/arm-communication: the life of a communication resource.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CommunicationServiceManagementClient } from '@azure/arm-communication';
import { CommunicationIdentityClient } from '@azure/communication-identity';
import { arm, credential, env, group, unique } from './support.mjs';

const connect = (options = {}) =>
  new CommunicationServiceManagementClient(credential, env.subscription_id, { endpoint: env.base_url, ...options });
const client = connect();
const services = client.communicationServices;
const name = unique('js');
const refused = (code, status = 400) => (error) => error.code === code && error.statusCode === status;

const all = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

before(async () => {
  const made = await services.beginCreateOrUpdateAndWait(group, name, {
    location: 'global',
    dataLocation: 'United States',
    tags: { team: 'a' },
  });
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.dataLocation, 'United States');
  assert.ok(made.hostName && made.immutableResourceId);
});

after(async () => {
  await services.beginDeleteAndWait(group, name);
  await assert.rejects(services.get(group, name), refused('ResourceNotFound', 404));
  await services.beginDeleteAndWait(group, name);
});

test('it is found by name and in both lists', async () => {
  const resource = await services.get(group, name);
  assert.equal(resource.name, name);
  assert.deepEqual(resource.tags, { team: 'a' });
  for (const list of [services.listByResourceGroup(group), services.listBySubscription()]) {
    assert.ok((await all(list)).some((one) => one.name === name));
  }
});

test('its tags change and it stays where it is', async () => {
  const changed = await services.update(group, name, { tags: { team: 'b' } });
  assert.deepEqual(changed.tags, { team: 'b' });
  assert.equal(changed.dataLocation, 'United States');
  await services.update(group, name, { tags: { team: 'a' } });
});

test('names are available or taken', async () => {
  const type = 'Microsoft.Communication/CommunicationServices';
  const taken = await services.checkNameAvailability({ name, type });
  assert.equal(taken.nameAvailable, false);
  assert.equal(taken.reason, 'AlreadyExists');
  const free = await services.checkNameAvailability({ name: unique('free'), type });
  assert.equal(free.nameAvailable, true);
});

test('a regenerated key stops the old one and leaves the other', async () => {
  const keys = await services.listKeys(group, name);
  await new CommunicationIdentityClient(keys.primaryConnectionString).createUser();
  const regenerated = await services.regenerateKey(group, name, { keyType: 'Primary' });
  assert.notEqual(regenerated.primaryKey, keys.primaryKey);
  const after = await services.listKeys(group, name);
  assert.equal(after.primaryKey, regenerated.primaryKey);
  assert.equal(after.secondaryKey, keys.secondaryKey);
  const old = new CommunicationIdentityClient(keys.primaryConnectionString);
  await assert.rejects(old.createUser(), (error) => error.statusCode === 401);
  await new CommunicationIdentityClient(after.primaryConnectionString).createUser();
});

test('the operations are listed', async () => {
  const names = (await all(client.operations.list())).map((operation) => operation.name);
  assert.ok(names.some((one) => /linkNotificationHub/i.test(one)), names.join());
});

test('the version of 2020 works as well', async () => {
  const old = connect({ apiVersion: '2020-08-20-preview' });
  assert.equal((await old.communicationServices.get(group, name)).name, name);
});

test('what does not exist is ResourceNotFound, and so is its group', async () => {
  await assert.rejects(services.get(group, unique('no')), refused('ResourceNotFound', 404));
  const nowhere = services.beginCreateOrUpdateAndWait(unique('nowhere'), name, { location: 'global', dataLocation: 'Europe' });
  await assert.rejects(nowhere, refused('ResourceGroupNotFound', 404));
});

const link = (parameters, target = name) =>
  services.linkNotificationHub(group, target, { linkNotificationHubParameters: parameters });
const send = () => env.hub.connection_strings.send;
const resourceId = env.hub.resource_id;

test('a hub is linked, and the resource names it', async () => {
  const linked = await link({ connectionString: send(), resourceId });
  assert.equal(linked.resourceId, resourceId);
  assert.equal((await services.get(group, name)).notificationHubId, resourceId);
  await link({ connectionString: env.hub.connection_strings.full, resourceId });
});

test('each rule of linking has its code', async () => {
  const good = { connectionString: send(), resourceId };
  const wrong = (change) => link({ ...good, ...change });
  await assert.rejects(link(good, unique('no')), refused('ResourceNotFound', 404));
  await assert.rejects(wrong({ resourceId: '/subscriptions/here' }), refused('InvalidResourceId'));
  const elsewhere = resourceId.replace(env.subscription_id, '11111111-2222-3333-4444-555555555555');
  await assert.rejects(wrong({ resourceId: elsewhere }), (error) => {
    assert.equal(error.message, 'The notification hub must be in the same subscription as the communication service');
    return refused('WrongSubscription')(error);
  });
  for (const broken of [
    'nonsense',
    send().replace(/SharedAccessKeyName=[^;]*;?/, ''),
    send().replace(/SharedAccessKey=[^;]*/, 'SharedAccessKey=AAAA'),
    env.hub.connection_strings.listen,
  ]) {
    await assert.rejects(wrong({ connectionString: broken }), refused('InvalidConnectionString'), broken);
  }
  await assert.rejects(wrong({ resourceId: `${resourceId}-no` }), refused('InvalidConnectionString'));
});

test('a hub with an APNs certificate is refused with the reason', async () => {
  const namespace = env.hub.resource_id.replace(/\/notificationHubs\/.*/i, '');
  const hub = `${namespace}/notificationHubs/${unique('cert')}`;
  const version = '?api-version=2023-09-01';
  await arm('PUT', hub + version, {
    location: 'global',
    properties: {
      apnsCredential: {
        properties: { apnsCertificate: 'MIIK', certificateKey: 'x', endpoint: 'gateway.push.apple.com' },
      },
    },
  });
  const keys = await arm('POST', `${hub}/authorizationRules/DefaultFullSharedAccessSignature/listKeys${version}`);
  await assert.rejects(
    link({ connectionString: keys.primaryConnectionString, resourceId: hub }),
    refused('UnsupportedApnsAuthenticationMode'),
  );
  await arm('DELETE', hub + version);
});

test('unlinking is Carillon\'s own, and cannot be done twice', async () => {
  const path = `/subscriptions/${env.subscription_id}/resourceGroups/${group}/providers/Microsoft.Communication`
    + `/communicationServices/${name}/unlinkNotificationHub?api-version=2025-09-01`;
  await link({ connectionString: send(), resourceId });
  assert.equal((await arm('POST', path)).resourceId, resourceId);
  await assert.rejects(arm('POST', path), /409 .*NotLinked/);
});
