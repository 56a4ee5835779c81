-- ARM resources of every type as documents: one table, the same few queries. A resource group is one of them.
create table resources (
    key text not null primary key,          -- the id, lower-cased
    id text not null,                       -- the id as first written
    subscription text not null,             -- lower-cased
    group_key text not null,                -- lower-cased name of the group; '' for what is in none
    parent_key text not null,               -- lower-cased id of what it is directly inside of
    kind text not null,                     -- lower-cased type, e.g. microsoft.communication/communicationservices
    etag text not null,
    body text not null,                     -- JSON: location, tags, properties, …
    secrets text,                           -- JSON, sealed: what belongs to the resource and is never listed
    created_at bigint not null,
    created_by text not null,
    created_by_type text not null,
    updated_at bigint not null,
    updated_by text not null,
    updated_by_type text not null
);
create index resources_by_kind on resources (subscription, kind, group_key, key);
create index resources_by_parent on resources (parent_key, kind, key);
