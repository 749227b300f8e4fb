"""Guards of lanes: what was counted goes in, a verdict comes out, and somebody is told. Who acts: `app/guarding.py`."""
