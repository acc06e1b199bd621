//! Payments over the whole hub, with the provider's simulator at the other end of real connections.

mod cases;
mod checkout;
mod credentials;
mod inbound;
mod janitor;
mod late;
mod manual;
mod methods;
mod once;
mod reconcile;
mod truth;
mod world;
