// What the scenarios about events share: topics, event subscriptions, and the publishers of both.

import { after } from 'node:test';
import { EventGridManagementClient } from '@azure/arm-eventgrid';
import { credential, env, group, unique } from './support.mjs';

export const eventgrid = new EventGridManagementClient(credential, env.subscription_id, { endpoint: env.base_url });

// The scope at which one subscribes to what happens to the users of the communication resource.
export const communication = env.communication.resource_id;

// How often a client asks whether an operation is done, unless the server says when to.
export const poll = { updateIntervalInMs: 100 };

// A topic that is there until the test is done.
export async function makeTopic(properties = {}) {
  const name = unique('js');
  const topic = await eventgrid.topics.beginCreateOrUpdateAndWait(group, name, { location: 'global', ...properties }, poll);
  after(() => eventgrid.topics.beginDeleteAndWait(group, name, poll));
  const { key1, key2 } = await eventgrid.topics.listSharedAccessKeys(group, name);
  return { ...topic, key1, key2 };
}

// Subscribes a webhook. The subscription goes with its topic; one to the communication resource goes with the test.
export async function subscribe(scope, endpointUrl, { destination = {}, ...properties } = {}) {
  const name = unique('js');
  const made = await eventgrid.eventSubscriptions.beginCreateOrUpdateAndWait(scope, name, {
    destination: { endpointType: 'WebHook', endpointUrl, ...destination },
    ...properties,
  }, poll);
  if (scope === communication) after(() => eventgrid.eventSubscriptions.beginDeleteAndWait(scope, name, poll));
  return made;
}

export const all = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

export const names = async (pages) => (await all(pages)).map(({ name }) => name);
