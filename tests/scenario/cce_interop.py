# SPDX-License-Identifier: Apache-2.0
"""The schema of cce-interop 0.8.1 and simulated equipment, where there are any (COLDFLEET_DATA names their folder): they are no part
of the project."""

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stack import ROOT

FILES = Path(os.environ.get("COLDFLEET_DATA") or ROOT.parent / "shared" / "data") / "cce-interop"
SCHEMA = FILES / "cce-interop-0.8.1.json"
real = pytest.mark.skipif(not SCHEMA.exists(), reason=f"no {SCHEMA}")


def checked(document):
    """The transfer, which is valid as far as there is a schema to say so."""
    if SCHEMA.exists():
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    return document
