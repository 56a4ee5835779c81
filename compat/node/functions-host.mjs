// An Azure Functions host whose functions have Event Grid triggers, answering as the extension does
// (Microsoft.Azure.WebJobs.Extensions.EventGrid): a delivery that this host refuses, it refuses there too.

import { createServer } from 'node:http';
import { after } from 'node:test';

// Where Event Grid says it calls from, in each of the clouds; the first stands for whatever else is said.
const ORIGINS = ['eventgrid.azure.net', 'eventgrid.azure.us', 'eventgrid.azure.cn'];

// A function and what it heard.
export class Trigger {
  // `binding` is the type of its parameter, 'EventGridEvent' or 'CloudEvent'; the first `failures` runs throw.
  constructor(binding, failures = 0) {
    Object.assign(this, { binding, failures, heard: [], waiting: [] });
  }

  // The next event that came, with the headers it came with; undefined when none does in time.
  async next(seconds = 10) {
    if (this.heard.length > 0) return this.heard.shift();
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(hear), 1);
        resolve(undefined);
      }, seconds * 1000);
      const hear = (call) => {
        clearTimeout(late);
        resolve(call);
      };
      this.waiting.push(hear);
    });
  }

  run(event, headers, body) {
    const call = { event, headers, body, failed: this.failures > 0 };
    const hear = this.waiting.shift();
    if (hear) hear(call);
    else this.heard.push(call);
    if (call.failed) {
      this.failures -= 1;
      throw new Error('the function threw');
    }
  }
}

export class FunctionsHost {
  // A host with functions by their names, for as long as the tests of the file that starts it run; on a free port
  // unless one is given.
  static async start(functions, port = 0) {
    const host = new FunctionsHost();
    Object.assign(host, { functions, requests: [] });
    const server = createServer((request, response) => host.#serve(request, response));
    await new Promise((listening) => server.listen(port, '127.0.0.1', listening));
    host.port = server.address().port;
    after(() => server.close().closeAllConnections());
    return host;
  }

  url(name) {
    return `http://localhost:${this.port}/runtime/webhooks/EventGrid?functionName=${name}&code=system-key`;
  }

  async #serve(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString('utf8');
    const { method, headers, url } = request;
    let answer;
    try {
      answer = this.#answer(method, headers, new URL(url, 'http://localhost').searchParams.get('functionName'), body);
    } catch (error) {
      answer = { status: 500, text: error.message };
    }
    this.requests.push({ method, url, headers, body, status: answer.status });
    response.writeHead(answer.status, { 'content-type': 'text/plain; charset=utf-8', ...answer.headers });
    response.end(answer.text);
  }

  #answer(method, headers, name, body) {
    const trigger = this.functions[name];
    if (!trigger) return { status: 404, text: `cannot find function: '${name ?? ''}'` };
    if (method === 'OPTIONS') {
      if (trigger.binding !== 'CloudEvent') return { status: 409 };
      const origin = ORIGINS.find((one) => one === headers['webhook-request-origin']) ?? ORIGINS[0];
      return { status: 200, headers: { 'Webhook-Allowed-Origin': origin } };
    }
    switch (headers['aeg-event-type']?.toLowerCase()) {
      case 'subscriptionvalidation': {
        if (trigger.binding !== 'EventGridEvent') return { status: 409 };
        return { status: 200, text: JSON.stringify({ validationResponse: JSON.parse(body)[0].data.validationCode }) };
      }
      case 'notification':
        for (const event of [JSON.parse(body)].flat()) trigger.run(event, headers, body);
        return { status: 202 };
      case 'unsubscribe':
        return { status: 202 };
      default:
        return { status: 400 };
    }
  }
}
