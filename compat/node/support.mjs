// What the scenarios share: the server they talk to, and the phones that ring.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientSecretCredential } from '@azure/identity';

// The server that compat/run started (`env.json`, as `carillon env --format json` prints it).
export const env = JSON.parse(readFileSync(`${process.env.CARILLON_DATA_DIR}/env.json`, 'utf8'));

export const group = env.resource_group;

export const credential = env.client_id && new ClientSecretCredential('adfs', env.client_id, env.client_secret, {
  authorityHost: env.base_url,
});

// A name nobody else uses, for resources that a scenario makes.
export const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`;

// An app registration that signs in with a certificate; `file` has the certificate and its key, PEM.
export function certified() {
  const carillon = (...words) =>
    execFileSync(process.env.COMPAT_CARILLON, ['app', ...words, '--data-dir', process.env.CARILLON_DATA_DIR], { encoding: 'utf8' });
  const clientId = carillon('create', unique('certified')).match(/client_id=(.*)/)[1];
  const folder = mkdtempSync(join(tmpdir(), 'carillon-certified-'));
  const file = join(folder, 'app.pem');
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', file];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', file, '-subj', '/CN=app', '-days', '1'], { stdio: 'pipe' });
  carillon('add-certificate', clientId, file);
  // The file outlives the app: who signs in afterwards is to be refused by the server.
  after(() => rmSync(folder, { recursive: true }));
  return { clientId, file, remove: () => carillon('delete', clientId) };
}

// A request to a server's control plane that no SDK has.
export async function arm(method, path, body, server = env) {
  const owner = new ClientSecretCredential('adfs', server.client_id, server.client_secret, {
    authorityHost: server.base_url,
  });
  const { token } = await owner.getToken('https://management.azure.com/.default');
  const answer = await fetch(server.base_url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

// The claims of the token that a request carries, verified with the keys that the discovery document at `path` leads to.
export async function verified(headers, path) {
  const discovery = await (await fetch(env.base_url + path)).json();
  const { keys } = await (await fetch(discovery.jwks_uri)).json();
  const [head, body, signature] = headers.authorization.replace(/^Bearer /, '').split('.');
  const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  const { alg, kid } = decode(head);
  assert.equal(alg, 'RS256');
  const key = createPublicKey({ key: keys.find((one) => one.kid === kid), format: 'jwk' });
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')), 'the signature is wrong');
  assert.equal(decode(body).iss, discovery.issuer);
  return decode(body);
}

// What `ask` resolves to, as soon as it does.
export async function eventually(ask, seconds = 10) {
  for (const last = Date.now() + seconds * 1000; ; await sleep(100)) {
    try {
      return await ask();
    } catch (error) {
      if (Date.now() > last) throw error;
    }
  }
}

// A request with a user's access token.
export async function asUser(token, method, path, body) {
  const answer = await fetch(env.base_url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'x-skypetoken': token, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined };
}

// A request to a device lab.
async function ask(lab, method, path, body) {
  const answer = await fetch(lab + path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

// A phone in a device lab.
export class Phone {
  static async create(platform, options = {}, server = env) {
    const phone = new Phone();
    phone.lab = server.lab.control_url;
    const kind = platform === 'apns' ? { kind: 'voip', environment: 'production' } : {};
    const device = { platform, app: 'com.example.app', ...kind, ...options };
    Object.assign(phone, await phone.request('POST', '/devices', device));
    phone.seen = 0;
    return phone;
  }

  // What arrives next; undefined when nothing does in time.
  async next(seconds = 10) {
    const path = `/devices/${this.id}/notifications?after=${this.seen}&wait=${seconds}`;
    const { notifications } = await this.request('GET', path);
    if (notifications.length === 0) return undefined;
    this.seen = notifications[0].seq;
    return notifications[0];
  }

  request(method, path, body) {
    return ask(this.lab, method, path, body);
  }
}

// A subscriber in the device lab, which meets the handshake as it is told to.
export class Webhook {
  static async create(validation, answers = [200]) {
    return Object.assign(new Webhook(), await ask(env.lab.control_url, 'POST', '/webhooks', { validation, answers }));
  }

  // What it was sent, as soon as there is anything.
  async requests(seconds = 10) {
    const path = `/webhooks/${this.id}/requests?after=0&wait=${seconds}`;
    return (await ask(env.lab.control_url, 'GET', path)).requests;
  }
}

// Tells the service that a phone is this user's, as the native SDKs do.
export async function register(token, phone, ttl = 3600) {
  const transport = { apns: 'APNS', fcm: 'FCM' }[phone.platform];
  const answer = await asUser(token, 'POST', '/registrar/prod/v2/registrations', {
    registrationId: randomUUID(),
    nodeId: '',
    clientDescription: {
      appId: phone.platform === 'apns' ? 'AcsIos' : 'AcsAndroid',
      platform: phone.platform === 'apns' ? 'iOS' : 'Android',
      platformUIVersion: '3619/0.0.0.0/',
      languageId: '',
      templateKey: 'AcsNotify_Call_1.0',
    },
    transports: { [transport]: [{ ttl, path: phone.token, context: '' }] },
  });
  assert.equal(answer.status, 202);
}
