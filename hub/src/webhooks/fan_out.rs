//! Writing an event's deliveries in the event's own transaction.

use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use trastienda_protocol::event::EventPattern;
use trastienda_protocol::ids::DeliveryId;

use super::deliver::Deliveries;
use super::{store, warn};
use crate::app::App;
use crate::events::{DeliveryState, Event, Subscriber};
use crate::http::Result;
use crate::queue::worker::Queue as _;

/// Hands events to the endpoints that subscribed to their type.
#[derive(Debug, Clone, Copy)]
pub struct FanOut;

impl Subscriber for FanOut {
    fn on_event<'a>(
        &'a self,
        app: &'a App,
        conn: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for target in store::list_targets(conn, event.project_id).await? {
                let wanted = target
                    .events
                    .iter()
                    .any(|text| EventPattern::parse(text).is_ok_and(|p| p.matches(&event.event_type)));
                if wanted && !warn::is_own_end(event, target.id) {
                    let id: DeliveryId = app.new_id();
                    store::insert_delivery(conn, id, &target, event).await?;
                }
            }
            Ok(())
        })
    }

    fn deliveries<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, Result<Vec<DeliveryState>>> {
        Box::pin(async move { Ok(store::list_states(conn, event.project_id, event.id).await?) })
    }

    fn queue(&self) -> &'static str {
        Deliveries::NAME
    }
}
