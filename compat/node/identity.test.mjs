// @azure/communication-identity: users and their tokens.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommunicationIdentityClient } from '@azure/communication-identity';
import { asUser, credential, env } from './support.mjs';

const client = new CommunicationIdentityClient(env.communication.connection_string);

// What a token is good for: this call does not exist, but who may ask is answered first.
const uses = async (token) => (await asUser(token, 'GET', '/calling/calls/00000000-0000-0000-0000-000000000001')).status;

test('a user is created, gets tokens, loses them, and is deleted', async () => {
  const user = await client.createUser();
  assert.match(user.communicationUserId, /^8:acs:[^_]+_[^_]+$/);

  const { token, expiresOn } = await client.getToken(user, ['chat', 'voip'], { tokenExpiresInMinutes: 60 });
  const minutes = (expiresOn.getTime() - Date.now()) / 60_000;
  assert.ok(minutes > 58 && minutes < 61, `${minutes} minutes`);
  assert.equal(await uses(token), 404);

  await client.revokeTokens(user);
  assert.equal(await uses(token), 401);

  await client.deleteUser(user);
  await assert.rejects(client.getToken(user, ['voip']), (error) => error.statusCode >= 400 && error.statusCode < 500);
});

test('a user is created together with a token, for a day unless told otherwise', async () => {
  const { user, token, expiresOn } = await client.createUserAndToken(['voip']);
  const hours = (expiresOn.getTime() - Date.now()) / 3_600_000;
  assert.ok(hours > 23.9 && hours < 24.1, `${hours} hours`);
  assert.equal(await uses(token), 404);
  await client.deleteUser(user);
  assert.equal(await uses(token), 401);
});

test('a token without the scope may not call', async () => {
  const { token } = await client.createUserAndToken(['chat']);
  assert.equal(await uses(token), 403);
});

test('another key is refused', async () => {
  const wrong = Buffer.alloc(64, 7).toString('base64');
  const stranger = new CommunicationIdentityClient(`endpoint=${env.communication.endpoint};accesskey=${wrong}`);
  await assert.rejects(stranger.createUser(), (error) => error.statusCode === 401);
});

test('an Entra token is as good as the key', async () => {
  const entra = new CommunicationIdentityClient(env.communication.endpoint, credential);
  const user = await entra.createUser();
  await entra.deleteUser(user);
});
