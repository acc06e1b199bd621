//! Payments: made by the API, by the checkout page or by the control interface, and what becomes of them.
//!
//! A payment only ever moves by a [`Move`], which says whether it may and keeps `date_last_updated` rising.
//! A declined card is a payment with status `rejected`, not an error.

mod create;
mod draft;
mod get;
mod input;
mod json;
mod model;
mod moves;
mod outcome;
mod pix;
mod refunds;
mod search;
mod update;

pub(crate) use self::create::create;
pub(crate) use self::draft::Draft;
pub(crate) use self::get::get;
pub(crate) use self::model::{Payment, Status};
pub(crate) use self::moves::Move;
pub(crate) use self::outcome::Outcome;
pub(crate) use self::refunds::{create as refund, get as get_refund, list as list_refunds};
pub(crate) use self::search::search;
pub(crate) use self::update::update;
