//! The agent over its real socket, against a hub that comes and goes.

mod acceptance;
mod crash;
mod damage;
mod doctor;
mod doors;
mod features;
mod forward;
mod fuzz;
mod host;
mod lanes;
mod model;
mod operating;
mod process;
mod pull;
mod support;
mod tls;
mod upgrade;
