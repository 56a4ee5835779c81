-- What happened, written with the change that caused it.
create table events (
    id text not null primary key,
    topic text not null,                    -- ARM id
    kind text not null,
    subject text not null,
    data text not null,                     -- JSON
    occurred_at bigint not null
);
create index events_in_order on events (occurred_at, id);
