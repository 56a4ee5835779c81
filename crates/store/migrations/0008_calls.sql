-- Calls, their legs, and how each device was rung or told to stop.
create table calls (
    id text not null primary key,
    communication text not null,            -- lower-cased resource id
    caller text not null,
    display_name text not null,
    video boolean not null,
    signal text,                            -- JSON, opaque
    created_at bigint not null,
    ring_deadline bigint not null,
    rings boolean not null,                 -- whether any leg rings: what a start has to wait for
    connected_at bigint,
    caller_left_at bigint,
    ended_at bigint,
    end_reason text,
    ended_by text,
    muted text not null,                    -- JSON list of user ids
    roster bigint not null,
    version bigint not null                 -- two changes at once: one of them finds another version and tries again
);
create index calls_ringing on calls (ring_deadline) where rings;

create table call_legs (
    call_id text not null,
    ordinal bigint not null,
    target text not null,
    round_id text not null,                 -- the last ringing: the context of its IncomingCall event names it
    rung_at bigint not null,
    deadline bigint not null,
    hops bigint not null,
    state text not null,                    -- ringing, accepted, declined, timedOut, cancelled
    endpoint text,
    accepted_at bigint,
    left_at bigint,
    signal text,                            -- JSON, opaque
    primary key (call_id, ordinal)
);

create table call_rings (
    call_id text not null,
    event text not null,                    -- IncomingCall, StopRinging
    place bigint not null,                  -- the same for the ring of a device and its stop
    target text not null,
    round_id text not null,                 -- which ringing of the user
    registration_id text not null,          -- '' when the user has no device at all
    way text not null,                      -- live, apns, fcm, none
    detail text not null,                   -- live: the connection; none: why
    notification_id text,                   -- push: the notification, and the place of the device among its targets
    ordinal bigint,
    at bigint not null,
    primary key (call_id, event, place)
);
