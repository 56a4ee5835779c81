// Functions that subscriptions name by their resource id: found by the configuration, and not asked first.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AzureKeyCredential, EventGridPublisherClient } from '@azure/eventgrid';
import { eventgrid, makeTopic, poll } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { arm, env, eventually, group } from './support.mjs';

// What compat/run's configuration says of the app `functions`.
const port = process.env.COMPAT_FUNCTIONS_PORT;
const app = `/subscriptions/${env.subscription_id}/resourceGroups/${group}/providers/Microsoft.Web/sites/functions`;
const subscriptions = eventgrid.eventSubscriptions;
const host = await FunctionsHost.start({
  OnOrder: new Trigger('EventGridEvent'),
  OnCloudOrder: new Trigger('CloudEvent'),
  Throws: new Trigger('EventGridEvent', 1),
}, port);

async function subscribed(name, more = {}) {
  const topic = await makeTopic();
  const destination = { endpointType: 'AzureFunction', resourceId: `${app}/functions/${name}`, ...more.destination };
  const made = await subscriptions.beginCreateOrUpdateAndWait(topic.id, name, { ...more, destination }, poll);
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.destination.endpointType, 'AzureFunction');
  assert.equal(made.destination.resourceId, destination.resourceId);
  const publish = (...events) =>
    new EventGridPublisherClient(topic.endpoint, 'EventGrid', new AzureKeyCredential(topic.key1))
      .send(events.map((data) => ({ subject: '/orders/1', eventType: 'Contoso.Order', dataVersion: '1', data })));
  return { topic, publish };
}
const requests = (name) => host.requests.filter(({ url }) => url.endsWith(`?functionName=${name}`));

test('a function is run without having been asked, and told when its subscription is no more', async () => {
  const { topic, publish } = await subscribed('OnOrder', {
    destination: { maxEventsPerBatch: 2, deliveryAttributeMappings: [{ name: 'X-Shop', type: 'Dynamic', sourceField: 'data.shop' }] },
  });
  await publish({ shop: 'Bonn' });
  const { event, headers } = await host.functions.OnOrder.next();
  assert.deepEqual([event.data, headers['x-shop']], [{ shop: 'Bonn' }, 'Bonn']);
  assert.deepEqual(requests('OnOrder').map(({ headers: sent, status }) => [sent['aeg-event-type'], status]), [['Notification', 202]]);
  await subscriptions.beginDeleteAndWait(topic.id, 'OnOrder', poll);
  await eventually(() =>
    assert.deepEqual(requests('OnOrder').slice(1).map(({ headers: sent, status }) => [sent['aeg-event-type'], status]), [['Unsubscribe', 202]]));
});

test('a function that wants CloudEvents gets them', async () => {
  const { publish } = await subscribed('OnCloudOrder', { eventDeliverySchema: 'CloudEventSchemaV1_0' });
  await publish({ n: 1 });
  const { event, headers } = await host.functions.OnCloudOrder.next();
  assert.deepEqual([event.specversion, event.data], ['1.0', { n: 1 }]);
  assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
});

test('a function that throws is run again', async () => {
  const { publish } = await subscribed('Throws');
  await publish({ n: 1 });
  const runs = [await host.functions.Throws.next(), await host.functions.Throws.next(40)];
  assert.deepEqual(runs.map(({ failed }) => failed), [true, false]);
  assert.equal(runs[0].event.id, runs[1].event.id);
});

test('a function that is not there is tried again later, and where that stands can be looked up', async () => {
  const { topic, publish } = await subscribed('NotDeployed');
  await publish({ n: 1 });
  const path = `${topic.id}/providers/Microsoft.EventGrid/eventSubscriptions/NotDeployed/deliveries?api-version=2025-02-15`;
  await eventually(async () => {
    const { value: [delivery] } = await arm('GET', path);
    assert.deepEqual([delivery.state, delivery.attempts, delivery.lastHttpStatusCode], ['pending', 1, 404]);
  });
});

test('a function of an app that the configuration does not know is refused with the way out', async () => {
  const topic = await makeTopic();
  const resourceId = `${app}-elsewhere/functions/OnOrder`;
  const create = subscriptions.beginCreateOrUpdateAndWait(topic.id, 'unknown', { destination: { endpointType: 'AzureFunction', resourceId } }, poll);
  await assert.rejects(create, (error) => error.statusCode === 400 && /events\.functions/.test(error.message));
});
