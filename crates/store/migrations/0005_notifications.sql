-- What hubs accepted, and how each delivery of it ended.
--
-- A notification's id begins with the five minutes it was accepted in, so that rows arrive in key order and the
-- retention sweep needs no index of its own. The two tables are written and swept together: a foreign key would
-- only cost a look-up for each row.
create table notifications (
    id text not null primary key,
    -- Lower-cased resource id of the own hub, or of the communication resource whose link it goes through.
    hub text,
    communication text,
    platform text not null,
    headers text not null,
    body text not null,
    tag text,
    lane text not null,
    call_id text,
    created_at bigint not null,
    deadline bigint not null
);

create index notifications_call on notifications (call_id) where call_id is not null;

create table deliveries (
    notification_id text not null,
    ordinal bigint not null,
    handle text not null,
    user_id text,
    registration_id text,
    -- Null while it is pending.
    outcome text,
    -- Microseconds: since when a dead token is dead, or how long the provider asked to wait.
    detail bigint,
    status bigint,
    reason text,
    provider_id text,
    attempts bigint,
    written_at bigint,
    ended_at bigint,
    primary key (notification_id, ordinal)
);

-- What a start after a crash has to look at: empty when all is settled.
create index deliveries_pending on deliveries (notification_id, ordinal) where outcome is null;
