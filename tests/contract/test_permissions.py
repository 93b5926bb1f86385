"""Who may call what: every RPC of every service, with credentials that must not suffice.

The RPCs are those that reflection lists on the running services. A new one fails here until it has
a request in FOREIGN or OWN (or needs none, because its permission is "public" or "service").
"""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from odeon.analytics.v1 import analytics_pb2 as analytics
from odeon.auth.v1 import auth_pb2 as auth
from odeon.recorder.v1 import recorder_pb2 as recorder
from odeon.room.v1 import room_pb2 as room
from odeon.room.v1 import room_pb2_grpc
from odeon.signaling.v1 import signaling_pb2 as signaling
from odeon.transcoder.v1 import transcoder_pb2 as transcoder
from odeon_runtime.permissions import PUBLIC, SERVICE, method_permissions
from odeon_testkit.callers import Caller, Deployment, Metadata, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
FILES = (auth, room, recorder, signaling, analytics, transcoder)
SECRET_TITLE = "known to acme alone"
EVENT, ROOM = "events/launch", "rooms/hall"
PARTICIPANT = "events/launch/participants/bob"
SESSION = "s-of-acme"


def foreign(acme_key: str) -> dict[str, Message]:
    """Requests that name something of acme's; for others there is no such thing.

    Args:
        acme_key: resource name of an API key of acme's.
    """
    launch = room.Event(name=EVENT, title="mine now")
    layout = room.Layout(kind=room.Layout.KIND_GRID)
    return {
        "AuthService/RevokeApiKey": auth.RevokeApiKeyRequest(name=acme_key),
        "AuthService/RevokeSession": auth.RevokeSessionRequest(session_id=SESSION),
        "AuthService/IssueToken": auth.IssueTokenRequest(
            kind=auth.TOKEN_KIND_JOIN, event=EVENT, role="host", tenant_id="acme"
        ),
        "AuthService/CreateTenant": auth.CreateTenantRequest(tenant_id="acme"),
        "AuthService/RotateSigningKey": auth.RotateSigningKeyRequest(),
        "RoomService/GetRoom": room.GetRoomRequest(name=ROOM),
        "RoomService/DeleteRoom": room.DeleteRoomRequest(name=ROOM),
        "RoomService/CreateEvent": room.CreateEventRequest(event=room.Event(room=ROOM)),
        "RoomService/GetEvent": room.GetEventRequest(name=EVENT),
        "RoomService/UpdateEvent": room.UpdateEventRequest(
            event=launch, update_mask=FieldMask(paths=["title"])
        ),
        "RoomService/WarmUpEvent": room.WarmUpEventRequest(name=EVENT),
        "RoomService/StartEvent": room.StartEventRequest(name=EVENT),
        "RoomService/EndEvent": room.EndEventRequest(name=EVENT),
        "RoomService/EnterEvent": room.EnterEventRequest(name=EVENT),
        "RoomService/SetLayout": room.SetLayoutRequest(name=EVENT, layout=layout),
        "RoomService/ListParticipants": room.ListParticipantsRequest(parent=EVENT),
        "RoomService/AdmitParticipant": room.AdmitParticipantRequest(name=PARTICIPANT),
        "RoomService/RemoveParticipant": room.RemoveParticipantRequest(name=PARTICIPANT, ban=True),
        "RoomService/MuteParticipant": room.MuteParticipantRequest(
            name=PARTICIPANT, audio_muted=True
        ),
        "RecorderService/GetTimeline": recorder.GetTimelineRequest(name="timelines/launch"),
        "RecorderService/DeleteTimeline": recorder.DeleteTimelineRequest(name="timelines/launch"),
    }


OWN: dict[str, Message] = {
    "AuthService/GetTenant": auth.GetTenantRequest(),
    "AuthService/CreateApiKey": auth.CreateApiKeyRequest(role="viewer"),
    "AuthService/ListApiKeys": auth.ListApiKeysRequest(),
    "RoomService/CreateRoom": room.CreateRoomRequest(room_id="lobby"),
    "RoomService/ListRooms": room.ListRoomsRequest(),
    "RoomService/ListEvents": room.ListEventsRequest(),
    "RoomService/ListJobs": room.ListJobsRequest(),
    "RecorderService/ListTimelines": recorder.ListTimelinesRequest(),
    "AnalyticsService/SendBeacons": analytics.SendBeaconsRequest(event=EVENT),
    "AnalyticsService/GetEventStats": analytics.GetEventStatsRequest(),
    "AnalyticsService/WatchEventStats": analytics.WatchEventStatsRequest(),
}
"""Requests that can name nothing of another tenant's: the answer must hold nothing of it either."""


def about_acme(request: type[Message]) -> Message | None:
    """A request that names acme as its tenant, for RPCs between services; None if it names none."""
    if "tenant_id" not in request.DESCRIPTOR.fields_by_name:
        return None
    message = request()
    known = (("tenant_id", "acme"), ("event", EVENT), ("node", "n1"), ("owner", "eve"))
    for field, value in known:
        if field in request.DESCRIPTOR.fields_by_name:
            setattr(message, field, value)
    if "participant" in request.DESCRIPTOR.fields_by_name:
        message.participant.identity = "eve"  # type: ignore[attr-defined]
    if "tracks" in request.DESCRIPTOR.fields_by_name:
        message.tracks.add(track="v240", kind=recorder.TrackSpec.KIND_VIDEO)  # type: ignore[attr-defined]
    if "identity" in request.DESCRIPTOR.fields_by_name:
        message.identity = "bob"  # type: ignore[attr-defined]
    return message


OWN_TOKEN = {
    f"SignalingService/{name}"
    for name in ("Stage", "Publish", "Play", "PatchSession", "CloseSession")
}
"""RPCs whose message brings a token of its own; the one beside it opens nothing."""


def well_formed(request: type[Message]) -> Message:
    """A request between services that names no tenant, complete enough to be decided on."""
    message = request()
    known = {"name": "jobs/job-1", "worker": "w1", "claim": 1, "outcome": 1, "ok": True}
    for field, value in known.items():
        if field in request.DESCRIPTOR.fields_by_name:
            setattr(message, field, value)
    if request is room.ReportNodeRequest:
        message.node.name = "nodes/n1"  # type: ignore[attr-defined]
    elif "node" in request.DESCRIPTOR.fields_by_name:
        message.node = "nodes/n1"  # type: ignore[attr-defined]
    if request is signaling.StageRequest:
        message.message.join.token = "eve's"  # type: ignore[attr-defined]
    return message


# The methods ------------------------------------------------------------------------------------


class Method:
    """One RPC: where it is, what it needs, how to call it."""

    def __init__(self, descriptor: MethodDescriptor) -> None:
        service = descriptor.containing_service
        self.descriptor = descriptor
        self.service = service.full_name.split(".")[1]
        self.path = f"/{service.full_name}/{descriptor.name}"
        self.short = f"{service.name}/{descriptor.name}"
        self.permission = method_permissions([service])[self.path]
        self.request = GetMessageClass(descriptor.input_type)

    def call(
        self, channel: grpc.aio.Channel, metadata: Metadata, request: Message | None = None
    ) -> Awaitable[object]:
        """Call it once; of a stream, its first message."""
        make: Any = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, True): channel.stream_stream,
        }[(self.descriptor.client_streaming, self.descriptor.server_streaming)]
        message = request if request is not None else self.request()
        multi = make(
            self.path,
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=GetMessageClass(self.descriptor.output_type).FromString,
        )
        argument = iter([message]) if self.descriptor.client_streaming else message
        call = multi(argument, metadata=metadata, timeout=10)
        return _first(call) if self.descriptor.server_streaming else call


async def _first(call: grpc.aio.UnaryStreamCall) -> object:  # type: ignore[type-arg]
    async for message in call:
        call.cancel()
        return message
    return None


METHODS = [
    Method(descriptor)
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for descriptor in service.methods
]
GUARDED = [m for m in METHODS if m.permission != PUBLIC]
INTERNAL = [m for m in METHODS if m.permission == SERVICE]
OUTSIDE = [m for m in GUARDED if m.permission != SERVICE]


def each(methods: list[Method]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", methods, ids=lambda m: m.short)


async def code(call: Awaitable[object]) -> str:
    """The code a call ends with; "OK" when it is answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


# The people -------------------------------------------------------------------------------------


class People:
    """Holders of credentials, and a key of acme's that others try to touch."""

    def __init__(self, acme: Caller, other: Caller, gateway: Caller) -> None:
        self.acme, self.other, self.gateway = acme, other, gateway
        self.playback = self.invite = acme
        self.foreign: dict[str, Message] = {}

    def too_weak_for(self, permission: str) -> Caller:
        """Somebody of acme's own whose token lacks the permission."""
        return self.invite if permission == "beacons.send" else self.playback


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(deployment: Deployment) -> People:
    api = deployment.auth
    acme, other = await api.tenant("acme"), await api.tenant("other")
    people = People(acme, other, await api.service("gateway"))
    people.playback = await api.token(acme, "PLAYBACK", session_id=SESSION)
    people.invite = await api.token(acme, "INVITE", "host")
    stub = room_pb2_grpc.RoomServiceStub(deployment.channels["room"])
    hall = room.CreateRoomRequest(room_id="hall", room=room.Room(display_name=SECRET_TITLE))

    async def room_knows_acme() -> bool:
        return await code(stub.ListRooms(room.ListRoomsRequest(), metadata=acme.metadata)) == "OK"

    await eventually(room_knows_acme)
    await stub.CreateRoom(hall, metadata=acme.metadata)
    event = room.Event(room=ROOM, title=SECRET_TITLE, state=room.Event.STATE_LIVE)
    create = room.CreateEventRequest(event_id="launch", event=event)
    await stub.CreateEvent(create, metadata=acme.metadata)
    key = await api.stub.CreateApiKey(
        auth.CreateApiKeyRequest(display_name=SECRET_TITLE, role="viewer"), metadata=acme.metadata
    )
    people.foreign = foreign(key.api_key.name)
    return people


# The matrix -------------------------------------------------------------------------------------


async def test_reflection_lists_every_rpc_of_the_matrix_and_no_other(
    deployment: Deployment,
) -> None:
    listed: set[str] = set()
    for name, channel in deployment.channels.items():
        if name != "gateway":
            listed |= {
                f"/{s}/{m}" for s, methods in (await reflected(channel)).items() for m in methods
            }

    assert listed == {method.path for method in METHODS}


@each(OUTSIDE)
async def test_every_rpc_for_outsiders_has_a_request_here(method: Method) -> None:
    assert (method.short in foreign("apiKeys/a")) != (method.short in OWN)


@each(GUARDED)
async def test_without_a_credential_nothing_is_answered(
    deployment: Deployment, method: Method
) -> None:
    call = method.call(deployment.channels[method.service], ())

    assert await code(call) == "UNAUTHENTICATED"


@each(GUARDED)
async def test_garbage_is_no_credential(deployment: Deployment, method: Method) -> None:
    none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJvZGVvbiIsImF1ZCI6Im9kZW9uOmFwaSJ9."
    for value in ("Bearer garbage", f"Bearer {none}", "Basic YTpi", "Bearer a.b.c"):
        call = method.call(deployment.channels[method.service], (("authorization", value),))
        assert await code(call) == "UNAUTHENTICATED", value


@each(GUARDED)
async def test_a_token_whose_role_lacks_the_permission_is_refused(
    deployment: Deployment, people: People, method: Method
) -> None:
    weak = people.too_weak_for(method.permission)

    call = method.call(deployment.channels[method.service], weak.metadata)

    assert await code(call) == "PERMISSION_DENIED"


@each(INTERNAL)
async def test_what_is_between_services_is_refused_to_the_owner_of_a_tenant(
    deployment: Deployment, people: People, method: Method
) -> None:
    call = method.call(deployment.channels[method.service], people.other.metadata)

    assert await code(call) == "PERMISSION_DENIED"


@each([m for m in INTERNAL if about_acme(m.request) is not None])
async def test_no_service_is_talked_into_acting_for_another_tenant(
    deployment: Deployment, people: People, method: Method
) -> None:
    passed_on = people.other.through(people.gateway)

    call = method.call(deployment.channels[method.service], passed_on, about_acme(method.request))

    assert await code(call) == "PERMISSION_DENIED"


@each([m for m in INTERNAL if about_acme(m.request) is None])
async def test_what_a_service_does_on_its_own_it_does_not_for_a_caller(
    deployment: Deployment, people: People, method: Method
) -> None:
    passed_on = people.other.through(people.gateway)
    request = well_formed(method.request)

    call = method.call(deployment.channels[method.service], passed_on, request)

    refused = {"UNAUTHENTICATED"} if method.short in OWN_TOKEN else {"PERMISSION_DENIED"}
    assert await code(call) in refused


@each([m for m in OUTSIDE if m.short not in OWN])
async def test_nothing_of_another_tenants_exists(
    deployment: Deployment, people: People, method: Method
) -> None:
    request = people.foreign[method.short]

    call = method.call(deployment.channels[method.service], people.other.metadata, request)

    assert await code(call) in {"NOT_FOUND", "PERMISSION_DENIED"}


@each([m for m in OUTSIDE if m.short in OWN])
async def test_what_answers_a_tenant_holds_nothing_of_another(
    deployment: Deployment, people: People, method: Method
) -> None:
    call = method.call(
        deployment.channels[method.service], people.other.metadata, OWN[method.short]
    )
    try:
        answer = str(await call)
    except grpc.aio.AioRpcError as refused:
        answer = str(refused.details())
        assert refused.code() is not grpc.StatusCode.UNKNOWN

    assert SECRET_TITLE not in answer and "acme" not in answer


@each(METHODS)
async def test_the_public_face_offers_outsiders_nothing_more(
    deployment: Deployment, people: People, method: Method
) -> None:
    gateway = deployment.channels["gateway"]

    if method.permission == SERVICE:
        call = method.call(gateway, people.other.metadata)
        assert await code(call) in {"UNIMPLEMENTED", "PERMISSION_DENIED"}
    elif method.permission != PUBLIC:
        assert await code(method.call(gateway, ())) == "UNAUTHENTICATED"
        weak = people.too_weak_for(method.permission)
        assert await code(method.call(gateway, weak.metadata)) == "PERMISSION_DENIED"
        if method.short in people.foreign:
            call = method.call(gateway, people.other.metadata, people.foreign[method.short])
            assert await code(call) in {"NOT_FOUND", "PERMISSION_DENIED"}


async def test_after_all_that_acmes_things_are_as_they_were(
    deployment: Deployment, people: People
) -> None:
    stub = room_pb2_grpc.RoomServiceStub(deployment.channels["room"])

    event = await stub.GetEvent(room.GetEventRequest(name=EVENT), metadata=people.acme.metadata)
    keys = await deployment.auth.stub.ListApiKeys(
        auth.ListApiKeysRequest(), metadata=people.acme.metadata
    )

    assert (event.event.title, event.event.state) == (SECRET_TITLE, room.Event.STATE_LIVE)
    assert not any(key.HasField("revoke_time") for key in keys.api_keys)


async def reflected(channel: grpc.aio.Channel) -> dict[str, list[str]]:
    """Method names by service, as reflection tells; only of the product's own packages."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask(**question: str) -> reflection_pb2.ServerReflectionResponse:
        request = reflection_pb2.ServerReflectionRequest(**question)
        async for answer in stub.ServerReflectionInfo(iter([request])):
            return answer
        raise AssertionError("reflection does not answer")

    found: dict[str, list[str]] = {}
    for service in (await ask(list_services="")).list_services_response.service:
        if not service.name.startswith("odeon."):
            continue
        answer = await ask(file_containing_symbol=service.name)
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(raw)
            for described in file.service:
                if f"{file.package}.{described.name}" == service.name:
                    found[service.name] = [method.name for method in described.method]
    return found
