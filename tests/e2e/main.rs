//! The whole, with real processes. Few tests, each a story; [`e2e`] is the stage.

mod agent_killed;
mod chaos;
mod configuration;
mod documented;
mod doors;
mod duplicate_send;
mod faults;
mod generated;
mod hub_down;
mod hub_memory;
mod hung_up_callers;
mod installed;
mod leftovers;
mod logs;
mod mail_hub_killed;
mod official_sdks;
mod payment_round_trip;
mod payments_under_fire;
mod php_to_webhook;
mod pulled;
mod several_hubs;
mod shared_limits;
mod verified_elsewhere;
mod watching;
