"""The URL paths of version 1. Unversioned and singular paths are aliases."""

IMAGES = "/{images:(?:v1/)?images?}"
IMAGE = IMAGES + "/{image_id:(?!healthcheck(?![^/.]))[^/.]+}"
INFO = IMAGE + "/info"
SIMILAR = IMAGE + "/similar"
VARIANTS = IMAGE + "/variants"
VARIANT = IMAGE + "{dot:[.]}{extension:[^/.]+}"
PLAN = VARIANT + "/plan"
TRANSFORM = "/{transform:(?:v1/)?transform}"
KEYS = "/{keys:(?:v1/)?keys}"
KEY = KEYS + "/{key_id:[^/.]+}"
ROTATION = KEY + "/rotate"

UPLOADS = "/{uploads:(?:v1/)?uploads}"
SIGN = "/{sign:(?:v1/)?sign}"
SPACES = "/{spaces:(?:v1/)?spaces}"
SPACE = SPACES + "/{space:[^/.]+}"
AUDIT = "/{audit:(?:v1/)?audit}"
USAGE = "/{usage:(?:v1/)?usage}"
ME = "/{me:(?:v1/)?me}"
WEBHOOKS = "/{webhooks:(?:v1/)?webhooks}"
WEBHOOK = WEBHOOKS + "/{webhook_id:[^/.]+}"
WEBHOOK_TEST, WEBHOOK_ROTATION, FAILURES = f"{WEBHOOK}/test", f"{WEBHOOK}/rotate", f"{WEBHOOK}/failures"
RETRY = FAILURES + "/{event_id:[^/.]+}/retry"
DELETIONS = "/{deletions:(?:v1/)?deletions}"
DELETION = DELETIONS + "/{deletion_id:[^/.]+}"
DELETION_STOP = DELETION + "/stop"
NAMES = "/{names:(?:v1/)?names}"
NAME = NAMES + "/{name:.+(?<!/versions)}"
VERSIONS = NAMES + "/{name:.+}/versions"

LOCATION = "/internal/images/{image_id}"
"""Where the transform service locates images in the storage service. Not for clients."""
LOOK = LOCATION + "/look"
"""Where the transform service says what an image looks like."""
LEVEL = LOCATION + "/levels/{side:[0-9]{1,5}}"
"""Where the transform service stores levels, and removes those that are lost."""
STORED_VARIANT = LOCATION + "/variants/{key:[0-9a-f]{64}}"
"""Where the transform service stores variants, and removes those that are lost."""
VARIANTS_USED = "/internal/variants/used"
"""Where the transform service says which stored variants it has sent."""
JOB_CLAIM, JOB_SETTLE = "/internal/jobs/claim", "/internal/jobs/settle"
"""Where the jobs service takes jobs from the storage service, and says how they ended."""
JOB_RUN = "/internal/jobs/run"
"""Where the jobs service gives a job to the transform service."""
USAGE_BATCH = "/internal/usage"
"""Where Varnish's nodes post what they have counted."""
IDENTITY = "/internal/identity"
"""Where the transform service asks whose key a request has."""
NAMED = "/internal/names/{name:.+}"
"""Where Varnish and the transform service ask which image a name shows."""
ACCESS = "/internal/access"
"""Where Varnish asks what the key in a request, or the signature in the URL behind this path, gives a right to; the
transform service, who signed the URL."""

MAX_URL = 8192
"""The limit on a URL: bytes of path and query."""

_ROUTES = (
    "images",
    "transform",
    "keys",
    "uploads",
    "sign",
    "spaces",
    "audit",
    "usage",
    "names",
    "deletions",
    "webhooks",
    "me",
)


def route_pattern(pattern: str) -> str:
    """The pattern of a route, in its canonical spelling, such as `/v1/images/{image_id}.{extension}`."""
    for name in _ROUTES:
        pattern = pattern.replace(f"{{{name}}}", f"v1/{name}")
    return pattern.replace("{dot}", ".")


def look_path(image_id: str) -> str:
    """The path of what an image looks like in the storage service."""
    return LOOK.format(image_id=image_id)


def named_path(name: str) -> str:
    """Where to ask which image a name shows."""
    return f"/internal/names/{name}"


def level_path(image_id: str, side: int) -> str:
    """The path of a level in the storage service."""
    return f"{LOCATION.format(image_id=image_id)}/levels/{side}"


def stored_variant_path(image_id: str, key: str) -> str:
    """The path of a stored variant in the storage service."""
    return f"{LOCATION.format(image_id=image_id)}/variants/{key}"


def name_url(name: str, base: str = "") -> str:
    """The canonical URL of a name."""
    return f"{base}/v1/names/{name}"


def image_url(image_id: str, extension: str = "", base: str = "") -> str:
    """The canonical URL of an image, or of its variant in the format of `extension`; without a `base`, its path."""
    return f"{base}/v1/images/{image_id}" + (f".{extension}" if extension else "")
