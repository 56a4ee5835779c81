-- Who may sign in to the control plane, and which hub a communication resource is linked to.
create table apps (
    client_id text not null primary key,
    object_id text not null,
    name text not null,
    created_at bigint not null,
    tokens_from bigint not null             -- access tokens issued earlier are refused
);

create table app_credentials (
    id text not null primary key,
    client_id text not null references apps (client_id) on delete cascade,
    kind text not null,                     -- secret or certificate
    data text not null,                     -- secret: SHA-256 of it, hex; certificate: DER, base64
    hint text not null,                     -- its first characters, to tell one from another
    created_at bigint not null,
    expires_at bigint not null
);
create index app_credentials_by_app on app_credentials (client_id, created_at);

create table users (
    key text not null primary key,          -- the user principal name, lower-cased
    upn text not null,
    object_id text not null,
    password text not null,                 -- PBKDF2, see service/src/control/password.rs
    created_at bigint not null,
    tokens_from bigint not null
);

-- Client assertions seen within their life: none is taken twice.
create table assertions (
    id text not null primary key,
    expires_at bigint not null
);
create index assertions_by_expiry on assertions (expires_at);

create table links (
    communication text not null primary key references resources (key) on delete cascade,
    hub_resource_id text not null,          -- as the caller wrote it
    hub_key text not null,                  -- own hub: its lower-cased id; remote hub: ''
    remote_url text not null,               -- remote hub: https://host[:port]; own hub: ''
    remote_hub text not null,               -- remote hub: its name; own hub: ''
    key_name text not null,
    key text not null,                      -- sealed
    linked_at bigint not null
);
