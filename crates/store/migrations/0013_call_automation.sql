-- Applications' legs of calls, what they asked for, and the answers that a repeated request gets again.
create table call_connections (
    id text not null primary key,
    call_id text not null,
    communication text not null,            -- lower-cased resource id
    member text not null,                   -- for whom it speaks: the caller or a called user
    role text not null,                     -- created, answered, connected
    answered_by text,
    context text,                           -- operationContext
    callback_uri text not null,             -- sealed
    created_at bigint not null,
    closed_at bigint                        -- when its last event was written
);
create index call_connections_of_call on call_connections (call_id) where closed_at is null;

-- Somebody is rung on behalf of an application, and the outcome is not known yet.
create table call_invitations (
    id text not null primary key,
    call_id text not null,
    connection_id text not null,
    transferee text,                        -- a transfer hands this user over; an addition has none
    participant text not null,              -- who was asked for
    target text not null,                   -- who rings for it
    context text,                           -- operationContext
    callback_uri text,                      -- sealed
    created_at bigint not null
);
create index call_invitations_of_call on call_invitations (call_id);

-- Where the events of one operation go, if not to the address of its leg.
create table callback_addresses (
    id text not null primary key,
    communication text not null,
    callback_uri text not null,             -- sealed
    created_at bigint not null
);

-- Requests with a Repeatability-Request-ID that were executed, written with what they did.
create table repeatable_requests (
    communication text not null,
    id text not null,
    operation text not null,                -- method and path
    answer text not null,                   -- JSON
    created_at bigint not null,
    primary key (communication, id)
);
create index repeatable_requests_by_age on repeatable_requests (created_at);
