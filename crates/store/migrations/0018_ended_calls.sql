-- Calls are forgotten some time after their end.
create index calls_ended on calls (ended_at, id) where ended_at is not null;
create index callback_addresses_by_age on callback_addresses (created_at);
