# What is kept, and for how long.

import std;

sub storing_response {
    # An error of ours in the place of a good object would be a second error: what was there stays, and is tried again.
    # A refusal (429) as well: it is about who asks, not about what is asked for.
    if (bereq.is_bgfetch && beresp.status != 200 && beresp.status != 404 && beresp.status != 410) {
        return (abandon);
    }
    if ((beresp.status != 200 && beresp.status != 404 && beresp.status != 410) || beresp.http.Cache-Control ~ "no-store") {
        # Not kept. For a second, others that ask for it do not queue for an answer that nobody will share.
        set beresp.ttl = 1s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (beresp.status != 200) {
        # As long as the services say, 10 s, and no longer: not in grace, or a new image would be missed.
        if (beresp.ttl > 10s) {
            set beresp.ttl = 10s;
        }
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        return (deliver);
    }
    # Sent on as it comes, and not kept: a hundred of them would push out ten thousand thumbnails.
    if (std.integer(beresp.http.Content-Length, 0) > 4194304) {
        set beresp.ttl = 1h;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (beresp.ttl > 1h) {
        # Clients may keep it for a year, for it never changes. Here it is asked after each hour, and answered with 304:
        # should a purge ever miss this node, this is the longest that a deleted image could outlive it.
        set beresp.ttl = 1h;
        # Meanwhile the old one is served; also when nobody answers.
        set beresp.grace = 24h;
        # And after that the body is still here for a 304.
        set beresp.keep = 24h;
    }
    return (deliver);
}
