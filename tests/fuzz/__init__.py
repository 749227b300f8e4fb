"""Fuzzing of the three readers of foreign bytes: request heads and bodies, answers, the chunked coding."""
