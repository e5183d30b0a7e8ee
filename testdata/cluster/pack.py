#!/usr/bin/env python3
"""Packs recordings of a cluster into the files beside this script.

    pack.py RECORDINGS [TARGET]

RECORDINGS holds `objects/SCENARIO/` and `api/`, in the shape that README.md describes. Each scenario becomes
SCENARIO.json.zst: the zstd-compressed JSON object of its files, file name -> document (`watch.jsonl` -> text). `api/`
becomes api.json.zst in the same way. Needs the program `zstd`.
"""

import json
import pathlib
import subprocess
import sys


def without_managed_fields(item):
    """Who wrote which field is a third of every object, and no reader of the recordings uses it."""
    item.get("metadata", {}).pop("managedFields", None)
    return item


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def read(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "watch.jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            without_managed_fields(line["object"])
        return "".join(compact(line) + "\n" for line in lines)
    document = json.loads(text)
    if document.get("kind") == "List":
        for item in document["items"]:
            without_managed_fields(item)
    return document


def pack(folder, target):
    files = {path.name: read(path) for path in sorted(folder.iterdir())}
    packed = subprocess.run(
        ["zstd", "-19", "-q", "-c"], input=compact(files).encode(), stdout=subprocess.PIPE, check=True
    ).stdout
    target.write_bytes(packed)
    return len(packed)


def main():
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).parent
    total = pack(source / "api", target / "api.json.zst")
    for folder in sorted((source / "objects").iterdir()):
        total += pack(folder, target / f"{folder.name}.json.zst")
    print(f"{total} bytes")


if __name__ == "__main__":
    main()
