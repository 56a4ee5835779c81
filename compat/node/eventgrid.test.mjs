// @azure/eventgrid: publishing with each credential, and what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AzureKeyCredential, AzureSASCredential, EventGridPublisherClient, generateSharedAccessSignature,
} from '@azure/eventgrid';
import { credential, env } from './support.mjs';

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

test('a key, a signature and an Entra token are good', async () => {
  for (const good of [key, await sas(inAnHour()), credential]) await publisher(good).send([event()]);
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
