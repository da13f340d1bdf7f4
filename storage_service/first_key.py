"""What an operator is told about the first key, once."""

from service_kit import calling
from storage_service.keyring import NewKey


class FirstKey:
    """The first key of all, until an operator has seen it."""

    def __init__(self, new: NewKey) -> None:
        self._new = new
        self._is_shown = False

    def take(self) -> str:
        """The key, for the caller to show."""
        self._is_shown = True
        return self._new.key

    def show(self, url: str) -> None:
        """Print it to the operator, and not to the log, unless it was shown."""
        if not self._is_shown:
            print(f"{notice(self.take())}\n\n{_examples(url)}", flush=True)


def notice(key: str) -> str:
    """What the operator has to know about the first key."""
    return f"""\
Keys are required. This is the first one, with the scope `admin`. It is not shown again:

  {key}

Make others with fewer scopes: {calling.imgsvc()} keys create --help"""


def _examples(url: str) -> str:
    return f"""\
Set KEY to this key, and try it:
  curl -fH "Authorization: Bearer $KEY" -F image=@photo.jpg {url}/v1/images
  curl -fH "Authorization: Bearer $KEY" {url}/v1/images"""
