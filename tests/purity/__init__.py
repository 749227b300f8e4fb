"""Lanes under churn: does a request ever leave its lane, or one without a mark enter it? See `run.py`."""
