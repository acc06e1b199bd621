//! The agent over its real socket, against a hub that comes and goes.

mod acceptance;
mod support;
