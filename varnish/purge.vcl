# `PURGE /v1/images/{id}`, from the storage service: the image goes, with every variant, from the cache of this node.

import xkey;

sub purge_recv {
    # A socket of its own (start.py), which no port of the host leads to. An address would be no proof: behind a
    # published port, or a load balancer, everybody's is an inner one.
    if (local.socket != "inside") {
        return;
    }
    if (req.method != "PURGE") {
        return (synth(405, "PURGE"));
    }
    if (req.url !~ "^/v1/images/[0-9a-f]{32}$") {
        return (synth(400, "no image is named; PURGE /v1/images/{id}"));
    }
    # By what the services say an answer is made of (`Xkey`), not by URL: an image has any number of those, and one
    # with another's watermark goes with either. Removed, not only marked as old: it must not be served in grace.
    set req.http.X-Purged = xkey.purge(regsub(req.url, "^/v1/images/", "image-"));
    return (synth(200, "purged"));
}
