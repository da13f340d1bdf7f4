"""Receives images: whose they will be, what is said about them, and how large they may be."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from service_kit.access import DEFAULT_SPACE, Identity, Scope, Visibility, check_space
from service_kit.errors import BadRequest, Forbidden, Hidden
from service_kit.http import access, queries
from service_kit.http.endpoints import Parameter
from service_kit.http.json_bodies import SpaceName
from service_kit.http.uploads import FILE_FIELD, read_form
from service_kit.http.uploads import Form as PostedForm
from service_kit.observing import spans
from service_kit.spool import Spool, Spooled
from storage_service import repeats
from storage_service.http.labels import LABEL_PARAMETERS, LABEL_TEXTS, labels_in
from storage_service.library import Library, Owner
from storage_service.metadata.base import ImageRecord, Labels, TokenRecord
from storage_service.settings import StorageSettings
from storage_service.tokens import UploadTokens, Use

TOKENS = web.AppKey("TOKENS", UploadTokens)
LIBRARY = web.AppKey("LIBRARY", Library)
SPOOL = web.AppKey("SPOOL", Spool)
SETTINGS = web.AppKey("SETTINGS", StorageSettings)

OWN_SPACE = Parameter(
    "space", "The space that the request is about; needs a key that is not bound to another one.", SpaceName
)
_VISIBILITY = Parameter("visibility", "Who may see the image; by default everybody (`DEFAULT_VISIBILITY`).", Visibility)
_OF_QUERY = (OWN_SPACE.name, _VISIBILITY.name)
"""They decide who may upload, before the form is read."""
UPLOAD_PARAMETERS = (OWN_SPACE, _VISIBILITY, *LABEL_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Received:
    """An image in the spool, and what to store with it."""

    library: Library
    file: Spooled
    owner: Owner
    labels: Labels
    use: Use | None = None
    """That of an upload token."""

    async def store(self) -> ImageRecord:
        """Store it. Raises the errors of `Library.add`."""
        if self.use:
            self.use.is_storing = True
        return await self.library.add(self.file, self.owner, self.labels)


async def received(request: web.Request, stack: AsyncExitStack) -> Received:
    """The image in a request, which stays in the spool until the end of `stack`. Raises the errors of `read_form`."""
    given = queries.parameters(request, [each.name for each in UPLOAD_PARAMETERS])
    identity, app = access.identity_of(request), request.app
    use = await stack.enter_async_context(app[TOKENS].used(identity.token)) if identity.token else None
    owner = _owner(request, identity, given, use.token if use else None)
    await app[LIBRARY].admit(owner)
    limit = use.token.max_bytes if use else None
    with spans.during("receive"):
        form = await stack.enter_async_context(
            read_form(request, app[SPOOL], app[SETTINGS], (FILE_FIELD, *LABEL_TEXTS), of_query=_OF_QUERY, limit=limit)
        )
    if form.file is None:
        raise BadRequest(
            f"the form has no file in the field {FILE_FIELD!r}; send one, as in curl -F {FILE_FIELD}=@photo.jpg"
        )
    return Received(app[LIBRARY], form.file, owner, _labels(given, form), use)


def _labels(given: Mapping[str, str], form: PostedForm) -> Labels:
    texts = {name: value for name, value in given.items() if name in {each.name for each in LABEL_PARAMETERS}}
    if twice := texts.keys() & form.texts.keys():
        raise BadRequest(f"the query and the form both have `{min(twice)}`; send it once")
    return labels_in(texts | form.texts, form.filename)


def _owner(request: web.Request, identity: Identity, given: Mapping[str, str], token: TokenRecord | None) -> Owner:
    repeat = request.headers.get(repeats.HEADER)
    if token:
        if repeat is not None:
            raise BadRequest(f"an upload token counts its uploads by itself; leave out {repeats.HEADER}")
        if given:
            raise BadRequest("an upload token says whose the image will be and who may see it; remove the query")
        return Owner(token.key_id, token.space, token.visibility, token.formats.split())
    visibility = given.get(_VISIBILITY.name, request.app[SETTINGS].default_visibility)
    if visibility not in {*Visibility}:
        raise BadRequest(f"{_VISIBILITY.name}={visibility[:64]!r} is unknown; use {', '.join(Visibility)}")
    check_moderated(request.app[SETTINGS], identity, visibility)
    space = space_in(request, given) or DEFAULT_SPACE
    named = "" if repeat is None else f"{identity.key_id}/{space}/{repeats.checked(repeat)}"
    return Owner(identity.key_id, space, visibility, repeat=named)


def check_moderated(settings: StorageSettings, identity: Identity, visibility: str) -> None:
    """Raise Forbidden if this identity may not upload with this visibility, since all uploads are moderated."""
    moderated = Visibility(settings.default_visibility) is Visibility.PENDING and visibility != Visibility.PENDING
    if moderated and not identity.may(Scope.MODERATE):
        raise Forbidden(
            f"uploads are pending here (DEFAULT_VISIBILITY); leave out `{_VISIBILITY.name}`, or use a key with the"
            f" scope `{Scope.MODERATE}`"
        )


def space_in(request: web.Request, given: Mapping[str, str]) -> str | None:
    """The space that a request is about; None for all. Raises NotFound if the key may not use it."""
    own, space = access.identity_of(request).space, given.get(OWN_SPACE.name)
    if space is None:
        return own
    if own not in {None, space}:
        raise Hidden(f"the space {space[:64]!r} does not exist")
    check_space(space)
    return space
