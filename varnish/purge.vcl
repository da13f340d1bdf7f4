# `PURGE /v1/images/{id}`, from the storage service: removes the image and all its variants from
# this node's cache. `PURGE /v1/names/{name}` removes what is known about a name.

import xkey;

sub purge_recv {
    # A separate socket (see start), to which no port of the host leads. An address would not prove
    # anything: behind a published port or a load balancer, every client has an internal address.
    if (local.socket != "inside") {
        return;
    }
    if (req.method != "PURGE") {
        return (synth(405, "PURGE"));
    }
    if (req.url ~ "^/v1/names/[A-Za-z0-9._~/-]+$") {
        set req.http.X-Purged = xkey.purge(regsub(req.url, "^/v1/names/", "name-"));
        return (synth(200, "purged"));
    }
    if (req.url !~ "^/v1/images/[0-9a-f]{32}$") {
        return (synth(400, "the path has no image ID; use PURGE /v1/images/{id}"));
    }
    # By surrogate key (`Xkey`), which names the images in a response, and not by URL: an image has
    # any number of URLs, and a variant with a watermark has to go with either image. A hard purge,
    # because the image must not be served in grace.
    set req.http.X-Purged = xkey.purge(regsub(req.url, "^/v1/images/", "image-"));
    return (synth(200, "purged"));
}
