//! The simulator over real HTTP, as a backend, a buyer and an operator meet it.

mod cards;
mod checkout;
mod faults;
mod notices;
mod payments;
mod preferences;
mod program;
mod receiver;
mod refunds;
mod sellers;
mod world;
