"""What gRPC says on top of HTTP/2, as far as a proxy takes part in it: bytes in, values out.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""
