-- What a called user is shown of whoever calls: it goes along when the call is redirected.
alter table call_legs add column shown_name text;       -- the caller's name, if it is not the call's
alter table call_legs add column shown_headers text;    -- JSON: {"sipHeaders","voipHeaders"}
