//! The PHP extension `trastienda.so`: a shop's calls, handed to the agent on the same host.
//!
//! Invariants:
//! - A call never takes longer than its time budget, whatever the agent does (`client`).
//! - The id of what a call makes exists before the first byte leaves, and a reconnect repeats it.
//! - Nothing aborts PHP: every failure, panics included, is an exception (`guard`, `exception`).
//! - No lock and no pooled connection is held while PHP code may run (`convert`).
//!
//! It deliberately stores nothing and retries nothing beyond one reconnect: that is the agent's work.
//! Start reading at `functions`.
#![cfg_attr(
    debug_assertions,
    expect(
        missing_docs,
        reason = "debug builds export the description that ext-php-rs makes for its own tool"
    )
)]

mod call;
mod client;
mod connection;
mod convert;
mod engine;
mod error;
mod exception;
mod functions;
mod guard;
mod ini;
mod options;
mod passthrough;
mod response;
mod spin;
mod webhook;

use ext_php_rs::prelude::*;

use crate::functions::startup;

/// Describes the extension to PHP.
#[php_module]
#[php(startup = startup)]
pub fn get_module(module: ModuleBuilder) -> ModuleBuilder {
    functions::register(module.name("trastienda"))
}
