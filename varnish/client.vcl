# Who asks: the address for the limits and logs behind this, and the request's id.

sub client_recv {
    # The rule of service_kit/middlewares.py.
    if (!req.http.X-Request-ID || req.http.X-Request-ID !~ "^[A-Za-z0-9._-]{1,64}$") {
        set req.http.X-Request-ID = server.identity + "-" + req.xid;
    }
}

# What is old is served, and asked after behind it.
sub client_hit {
    if (obj.ttl <= 0s) {
        call client_forward;
    }
}

# Only on the way to nginx: other hits do without.
sub client_forward {
    # Varnish has appended the address it sees. Only what a trusted proxy says of its client is believed, and only the last
    # address of that, which the proxy saw itself: what stands before it came from the client.
    if (client.ip ~ trusted_proxies && req.http.X-Forwarded-For ~ ",") {
        set req.http.X-Forwarded-For = regsub(req.http.X-Forwarded-For, "^(?:.*,)? *([^, ]+) *,[^,]*$", "\1");
    } else {
        set req.http.X-Forwarded-For = client.ip;
    }
}
