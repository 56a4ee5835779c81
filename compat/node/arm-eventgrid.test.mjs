// @azure/arm-eventgrid: topics, system topics, and event subscriptions with their handshakes and filters.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AzureKeyCredential, EventGridPublisherClient } from '@azure/eventgrid';
import { all, communication, eventgrid, makeTopic, names, poll, subscribe } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { env, eventually, group, unique, Webhook } from './support.mjs';

const subscriptions = eventgrid.eventSubscriptions;
const host = await FunctionsHost.start({
  heard: new Trigger('EventGridEvent'),
  changed: new Trigger('EventGridEvent'),
  filtered: new Trigger('EventGridEvent'),
  cloud: new Trigger('CloudEvent'),
});
const webhook = (endpointUrl, more = {}) => ({ destination: { endpointType: 'WebHook', endpointUrl, ...more } });
const refused = (status, code) => (error) => error.statusCode === status && (!code || error.code === code);

test('a topic is created, found, changed, gets new keys, and is deleted', async () => {
  const name = unique('js');
  const made = await eventgrid.topics.beginCreateOrUpdateAndWait(group, name, { location: 'global', tags: { team: 'a' } }, poll);
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.inputSchema, 'EventGridSchema');
  assert.match(made.endpoint, /^https:.*\/api\/events$/);
  assert.equal((await eventgrid.topics.get(group, name)).id, made.id);
  assert.ok((await names(eventgrid.topics.listByResourceGroup(group))).includes(name));
  assert.ok((await names(eventgrid.topics.listBySubscription())).includes(name));

  await eventgrid.topics.beginUpdateAndWait(group, name, { tags: { team: 'b' }, disableLocalAuth: true }, poll);
  const changed = await eventgrid.topics.get(group, name);
  assert.deepEqual([changed.tags, changed.disableLocalAuth], [{ team: 'b' }, true]);

  const keys = await eventgrid.topics.listSharedAccessKeys(group, name);
  const regenerated = await eventgrid.topics.beginRegenerateKeyAndWait(group, name, { keyName: 'key1' }, poll);
  assert.notEqual(regenerated.key1, keys.key1);
  assert.equal(regenerated.key2, keys.key2);

  await eventgrid.topics.beginDeleteAndWait(group, name, poll);
  await assert.rejects(eventgrid.topics.get(group, name), refused(404, 'ResourceNotFound'));
  await eventgrid.topics.beginDeleteAndWait(group, name, poll);
});

test('a system topic has the communication resource as its source, and subscriptions of its own', async () => {
  const name = unique('js');
  const topicType = 'Microsoft.Communication.CommunicationServices';
  const made = await eventgrid.systemTopics.beginCreateOrUpdateAndWait(
    group, name, { location: 'global', source: communication, topicType }, poll,
  );
  assert.equal(made.source.toLowerCase(), communication.toLowerCase());
  assert.equal(made.topicType.toLowerCase(), topicType.toLowerCase());
  assert.ok((await names(eventgrid.systemTopics.listByResourceGroup(group))).includes(name));
  const tagged = await eventgrid.systemTopics.beginUpdateAndWait(group, name, { tags: { team: 'a' } }, poll);
  assert.deepEqual(tagged.tags, { team: 'a' });

  const inside = eventgrid.systemTopicEventSubscriptions;
  await inside.beginCreateOrUpdateAndWait(group, name, 'calls', webhook(host.url('heard')), poll);
  assert.deepEqual(await names(inside.listBySystemTopic(group, name)), ['calls']);
  assert.equal((await inside.getFullUrl(group, name, 'calls')).endpointUrl, host.url('heard'));
  await inside.beginDeleteAndWait(group, name, 'calls', poll);
  await assert.rejects(inside.get(group, name, 'calls'), refused(404));
  await eventgrid.systemTopics.beginDeleteAndWait(group, name, poll);
});

test('topic types, their event types, and the operations are listed', async () => {
  const types = await all(eventgrid.topicTypes.list());
  assert.ok(types.some(({ name }) => name === 'Microsoft.EventGrid.Topics'));
  const type = types.find((one) => /Communication/i.test(one.name));
  assert.equal((await eventgrid.topicTypes.get(type.name)).name, type.name);
  const ofType = await names(eventgrid.topicTypes.listEventTypes(type.name));
  assert.ok(ofType.includes('Microsoft.Communication.IncomingCall'), ofType.join());
  const ofResource = await names(
    eventgrid.topics.listEventTypes(group, 'Microsoft.Communication', 'communicationServices', env.communication.name),
  );
  assert.ok(ofResource.includes('Microsoft.Communication.CallEnded'), ofResource.join());
  assert.ok((await names(eventgrid.operations.list())).some((name) => /eventSubscriptions/i.test(name)));
});

test('a subscription at the communication resource: created, read, listed, changed, deleted', async () => {
  const name = unique('js');
  const filter = {
    subjectBeginsWith: '/caller/',
    includedEventTypes: ['Microsoft.Communication.IncomingCall'],
    isSubjectCaseSensitive: false,
    enableAdvancedFilteringOnArrays: true,
    advancedFilters: [
      { operatorType: 'StringContains', key: 'data.to.rawId', values: ['8:acs:'] },
      { operatorType: 'NumberInRange', key: 'data.x', values: [[1, 2.5], [3, 4]] },
      { operatorType: 'BoolEquals', key: 'data.b', value: true },
      { operatorType: 'IsNotNull', key: 'data.n' },
    ],
  };
  const attributes = [
    { name: 'X-Static', type: 'Static', value: 'v1', isSecret: true },
    { name: 'X-Dynamic', type: 'Dynamic', sourceField: 'data.threadId' },
  ];
  const made = await subscriptions.beginCreateOrUpdateAndWait(communication, name, {
    ...webhook(host.url('heard'), { maxEventsPerBatch: 10, preferredBatchSizeInKilobytes: 32, deliveryAttributeMappings: attributes }),
    filter,
    labels: ['a'],
    retryPolicy: { maxDeliveryAttempts: 2, eventTimeToLiveInMinutes: 1 },
    expirationTimeUtc: new Date(Date.now() + 3600_000),
  }, poll);
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.topic.toLowerCase(), communication.toLowerCase());
  assert.equal(made.destination.endpointUrl, undefined);
  assert.equal(made.destination.endpointBaseUrl, host.url('heard').replace(/\?.*/, ''));
  assert.equal(made.destination.deliveryAttributeMappings[0].value ?? null, null);
  const sent = host.requests.find(({ headers }) => headers['aeg-subscription-name'] === name.toUpperCase());
  assert.equal(sent.headers['aeg-event-type'], 'SubscriptionValidation');

  const read = await subscriptions.get(communication, name);
  assert.deepEqual(read.filter.advancedFilters, filter.advancedFilters);
  assert.deepEqual(read.filter.includedEventTypes, filter.includedEventTypes);
  assert.deepEqual(read.retryPolicy, { maxDeliveryAttempts: 2, eventTimeToLiveInMinutes: 1 });
  assert.equal(read.eventDeliverySchema, 'EventGridSchema');
  assert.equal((await subscriptions.getFullUrl(communication, name)).endpointUrl, host.url('heard'));
  const { value } = await subscriptions.getDeliveryAttributes(communication, name);
  assert.deepEqual(value.map((one) => one.value ?? one.sourceField), ['v1', 'data.threadId']);

  const type = 'Microsoft.Communication.CommunicationServices';
  for (const pages of [
    subscriptions.listByResource(group, 'Microsoft.Communication', 'communicationServices', env.communication.name),
    subscriptions.listGlobalBySubscription(),
    subscriptions.listGlobalByResourceGroup(group),
    subscriptions.listGlobalBySubscriptionForTopicType(type),
    subscriptions.listGlobalByResourceGroupForTopicType(group, type),
  ]) {
    assert.ok((await names(pages)).includes(name));
  }

  const changed = await subscriptions.beginUpdateAndWait(communication, name, {
    ...webhook(host.url('changed')), labels: ['b'],
  }, poll);
  assert.deepEqual(changed.labels, ['b']);
  assert.equal((await subscriptions.getFullUrl(communication, name)).endpointUrl, host.url('changed'));

  await subscriptions.beginDeleteAndWait(communication, name, poll);
  await assert.rejects(subscriptions.get(communication, name), refused(404, 'ResourceNotFound'));
});

test('an endpoint that answers without the code is validated by a visit to the URL it was sent', async () => {
  const topic = await makeTopic();
  const receiver = await Webhook.create('manual');
  const poller = await subscriptions.beginCreateOrUpdate(topic.id, 'manual', webhook(receiver.url), poll);
  const [{ body }] = await receiver.requests();
  await eventually(async () =>
    assert.equal((await subscriptions.get(topic.id, 'manual')).provisioningState, 'AwaitingManualAction'));
  const visit = await fetch(body[0].data.validationUrl);
  assert.equal(visit.status, 200);
  assert.equal((await poller.pollUntilDone()).provisioningState, 'Succeeded');
  const wrong = await fetch(body[0].data.validationUrl.replace(/id=[^&]*/, 'id=00000000-0000-0000-0000-000000000000'));
  assert.equal(wrong.status, 400);
});

test('a CloudEvents endpoint consents to being called', async () => {
  const topic = await makeTopic();
  const made = await subscribe(topic.id, host.url('cloud'), { eventDeliverySchema: 'CloudEventSchemaV1_0' });
  assert.equal(made.provisioningState, 'Succeeded');
  const asked = host.requests.find(({ method, url }) => method === 'OPTIONS' && url.includes('functionName=cloud'));
  assert.equal(asked.headers['webhook-request-origin'], 'eventgrid.azure.net');
});

test('a CloudEvents endpoint may consent later, by the callback, and name a rate', async () => {
  const topic = await makeTopic();
  const receiver = await Webhook.create('manual');
  const poller = await subscriptions.beginCreateOrUpdate(topic.id, 'later', {
    ...webhook(receiver.url), eventDeliverySchema: 'CloudEventSchemaV1_0', labels: ['carillon:rate-limit=10/s'],
  }, poll);
  const [{ method, headers }] = await receiver.requests();
  assert.deepEqual([method, headers['webhook-request-rate']], ['OPTIONS', '600']);
  await eventually(async () =>
    assert.equal((await subscriptions.get(topic.id, 'later')).provisioningState, 'AwaitingManualAction'));
  const consent = await fetch(headers['webhook-request-callback'], { method: 'POST', headers: { 'webhook-allowed-rate': '600' } });
  assert.equal(consent.status, 200);
  assert.equal((await poller.pollUntilDone()).provisioningState, 'Succeeded');
});

test('a handshake that is not met fails the operation, and says why', async () => {
  const topic = await makeTopic();
  const failed = (error) => /url validation/i.test(error.message) && /handshake failed/i.test(error.message);
  const refuses = await Webhook.create('refuse');
  await Promise.all([
    assert.rejects(subscribe(topic.id, host.url('nobody')), failed, 'an unknown function'),
    assert.rejects(subscribe(topic.id, host.url('cloud')), failed, 'a function that wants CloudEvents'),
    assert.rejects(subscribe(topic.id, host.url('heard'), { eventDeliverySchema: 'CloudEventSchemaV1_0' }), failed, 'one that does not'),
    assert.rejects(subscribe(topic.id, refuses.url), failed, 'an endpoint that refuses'),
  ]);
});

test('what cannot be subscribed is refused with its reason', async () => {
  const create = (name, body, scope = communication) => subscriptions.beginCreateOrUpdateAndWait(scope, name, body, poll);
  const filters = Array.from({ length: 26 }, (_, n) => ({ operatorType: 'IsNotNull', key: `data.k${n}` }));
  const good = webhook(host.url('heard'));
  await assert.rejects(create('a', good), refused(400), 'a name that is too short');
  await assert.rejects(create(unique('js'), webhook('nonsense')), refused(400), 'no URL');
  await assert.rejects(create(unique('js'), webhook('http://192.168.0.1/')), refused(400), 'no https');
  await assert.rejects(create(unique('js'), { ...good, filter: { advancedFilters: filters } }), refused(400), '26 filters');
  await assert.rejects(create(unique('js'), { ...good, retryPolicy: { maxDeliveryAttempts: 31 } }), refused(400), '31 attempts');
  await assert.rejects(create(unique('js'), good, `${communication}-no`), refused(404), 'no such resource');
  await assert.rejects(create(unique('js'), { ...good, eventDeliverySchema: 'CustomInputSchema' }), refused(400), 'no custom schema');
});

test('every operator of advanced filters picks what it names', async () => {
  const topic = await makeTopic();
  const publisher = new EventGridPublisherClient(topic.endpoint, 'EventGrid', new AzureKeyCredential(topic.key1));
  const picks = [
    { operatorType: 'NumberIn', key: 'data.n', values: [1, 5] },
    { operatorType: 'NumberNotIn', key: 'data.n', values: [9] },
    { operatorType: 'NumberLessThan', key: 'data.n', value: 6 },
    { operatorType: 'NumberLessThanOrEquals', key: 'data.n', value: 5 },
    { operatorType: 'NumberGreaterThan', key: 'data.n', value: 4 },
    { operatorType: 'NumberGreaterThanOrEquals', key: 'data.n', value: 5 },
    { operatorType: 'NumberInRange', key: 'data.n', values: [[0, 1], [4, 6]] },
    { operatorType: 'NumberNotInRange', key: 'data.n', values: [[8, 9]] },
    { operatorType: 'BoolEquals', key: 'data.b', value: true },
    { operatorType: 'StringIn', key: 'data.s', values: ['HELLO'] },
    { operatorType: 'StringNotIn', key: 'data.s', values: ['bye'] },
    { operatorType: 'StringContains', key: 'data.s', values: ['ell'] },
    { operatorType: 'StringBeginsWith', key: 'data.s', values: ['he'] },
    { operatorType: 'StringEndsWith', key: 'data.s', values: ['lo'] },
    { operatorType: 'StringNotContains', key: 'data.s', values: ['y'] },
    { operatorType: 'StringNotBeginsWith', key: 'data.s', values: ['by'] },
    { operatorType: 'StringNotEndsWith', key: 'data.s', values: ['ye'] },
    { operatorType: 'IsNullOrUndefined', key: 'data.gone' },
    { operatorType: 'IsNotNull', key: 'data.here' },
  ];
  const about = (subject, data) => ({ subject, eventType: 'T', dataVersion: '1', data });
  // The handshake of the first is enough: one subscription is changed from filter to filter.
  const { name } = await subscribe(topic.id, host.url('filtered'));
  for (const filter of picks) {
    await subscriptions.beginUpdateAndWait(topic.id, name, { filter: { advancedFilters: [filter] } }, poll);
    await publisher.send([
      about('refused', { n: /Greater/.test(filter.operatorType) ? 0 : 9, b: false, s: 'bye', gone: 1 }),
      about(filter.operatorType, { n: 5, b: true, s: 'hello', here: 1 }),
    ]);
    assert.equal((await host.functions.filtered.next())?.event.subject, filter.operatorType);
  }
  assert.equal(await host.functions.filtered.next(0.3), undefined);
});
