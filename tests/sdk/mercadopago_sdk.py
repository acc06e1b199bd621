"""The official Python SDK, unchanged, against the simulator: `mercadopago_sdk.py URL ACCESS_TOKEN`.

Only its address is another. Prints `ok`; anything else is a failure, and exits 1.
"""

import sys

import mercadopago
from mercadopago.config import Config, RequestOptions

url, token = sys.argv[1:]
Config._Config__api_base_url = url
sdk = mercadopago.SDK(token)


def told(answer, status):
    assert answer["status"] == status, answer
    return answer["response"]


def card(holder):
    made = told(sdk.card_token().create({
        "card_number": "4509953566233704", "expiration_month": 11, "expiration_year": 2030, "security_code": "123",
        "cardholder": {"name": holder},
    }), 201)
    return made["id"]


def charge(holder, reference, options=None):
    return sdk.payment().create({
        "transaction_amount": 100.5, "token": card(holder), "installments": 1, "payment_method_id": "visa",
        "external_reference": reference, "payer": {"email": "ana@example.com"},
    }, options)


# Cards: approved, rejected (which is no error), repeated under the same key.
paid = told(charge("APRO", "sdk-py-1"), 201)
assert (paid["status"], paid["status_detail"]) == ("approved", "accredited"), paid
assert isinstance(paid["id"], int) and paid["transaction_amount"] == 100.5 and paid["currency_id"] == "ARS", paid
declined = told(charge("FUND", "sdk-py-1"), 201)
assert (declined["status"], declined["status_detail"]) == ("rejected", "cc_rejected_insufficient_amount"), declined
options = RequestOptions(custom_headers={"x-idempotency-key": "sdk-py-key"})
first = told(charge("APRO", "sdk-py-2", options), 201)
again = charge("APRO", "sdk-py-2", options)
assert (again["status"], again["response"]["id"]) == (200, first["id"]), again

# Read and search.
assert told(sdk.payment().get(paid["id"]), 200)["external_reference"] == "sdk-py-1"
found = told(sdk.payment().search({"sort": "date_created", "criteria": "desc", "external_reference": "sdk-py-1"}), 200)
assert [one["status"] for one in found["results"]] == ["rejected", "approved"], found
assert found["paging"]["total"] == 2, found

# Refunds: a part, the rest, and one too many.
part = told(sdk.refund().create(paid["id"], {"amount": 40}), 201)
assert (part["amount"], part["status"], part["payment_id"]) == (40, "approved", paid["id"]), part
rest = told(sdk.refund().create(paid["id"]), 201)
assert rest["amount"] == 60.5, rest
assert [one["amount"] for one in told(sdk.refund().list_all(paid["id"]), 200)] == [40, 60.5]
assert told(sdk.payment().get(paid["id"]), 200)["status"] == "refunded"
much = told(sdk.refund().create(paid["id"], {"amount": 1}), 400)
assert much["cause"][0]["code"] in (2063, 2017), much

# A ticket, cancelled.
ticket = told(sdk.payment().create({
    "transaction_amount": 1000, "payment_method_id": "rapipago",
    "payer": {"email": "ana@example.com", "identification": {"type": "DNI", "number": "12345678"}},
}), 201)
assert ticket["status"] == "pending" and ticket["transaction_details"]["external_resource_url"], ticket
cancelled = told(sdk.payment().update(ticket["id"], {"status": "cancelled"}), 200)
assert (cancelled["status"], cancelled["status_detail"]) == ("cancelled", "by_collector"), cancelled
assert told(sdk.payment().update(ticket["id"], {"status": "cancelled"}), 400)["cause"][0]["code"] == 2018

# Preferences.
made = told(sdk.preference().create({
    "items": [{"title": "Mate", "quantity": 2, "unit_price": 10.25}], "external_reference": "sdk-py-3",
    "back_urls": {"success": "https://shop.example/ok"}, "auto_return": "approved",
}), 201)
assert made["init_point"] and made["id"].startswith(f"{made['collector_id']}-"), made
assert told(sdk.preference().get(made["id"]), 200)["items"][0]["unit_price"] == 10.25
closed = told(sdk.preference().update(made["id"], {"expires": True, "expiration_date_to": "2020-01-01T00:00:00.000-04:00"}), 200)
assert closed["expires"] is True, closed
assert told(sdk.preference().search({"external_reference": "sdk-py-3"}), 200)["elements"][0]["id"] == made["id"]
bad = told(sdk.preference().create({"items": [{"title": "x", "quantity": 1, "unit_price": 1}], "auto_return": "approved"}), 400)
assert bad["error"] == "invalid_auto_return" and bad["cause"] is None, bad

# Errors.
assert told(sdk.payment().get(1), 404)["cause"][0]["code"] == 2000
wrong = told(sdk.payment().create({"transaction_amount": 1, "token": "0" * 32, "installments": 1,
    "payment_method_id": "visa", "payer": {"email": "ana@example.com"}}), 400)
assert wrong["cause"][0]["code"] in (2006, 3003), wrong
assert mercadopago.SDK("APP_USR-nobody").payment().get(paid["id"])["status"] == 401
assert told(sdk.user().get(), 200)["site_id"] == "MLA"
print("ok")
