// @azure/identity: every credential that a program signs in with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientSecretCredential, DefaultAzureCredential } from '@azure/identity';
import { CommunicationServiceManagementClient } from '@azure/arm-communication';
import { env, group } from './support.mjs';

const authorityHost = env.base_url;

// A token is only good if the control plane takes it.
async function works(credential) {
  const client = new CommunicationServiceManagementClient(credential, env.subscription_id, { endpoint: env.base_url });
  const resource = await client.communicationServices.get(group, env.communication.name);
  assert.equal(resource.name, env.communication.name);
}

test('a secret, with the tenant "adfs" and no switch', async () => {
  await works(new ClientSecretCredential('adfs', env.client_id, env.client_secret, { authorityHost }));
});

test('a secret, with the tenant\'s id and instance discovery off', async () => {
  const options = { authorityHost, disableInstanceDiscovery: true };
  await works(new ClientSecretCredential(env.tenant_id, env.client_id, env.client_secret, options));
});

test('DefaultAzureCredential, from the environment that `carillon env` prints', async () => {
  assert.equal(process.env.AZURE_TENANT_ID, 'adfs');
  assert.equal(process.env.AZURE_AUTHORITY_HOST, authorityHost);
  await works(new DefaultAzureCredential());
});

test('a wrong secret says AADSTS7000215', async () => {
  const credential = new ClientSecretCredential('adfs', env.client_id, 'wrong', { authorityHost });
  await assert.rejects(credential.getToken('https://management.azure.com/.default'), /AADSTS7000215/);
});

test('no token is 401 with a challenge that names the tenant', async () => {
  const answer = await fetch(`${env.base_url}/subscriptions/${env.subscription_id}?api-version=2014-04-01`);
  assert.equal(answer.status, 401);
  assert.ok(answer.headers.get('www-authenticate').includes(`/${env.tenant_id}"`));
});
