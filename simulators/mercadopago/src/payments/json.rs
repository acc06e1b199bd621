//! A payment as the API writes it, nulls and all.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::model::{Payment, Status};
use crate::clock::{written, written_or_null};
use crate::money::Money;

/// A grey square. The code in `qr_code` is what a payment is known by here.
const QR_PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

impl Payment {
    pub(crate) fn json(&self, public_url: &str) -> Value {
        let mut all = Map::new();
        for part in [self.state(), self.money(), self.people(), self.asked_back(), self.elsewhere(public_url)]
        {
            if let Value::Object(part) = part {
                all.extend(part);
            }
        }
        let mut all = Value::Object(all);
        if self.method.is_deferred() && self.method.id != "pix" {
            all["transaction_details"]["external_resource_url"] = json!(self.ticket_url(public_url));
        }
        all
    }

    /// When the money can be taken out, a fortnight after the approval.
    pub(super) fn released_at(&self) -> Option<DateTime<Utc>> {
        self.approved_at.map(|at| at + TimeDelta::days(14))
    }

    fn state(&self) -> Value {
        json!({
            "id": self.id,
            "status": self.status.as_str(),
            "status_detail": self.detail,
            "operation_type": "regular_payment",
            "payment_method_id": self.method.id,
            "payment_type_id": self.method.kind,
            "payment_method": {"id": self.method.id, "type": self.method.kind, "issuer_id": self.asked.get("issuer_id")},
            "date_created": written(self.created_at),
            "date_last_updated": written(self.updated_at),
            "date_approved": written_or_null(self.approved_at),
            "date_of_expiration": written_or_null(self.expires_at),
            "money_release_date": written_or_null(self.released_at()),
            "money_release_status": if self.approved_at.is_some() { json!("pending") } else { Value::Null },
            "money_release_schema": null,
            "live_mode": true,
            "captured": self.captured,
            "binary_mode": self.asked.get("binary_mode").and_then(Value::as_bool).unwrap_or(false),
            "processing_mode": "aggregator",
            "authorization_code": match self.status {
                Status::Approved | Status::Authorized if self.method.is_card() => json!("301299"),
                _ => Value::Null,
            },
            "accounts_info": null,
            "build_version": "3.120.0",
        })
    }

    fn money(&self) -> Value {
        let paid = self.approved_at.is_some();
        let fee = if paid { self.fee() } else { Money::zero(self.site.decimals) };
        let net = self.amount.with(self.amount.minor - fee.minor);
        let received = if paid { net } else { Money::zero(self.site.decimals) };
        let installments = self.asked.get("installments").and_then(Value::as_i64).unwrap_or(1).max(1);
        json!({
            "currency_id": self.site.currency,
            "transaction_amount": self.amount.json(),
            "transaction_amount_refunded": self.refunded.json(),
            "coupon_amount": 0,
            "taxes_amount": 0,
            "shipping_amount": 0,
            "installments": installments,
            "fee_details": if paid {
                json!([{"type": "mercadopago_fee", "amount": fee.json(), "fee_payer": "collector"}])
            } else {
                json!([])
            },
            "charges_details": [],
            "transaction_details": {
                "net_received_amount": received.json(),
                "total_paid_amount": self.amount.json(),
                "overpaid_amount": 0,
                "installment_amount": if self.method.is_card() {
                    self.amount.with(self.amount.minor / installments).json()
                } else {
                    json!(0)
                },
                "external_resource_url": null,
                "financial_institution": null,
                "payment_method_reference_id": null,
                "acquirer_reference": null,
                "payable_deferral_period": null,
            },
            "refunds": self.refunds.iter().map(|refund| refund.json(self)).collect::<Vec<_>>(),
        })
    }

    fn people(&self) -> Value {
        let payer = self.asked.get("payer");
        let of_payer = |name: &str| payer.and_then(|payer| payer.get(name)).cloned().unwrap_or(Value::Null);
        json!({
            "collector_id": self.seller,
            "payer": {
                "id": self.payer_id.to_string(),
                "email": of_payer("email"),
                "identification": match of_payer("identification") {
                    Value::Null => json!({"type": null, "number": null}),
                    document => document,
                },
                "first_name": null,
                "last_name": null,
                "phone": {"area_code": null, "number": null, "extension": null},
                "type": null,
                "entity_type": of_payer("entity_type"),
                "operator_id": null,
            },
            "sponsor_id": null,
            "card": self.card.clone().unwrap_or(json!({})),
            "issuer_id": self.asked.get("issuer_id"),
        })
    }

    fn asked_back(&self) -> Value {
        let back = |name: &str| self.asked.get(name).cloned();
        json!({
            "external_reference": self.external_reference,
            "notification_url": self.notification_url,
            "description": back("description"),
            "statement_descriptor": back("statement_descriptor"),
            "callback_url": back("callback_url"),
            "metadata": back("metadata").unwrap_or(json!({})),
            "additional_info": back("additional_info").unwrap_or(json!({})),
            "counter_currency": null,
            "merchant_account_id": null,
            "merchant_number": null,
            "integrator_id": null,
            "platform_id": null,
            "corporation_id": null,
            "differential_pricing_id": null,
            "deduction_schema": null,
            "call_for_authorize_id": null,
            "pos_id": null,
            "store_id": null,
            "tags": null,
        })
    }

    /// What points away from the payment: its order, its ticket, its Pix code.
    fn elsewhere(&self, public_url: &str) -> Value {
        let ticket_url = self.ticket_url(public_url);
        let mut part = json!({
            "order": self.order.map_or(json!({}), |id| json!({"id": id.to_string(), "type": "mercadopago"})),
            "point_of_interaction": {
                "type": if self.preference.is_some() { "CHECKOUT" } else { "UNSPECIFIED" },
                "business_info": {"unit": "online_payments", "sub_unit": "default"},
            },
        });
        if self.method.id == "pix" {
            part["point_of_interaction"] = json!({
                "type": "OPENPLATFORM",
                "business_info": {"unit": "online_payments", "sub_unit": "default"},
                "application_data": {"name": null, "version": null},
                "transaction_data": {
                    "qr_code": self.code(),
                    "qr_code_base64": QR_PNG,
                    "ticket_url": ticket_url,
                    "bank_info": null,
                    "transaction_id": null,
                },
            });
        } else if self.method.is_deferred() {
            part["barcode"] = json!({"content": self.code()});
        }
        part
    }

    /// What the provider keeps, a little under five percent.
    fn fee(&self) -> Money {
        self.amount.with(self.amount.minor * 49 / 1_000)
    }
}
