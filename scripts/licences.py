#!/usr/bin/env python3
"""Licences and bans, from `cargo metadata` and the lists of deny.toml."""

import json
import subprocess
import sys
import tomllib

with open("deny.toml", "rb") as file:
    rules = tomllib.load(file)
allowed = set(rules["licenses"]["allow"])
banned = {entry["crate"] for entry in rules["bans"]["deny"]}
sources = set(rules["sources"]["allow-registry"])

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"], check=True, capture_output=True
    ).stdout
)


def satisfied(expression: str) -> bool:
    """Whether an SPDX expression of ANDs and ORs can be met with the allowed licences."""
    tokens = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ").split()

    def alternatives() -> bool:
        result = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = conjunction() or result
        return result

    def conjunction() -> bool:
        result = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = term() and result
        return result

    def term() -> bool:
        token = tokens.pop(0)
        if token == "(":
            result = alternatives()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in allowed

    return alternatives()


mistakes = []
for package in metadata["packages"]:
    name = f"{package['name']} {package['version']}"
    if package["name"] in banned:
        mistakes.append(f"{name} is banned")
    if package["source"] is None:
        continue
    if package["source"] not in sources:
        mistakes.append(f"{name} comes from {package['source']}")
    if not package["license"] or not satisfied(package["license"]):
        mistakes.append(f"{name} is under {package['license']}")
if mistakes:
    sys.exit("\n".join(mistakes))
print(f"{len(metadata['packages'])} packages: licences, bans and sources are right")
