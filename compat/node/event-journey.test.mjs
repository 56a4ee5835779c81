// Events from end to end with both clients of Event Grid and a Functions host: what fails is tried again or dead-lettered,
// and what happens to a call arrives at its subscribers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommunicationIdentityClient } from '@azure/communication-identity';
import { AzureKeyCredential, EventGridDeserializer, EventGridPublisherClient, isSystemEvent } from '@azure/eventgrid';
import { communication, eventgrid, makeTopic, names, poll, subscribe } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { arm, asUser, env, eventually, group, Webhook } from './support.mjs';

const deserializer = new EventGridDeserializer();
const host = await FunctionsHost.start({
  orders: new Trigger('EventGridEvent'),
  hiccup: new Trigger('EventGridEvent', 1),
  calls: new Trigger('EventGridEvent'),
  cloudCalls: new Trigger('CloudEvent'),
});

const publish = (topic, ...events) =>
  new EventGridPublisherClient(topic.endpoint, 'EventGrid', new AzureKeyCredential(topic.key1))
    .send(events.map((event) => ({ eventType: 'Contoso.Order', dataVersion: '1', data: {}, ...event })));

test('a subscriber hears what its filter picks, with its headers, and nothing else', async () => {
  const topic = await makeTopic();
  await subscribe(topic.id, host.url('orders'), {
    destination: {
      deliveryAttributeMappings: [
        { name: 'X-Static', type: 'Static', value: 'v1' },
        { name: 'X-Shop', type: 'Dynamic', sourceField: 'data.shop' },
      ],
    },
    filter: { subjectBeginsWith: '/orders/', includedEventTypes: ['Contoso.Order'] },
  });
  await publish(
    topic,
    { subject: '/users/1' },
    { subject: '/orders/1', eventType: 'Contoso.Other' },
    { subject: '/ORDERS/2', data: { shop: 'Bonn' } },
  );
  const { event, headers } = await host.functions.orders.next();
  assert.equal(event.subject, '/ORDERS/2');
  assert.deepEqual([headers['x-static'], headers['x-shop']], ['v1', 'Bonn']);
  assert.equal(await host.functions.orders.next(0.3), undefined);
});

test('what fails once is tried again, as the same event', async () => {
  const topic = await makeTopic();
  await subscribe(topic.id, host.url('hiccup'));
  await publish(topic, { subject: '/orders/1' });
  const first = await host.functions.hiccup.next();
  const second = await host.functions.hiccup.next(40);
  assert.deepEqual([first.failed, second.failed], [true, false]);
  assert.equal(second.event.id, first.event.id);
  assert.deepEqual([first, second].map(({ headers }) => headers['aeg-delivery-count']), ['0', '1']);
});

test('what is refused for good is a dead letter, which is listed and sent again', async () => {
  const topic = await makeTopic();
  const receiver = await Webhook.create('code', [400, 200]);
  const { name } = await subscribe(topic.id, receiver.url);
  await publish(topic, { id: 'refused', subject: '/orders/1' });
  const subscription = `${topic.id}/providers/Microsoft.EventGrid/eventSubscriptions/${name}`;
  const version = '?api-version=2025-02-15';
  const dead = await eventually(async () => {
    const { value } = await arm('GET', `${subscription}/deadLetters${version}`);
    assert.equal(value.length, 1);
    return value[0];
  });
  assert.equal(dead.lastHttpStatusCode, 400, JSON.stringify(dead));
  await arm('POST', `${subscription}/deadLetters/resend${version}`);
  await eventually(async () => {
    const deliveries = (await receiver.requests()).filter(({ headers }) => headers['aeg-event-type'] === 'Notification');
    assert.deepEqual(deliveries.map(({ body, answered }) => [body[0].id, answered]), [['refused', 400], ['refused', 200]]);
  });
});

// Created, asked, filtering, delivered to, failing, tried again, dead-lettered, listed, changed, deleted: by the paths
// below the topic.
test('the life of a subscription', async () => {
  const topic = await makeTopic();
  const receiver = await Webhook.create('code', [500, 200, 400, 200]);
  const storage = `/subscriptions/${env.subscription_id}/resourceGroups/${group}/providers/Microsoft.Storage/storageAccounts/disk`;
  const inside = eventgrid.topicEventSubscriptions;
  const made = await inside.beginCreateOrUpdateAndWait(group, topic.name, 'all', {
    destination: { endpointType: 'WebHook', endpointUrl: receiver.url },
    filter: { subjectBeginsWith: '/orders' },
    deadLetterDestination: { endpointType: 'StorageBlob', resourceId: storage, blobContainerName: 'letters' },
  }, poll);
  assert.equal(made.provisioningState, 'Succeeded');
  const delivered = (count, seconds) => eventually(async () => {
    const found = (await receiver.requests()).filter(({ headers }) => headers['aeg-event-type'] === 'Notification');
    assert.equal(found.length, count);
    return found;
  }, seconds);
  await publish(topic, { id: 'no', subject: '/users/1' }, { id: '1', subject: '/orders/1' });
  const tried = await delivered(2, 40);
  assert.deepEqual(tried.map(({ body, headers }) => [body[0].id, headers['aeg-delivery-count']]), [['1', '0'], ['1', '1']]);
  await publish(topic, { id: '2', subject: '/orders/2' });
  assert.equal((await delivered(3)).at(-1).answered, 400);
  await eventually(async () => {
    const { value } = await arm('GET', `${made.id}/deadLetters?api-version=2025-02-15`);
    assert.deepEqual(value.map(({ state }) => state), ['dead_lettered']);
  });
  assert.deepEqual(await names(inside.list(group, topic.name)), ['all']);

  const moved = await Webhook.create('code');
  const update = { destination: { endpointType: 'WebHook', endpointUrl: moved.url }, filter: { subjectBeginsWith: '/users' } };
  await inside.beginUpdateAndWait(group, topic.name, 'all', update, poll);
  assert.equal((await inside.getFullUrl(group, topic.name, 'all')).endpointUrl, moved.url);
  await publish(topic, { id: 'no', subject: '/orders/3' }, { id: '3', subject: '/users/1' });
  await eventually(async () => assert.equal((await moved.requests()).at(-1).body[0].id, '3'));
  await inside.beginDeleteAndWait(group, topic.name, 'all', poll);
  assert.deepEqual(await names(inside.list(group, topic.name)), []);
  await eventually(async () =>
    assert.equal((await moved.requests()).at(-1).headers['aeg-event-type'], 'SubscriptionDeletion'));
});

test('a call\'s events come in both schemas, and are what the client knows', async () => {
  const subject = { isSubjectCaseSensitive: false };
  await subscribe(communication, host.url('calls'), { filter: subject });
  await subscribe(communication, host.url('cloudCalls'), { filter: subject, eventDeliverySchema: 'CloudEventSchemaV1_0' });
  const identity = new CommunicationIdentityClient(env.communication.connection_string);
  const [alice, bob] = [await identity.createUserAndToken(['voip']), await identity.createUserAndToken(['voip'])];
  const targets = [{ communicationUser: { id: bob.user.communicationUserId } }];
  const { body: call } = await asUser(alice.token, 'POST', '/calling/calls', { targets, displayName: 'Alice' });

  // The events of this call, until there is one of each type. They come in any order, and other calls' between them.
  const hear = async (name, deserialize, types, events = []) => {
    const is = (type) => (event) => isSystemEvent(`Microsoft.Communication.${type}`, event);
    while (!types.every((type) => events.some(is(type)))) {
      const heard = await host.functions[name].next();
      assert.ok(heard, `the function ${name} heard only ${events.map((event) => event.eventType ?? event.type)}`);
      const [event] = await deserializer[deserialize](heard.body);
      if (event.data.serverCallId === call.serverCallId) events.push(event);
    }
    return Object.fromEntries(types.map((type) => [type, events.filter(is(type))]));
  };
  const events = [];
  const { IncomingCall: [incoming] } = await hear('calls', 'deserializeEventGridEvents', ['IncomingCall'], events);
  assert.equal(incoming.subject, `/caller/${alice.user.communicationUserId}/recipient/${bob.user.communicationUserId}`);
  assert.equal(incoming.topic.toLowerCase(), communication.toLowerCase());
  assert.equal(incoming.data.from.rawId, alice.user.communicationUserId);
  assert.equal(incoming.data.to.communicationUser.id, bob.user.communicationUserId);
  assert.equal(incoming.data.callerDisplayName, 'Alice');
  assert.equal(incoming.data.correlationId, call.correlationId);
  assert.ok(incoming.data.incomingCallContext);

  await asUser(bob.token, 'POST', `/calling/calls/${call.id}:accept`);
  await asUser(alice.token, 'POST', `/calling/calls/${call.id}:hangUp`);
  const types = ['IncomingCall', 'CallStarted', 'CallParticipantAdded', 'CallEnded'];
  const heard = await hear('calls', 'deserializeEventGridEvents', types, events);
  const [started] = heard.CallStarted;
  assert.equal(started.data.startedBy.communicationIdentifier.rawId, alice.user.communicationUserId);
  const added = heard.CallParticipantAdded.map(({ data }) => data.user.communicationIdentifier.rawId);
  assert.ok(added.includes(bob.user.communicationUserId), added.join());
  const [ended] = heard.CallEnded;
  assert.equal(ended.subject, `call/${call.serverCallId}`);
  assert.equal(typeof ended.data.callDurationInSeconds, 'number');

  const cloud = Object.values(await hear('cloudCalls', 'deserializeCloudEvents', types)).flat();
  assert.ok(cloud.every(({ source }) => source.toLowerCase() === communication.toLowerCase()));
});
