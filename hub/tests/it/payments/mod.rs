//! Payments over the whole hub, with the provider's simulator at the other end of real connections.

mod checkout;
mod credentials;
mod inbound;
mod methods;
mod truth;
mod world;
