# One spelling for what is the same, so that it is cached once. Never the order of the query: it is the chain's.

sub urls_recv {
    # With version, and plural: as nginx does (conf.d/routes.conf). What is no path of version 1 stays as it is.
    if (req.url !~ "^/v1/(?:images|transform)[/?]") {
        if (req.url ~ "^/(?:v1/)?images?(?:[/?]|$)") {
            set req.url = regsub(req.url, "^/(?:v1/)?images?", "/v1/images");
        } else if (req.url ~ "^/(?:v1/)?transform(?:[/?]|$)") {
            set req.url = regsub(req.url, "^/(?:v1/)?", "/v1/");
        }
    }
    # Tracking parameters say how somebody came here, and nothing of the picture.
    if (req.url ~ "[?&](?:utm_|gclid|fbclid)") {
        set req.url = regsuball(req.url, "&(?:utm_[A-Za-z0-9_.-]*|gclid|fbclid)(?:=[^&]*)?(?=&|$)", "");
        set req.url = regsub(req.url, "^([^?]*\?)(?:utm_[A-Za-z0-9_.-]*|gclid|fbclid)(?:=[^&]*)?(?:&|$)", "\1");
        set req.url = regsub(req.url, "^([^?]*)\?$", "\1");
    }
}

sub urls_hash {
    hash_data(req.url);
    # Without the host, which the built-in code would add: the API is found by its paths, and answers name none.
    return (lookup);
}
