// @azure/communication-call-automation: calls that an application places, answers, rejects, redirects and ends, and what
// it is called back with.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { CommunicationServiceManagementClient } from '@azure/arm-communication';
import { CallAutomationClient } from '@azure/communication-call-automation';
import { CommunicationIdentityClient } from '@azure/communication-identity';
import { AzureKeyCredential, EventGridDeserializer, isSystemEvent } from '@azure/eventgrid';
import { Application, claims } from './callbacks.mjs';
import { communication, subscribe } from './events.mjs';
import { FunctionsHost, Trigger } from './functions-host.mjs';
import { asUser, credential, env, group, Phone, register, unique } from './support.mjs';

const identity = new CommunicationIdentityClient(env.communication.connection_string);
const { communicationServices: services } = new CommunicationServiceManagementClient(
  credential, env.subscription_id, { endpoint: env.base_url },
);
const application = await Application.start();
const host = await FunctionsHost.start({ incoming: new Trigger('EventGridEvent'), calls: new Trigger('EventGridEvent') });
const refused = (status, code) => (error) => {
  assert.deepEqual([error.statusCode, error.code], [status, code], error.message);
  return true;
};

const users = {};
for (const name of ['desk', 'bob', 'carol', 'dave']) users[name] = await identity.createUserAndToken(['voip']);
const client = new CallAutomationClient(env.communication.connection_string, { sourceIdentity: users.desk.user });
const waiting = [];
await subscribe(communication, host.url('incoming'), {
  filter: {
    includedEventTypes: ['Microsoft.Communication.IncomingCall'],
    advancedFilters: [
      { operatorType: 'StringIn', key: 'data.to.rawId', values: Object.values(users).map(({ user }) => user.communicationUserId) },
    ],
  },
});

const invite = (name) => ({ targetParticipant: users[name].user });
const rawId = (name) => users[name].user.communicationUserId;

// The IncomingCall event that is wanted; the others are kept for those who want them.
async function ringing(name, isWanted) {
  const found = () => waiting.findIndex((data) => data.to.rawId === rawId(name) && isWanted(data));
  while (found() < 0) {
    const heard = await host.functions.incoming.next();
    assert.ok(heard, `nobody heard of a call to ${name}`);
    waiting.push(heard.event.data);
  }
  return waiting.splice(found(), 1)[0];
}

// The IncomingCall event that tells of a call to this user.
const incoming = (serverCallId, name) => ringing(name, (data) => data.serverCallId === serverCallId);

// The desk calls bob.
async function place(options = { operationContext: 'op-create' }) {
  const leg = unique('caller');
  const { callConnection, callConnectionProperties } = await client.createCall(invite('bob'), application.url(leg), options);
  return { leg, connection: callConnection, properties: callConnectionProperties };
}

async function answer(context) {
  const leg = unique('callee');
  const { callConnection, callConnectionProperties } = await client.answerCall(context, application.url(leg), { operationContext: 'op-answer' });
  return { leg, connection: callConnection, properties: callConnectionProperties };
}

// The desk calls bob, and an application answers for him.
async function connect() {
  const caller = await place();
  const callee = await answer((await incoming(caller.properties.serverCallId, 'bob')).incomingCallContext);
  for (const { leg } of [caller, callee]) await application.hears(leg, 'CallConnected', 'ParticipantsUpdated');
  return { caller, callee };
}

test('a call is placed, answered, looked at, and ended for everyone', async () => {
  const caller = await place();
  const { properties } = caller;
  assert.equal(properties.callConnectionState, 'connecting');
  assert.equal(properties.source.communicationUserId, rawId('desk'));
  assert.equal(properties.targetParticipants[0].communicationUserId, rawId('bob'));
  const event = await incoming(properties.serverCallId, 'bob');
  assert.equal(event.from.rawId, rawId('desk'));
  assert.equal(event.correlationId, properties.correlationId);

  const callee = await answer(event.incomingCallContext);
  assert.equal(callee.properties.serverCallId, properties.serverCallId);
  assert.notEqual(callee.properties.callConnectionId, properties.callConnectionId);
  for (const [{ leg, properties: own }, context] of [[caller, 'op-create'], [callee, 'op-answer']]) {
    const [connected, updated] = await application.hears(leg, 'CallConnected', 'ParticipantsUpdated');
    assert.equal(connected.callConnectionId, own.callConnectionId);
    assert.equal(connected.operationContext, context);
    assert.equal(connected.resultInformation.code, 200);
    assert.equal(updated.sequenceNumber, 1);
    assert.ok(updated.participants.some((one) => one.identifier.communicationUserId === rawId('bob')), JSON.stringify(updated));
    assert.equal(connected.envelope.data.publicEventType, connected.envelope.type);
    assert.ok((await claims(connected)).aud);
  }

  assert.equal((await caller.connection.getCallConnectionProperties()).callConnectionState, 'connected');
  const { values } = await caller.connection.listParticipants();
  assert.deepEqual(values.map((one) => one.identifier.communicationUserId).sort(), [rawId('bob'), rawId('desk')].sort());
  const bob = await caller.connection.getParticipant(users.bob.user);
  assert.deepEqual([bob.isMuted, bob.isOnHold], [false, false]);
  await caller.connection.muteParticipant(users.bob.user);
  assert.equal((await caller.connection.getParticipant(users.bob.user)).isMuted, true);

  await caller.connection.hangUp(true);
  for (const { leg } of [caller, callee]) {
    await application.hears(leg, 'ParticipantsUpdated');
    const [gone] = await application.hears(leg, 'CallDisconnected');
    assert.equal(gone.resultInformation.code, 200);
  }
  await assert.rejects(caller.connection.getCallConnectionProperties(), refused(404, '8522'));
  await assert.rejects(caller.connection.hangUp(true), refused(404, '8522'));
});

test('a rejected call fails, and is then over', async () => {
  for (const [callRejectReason, code] of [['none', 603], ['busy', 486], ['forbidden', 403]]) {
    const { leg, properties } = await place();
    await client.rejectCall((await incoming(properties.serverCallId, 'bob')).incomingCallContext, { callRejectReason });
    const [failed, over] = await application.hears(leg, 'CreateCallFailed', 'CallDisconnected');
    assert.deepEqual([failed.resultInformation.code, over.resultInformation.code], [code, code]);
  }
});

test('a redirected call rings somebody else, and its old context is worth nothing', async () => {
  const { leg, connection, properties } = await place();
  const { incomingCallContext } = await incoming(properties.serverCallId, 'bob');
  await client.redirectCall(incomingCallContext, invite('carol'));
  const again = await incoming(properties.serverCallId, 'carol');
  await assert.rejects(client.answerCall(incomingCallContext, application.url(unique('late'))), refused(404, '8522'));
  await answer(again.incomingCallContext);
  await application.hears(leg, 'CallConnected', 'ParticipantsUpdated');
  await connection.hangUp(true);
});

test('a participant is added, and removed', async () => {
  const { caller, callee } = await connect();
  const added = await caller.connection.addParticipant(invite('carol'), { operationContext: 'op-add', invitationTimeoutInSeconds: 60 });
  assert.ok(added.invitationId);
  const carol = await answer((await incoming(caller.properties.serverCallId, 'carol')).incomingCallContext);
  const [succeeded] = await application.hears(caller.leg, 'AddParticipantSucceeded', 'ParticipantsUpdated');
  assert.equal(succeeded.participant.communicationUserId, rawId('carol'));
  assert.equal(succeeded.operationContext, 'op-add');
  await application.hears(callee.leg, 'ParticipantsUpdated');
  await application.hears(carol.leg, 'CallConnected', 'ParticipantsUpdated');

  await caller.connection.removeParticipant(users.carol.user, { operationContext: 'op-remove' });
  const [removed] = await application.hears(caller.leg, 'RemoveParticipantSucceeded', 'ParticipantsUpdated');
  assert.equal(removed.participant.communicationUserId, rawId('carol'));
  const [left] = await application.hears(carol.leg, 'CallDisconnected');
  assert.deepEqual([left.resultInformation.code, left.resultInformation.subCode], [200, 5300]);
  await caller.connection.hangUp(true);
});

test('who is added is shown who calls and the headers, and so is whom the call is redirected to', async () => {
  const { caller } = await connect();
  const customCallingContext = [
    { kind: 'voip', key: 'ticket', value: '42' },
    { kind: 'sipuui', key: '', value: 'uui' },
    { kind: 'sipx', key: 'lang', value: 'en', sipHeaderPrefix: 'X-' },
  ];
  await caller.connection.addParticipant({ ...invite('carol'), sourceDisplayName: 'Support', customCallingContext });
  const first = await incoming(caller.properties.serverCallId, 'carol');
  await client.redirectCall(first.incomingCallContext, invite('dave'));
  const second = await incoming(caller.properties.serverCallId, 'dave');
  for (const { callerDisplayName, customContext, from } of [first, second]) {
    assert.deepEqual([callerDisplayName, from.rawId], ['Support', rawId('desk')]);
    assert.equal(customContext.voipHeaders.ticket, '42');
    assert.deepEqual(customContext.sipHeaders, { 'User-To-User': 'uui', 'X-lang': 'en' });
  }
  await answer(second.incomingCallContext);
  const [succeeded] = await application.hears(caller.leg, 'AddParticipantSucceeded', 'ParticipantsUpdated');
  assert.equal(succeeded.participant.communicationUserId, rawId('carol'));
  await caller.connection.hangUp(true);
});

test('an invitation is taken back, or declined', async () => {
  const { caller } = await connect();
  const { invitationId } = await caller.connection.addParticipant(invite('carol'));
  await incoming(caller.properties.serverCallId, 'carol');
  await caller.connection.cancelAddParticipantOperation(invitationId);
  const [cancelled] = await application.hears(caller.leg, 'CancelAddParticipantSucceeded');
  assert.equal(cancelled.invitationId, invitationId);

  await caller.connection.addParticipant(invite('carol'));
  await client.rejectCall((await incoming(caller.properties.serverCallId, 'carol')).incomingCallContext);
  const [failed] = await application.hears(caller.leg, 'AddParticipantFailed');
  assert.equal(failed.resultInformation.code, 603);
  await caller.connection.hangUp(true);
});

test('what comes too late, or to somebody who is not there, fails by its event', async () => {
  const [{ caller }, other] = [await connect(), await connect()];
  const { invitationId } = await caller.connection.addParticipant(invite('carol'));
  await client.rejectCall((await incoming(caller.properties.serverCallId, 'carol')).incomingCallContext);
  await application.hears(caller.leg, 'AddParticipantFailed');
  await caller.connection.cancelAddParticipantOperation(invitationId, { operationContext: 'op-cancel' });
  const [cancel] = await application.hears(caller.leg, 'CancelAddParticipantFailed');
  assert.deepEqual([cancel.invitationId, cancel.operationContext], [invitationId, 'op-cancel']);
  await caller.connection.removeParticipant(users.carol.user);
  const [remove] = await application.hears(caller.leg, 'RemoveParticipantFailed');
  assert.equal(remove.participant.communicationUserId, rawId('carol'));
  await caller.connection.moveParticipants([users.carol.user], other.caller.properties.callConnectionId);
  const [move] = await application.hears(caller.leg, 'MoveParticipantFailed');
  assert.equal(move.participant.communicationUserId, rawId('carol'));
  for (const { resultInformation } of [cancel, remove, move]) {
    assert.deepEqual([resultInformation.code, resultInformation.subCode], [404, 8522]);
  }
  for (const { connection } of [caller, other.caller]) await connection.hangUp(true);
});

test('a call is transferred, once somebody takes it', async () => {
  const { caller, callee } = await connect();
  await callee.connection.transferCallToParticipant(users.carol.user, { operationContext: 'op-transfer' });
  await client.rejectCall((await incoming(caller.properties.serverCallId, 'carol')).incomingCallContext);
  const [failed] = await application.hears(callee.leg, 'CallTransferFailed');
  assert.deepEqual([failed.resultInformation.code, failed.operationContext], [603, 'op-transfer']);
  await callee.connection.transferCallToParticipant(users.carol.user, { transferee: users.desk.user });
  await answer((await incoming(caller.properties.serverCallId, 'carol')).incomingCallContext);
  const [accepted, over] = await application.hears(callee.leg, 'CallTransferAccepted', 'CallDisconnected');
  assert.equal(accepted.resultInformation.code, 200);
  assert.equal(over.resultInformation.subCode, 7015);
  await caller.connection.hangUp(true);
});

test('one of several is transferred, and leaves the call for another', async () => {
  const { caller, callee } = await connect();
  const observer = unique('observer');
  const locator = { kind: 'serverCallLocator', id: caller.properties.serverCallId };
  await client.connectCall(locator, application.url(observer));
  for (const leg of [caller.leg, callee.leg]) await application.hears(leg, 'ParticipantsUpdated');
  await assert.rejects(caller.connection.transferCallToParticipant(users.carol.user), refused(400, '8523'));
  await caller.connection.transferCallToParticipant(users.carol.user, { transferee: users.bob.user });
  const { incomingCallContext } = await ringing('carol', (data) => data.from.rawId === rawId('bob'));
  const carol = await answer(incomingCallContext);
  const [accepted] = await application.hears(caller.leg, 'CallTransferAccepted', 'ParticipantsUpdated');
  assert.equal(accepted.transferTarget.rawId, rawId('carol'));
  assert.equal(accepted.transferee.rawId, rawId('bob'));
  const [over] = await application.hears(callee.leg, 'CallDisconnected');
  assert.equal(over.resultInformation.subCode, 7015);
  for (const { connection } of [caller, carol]) await connection.hangUp(true);
});

test('an application connects to a call that goes on, and moves somebody over from another', async () => {
  const [{ caller }, other] = [await connect(), await connect()];
  const leg = unique('observer');
  const locator = { kind: 'serverCallLocator', id: caller.properties.serverCallId };
  const { callConnection, callConnectionProperties } = await client.connectCall(locator, application.url(leg));
  assert.equal(callConnectionProperties.serverCallId, caller.properties.serverCallId);
  await application.hears(leg, 'CallConnected');
  // The group of a call is its own id.
  const groupLocator = { kind: 'groupCallLocator', id: caller.properties.correlationId };
  const grouped = await client.connectCall(groupLocator, application.url(unique('grouped')));
  assert.equal(grouped.callConnectionProperties.serverCallId, caller.properties.serverCallId);
  await grouped.callConnection.hangUp(false);
  const roomLocator = { kind: 'roomCallLocator', id: 'room' };
  await assert.rejects(client.connectCall(roomLocator, application.url(unique('room'))), refused(405, '8520'));

  await other.caller.connection.addParticipant(invite('carol'));
  await answer((await incoming(other.caller.properties.serverCallId, 'carol')).incomingCallContext);
  await application.hears(other.caller.leg, 'AddParticipantSucceeded');
  await callConnection.moveParticipants([users.carol.user], other.caller.properties.callConnectionId);
  const moved = async () => {
    for (;;) {
      const event = await application.next(leg);
      if (event.kind === 'MoveParticipantSucceeded') return event;
      assert.equal(event.kind, 'ParticipantsUpdated');
    }
  };
  assert.equal((await moved()).participant.communicationUserId, rawId('carol'));
  for (const { connection } of [caller, other.caller]) await connection.hangUp(true);
});

test('a caller who gives up before the answer ends the call', async () => {
  const { leg, connection, properties } = await place();
  const { incomingCallContext } = await incoming(properties.serverCallId, 'bob');
  await connection.hangUp(false);
  const [over] = await application.hears(leg, 'CallDisconnected');
  assert.equal(over.resultInformation.code, 487);
  await assert.rejects(client.answerCall(incomingCallContext, application.url(unique('late'))), refused(404, '8522'));
});

// A communication resource of its own, to whose events nobody subscribes, with a user who calls and one who is called.
async function elsewhere() {
  const name = unique('js');
  const made = await services.beginCreateOrUpdateAndWait(group, name, { location: 'global', dataLocation: 'Europe' });
  after(() => services.beginDeleteAndWait(group, name));
  const { primaryConnectionString } = await services.listKeys(group, name);
  const users = new CommunicationIdentityClient(primaryConnectionString);
  const { user: sourceIdentity } = await users.createUserAndToken(['voip']);
  const callee = await users.createUserAndToken(['voip']);
  const link = () => services.linkNotificationHub(group, made.name, {
    linkNotificationHubParameters: { connectionString: env.hub.connection_strings.full, resourceId: env.hub.resource_id },
  });
  return { id: made.id, client: new CallAutomationClient(primaryConnectionString, { sourceIdentity }), caller: sourceIdentity, callee, link };
}

test('nobody to be reached is told at once', async () => {
  const { client: alone, callee } = await elsewhere();
  const leg = unique('caller');
  await alone.createCall({ targetParticipant: callee.user }, application.url(leg));
  for (const { resultInformation } of await application.hears(leg, 'CreateCallFailed', 'CallDisconnected')) {
    assert.deepEqual([resultInformation.code, resultInformation.subCode], [480, 10037]);
  }
});

// A call that rings a phone, and nobody takes it; it is looked at last, so that nobody has to wait for its end.
const unanswered = await (async () => {
  const { client: alone, callee, link } = await elsewhere();
  await link();
  const phone = await Phone.create('apns');
  await register(callee.token, phone);
  const leg = unique('unanswered');
  await alone.createCall({ targetParticipant: callee.user }, application.url(leg));
  return { leg, phone };
})();

test('an application\'s call rings phones, a phone answers it, and all of it is told as events of a call', async () => {
  const { id, client: alone, caller, callee, link } = await elsewhere();
  await link();
  await subscribe(id, host.url('calls'));
  const phone = await Phone.create('fcm');
  await register(callee.token, phone);
  const leg = unique('caller');
  const { callConnection, callConnectionProperties } = await alone.createCall({ targetParticipant: callee.user }, application.url(leg));
  const { callId } = (await phone.next()).payload.data;
  const answered = await asUser(callee.token, 'POST', `/calling/calls/${callId}:accept`);
  assert.equal(answered.body.state, 'connected');
  await application.hears(leg, 'CallConnected', 'ParticipantsUpdated');
  await callConnection.hangUp(true);
  await application.hears(leg, 'CallDisconnected');
  assert.equal((await asUser(callee.token, 'GET', `/calling/calls/${callId}`)).body.state, 'ended');

  const kinds = ['CallEnded', 'CallParticipantAdded', 'CallParticipantAdded', 'CallParticipantRemoved', 'CallParticipantRemoved', 'CallStarted', 'IncomingCall'];
  const events = [];
  while (events.length < kinds.length) {
    const heard = await host.functions.calls.next();
    assert.ok(heard, `only ${events.map(({ eventType }) => eventType)} were told`);
    events.push(...await new EventGridDeserializer().deserializeEventGridEvents(heard.body));
  }
  const kind = (event) => event.eventType.replace('Microsoft.Communication.', '');
  assert.deepEqual(events.map(kind).sort(), kinds);
  for (const event of events) {
    assert.ok(isSystemEvent(event.eventType, event));
    assert.equal(event.data.serverCallId, callConnectionProperties.serverCallId);
    assert.equal(event.data.correlationId, callId);
  }
  const both = [caller.communicationUserId, callee.user.communicationUserId].sort();
  for (const change of ['CallParticipantAdded', 'CallParticipantRemoved']) {
    const who = events.filter((event) => kind(event) === change).map(({ data }) => data.user.communicationIdentifier.rawId);
    assert.deepEqual(who.sort(), both);
  }
  const { data: ended } = events.find((event) => kind(event) === 'CallEnded');
  assert.equal(ended.endedBy.communicationIdentifier.rawId, caller.communicationUserId);
});

test('a client\'s call is answered by an application', async () => {
  const targets = [{ communicationUser: { id: rawId('bob') } }];
  const { body: call } = await asUser(users.carol.token, 'POST', '/calling/calls', { targets });
  const callee = await answer((await incoming(call.serverCallId, 'bob')).incomingCallContext);
  await application.hears(callee.leg, 'CallConnected', 'ParticipantsUpdated');
  assert.equal((await asUser(users.carol.token, 'GET', `/calling/calls/${call.id}`)).body.state, 'connected');
  await asUser(users.carol.token, 'POST', `/calling/calls/${call.id}:hangUp`);
  await application.hears(callee.leg, 'CallDisconnected');
});

test('an Entra token is as good as the key, and what is wrong has its code', async () => {
  const entra = new CallAutomationClient(env.base_url, credential, { sourceIdentity: users.desk.user });
  const leg = unique('caller');
  const { callConnection } = await entra.createCall(invite('bob'), application.url(leg));
  await callConnection.hangUp(true);

  const wrong = new CallAutomationClient(env.base_url, new AzureKeyCredential('AAAA'), { sourceIdentity: users.desk.user });
  await assert.rejects(wrong.createCall(invite('bob'), application.url(leg)), (error) => error.statusCode === 401);
  await assert.rejects(client.createCall(invite('bob'), 'http://203.0.113.1/callback'), refused(400, '8523'));
  await assert.rejects(client.rejectCall('nonsense'), refused(400, '8523'));
  await assert.rejects(client.getCallConnection(unique('no')).getCallConnectionProperties(), refused(404, '8522'));
});

test('there is no media', async () => {
  const { caller } = await connect();
  await assert.rejects(caller.connection.getCallMedia().cancelAllOperations(), refused(405, '8520'));
  await caller.connection.hangUp(true);
});

test('a call that rings a phone and is not answered in time fails, and its ringing stops', async () => {
  const { leg, phone } = unanswered;
  assert.equal((await phone.next()).payload.data.event, 'IncomingCall');
  assert.equal((await phone.next(40)).payload.data.reason, 'timedOut');
  const [failed, over] = await application.hears(leg, 'CreateCallFailed', 'CallDisconnected');
  for (const { resultInformation } of [failed, over]) {
    assert.deepEqual([resultInformation.code, resultInformation.subCode], [487, 10004]);
  }
});
