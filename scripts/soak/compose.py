#!/usr/bin/env python3
"""What scripts/soak/compose.sh cannot say in shell: reads JSON, and accounts for every order.

    compose.py field NAME < object
    compose.py account LEDGER HUB SHOP MAIL KEY_FILE
"""

import collections
import json
import pathlib
import sys
import time
import urllib.request

PATIENCE = 180  # seconds


def get(url, key=None):
    """A page's JSON."""
    request = urllib.request.Request(url, headers={"X-API-KEY": key} if key else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def every(hub, path, key):
    """All of a list."""
    cursor, found = None, []
    while True:
        page = get(f"{hub}{path}limit=200" + (f"&cursor={cursor}" if cursor else ""), key)
        found += page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def look(orders, hub, shop, mail, key):
    """What is wrong, in words; nothing when every order is accounted for."""
    wrong = []
    events = collections.Counter(event["id"] for event in every(hub, "/v1/events?type=order.created&", key))
    received = collections.Counter(row["id"] for row in get(f"{shop}/received")["data"])
    notifications = {row["id"]: row["status"] for row in every(hub, "/v1/notifications?channel=email&", key)}
    mails = collections.Counter(message["to"] for message in get(f"{mail}/messages")["data"])
    for order in orders:
        name = order["order_id"]
        event, notification = order["event_id"], order["notification_id"]
        if order["problems"]:
            wrong.append(f"{name}: the shop had problems: {order['problems']}")
        if events[event] != 1:
            wrong.append(f"{name}: its event is at the hub {events[event]} times")
        if received[event] != 1:
            wrong.append(f"{name}: its webhook came {received[event]} times")
        if notifications.get(notification) != "sent":
            wrong.append(f"{name}: its mail is {notifications.get(notification)}")
    unknown = set(events) - {order["event_id"] for order in orders}
    if unknown:
        wrong.append(f"events that no order made: {unknown}")
    summary = {
        "orders": len(orders),
        "events at the hub": sum(events.values()),
        "webhooks handled by the shop": sum(count for id, count in received.items() if id in events),
        "mails marked sent": sum(status == "sent" for status in notifications.values()),
        "mails in the mail server": sum(mails.values()),
    }
    return wrong, summary


def account(ledger, hub, shop, mail, key_file):
    """Waits until every order is accounted for, and says how."""
    lines = pathlib.Path(ledger).read_text(encoding="utf-8").splitlines()
    orders = [json.loads(line) for line in lines if line.startswith("{")]
    key = pathlib.Path(key_file).read_text(encoding="utf-8").strip()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            wrong, summary = look(orders, hub, shop, mail, key)
        except OSError as error:
            wrong, summary = [f"no answer: {error}"], {}
        if orders and not wrong:
            break
        if time.monotonic() > deadline:
            sys.exit("\n".join(wrong or ["the ledger is empty"]))
        time.sleep(1)
    for what, count in summary.items():
        print(f"{what:<32} {count}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["field", name]:
            print(json.load(sys.stdin)[name])
        case ["account", *arguments]:
            account(*arguments)
        case _:
            sys.exit(__doc__)
