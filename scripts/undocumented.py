#!/usr/bin/env python3
"""Prints the public declarations of symbol graphs that have no comment, and fails when there is one.

Enumeration cases may do without, as their names say what they are; what a protocol asks for has the protocol's comment."""
import json
import sys

found = []
for path in sys.argv[1:]:
    with open(path) as file:
        symbols = json.load(file)["symbols"]
    for symbol in symbols:
        if "docComment" in symbol or symbol["kind"]["identifier"] == "swift.enum.case":
            continue
        place = symbol.get("location")
        where = f"{place['uri'].removeprefix('file://')}:{place['position']['line'] + 1}" if place else path
        found.append(f"{where}: {'.'.join(symbol['pathComponents'])}")
print("\n".join(sorted(found)), end="\n" if found else "")
sys.exit(1 if found else 0)
