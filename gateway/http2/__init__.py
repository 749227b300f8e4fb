"""HTTP/2 (RFC 9113) and HPACK (RFC 7541), pure: bytes in, values out. What speaks it with sockets is in `proxy/`.

`Endpoint` (`endpoint`) is one end of a connection, of either side. Heads go in and out as HTTP/1.1 has them: `RequestHead.text`
and `ResponseHead.text` (`heads`), and back by `request_block`, `response_block` and `trailers_block` (`blocks`).
"""
