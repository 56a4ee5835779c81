-- What happened or was published.
create table events (
    id text not null primary key,           -- UUID version 7: in the order of acceptance
    source text not null,                   -- a digest of the key of the resource it happened at
    input text not null,                    -- the schema of `body`
    kind text not null,
    subject text not null,
    body text not null,                     -- JSON, as it is delivered in its own schema
    published_at bigint not null
);
create index events_of_source on events (source, id);

-- One row for each destination that an event goes to.
create table event_deliveries (
    event_id text not null,
    destination text not null,
    state text not null,                    -- pending, delivered, dead, dead_lettered, dropped
    urgent boolean not null,
    owner text,                             -- the node that holds it in memory
    since bigint not null,                  -- what its time to live counts from
    due_at bigint not null,                 -- not tried before; of a dead one: not written before
    attempts bigint not null,
    status bigint,                          -- the last answer
    outcome text,
    reason text,                            -- why it was given up
    last_at bigint,
    primary key (event_id, destination)
);
create index event_deliveries_pending on event_deliveries (destination, urgent, due_at, event_id) where state = 'pending';
create index event_deliveries_dead on event_deliveries (destination, due_at, event_id) where state = 'dead';

-- Attempts, but for those that succeeded at once.
create table event_attempts (
    event_id text not null,
    destination text not null,
    attempt bigint not null,
    began_at bigint not null,
    took bigint not null,                   -- microseconds
    status bigint,
    outcome text not null,
    error text,
    request text not null,                  -- JSON: method, URL without its query, headers without secrets
    answer text,                            -- JSON: headers, the beginning of the body
    primary key (event_id, destination, attempt)
);
