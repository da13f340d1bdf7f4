"""What the services parse: headers, routes, parameters, and pieces that parsers stumble over."""

HEADERS = [
    *("Accept", "Connection", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range"),
    *("Content-Type", "Cookie", "Expect", "Forwarded", "Host", "Idempotency-Key", "If-Match", "If-Modified-Since"),
    *("If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Range", "TE", "Trailer", "Transfer-Encoding"),
    *("Upgrade", "User-Agent", "X-Content", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
    *("X-Request-ID", "baggage", "traceparent", "tracestate", "Sec-WebSocket-Key"),
]
ROUTES = [
    *("GET /v1/images/{id}", "HEAD /v1/images/{id}", "GET /v1/images/{id}?thumb=9", "GET /v1/images/{id}.auto"),
    *("GET /v1/images/{id}/info", "GET /v1/images?limit=1", "DELETE /v1/images/{missing}", "POST /v1/images"),
    *("POST /v1/transform?thumb=9", "GET /v1/transform?image_id={id}&thumb=9", "GET /internal/images/{id}"),
    *("GET /healthz", "GET /v1/images/{id}?download=x", "GET /v1/images/{id}?w=9&h=9&fit=cover&dpr=2"),
    *("PURGE /v1/images/{missing}", "GET /metrics", "GET /v1/images/healthcheck", "OPTIONS *", "GET http://x/"),
]
PARAMETERS = [
    *("/v1/images?limit=", "/v1/images?cursor=", "/v1/images/{id}?", "/v1/images/{id}?thumb=", "/v1/images/{id}?crop="),
    *(
        "/v1/images/{id}?rotate=",
        "/v1/images/{id}?watermark=",
        "/v1/images/{id}?background=",
        "/v1/images/{id}?preset=",
    ),
    *("/v1/images/{id}?download=", "/v1/images/{id}?thumb=9&download=", "/v1/images/{id}?v=", "/v1/images/{id}?bg="),
    *("/v1/images/{id}?w=", "/v1/images/{id}?w=9&fit=", "/v1/images/{id}?w=9&dpr=", "/v1/images/{id}/info?"),
    *("/v1/images/{id}?resize=", "/v1/images/{id}?format=", "/v1/images/{id}?page=", "/v1/transform?thumb=9&image_id="),
    *(
        "/v1/transform?thumb=9&url=",
        "/v1/transform?thumb=9&url=http://",
        "/v1/images/",
        "/v1/images/{id}.",
        "/",
        "/v1/",
    ),
]
# What parsers look for, and what they stumble over.
PIECES = [
    *(
        b"a",
        b"0",
        b"-",
        b"+",
        b",",
        b";",
        b"=",
        b'"',
        b"\\",
        b"/",
        b"*",
        b"(",
        b")",
        b"<",
        b"@",
        b":",
        b"?",
        b"#",
        b"&",
    ),
    *(b" ", b"\t", b"%", b"%00", b"%ff", b"%2e", b"[", b"]", b"[::1]", b".", b"..", b"\x7f", b"\x00", b"\x80", b"\xff"),
    *("\uff0e".encode(), "\u0661".encode(), "\u2028".encode(), "\ud800".encode(errors="surrogatepass"), "ü".encode()),
    *(b"99999999999999999999", b"-1", b"1e9", b"nan", b"0x10", b"9" * 4400, b"bytes=", b"0-0", b"W/", b"q=", b"xn--"),
    *(b"Thu, 01 Jan 2026 00:00:00 GMT", b"99999999999999999999 00:00:00 GMT", b"Thu, 01 Jan ", b" -9999", b"\xc2\xa0"),
    *(b"multipart/form-data", b"image/jpeg", b"application/x-www-form-urlencoded", b"boundary=", b"b", b"charset*0*="),
    *(
        b"utf-8''",
        b"filename*=",
        b"name=",
        b"form-data",
        b"gzip",
        b"chunked",
        b"identity",
        b"image/webp",
        b"100-continue",
    ),
    *(b"websocket", b"close", b"keep-alive", b"trailers", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    *(b"http://", b"https://", b"//", b"file:", b"user:pw@", b"127.0.0.1", b"x.invalid", b":80", b"0" * 32),
]
