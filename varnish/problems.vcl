# Varnish's own errors as application/problem+json (RFC 9457), in the form of service_kit/errors.py.

sub problems_synth {
    set resp.http.API-Version = "1";
    set resp.http.X-Request-ID = req.http.X-Request-ID;
    set resp.http.Cache-Control = "no-store";
    set resp.http.X-Content-Type-Options = "nosniff";
    set resp.http.Access-Control-Allow-Origin = "*";
    set resp.http.Access-Control-Expose-Headers = "API-Version, Content-Disposition, Content-Range, ETag, Location, Retry-After, Server-Timing, WWW-Authenticate, X-Cache, X-Request-ID";
    unset resp.http.Server;
    unset resp.http.Via;
    if (resp.status == 200) {
        set resp.http.Content-Type = "application/json";
        synthetic({"{"service": "cache", "status": ""} + resp.reason + {"" }"});
        return (deliver);
    }
    set resp.http.Content-Type = "application/problem+json";
    set resp.http.X-Detail = resp.reason;
    if (resp.status == 400) {
        set resp.reason = "Bad Request";
    } else if (resp.status == 401) {
        set resp.reason = "Unauthorized";
        set resp.http.WWW-Authenticate = {"Bearer realm="imgsvc""};
    } else if (resp.status == 403) {
        set resp.reason = "Forbidden";
    } else if (resp.status == 429) {
        set resp.reason = "Too Many Requests";
        set resp.http.Retry-After = "10";
    } else if (resp.status == 404) {
        set resp.reason = "Not Found";
    } else if (resp.status == 405) {
        set resp.http.Allow = resp.reason;
        set resp.http.X-Detail = "this method is not allowed here; allowed methods: " + resp.reason;
        set resp.reason = "Method Not Allowed";
    } else if (resp.status == 412) {
        set resp.reason = "Precondition Failed";
    } else if (resp.status == 414) {
        set resp.reason = "Request-URI Too Long";
    } else if (resp.status == 416) {
        set resp.reason = "Requested Range Not Satisfiable";
        set resp.http.Content-Range = "bytes */" + req.http.X-Length;
    } else {
        set resp.status = 503;
        set resp.reason = "Service Unavailable";
        set resp.http.Retry-After = "1";
        set resp.http.X-Detail = "the service does not answer; retry in a second";
    }
    synthetic({"{"type": "about:blank", "title": ""} + resp.reason + {"", "status": "} + resp.status
        + {", "detail": ""} + resp.http.X-Detail + {"", "error": ""} + resp.http.X-Detail
        + {"", "request_id": ""} + req.http.X-Request-ID + {"" }"});
    unset resp.http.X-Detail;
    return (deliver);
}

# nginx does not answer, and the cache has no stale object to serve.
sub problems_backend_error {
    set beresp.status = 503;
    set beresp.reason = "Service Unavailable";
    set beresp.http.API-Version = "1";
    set beresp.http.Content-Type = "application/problem+json";
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "1";
    set beresp.http.X-Content-Type-Options = "nosniff";
    set beresp.http.Access-Control-Allow-Origin = "*";
    set beresp.http.Access-Control-Expose-Headers = "API-Version, Content-Disposition, Content-Range, ETag, Location, Retry-After, Server-Timing, WWW-Authenticate, X-Cache, X-Request-ID";
    unset beresp.http.Server;
    set beresp.ttl = 1s;
    set beresp.grace = 0s;
    set beresp.uncacheable = true;
    synthetic({"{"type": "about:blank", "title": "Service Unavailable", "status": 503"}
        + {", "detail": "the service does not answer; retry in a second""}
        + {", "error": "the service does not answer; retry in a second""}
        + {", "request_id": ""} + bereq.http.X-Request-ID + {"" }"});
    return (deliver);
}
