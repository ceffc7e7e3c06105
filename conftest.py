"""Keeps what the notebook writes out of the checkout while it is tested."""

import os
import tempfile

os.environ.setdefault("PRUNING_OUTPUT_DIR", tempfile.mkdtemp())
