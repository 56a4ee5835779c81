-- Calls that are connected for too long are ended.
create index calls_connected on calls (connected_at, id) where connected_at is not null and ended_at is null;
