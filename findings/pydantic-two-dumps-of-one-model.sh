#!/usr/bin/env bash
# A pydantic model that keeps unknown keys has two different dumps.
#
# Guess: with extra="allow", a field `user_id` with the alias `userId`, and input
# that holds both "user_id" and "userId", the dump has one `user_id`, and it is
# the field's value.
#
# Seen with pydantic 2.14.4: "user_id" is an unknown key, because only the alias
# is known, so it is kept next to the field of the same name. The attribute is the
# field. model_dump() has the unknown value. model_dump_json() writes the key
# twice, so the value depends on the reader: most readers take the last one, which
# is again not the field.
#
#   attribute 2
#   model_dump() {'user_id': 1}
#   model_dump_json() {"user_id":2,"user_id":1}
#
# Why it matters: camelCase files that keep unknown keys are the usual way to be
# compatible with newer writers. A file by a program that writes snake_case next
# to camelCase changes the dump to a value that was never validated as the field.
# With by_alias=True both dumps keep the two keys apart.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.4
"$work/venv/bin/python" - <<'EOF'
import json
import sys

from pydantic import BaseModel, ConfigDict, Field


def check(what, seen, expected):
    print(f"{what}: {seen!r}")
    if seen != expected:
        sys.exit(f"the behaviour changed, expected {expected!r}")


class Job(BaseModel):
    model_config = ConfigDict(extra="allow")
    user_id: int = Field(alias="userId")


job = Job.model_validate_json('{"user_id": 1, "userId": 2}')
check("attribute", job.user_id, 2)
check("model_dump()", job.model_dump(), {"user_id": 1})
check("model_dump_json()", job.model_dump_json(), '{"user_id":2,"user_id":1}')
check("read back", json.loads(job.model_dump_json()), {"user_id": 1})

apart = {"userId": 2, "user_id": 1}
check("model_dump(by_alias=True)", job.model_dump(by_alias=True), apart)
check("model_dump_json(by_alias=True)", job.model_dump_json(by_alias=True), '{"userId":2,"user_id":1}')

# The unknown key is not validated: it may be of any type.
job = Job.model_validate_json('{"user_id": "nobody", "userId": 2}')
check("unvalidated", job.model_dump(), {"user_id": "nobody"})
EOF
