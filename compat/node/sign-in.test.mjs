// @azure/identity: every credential that a program signs in with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientCertificateCredential, ClientSecretCredential, DefaultAzureCredential } from '@azure/identity';
import { CommunicationServiceManagementClient } from '@azure/arm-communication';
import { certified, env, eventually, group } from './support.mjs';

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

test('a certificate, in both shapes of the authority, as long as the app exists', async () => {
  const { clientId, file, remove } = certified();
  const tenants = [['adfs', {}], [env.tenant_id, { disableInstanceDiscovery: true }]];
  const credentials = () => tenants.map(([tenant, options]) =>
    new ClientCertificateCredential(tenant, clientId, file, { authorityHost, ...options }));
  try {
    // The running server takes up what `carillon app` did beside it.
    await eventually(() => works(credentials()[0]));
    for (const credential of credentials()) await works(credential);
  } finally {
    remove();
  }
  const refused = () => assert.rejects(works(credentials()[0]), /AADSTS700016/);
  await eventually(refused);
});

test('a certificate that the app does not have says AADSTS700027', async () => {
  const { file, remove } = certified();
  try {
    const credential = new ClientCertificateCredential('adfs', env.client_id, file, { authorityHost });
    await assert.rejects(works(credential), /AADSTS700027/);
  } finally {
    remove();
  }
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
