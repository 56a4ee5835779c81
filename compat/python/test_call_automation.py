"""azure-communication-callautomation: calls that an application places, answers, rejects, redirects and ends.

The lab's webhooks are the application: one is subscribed to IncomingCall, and each leg has one for its callbacks.
"""

import pytest
import requests
from azure.communication.callautomation import (
    CallAutomationClient,
    CallConnectionState,
    CallRejectReason,
    CommunicationUserIdentifier,
)
from azure.communication.identity import CommunicationIdentityClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.messaging import CloudEvent
from azure.mgmt.communication import CommunicationServiceManagementClient
from azure.mgmt.eventgrid import EventGridManagementClient, models

from support import ENV, GROUP, Phone, Webhook, credential, unique

CONNECTION_STRING = ENV["communication"]["connection_string"]
COMMUNICATION = ENV["communication"]["resource_id"]
IDENTITY = CommunicationIdentityClient.from_connection_string(CONNECTION_STRING)
DESK, BOB, CAROL, DAVE = (IDENTITY.create_user() for _ in range(4))
CLIENT = CallAutomationClient.from_connection_string(
    CONNECTION_STRING, source=CommunicationUserIdentifier(DESK.properties["id"])
)


@pytest.fixture(scope="module")
def incoming():
    """Tells of the IncomingCall event of a call to a user."""
    webhook, name = Webhook(), unique("py")
    callees = [user.properties["id"] for user in (BOB, CAROL, DAVE, DESK)]
    of_callees = models.EventSubscriptionFilter(
        included_event_types=["Microsoft.Communication.IncomingCall"],
        advanced_filters=[models.StringInAdvancedFilter(key="data.to.rawId", values=callees)],
    )
    subscription = models.EventSubscription(
        destination=models.WebHookEventSubscriptionDestination(endpoint_url=webhook.url), filter=of_callees
    )
    control = EventGridManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])
    control.event_subscriptions.begin_create_or_update(COMMUNICATION, name, subscription).result()
    heard = []

    def event(call, user, caller=None):
        """The event of a ringing of the user: in this call, or by this caller."""

        def is_wanted(data):
            by_whom = data["from"]["rawId"] == caller.properties["id"] if caller else data["serverCallId"] == call.server_call_id
            return by_whom and data["to"]["rawId"] == user.properties["id"]

        while not any(map(is_wanted, heard)):
            heard.extend(event["data"] for one in webhook.deliveries(1) for event in one["body"])
        found = next(filter(is_wanted, heard))
        heard.remove(found)
        return found

    def incoming(*ringing, **by):
        """Its context."""
        return event(*ringing, **by)["incomingCallContext"]

    incoming.event = event
    yield incoming
    control.event_subscriptions.begin_delete(COMMUNICATION, name).wait()


class Leg:
    """A leg of a call, and what the application is told of it."""

    def __init__(self, act, *arguments, client=CLIENT, **options):
        self.webhook = Webhook()
        self.call = act(*arguments, f"{self.webhook.url}?key=demo", **options)
        self.connection = client.get_call_connection(self.call.call_connection_id)
        self.told = []

    def hears(self, *kinds, seconds=10):
        while len(self.told) < len(kinds):
            for delivery in self.webhook.deliveries(1, seconds):
                [event] = delivery["body"]
                self.told.append(CloudEvent.from_dict(event))
        heard, self.told = self.told[: len(kinds)], self.told[len(kinds) :]
        assert [one.type.removeprefix("Microsoft.Communication.") for one in heard] == list(kinds)
        return [one.data for one in heard]


class Reached:
    """Somebody with a phone, of a communication resource of its own, and who calls that one."""

    def __init__(self, connection_string, platform):
        users = CommunicationIdentityClient.from_connection_string(connection_string)
        caller, (self.user, token) = users.create_user(), users.create_user_and_token(["voip"])
        self.token, self.phone = token.token, Phone(platform, **({"kind": "voip"} if platform == "apns" else {}))
        transport = {"apns": "APNS", "fcm": "FCM"}[platform]
        body = {
            "registrationId": "phone",
            "clientDescription": {"appId": "Acs", "templateKey": "AcsNotify_Call_1.0"},
            "transports": {transport: [{"path": self.phone.token, "ttl": 3600}]},
        }
        assert self.asks("POST", "/registrar/prod/v2/registrations", body).status_code == 202
        client = CallAutomationClient.from_connection_string(connection_string, source=caller)
        self.leg = Leg(client.create_call, self.user, client=client)

    def asks(self, method, path, body=None):
        headers = {"authorization": f"Bearer {self.token}"}
        return requests.request(method, ENV["base_url"] + path, json=body, headers=headers, timeout=10)


@pytest.fixture(scope="module")
def linked():
    """The connection string of a communication resource that is linked to the hub, and has no subscribers."""
    control = CommunicationServiceManagementClient(credential(), ENV["subscription_id"], base_url=ENV["base_url"])
    services, name = control.communication_services, unique("py")
    services.begin_create_or_update(GROUP, name, {"location": "global", "properties": {"dataLocation": "Europe"}}).wait()
    hub = {"resourceId": ENV["hub"]["resource_id"], "connectionString": ENV["hub"]["connection_strings"]["full"]}
    services.link_notification_hub(GROUP, name, hub)
    yield services.list_keys(GROUP, name).primary_connection_string
    services.begin_delete(GROUP, name).wait()


@pytest.fixture(scope="module")
def unanswered(linked):
    """A call that rings a phone which nobody takes: placed early, so that nobody has to wait for its end."""
    return Reached(linked, "apns")


def place(callee=BOB):
    return Leg(CLIENT.create_call, callee, operation_context="op-create")


def answer(context):
    return Leg(CLIENT.answer_call, context, operation_context="op-answer")


def connect(incoming):
    caller = place()
    callee = answer(incoming(caller.call, BOB))
    for leg in (caller, callee):
        leg.hears("CallConnected", "ParticipantsUpdated")
    return caller, callee


def test_a_call_rings_a_phone_which_answers_and_hangs_up(linked, unanswered):
    bob = Reached(linked, "fcm")
    call = bob.phone.next()["payload"]["data"]["callId"]
    assert call == bob.leg.call.correlation_id
    assert bob.asks("POST", f"/calling/calls/{call}:accept").json()["state"] == "connected"
    bob.leg.hears("CallConnected", "ParticipantsUpdated")
    assert bob.asks("POST", f"/calling/calls/{call}:hangUp").json()["state"] == "ended"
    [over] = bob.leg.hears("CallDisconnected")
    assert (over["resultInformation"]["code"], over["resultInformation"]["subCode"]) == (200, 5002)


def test_a_call_is_placed_answered_looked_at_and_ended_for_everyone(incoming):
    caller = place()
    assert caller.call.call_connection_state == CallConnectionState.CONNECTING
    callee = answer(incoming(caller.call, BOB))
    assert callee.call.server_call_id == caller.call.server_call_id
    for leg, context in ((caller, "op-create"), (callee, "op-answer")):
        connected, updated = leg.hears("CallConnected", "ParticipantsUpdated")
        assert connected["callConnectionId"] == leg.call.call_connection_id
        assert (connected["operationContext"], connected["resultInformation"]["code"]) == (context, 200)
        assert updated["sequenceNumber"] == 1
    assert caller.connection.get_call_properties().call_connection_state == CallConnectionState.CONNECTED
    ids = {one.identifier.properties["id"] for one in caller.connection.list_participants()}
    assert ids == {DESK.properties["id"], BOB.properties["id"]}
    caller.connection.mute_participant(BOB)
    assert caller.connection.get_participant(BOB).is_muted
    caller.connection.hang_up(True)
    for leg in (caller, callee):
        leg.hears("ParticipantsUpdated", "CallDisconnected")
    with pytest.raises(ResourceNotFoundError):
        caller.connection.get_call_properties()


@pytest.mark.parametrize(
    "reason, code", [(CallRejectReason.NONE, 603), (CallRejectReason.BUSY, 486), (CallRejectReason.FORBIDDEN, 403)]
)
def test_a_rejected_call_fails_and_is_then_over(incoming, reason, code):
    caller = place()
    CLIENT.reject_call(incoming(caller.call, BOB), call_reject_reason=reason)
    for told in caller.hears("CreateCallFailed", "CallDisconnected"):
        assert told["resultInformation"]["code"] == code


def test_a_redirected_call_rings_somebody_else(incoming):
    caller = place()
    context = incoming(caller.call, BOB)
    CLIENT.redirect_call(context, CAROL)
    answer(incoming(caller.call, CAROL))
    caller.hears("CallConnected", "ParticipantsUpdated")
    with pytest.raises(ResourceNotFoundError):
        answer(context)
    caller.connection.hang_up(True)


def test_participants_are_added_and_removed_and_invitations_taken_back(incoming):
    caller, _ = connect(incoming)
    invitation = caller.connection.add_participant(CAROL).invitation_id
    incoming(caller.call, CAROL)
    caller.connection.cancel_add_participant_operation(invitation)
    caller.hears("CancelAddParticipantSucceeded")
    caller.connection.add_participant(CAROL, operation_context="op-add", invitation_timeout=60)
    carol = answer(incoming(caller.call, CAROL))
    added, _ = caller.hears("AddParticipantSucceeded", "ParticipantsUpdated")
    assert (added["participant"]["rawId"], added["operationContext"]) == (CAROL.properties["id"], "op-add")
    carol.hears("CallConnected", "ParticipantsUpdated")
    caller.connection.remove_participant(CAROL)
    caller.hears("RemoveParticipantSucceeded", "ParticipantsUpdated")
    [gone] = carol.hears("CallDisconnected")
    assert gone["resultInformation"]["subCode"] == 5300
    caller.connection.hang_up(True)


def test_who_is_added_is_shown_who_calls_and_the_headers_and_so_is_whom_the_call_is_redirected_to(incoming):
    caller, _ = connect(incoming)
    caller.connection.add_participant(
        CAROL, source_display_name="Support", voip_headers={"ticket": "42"}, sip_headers={"User-To-User": "uui"}
    )
    first = incoming.event(caller.call, CAROL)
    CLIENT.redirect_call(first["incomingCallContext"], DAVE)
    second = incoming.event(caller.call, DAVE)
    for ringing in (first, second):
        assert (ringing["callerDisplayName"], ringing["from"]["rawId"]) == ("Support", DESK.properties["id"])
        assert ringing["customContext"]["voipHeaders"] == {"ticket": "42"}
        assert ringing["customContext"]["sipHeaders"]["User-To-User"] == "uui"
    answer(second["incomingCallContext"])
    added, _ = caller.hears("AddParticipantSucceeded", "ParticipantsUpdated")
    assert added["participant"]["rawId"] == CAROL.properties["id"]
    caller.connection.hang_up(True)


def test_what_comes_too_late_or_to_somebody_who_is_not_there_fails_by_its_event(incoming):
    (caller, _), (other, _) = connect(incoming), connect(incoming)
    invitation = caller.connection.add_participant(CAROL).invitation_id
    CLIENT.reject_call(incoming(caller.call, CAROL))
    caller.hears("AddParticipantFailed")
    caller.connection.cancel_add_participant_operation(invitation, operation_context="op-cancel")
    [cancel] = caller.hears("CancelAddParticipantFailed")
    assert (cancel["invitationId"], cancel["operationContext"]) == (invitation, "op-cancel")
    caller.connection.remove_participant(CAROL)
    [remove] = caller.hears("RemoveParticipantFailed")
    caller.connection.move_participants([CAROL], other.call.call_connection_id)
    [move] = caller.hears("MoveParticipantFailed")
    for told in (cancel, remove, move):
        assert told["resultInformation"]["subCode"] == 8522
    for leg in (caller, other):
        leg.connection.hang_up(True)


def test_an_application_connects_to_a_call_that_goes_on_and_moves_somebody_over(incoming):
    (caller, _), (other, _) = connect(incoming), connect(incoming)
    # The group of a call is its own id.
    for locator in ({"server_call_id": caller.call.server_call_id}, {"group_call_id": caller.call.correlation_id}):
        webhook = Webhook()
        joined = CLIENT.connect_call(f"{webhook.url}?key=demo", **locator)
        assert joined.server_call_id == caller.call.server_call_id
        CLIENT.get_call_connection(joined.call_connection_id).hang_up(False)
    with pytest.raises(HttpResponseError) as refused:
        CLIENT.connect_call(Webhook().url, room_id="room")
    assert refused.value.status_code == 405
    # Twice somebody joined and left.
    caller.hears(*["ParticipantsUpdated"] * 4)
    other.connection.add_participant(CAROL)
    answer(incoming(other.call, CAROL))
    other.hears("AddParticipantSucceeded", "ParticipantsUpdated")
    caller.connection.move_participants([CAROL], other.call.call_connection_id)
    moved, _ = caller.hears("MoveParticipantSucceeded", "ParticipantsUpdated")
    assert moved["participant"]["rawId"] == CAROL.properties["id"]
    other.hears("ParticipantsUpdated")
    for leg in (caller, other):
        leg.connection.hang_up(True)


def test_a_call_is_transferred_once_somebody_takes_it(incoming):
    caller, callee = connect(incoming)
    callee.connection.transfer_call_to_participant(CAROL, operation_context="op-transfer")
    CLIENT.reject_call(incoming(caller.call, CAROL))
    [failed] = callee.hears("CallTransferFailed")
    assert (failed["resultInformation"]["code"], failed["operationContext"]) == (603, "op-transfer")
    callee.connection.transfer_call_to_participant(CAROL, transferee=DESK)
    answer(incoming(caller.call, CAROL))
    callee.hears("CallTransferAccepted", "CallDisconnected")
    caller.connection.hang_up(True)


def test_one_of_several_is_transferred_and_leaves_the_call_for_another(incoming):
    caller, callee = connect(incoming)
    CLIENT.connect_call(f"{Webhook().url}?key=demo", server_call_id=caller.call.server_call_id)
    for leg in (caller, callee):
        leg.hears("ParticipantsUpdated")
    caller.connection.transfer_call_to_participant(CAROL, transferee=BOB)
    carol = answer(incoming(None, CAROL, caller=BOB))
    accepted, _ = caller.hears("CallTransferAccepted", "ParticipantsUpdated")
    assert accepted["transferee"]["rawId"] == BOB.properties["id"]
    [over] = callee.hears("CallDisconnected")
    assert over["resultInformation"]["subCode"] == 7015
    for leg in (caller, carol):
        leg.connection.hang_up(True)


def test_a_caller_who_gives_up_ends_the_call(incoming):
    caller = place()
    incoming(caller.call, BOB)
    caller.connection.hang_up(False)
    [over] = caller.hears("CallDisconnected")
    assert over["resultInformation"]["code"] == 487


def test_an_entra_token_is_as_good_as_the_key_and_what_is_wrong_has_its_class():
    source = CommunicationUserIdentifier(DESK.properties["id"])
    entra = CallAutomationClient(ENV["base_url"], credential(), source=source)
    call = entra.create_call(BOB, Webhook().url)
    entra.get_call_connection(call.call_connection_id).hang_up(True)
    wrong = CONNECTION_STRING.split("accesskey=")[0] + "accesskey=d3Jvbmc="
    with pytest.raises(ClientAuthenticationError):
        CallAutomationClient.from_connection_string(wrong, source=source).create_call(BOB, Webhook().url)
    with pytest.raises(ResourceNotFoundError):
        CLIENT.get_call_connection("no").get_call_properties()
    with pytest.raises(HttpResponseError) as refused:
        CLIENT.create_call(BOB, "http://203.0.113.1/callback")
    assert refused.value.status_code == 400


def test_a_call_that_rings_a_phone_and_is_not_answered_in_time_fails_and_its_ringing_stops(unanswered):
    ring = unanswered.phone.next()
    assert ring["payload"]["data"]["event"] == "IncomingCall"
    for told in unanswered.leg.hears("CreateCallFailed", "CallDisconnected", seconds=40):
        assert (told["resultInformation"]["code"], told["resultInformation"]["subCode"]) == (487, 10004)
    assert unanswered.phone.next(ring["seq"])["payload"]["data"]["reason"] == "timedOut"
