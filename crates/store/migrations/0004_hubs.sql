-- Hubs and namespaces are resources. A node learns what another has changed by reading the etags of these kinds every
-- few seconds, from this index alone.
create index resources_etags on resources (kind, key, etag);
