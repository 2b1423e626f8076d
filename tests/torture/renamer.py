"""A program that knows nothing of jobctl: it rewrites files by renaming, in a loop, until killed.

renamer.py DIRECTORY SEED ID...
"""

from __future__ import annotations

import json
import os
import random
import sys


def main() -> None:
    """Rewrite one file after the other, in an order of the seed."""
    directory, seed, *ids = sys.argv[1:]
    os.chdir(directory)
    chance = random.Random(int(seed))
    turn = 0
    while True:
        chance.shuffle(ids)
        for id in ids:
            turn += 1
            with open(f"{id}.json", encoding="utf-8") as file:
                value = json.load(file)
            value["title"] = f"theirs {turn}" + "." * chance.randrange(4)
            with open(".theirs", "w", encoding="utf-8") as file:
                json.dump(value, file, indent=chance.choice([None, 2]))
            os.rename(".theirs", f"{id}.json")


if __name__ == "__main__":
    main()
