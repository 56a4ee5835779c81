// An application that Call Automation calls back: it keeps what it is told, parsed as the client parses it.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after } from 'node:test';
import { parseCallAutomationEvent } from '@azure/communication-call-automation';
import { verified } from './support.mjs';

export class Application {
  // An application for as long as the tests of the file that starts it run.
  static async start() {
    const application = new Application();
    application.legs = new Map();
    const server = createServer((request, response) => application.#serve(request, response));
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    application.port = server.address().port;
    after(() => server.close().closeAllConnections());
    return application;
  }

  // Where the events of a leg go; the query is the application's own secret.
  url(leg) {
    this.legs.set(leg, { told: [], waiting: [] });
    return `http://localhost:${this.port}/callbacks/${leg}?key=demo`;
  }

  // The next event that the leg is told.
  async next(leg, seconds = 10) {
    const { told, waiting } = this.legs.get(leg);
    if (told.length > 0) return told.shift();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the leg ${leg} was told nothing`)), seconds * 1000);
      waiting.push((event) => {
        clearTimeout(late);
        resolve(event);
      });
    });
  }

  // Insists that the leg is told these kinds, in this order.
  async hears(leg, ...kinds) {
    const heard = [];
    for (const kind of kinds) {
      const event = await this.next(leg);
      assert.equal(event.kind, kind, `the leg ${leg} was told ${JSON.stringify(event)} after ${heard.map((one) => one.kind)}`);
      heard.push(event);
    }
    return heard;
  }

  async #serve(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const events = JSON.parse(Buffer.concat(parts).toString('utf8'));
    const url = new URL(request.url, 'http://localhost');
    const leg = this.legs.get(url.pathname.split('/').pop());
    const good = Array.isArray(events) && events.length === 1 && url.searchParams.get('key') === 'demo' && leg;
    response.writeHead(good ? 200 : 400).end();
    if (!good) return;
    // The parser drops the envelope, and needs all of it to be JSON.
    const event = { ...parseCallAutomationEvent(events), envelope: events[0], headers: request.headers };
    const hear = leg.waiting.shift();
    if (hear) hear(event);
    else leg.told.push(event);
  }
}

// The claims of the token that a callback carries.
export const claims = ({ headers }) => verified(headers, '/calling/.well-known/acsopenidconfiguration');
