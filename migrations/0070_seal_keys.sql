-- The master keys that a running hub opens with, the one that it seals with first; null: a hub that says nothing about it.
alter table hubs add column seal_keys text[];
