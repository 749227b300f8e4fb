"""Nacos over its HTTP APIs, by polling.

Two generations are spoken: the v3 client API (Nacos 3.0 and later) and the v1 open API (up to 3.1). Which one is found
out by asking and found out again when the answers say that it is gone (a rolling upgrade). The embedded registry speaks
both. Sources: https://nacos.io/docs/v3.0/manual/user/open-api/, https://nacos.io/docs/v1/open-api/.
"""
