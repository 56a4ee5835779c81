// @azure/eventgrid: publishing in each schema and with each credential, and what arrives at a function.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AzureKeyCredential, AzureSASCredential, EventGridDeserializer, EventGridPublisherClient, generateSharedAccessSignature,
} from '@azure/eventgrid';
import { makeTopic, subscribe } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { credential, env, unique } from './support.mjs';

const deserializer = new EventGridDeserializer();
const key = new AzureKeyCredential(env.eventgrid.key);
const publisher = (how = key, endpoint = env.eventgrid.endpoint) => new EventGridPublisherClient(endpoint, 'EventGrid', how);
const event = (more = {}) => ({ subject: '/orders/1', eventType: 'Contoso.Order', dataVersion: '1.0', data: { n: 1 }, ...more });
const sas = (expires, endpoint = env.eventgrid.endpoint, how = key) =>
  generateSharedAccessSignature(endpoint, how, expires).then((token) => new AzureSASCredential(token));
const inAnHour = () => new Date(Date.now() + 3600_000);

const refused = (status, code, message) => (error) => {
  assert.equal(error.statusCode, status, error.message);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

const host = await FunctionsHost.start({
  eventGrid: new Trigger('EventGridEvent'),
  fromEventGrid: new Trigger('CloudEvent'),
  cloudEvent: new Trigger('CloudEvent'),
  fromCustom: new Trigger('EventGridEvent'),
  custom: new Trigger('EventGridEvent'),
});

test('events of Event Grid\'s own schema arrive as they were published', async () => {
  const topic = await makeTopic();
  await subscribe(topic.id, host.url('eventGrid'));
  const id = unique('id');
  await publisher(new AzureKeyCredential(topic.key1), topic.endpoint).send([event({ id }), event({ subject: '/orders/2' })]);

  const heard = [await host.functions.eventGrid.next(), await host.functions.eventGrid.next()];
  const [first, second] = heard.sort((a, b) => a.event.subject.localeCompare(b.event.subject));
  const [received] = await deserializer.deserializeEventGridEvents(first.body);
  assert.equal(received.id, id);
  assert.equal(received.topic.toLowerCase(), topic.id.toLowerCase());
  assert.ok(received.eventTime instanceof Date);
  assert.deepEqual(received.data, { n: 1 });
  assert.ok(Array.isArray(JSON.parse(first.body)));
  assert.equal(first.headers['aeg-event-type'], 'Notification');
  assert.equal(first.headers['aeg-delivery-count'], '0');
  assert.equal(first.headers['aeg-metadata-version'], '1');
  assert.equal(first.headers['aeg-data-version'], '1.0');
  assert.equal(second.event.subject, '/orders/2');
});

test('events of Event Grid\'s own schema arrive as CloudEvents, one an object', async () => {
  const topic = await makeTopic();
  await subscribe(topic.id, host.url('fromEventGrid'), { eventDeliverySchema: 'CloudEventSchemaV1_0' });
  await publisher(new AzureKeyCredential(topic.key2), topic.endpoint).send([event()]);
  const { headers, body } = await host.functions.fromEventGrid.next();
  const [received] = await deserializer.deserializeCloudEvents(body);
  assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  assert.equal(received.type, 'Contoso.Order');
  assert.equal(received.source.toLowerCase(), topic.id.toLowerCase());
  assert.deepEqual(received.data, { n: 1 });
});

test('CloudEvents arrive with their extensions, and binary data stays binary', async () => {
  const topic = await makeTopic({ inputSchema: 'CloudEventSchemaV1_0' });
  await subscribe(topic.id, host.url('cloudEvent'), { eventDeliverySchema: 'CloudEventSchemaV1_0' });
  const client = new EventGridPublisherClient(topic.endpoint, 'CloudEvent', new AzureKeyCredential(topic.key1));
  await client.send([
    { source: '/shop', type: 'A', subject: 's', data: { a: 1 }, extensionAttributes: { foo: 'bar' } },
    { source: '/shop', type: 'B', data: new Uint8Array([1, 2, 3]), datacontenttype: 'application/octet-stream' },
  ]);
  const bodies = [await host.functions.cloudEvent.next(), await host.functions.cloudEvent.next()].map(({ body }) => body);
  const received = (await Promise.all(bodies.map((body) => deserializer.deserializeCloudEvents(body)))).flat();
  const [a, b] = received.sort((one, other) => one.type.localeCompare(other.type));
  assert.deepEqual({ data: a.data, subject: a.subject, more: a.extensionAttributes }, { data: { a: 1 }, subject: 's', more: { foo: 'bar' } });
  assert.deepEqual([...b.data], [1, 2, 3]);
});

test('events of a schema of one\'s own are mapped, or delivered as they are', async () => {
  const field = (sourceField) => ({ sourceField });
  const topic = await makeTopic({
    inputSchema: 'CustomEventSchema',
    inputSchemaMapping: {
      inputSchemaMappingType: 'Json',
      id: field('key'),
      eventTime: field('at'),
      eventType: { sourceField: 'kind', defaultValue: 'Contoso.Default' },
      subject: { sourceField: 'about', defaultValue: 'nothing' },
      dataVersion: { defaultValue: '3' },
    },
  });
  await subscribe(topic.id, host.url('fromCustom'), { eventDeliverySchema: 'EventGridSchema' });
  await subscribe(topic.id, host.url('custom'), { eventDeliverySchema: 'CustomInputSchema' });
  const mine = { key: unique('id'), at: new Date().toISOString(), kind: 'Contoso.Mine', extra: [1] };
  await new EventGridPublisherClient(topic.endpoint, 'Custom', new AzureKeyCredential(topic.key1)).send([mine]);
  const [mapped] = await deserializer.deserializeEventGridEvents((await host.functions.fromCustom.next()).body);
  assert.deepEqual(
    { id: mapped.id, eventType: mapped.eventType, subject: mapped.subject, dataVersion: mapped.dataVersion, data: mapped.data },
    { id: mine.key, eventType: 'Contoso.Mine', subject: 'nothing', dataVersion: '3', data: mine },
  );
  assert.deepEqual((await host.functions.custom.next()).event, mine);
});

test('a key, a signature and an Entra token are good', async () => {
  for (const good of [key, await sas(inAnHour()), credential]) await publisher(good).send([event()]);
});

test('a topic without local authentication takes Entra tokens alone', async () => {
  const topic = await makeTopic({ disableLocalAuth: true });
  const own = new AzureKeyCredential(topic.key1);
  const local = [own, await sas(inAnHour(), topic.endpoint, own)];
  for (const one of local) {
    await assert.rejects(publisher(one, topic.endpoint).send([event()]), (error) => [401, 403].includes(error.statusCode));
  }
  await publisher(credential, topic.endpoint).send([event()]);
});

test('a wrong key, a wrong or old signature, and no topic have their codes', async () => {
  const wrong = new AzureKeyCredential(Buffer.alloc(32).toString('base64'));
  const unauthorized = refused(401, 'Unauthorized', /^The request authorization key is not authorized for /);
  await assert.rejects(publisher(wrong).send([event()]), unauthorized);
  await assert.rejects(publisher(await sas(inAnHour(), env.eventgrid.endpoint, wrong)).send([event()]), unauthorized);
  await assert.rejects(publisher(await sas(new Date(Date.now() - 1000))).send([event()]), refused(401, 'Unauthorized', /expired/i));
  const elsewhere = env.eventgrid.endpoint.replace('/topics/', '/topics/no-');
  await assert.rejects(publisher(key, elsewhere).send([event()]), refused(404, 'ResourceNotFound', /^No HTTP resource was found/));
});

test('what is no event of the topic\'s schema is refused by the name of what is missing', async () => {
  await assert.rejects(publisher().send([]), refused(400, 'BadRequest', /does not conform to the expected schema/));
  const nameless = publisher().send([event({ subject: '' })]);
  await assert.rejects(nameless, refused(400, 'BadRequest', /requires 'subject' property to be set/));
  const other = new EventGridPublisherClient(env.eventgrid.endpoint, 'CloudEvent', key);
  await assert.rejects(other.send([{ source: '/s', type: 'T' }]), (error) => [400, 415].includes(error.statusCode));
  const large = event({ data: { x: 'x'.repeat(1_600_000) } });
  await assert.rejects(publisher().send([large]), refused(413, 'RequestEntityTooLarge', /^The maximum size/));
});
