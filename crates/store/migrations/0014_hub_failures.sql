-- Links whose last send failed: what their resource shows, at whichever node it is asked for.
create table hub_failures (
    communication text not null primary key references links (communication) on delete cascade,
    error text not null,
    failed_at bigint not null
);
