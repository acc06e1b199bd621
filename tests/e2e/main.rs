//! The whole, with real processes. Few tests, each a story; [`e2e`] is the stage.

mod agent_killed;
mod configuration;
mod documented;
mod doors;
mod duplicate_send;
mod faults;
mod generated;
mod hub_down;
mod hung_up_callers;
mod leftovers;
mod logs;
mod mail_hub_killed;
mod official_sdks;
mod payment_round_trip;
mod payments_under_fire;
mod php_to_webhook;
mod several_hubs;
mod soak;
mod verified_elsewhere;
mod watching;
