-- Communication identities. A token issued at or before valid_after is revoked; no row, no token.
create table identities (
    user_id text not null primary key,
    communication text not null,            -- lower-cased resource id
    created_at bigint not null,
    valid_after bigint not null
);
create index identities_of_resource on identities (communication, user_id);
