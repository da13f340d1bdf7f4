# The client's address, for nginx's limits and for the logs, and the request ID.

sub client_recv {
    # The rule of service_kit/http/middlewares.py.
    if (!req.http.X-Request-ID || req.http.X-Request-ID !~ "^[A-Za-z0-9._-]{1,64}$") {
        set req.http.X-Request-ID = server.identity + "-" + req.xid;
    }
    call nodes_recv;
}

# Only on the way to nginx. Hits do not need it.
sub client_forward {
    # The services offer neither upgraded connections nor content codings, and do not use cookies.
    unset req.http.Upgrade;
    unset req.http.Accept-Encoding;
    unset req.http.Cookie;
    call nodes_forward;
}

# Runs once per request. With trusted proxies, it runs before the lookup, since the log line of a
# hit names the client too.
sub client_address {
    # Varnish has appended the address of its peer. If that is a trusted proxy, the address before
    # it is the one that the proxy saw itself, and the only one to believe: any further to the left
    # came from the client.
    if (client.ip ~ trusted_proxies && req.http.X-Forwarded-For ~ ",") {
        set req.http.X-Forwarded-For = regsub(req.http.X-Forwarded-For, "^(?:.*,)? *([^, ]+) *,[^,]*$", "\1");
    } else {
        set req.http.X-Forwarded-For = client.ip;
    }
}
