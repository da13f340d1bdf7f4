# Refuses requests that are not for this API and would be dangerous to pass on.

sub refusals_recv {
    # Varnish itself would pass unknown methods on as raw streams (pipe), without counting or
    # logging them. PURGE comes in on another socket. Whether a path supports one of the methods
    # below is for the services to say.
    if (req.method != "GET" && req.method !~ "^(?:HEAD|POST|DELETE|PUT|PATCH|OPTIONS)$") {
        return (synth(405, "DELETE, GET, HEAD, PATCH, POST, PUT"));
    }
    # HTTP/0.9, for example.
    if (req.proto != "HTTP/1.1" && req.proto != "HTTP/1.0") {
        return (synth(400, "this HTTP version is not supported; use HTTP/1.1"));
    }
    # `*`, or a URL with a scheme other than http.
    if (req.url !~ "^/") {
        return (synth(400, "the request line has no path; send `GET /path HTTP/1.1`, with the host name in the Host header"));
    }
    # The longest URL that the services accept. Checked here so that no other regular expression has
    # to read more.
    if (req.url ~ "^.{8191}") {
        return (synth(414, "the URL is too long; shorten the chain of operations"));
    }
}
