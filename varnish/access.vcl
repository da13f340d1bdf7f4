# Who may see what is in the cache (docs/adr/0065-access.md). A request with a key, or with a signed
# URL, is looked up twice: first what its credentials give a right to, which a service says and which
# this cache remembers for two seconds, and then the picture. A request without either is looked up
# once, as if there were no access control.

import std;
import vsthrottle;

# Comes before urls_recv, which removes tracking parameters: a signature covers every byte.
sub access_recv {
    unset req.http.Grant;
    unset req.http.Grant-Until;
    unset req.http.X-Picture;
    unset req.http.X-Signed;
    # For this cache, and not for clients.
    if (req.url ~ "^/internal/") {
        return (synth(404, "this path does not exist; the API is under /v1/images and /v1/transform, its reference at /docs, and the console at /console"));
    }
    # Names are not signed: they may show another image at any time.
    if (req.url ~ "^[^?]*\?(?:.*&)?(?:key|expires|signature|widths|presets)=" && req.url !~ "^/(?:v1/)?names/") {
        # nginx gets it with a prefix, and accepts no longer ones.
        if (req.url ~ "^.{8150}") {
            return (synth(414, "the URL is too long; shorten the chain of operations"));
        }
        set req.http.X-Signed = req.url;
    }
}

# Who sent 30 wrong keys or signatures in ten seconds has to wait. Others do not notice, nor do those
# whose grant is known.
sub access_throttle {
    if (!req.http.Authorization && !req.http.X-Signed) {
        return;
    }
    call nodes_client;
    if (vsthrottle.remaining(req.http.X-Client-Key, 30, 10s) <= 0) {
        return (synth(429, "too many wrong keys or signatures; retry in ten seconds"));
    }
}

# Comes last in vcl_recv, for pictures: asks for the grant first, if there are credentials.
sub access_route {
    if (req.http.X-Signed) {
        # Anyone who has a signed URL has access.
        unset req.http.Authorization;
        # The expression of service_kit/signing.py, which verifies the URL before this one is used: with
        # another one, a signed URL could fill the cache for another URL. A test compares them.
        set req.http.X-Picture = regsub(regsub(req.url,
            "^([^?]*)\?((?:[^&]+&)*?)(?:widths=[0-9,]+&)?(?:presets=[A-Za-z0-9_,-]+&)?key=[0-9a-f]{12}&(?:expires=[1-9][0-9]{0,14}&)?signature=[A-Za-z0-9_-]{43}$",
            "\1?\2"), "[?&]$", "");
        set req.url = "/internal/access" + req.http.X-Signed;
    } else if (req.http.Authorization) {
        set req.http.X-Picture = req.url;
        set req.url = "/internal/access";
    }
}

# After the grant has come: the same request again, for the picture.
sub access_resume {
    if (req.restarts > 0) {
        return (hash);
    }
}

sub access_hash {
    if (req.http.X-Picture) {
        # Where nobody needs a key, the host name decides.
        hash_data(req.http.Host);
        hash_data(req.http.Authorization);
    }
}

# The object may be for some only. Comes first in vcl_hit.
sub access_hit {
    if (!obj.http.Viewers || req.http.X-Picture) {
        return;
    }
    if (!req.http.Grant) {
        # Without credentials. Whether they are necessary is for a service to say.
        set req.http.X-Picture = req.url;
        set req.url = "/internal/access";
        return (restart);
    }
    if (obj.http.Viewers ~ "^space-" && req.http.Grant !~ "^(?:none )?all$"
        && req.http.Grant != obj.http.Viewers && req.http.Grant != "none " + obj.http.Viewers) {
        return (synth(404, "the image does not exist"));
    }
    if (req.http.Grant ~ "^none ") {
        return (synth(403, "the key lacks the scope `read`; use one that has it"));
    }
}

# A client with IPv6 has a whole network.
sub access_network {
    set req.http.X-Client-Key = regsub(req.http.X-Client-Key, "^((?:[0-9A-Fa-f]{1,4}:){4}).*$", "\1");
}

# Comes first in vcl_miss.
sub access_miss {
    if (req.http.X-Picture) {
        call access_throttle;
    }
}

# On the way to nginx, the services have to see the URL as the client sent it.
sub access_forward {
    if (req.http.X-Signed && !req.http.X-Picture) {
        set req.url = req.http.X-Signed;
    }
}

sub access_fetch {
    unset bereq.http.Grant;
    unset bereq.http.Grant-Until;
    unset bereq.http.X-Picture;
    unset bereq.http.X-Signed;
    unset bereq.http.X-Client-Key;
}

# Comes first in vcl_backend_response.
sub access_response {
    if (bereq.url !~ "^/internal/access") {
        return;
    }
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (beresp.status == 200) {
        # Each of them would cost time at every hit.
        unset beresp.http.Access-Control-Allow-Origin;
        unset beresp.http.Access-Control-Expose-Headers;
        unset beresp.http.API-Version;
        unset beresp.http.Cache-Control;
        unset beresp.http.Connection;
        unset beresp.http.Content-Type;
        unset beresp.http.Server;
        unset beresp.http.Timing-Allow-Origin;
        unset beresp.http.X-Content-Type-Options;
        unset beresp.http.X-Request-ID;
    }
    if (beresp.status == 401 || beresp.status == 403) {
        set beresp.ttl = 1s;
    } else if (beresp.status != 200 || beresp.ttl <= 0s) {
        set beresp.ttl = 1s;
        set beresp.uncacheable = true;
    }
    return (deliver);
}

# Comes first in vcl_deliver.
sub access_granted {
    if (req.http.X-Picture && resp.http.Grant) {
        set req.http.Grant = resp.http.Grant;
        if (resp.http.Grant-Until) {
            set req.http.Grant-Until = resp.http.Grant-Until;
        }
        set req.url = req.http.X-Picture;
        unset req.http.X-Picture;
        return (restart);
    }
    if (resp.http.X-Refused) {
        call nodes_client;
        if (vsthrottle.is_denied(req.http.X-Client-Key, 30, 10s)) {
            # Counted. The next request is refused by access_throttle.
            std.log("wrong credentials");
        }
        unset resp.http.X-Refused;
    }
}

sub access_deliver {
    # Only the client may keep what it got with a key. What it got with a signature is private too if
    # the image is, and for no longer than the right lasts.
    if (resp.http.Viewers && req.http.Grant) {
        if (!req.http.Grant-Until) {
            set resp.http.Cache-Control = "private, no-cache";
        } else if (resp.http.Viewers ~ "^space-") {
            if (req.http.Grant-Until == "never") {
                set resp.http.Cache-Control = "private, max-age=31536000";
            } else {
                set resp.http.Cache-Control = "private, max-age="
                    + std.integer(real=std.real(req.http.Grant-Until, 0.0) - std.time2real(now, 0.0), fallback=0);
            }
            # Or until the image expires, if that is earlier.
            if (resp.http.Until && (req.http.Grant-Until == "never"
                || std.real(resp.http.Until, 0.0) < std.real(req.http.Grant-Until, 0.0))) {
                set resp.http.Cache-Control = "private, max-age="
                    + std.integer(real=std.real(resp.http.Until, 0.0) - std.time2real(now, 0.0), fallback=0);
            }
            unset resp.http.Age;
        }
    }
    unset resp.http.Viewers;
}
