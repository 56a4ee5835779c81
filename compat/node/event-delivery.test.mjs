// How events are delivered with the settings of a subscription: in batches, with headers and tokens, to a function by
// its resource id; and CloudEvents published in binary mode by the SDK of CloudEvents itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AzureKeyCredential, EventGridDeserializer, EventGridPublisherClient } from '@azure/eventgrid';
import { CloudEvent, HTTP } from 'cloudevents';
import { eventgrid, makeTopic, poll, subscribe } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { env, eventually, unique, verified } from './support.mjs';

const subscriptions = eventgrid.eventSubscriptions;
const deserializer = new EventGridDeserializer();
const host = await FunctionsHost.start({
  few: new Trigger('EventGridEvent'),
  small: new Trigger('CloudEvent'),
  signed: new Trigger('EventGridEvent'),
  labelled: new Trigger('EventGridEvent'),
  binary: new Trigger('CloudEvent'),
});

const publisher = (topic, schema = 'EventGrid') =>
  new EventGridPublisherClient(topic.endpoint, schema, new AzureKeyCredential(topic.key1));
const orders = (count, data = {}) =>
  Array.from({ length: count }, (_, n) => ({ id: `${n}`, subject: `/orders/${n}`, eventType: 'Contoso.Order', dataVersion: '1', data }));

// The deliveries to a function of the host, once all of their events are there.
async function deliveries(name, count) {
  const events = [];
  for (let n = 0; n < count; n += 1) {
    const heard = await host.functions[name].next();
    assert.ok(heard, `the function ${name} heard ${n} of ${count} events`);
    events.push(heard);
  }
  assert.deepEqual(events.map(({ event }) => event.id).sort(), Array.from({ length: count }, (_, n) => `${n}`).sort());
  return [...new Set(events.map(({ body }) => body))].map((body) => ({ body, headers: events.find((one) => one.body === body).headers }));
}

test('a batch has as many events as the subscription says at most', async () => {
  const topic = await makeTopic();
  const made = await subscribe(topic.id, host.url('few'), { destination: { maxEventsPerBatch: 4 } });
  assert.deepEqual([made.destination.maxEventsPerBatch, made.destination.preferredBatchSizeInKilobytes], [4, 64]);
  await publisher(topic).send(orders(20));
  const batches = await deliveries('few', 20);
  const sizes = await Promise.all(batches.map(async ({ body }) => (await deserializer.deserializeEventGridEvents(body)).length));
  assert.ok(sizes.every((size) => size <= 4), sizes.join());
  assert.ok(sizes.some((size) => size > 1), sizes.join());
});

test('a preferred size alone turns batching on, also for CloudEvents', async () => {
  const topic = await makeTopic();
  await subscribe(topic.id, host.url('small'), {
    destination: { preferredBatchSizeInKilobytes: 4 }, eventDeliverySchema: 'CloudEventSchemaV1_0',
  });
  await publisher(topic).send([...orders(19, { filler: 'x'.repeat(900) }), { ...orders(20)[19], data: { filler: 'x'.repeat(9_000) } }]);
  const batches = await deliveries('small', 20);
  for (const { body, headers } of batches) {
    assert.equal(headers['content-type'], 'application/cloudevents-batch+json; charset=utf-8');
    // "An event larger than the preferred size goes alone."
    assert.ok(body.length <= 4_096 || JSON.parse(body).length === 1, `${JSON.parse(body).length} events in ${body.length} bytes`);
  }
  assert.ok(batches.some(({ body }) => JSON.parse(body).length > 1));
  assert.ok(batches.some(({ body }) => body.length > 4_096));
});

test('an endpoint that asks for an Entra token gets one that it can verify', async () => {
  const topic = await makeTopic();
  const audience = 'api://contoso-hook';
  const destination = { azureActiveDirectoryTenantId: env.tenant_id, azureActiveDirectoryApplicationIdOrUri: audience };
  await subscribe(topic.id, host.url('signed'), { destination });
  await publisher(topic).send(orders(1));
  const { headers } = await host.functions.signed.next();
  const claims = await verified(headers, `/${env.tenant_id}/.well-known/openid-configuration`);
  assert.deepEqual([claims.aud, claims.tid], [audience, env.tenant_id]);
  assert.ok(claims.exp > Date.now() / 1000);
});

test('secret headers are sent, and shown by the operation for it alone; they survive an update that does not name them', async () => {
  const topic = await makeTopic();
  const attributes = [
    { name: 'X-Key', type: 'Static', value: 'first secret', isSecret: true },
    { name: 'X-Open', type: 'Static', value: 'open' },
    { name: 'X-Shop', type: 'Dynamic', sourceField: 'data.shop' },
  ];
  const made = await subscribe(topic.id, host.url('labelled'), { destination: { deliveryAttributeMappings: attributes } });
  const shown = ({ value, sourceField }) => value ?? sourceField ?? null;
  const secrets = async () => (await subscriptions.getDeliveryAttributes(topic.id, made.name)).value.map(shown);
  assert.deepEqual(made.destination.deliveryAttributeMappings.map(shown), [null, 'open', 'data.shop']);
  assert.deepEqual(await secrets(), ['first secret', 'open', 'data.shop']);
  const heard = async () => {
    await publisher(topic).send(orders(1, { shop: 'Bonn' }));
    const { headers } = await host.functions.labelled.next();
    return [headers['x-key'], headers['x-open'], headers['x-shop']];
  };
  assert.deepEqual(await heard(), ['first secret', 'open', 'Bonn']);

  await subscriptions.beginUpdateAndWait(topic.id, made.name, { labels: ['changed'] }, poll);
  assert.deepEqual(await secrets(), ['first secret', 'open', 'data.shop']);
  // What a GET showed, put back: the secret stays what it is.
  const { destination } = await subscriptions.get(topic.id, made.name);
  await subscriptions.beginCreateOrUpdateAndWait(topic.id, made.name, { destination }, poll);
  assert.deepEqual(await heard(), ['first secret', 'open', 'Bonn']);

  const rotated = [{ ...attributes[0], value: 'second secret' }, ...attributes.slice(1)];
  const update = { endpointType: 'WebHook', endpointUrl: host.url('labelled'), deliveryAttributeMappings: rotated };
  await subscriptions.beginUpdateAndWait(topic.id, made.name, { destination: update }, poll);
  assert.deepEqual(await heard(), ['second secret', 'open', 'Bonn']);
});

test('a subscription ends when it said it would', async () => {
  const topic = await makeTopic();
  const ends = (at) => subscribe(topic.id, host.url('few'), { expirationTimeUtc: at });
  await assert.rejects(ends(new Date(Date.now() - 1000)), (error) => error.statusCode === 400 && /expirationTimeUtc/.test(error.message));
  const { name, expirationTimeUtc } = await ends(new Date(Date.now() + 2_000));
  assert.ok(expirationTimeUtc instanceof Date);
  await eventually(() => assert.rejects(subscriptions.get(topic.id, name), { statusCode: 404 }), 40);
});

test('CloudEvents in binary mode are events like others', async () => {
  const topic = await makeTopic({ inputSchema: 'CloudEventSchemaV1_0' });
  await subscribe(topic.id, host.url('binary'), { eventDeliverySchema: 'CloudEventSchemaV1_0' });
  const event = new CloudEvent({ id: unique('id'), source: '/shop', type: 'Contoso.Order', subject: 'orders/1', shop: 'bonn', data: { n: 1 } });
  const { headers, body } = HTTP.binary(event);
  const answer = await fetch(topic.endpoint, { method: 'POST', headers: { ...headers, 'aeg-sas-key': topic.key1 }, body });
  assert.equal(answer.status, 200, await answer.text());
  const heard = await host.functions.binary.next();
  const [received] = await deserializer.deserializeCloudEvents(heard.body);
  assert.deepEqual(
    [received.id, received.source, received.type, received.subject, received.extensionAttributes, received.data],
    [event.id, '/shop', 'Contoso.Order', 'orders/1', { shop: 'bonn' }, { n: 1 }],
  );
  const parsed = HTTP.toEvent({ headers: heard.headers, body: heard.body });
  assert.deepEqual([parsed.id, parsed.data], [event.id, { n: 1 }]);
});
