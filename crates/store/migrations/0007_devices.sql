-- Device registrations, one row a transport. Rows of one registration id are one device.
create table devices (
    user_id text not null,
    registration_id text not null,          -- chosen by the client
    kind text not null,                     -- APNS, FCM, TROUTER
    path text not null,                     -- the device token, or the channel's URL
    context text not null,
    app_id text not null,
    platform text not null,
    template_key text not null,
    crypto text,                            -- JSON, sealed: the keys of chat pushes
    registered_at bigint not null,
    expires_at bigint not null,
    health text not null,                   -- good, quarantined, dead
    health_reason text not null,
    primary key (user_id, registration_id, kind, path)
);
create index devices_by_end on devices (expires_at);
