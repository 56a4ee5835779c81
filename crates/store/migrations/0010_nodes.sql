-- The processes that share this database. Each sends what it accepted itself; while its lease lasts, nobody else does.
create table nodes (
    id text not null primary key,
    seen_at bigint not null,
    -- 0 once it has been found to be over, or was given back.
    lease_until bigint not null
);

-- Which node sends it. What was accepted before there were nodes belongs to one whose lease is over.
alter table notifications add column node text not null default '';
insert into nodes (id, seen_at, lease_until) values ('', 0, 0);
