//! How a notification travels: each channel turns a checked request into what is stored, and says what it cannot take.

pub(crate) mod email;
pub(crate) mod whatsapp;
