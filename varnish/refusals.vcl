# What is not for this API, and would be dangerous to pass on.

sub refusals_recv {
    # Varnish itself would pass unknown methods through as raw streams (pipe), uncounted and unlogged. PURGE and BAN are
    # asked for on another socket. The services say which methods a path knows.
    if (req.method != "GET" && req.method !~ "^(?:HEAD|POST|DELETE|PUT|PATCH|OPTIONS)$") {
        return (synth(405, "DELETE, GET, HEAD, POST"));
    }
    # HTTP/0.9 and such.
    if (req.proto != "HTTP/1.1" && req.proto != "HTTP/1.0") {
        return (synth(400, "this is no HTTP/1.1"));
    }
    # `*`, and another scheme than http: no path is named.
    if (req.url !~ "^/") {
        return (synth(400, "the request names no path; send it as `GET /path HTTP/1.1`, with the host in Host"));
    }
    # The length that the services take, before another regular expression looks at more.
    if (req.url ~ "^.{8191}") {
        return (synth(414, "the URL is too long; shorten the chain of operations"));
    }
}
