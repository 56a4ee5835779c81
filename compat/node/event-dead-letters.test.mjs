// Dead letters in Azure Blob storage: the account is Azurite, as compat/run's configuration says, and they are read with
// the client of Azure Storage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AzureKeyCredential, EventGridPublisherClient } from '@azure/eventgrid';
import { BlobServiceClient } from '@azure/storage-blob';
import { makeTopic, subscribe } from './events.mjs';
import { arm, env, eventually, group, unique, Webhook } from './support.mjs';

const blobs = BlobServiceClient.fromConnectionString(process.env.COMPAT_AZURITE);
const account = `/subscriptions/${env.subscription_id}/resourceGroups/${group}/providers/Microsoft.Storage/storageAccounts/azurite`;
const to = (blobContainerName) => ({ endpointType: 'StorageBlob', resourceId: account, blobContainerName });

const publish = (topic, ...events) =>
  new EventGridPublisherClient(topic.endpoint, 'EventGrid', new AzureKeyCredential(topic.key1))
    .send(events.map((event) => ({ subject: '/orders/1', eventType: 'Contoso.Order', dataVersion: '1', data: { n: 1 }, ...event })));

// The letters in a container, with the names of their blobs, once there are `count`.
const letters = (container, count) => eventually(async () => {
  const found = [];
  for await (const { name } of container.listBlobsFlat()) {
    const content = await container.getBlobClient(name).downloadToBuffer();
    found.push(...JSON.parse(content.toString('utf8')).map((letter) => ({ name, letter })));
  }
  assert.equal(found.length, count);
  return found;
}, 30);

test('what a webhook refuses is written to its container, with why', async () => {
  const container = blobs.getContainerClient(unique('letters'));
  await container.create();
  const topic = await makeTopic();
  const receiver = await Webhook.create('code', [400]);
  const { name, deadLetterDestination } = await subscribe(topic.id, receiver.url, { deadLetterDestination: to(container.containerName) });
  assert.deepEqual(deadLetterDestination, to(container.containerName));
  await publish(topic, { id: '1' }, { id: '2' });

  const found = await letters(container, 2);
  const folder = `${topic.name}/${name}`.toUpperCase();
  for (const { name: blob, letter } of found) {
    assert.match(blob, new RegExp(`^${folder}/\\d{4}/\\d{1,2}/\\d{1,2}/\\d{1,2}/[0-9a-f-]{36}\\.json$`));
    assert.deepEqual(
      [letter.deadLetterReason, letter.deliveryAttempts, letter.lastDeliveryOutcome, letter.lastHttpStatusCode, letter.data],
      ['UndeliverableDueToClientError', 1, 'BadRequest', 400, { n: 1 }],
    );
    assert.ok(Date.parse(letter.publishTime) <= Date.parse(letter.lastDeliveryAttemptTime));
  }
  assert.deepEqual(found.map(({ letter }) => letter.id).sort(), ['1', '2']);
});

test('the letters of a subscription to CloudEvents are CloudEvents, with attributes in lower case', async () => {
  const container = blobs.getContainerClient(unique('letters'));
  await container.create();
  const topic = await makeTopic();
  const receiver = await Webhook.create('options', [403]);
  await subscribe(topic.id, receiver.url, { eventDeliverySchema: 'CloudEventSchemaV1_0', deadLetterDestination: to(container.containerName) });
  await publish(topic, { id: '1' });
  const [{ letter }] = await letters(container, 1);
  assert.deepEqual(
    [letter.specversion, letter.id, letter.deadletterreason, letter.lastdeliveryoutcome, letter.deliveryattempts],
    ['1.0', '1', 'UndeliverableDueToClientError', 'Forbidden', 1],
  );
});

test('a container that is made later gets the letters that waited for it, and they can be sent again', async () => {
  const container = blobs.getContainerClient(unique('later'));
  const topic = await makeTopic();
  const receiver = await Webhook.create('code', [400, 200]);
  const { name } = await subscribe(topic.id, receiver.url, { deadLetterDestination: to(container.containerName) });
  const subscription = `${topic.id}/providers/Microsoft.EventGrid/eventSubscriptions/${name}`;
  await publish(topic, { id: 'late' });
  const is = (state) => eventually(async () => {
    const { value } = await arm('GET', `${subscription}/deliveries?api-version=2025-02-15`);
    assert.deepEqual(value.map((delivery) => delivery.state), [state]);
  }, 30);
  await is('dead');
  await container.create();
  await letters(container, 1);
  await is('dead_lettered');
  await arm('POST', `${subscription}/deadLetters/resend?api-version=2025-02-15`);
  await is('delivered');
});
