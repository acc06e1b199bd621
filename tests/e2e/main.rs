//! The whole, with real processes. Few tests, each a story; [`e2e`] is the stage.

mod agent_killed;
mod configuration;
mod doors;
mod duplicate_send;
mod generated;
mod hub_down;
mod leftovers;
mod logs;
mod mail_hub_killed;
mod payment_round_trip;
mod php_to_webhook;
mod soak;
