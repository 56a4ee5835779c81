-- What was tried before an event was had again: the numbers of its attempts go on from there.
alter table event_deliveries add column before_again bigint not null default 0;
