-- What the server must remember about itself: signing keys (sealed), versions, one-time marks.
create table meta (
    name text not null primary key,
    value text not null
);
