"""What tests need beside the program: a recording origin, a raw client, and waiting for conditions."""
