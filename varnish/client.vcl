# The client's address, for nginx's limits and for the logs, and the request ID.

import std;

sub client_recv {
    # The rule of service_kit/http/middlewares.py.
    if (!req.http.X-Request-ID || req.http.X-Request-ID !~ "^[A-Za-z0-9._-]{1,64}$") {
        set req.http.X-Request-ID = server.identity + "-" + req.xid;
    }
    call nodes_recv;
}

# Only on the way to nginx. Hits do not need it.
sub client_forward {
    # The services offer neither upgraded connections nor, but for pages, content codings, and do not use
    # cookies.
    unset req.http.Upgrade;
    if (!req.http.X-Page) {
        unset req.http.Accept-Encoding;
    }
    unset req.http.X-Page;
    unset req.http.Cookie;
    call nodes_forward;
}

# Runs once per request. With trusted proxies, it runs before the lookup, since the log line of a
# hit names the client too.
sub client_address {
    # Varnish has appended the address of its peer. If that is a trusted proxy, the address before
    # it is the one that the proxy saw itself, and so on. The first one that is not a trusted proxy
    # is the client: any further to the left are its own claim.
    set req.http.X-Forwarded-For = regsuball(req.http.X-Forwarded-For, "[ \t]", "");
    set req.http.X-Client = client.ip;
    call client_hop;
    call client_hop;
    call client_hop;
    call client_hop;
    call client_hop;
    set req.http.X-Forwarded-For = req.http.X-Client;
    unset req.http.X-Client;
    unset req.http.X-Hop;
}

# Goes from a trusted proxy to the address that it saw.
sub client_hop {
    if (std.ip(req.http.X-Client, "0.0.0.0", false) !~ trusted_proxies || req.http.X-Forwarded-For !~ ",") {
        return;
    }
    set req.http.X-Forwarded-For = regsub(req.http.X-Forwarded-For, ",[^,]*$", "");
    # Some proxies write a port or brackets, or an IPv4 address as IPv6.
    set req.http.X-Hop = regsub(req.http.X-Forwarded-For, "^.*,", "");
    set req.http.X-Hop = regsub(req.http.X-Hop, "^\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?$", "\1");
    set req.http.X-Hop = regsub(req.http.X-Hop, "^([0-9]+(?:\.[0-9]+){3}):[0-9]+$", "\1");
    set req.http.X-Hop = regsub(req.http.X-Hop, "^::[Ff]{4}:([0-9]+(?:\.[0-9]+){3})$", "\1");
    if (req.http.X-Hop ~ "^[0-9A-Fa-f:.]+$" && std.ip(req.http.X-Hop, "0.0.0.0", false) != "0.0.0.0") {
        set req.http.X-Client = req.http.X-Hop;
    } else {
        # Not an address. The proxy counts as the client.
        set req.http.X-Forwarded-For = "";
    }
}
