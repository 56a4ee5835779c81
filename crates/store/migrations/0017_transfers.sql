-- A member is transferred out of a call into one of its own with whoever was asked for.
alter table call_invitations add column from_call_id text; -- the call that the transferee leaves
create index call_invitations_out_of_call on call_invitations (from_call_id) where from_call_id is not null;
