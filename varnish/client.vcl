# Who asks: the address for the limits and logs behind this, and the request's id.

sub client_recv {
    # The rule of service_kit/middlewares.py.
    if (!req.http.X-Request-ID || req.http.X-Request-ID !~ "^[A-Za-z0-9._-]{1,64}$") {
        set req.http.X-Request-ID = server.identity + "-" + req.xid;
    }
    call nodes_recv;
}

# Only on the way to nginx: other hits do without.
sub client_forward {
    # Nothing here answers with an upgraded connection, nor in several codings, nor knows who asks.
    unset req.http.Upgrade;
    unset req.http.Accept-Encoding;
    unset req.http.Cookie;
    call nodes_forward;
}

# Once a request; where there are trusted proxies before it is looked up, since the log of a hit names the client too.
sub client_address {
    # Varnish has appended the address it sees. Only what a trusted proxy says of its client is believed, and only the last
    # address of that, which the proxy saw itself: what stands before it came from the client.
    if (client.ip ~ trusted_proxies && req.http.X-Forwarded-For ~ ",") {
        set req.http.X-Forwarded-For = regsub(req.http.X-Forwarded-For, "^(?:.*,)? *([^, ]+) *,[^,]*$", "\1");
    } else {
        set req.http.X-Forwarded-For = client.ip;
    }
}
